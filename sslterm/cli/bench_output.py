"""What `sslterm bench` prints: the machine, a preset that was looked at closely, or a row for each of several."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from sslterm.cli.output import print_fields, print_line, print_table
from sslterm.config.schema import Experiment
from sslterm.render.quantity import amount, duration, memory, number

BUSY = 0.1
"""Share of the processors that other programs may have without a word about it."""
NOT_COUNTED = "TRAINING is the whole preset at that rate, without evaluations, panels and checkpoints."


def print_machine(machine: Mapping[str, Any]) -> None:
    cores = f"{machine['cores']:g} core" + ("" if machine["cores"] == 1 else "s")
    print_fields(
        [
            ("machine", f"{machine['processor']}, {cores} usable"),
            ("device", f"{machine['device']}, torch {machine['torch']}"),
        ]
    )


def print_measured(one: Mapping[str, Any]) -> None:
    """A preset in every precision, and where the time of its step goes."""
    *frames, channels, height, width = one["shape"]
    of = f"clips of {frames[0]} frames of" if frames else "images of"
    batch = f"batches of {one['batch']:,} {of} {width}x{height}x{channels}"
    print_fields([("preset", f"{one['method']}/{one['preset']}, {one['parameters']:,} parameters, {batch}")])
    print_line()
    _print_timings(one)
    print_line()
    if one["parts"]:
        _print_parts(one)
        print_line()
    fields = [("fastest", _fastest(one)), ("course", _course(one)), ("epochs", _epochs(one))]
    if one["process_bytes"]:
        fields.append(("memory", f"{memory(one['process_bytes'])} at most, torch and the data included"))
    fields.append(("busy", _busy(one)))
    print_fields(fields)
    print_line(NOT_COUNTED)
    if one["interrupted"]:
        print_line("Stopped early: this is what was measured until then.")


def _print_timings(one: Mapping[str, Any]) -> None:
    on_gpu = any(timing["memory_bytes"] is not None for timing in one["timings"])
    header = ["PRECISION", "IMAGES/S", "MS A STEP", "QUARTILES", "STEPS", "TRAINING"]
    header += ["MEMORY"] if on_gpu else []
    rows = []
    for timing in one["timings"]:
        row = [_name(timing), *_speed(timing)]
        quartiles = " - ".join(number(each, 3) for each in timing["ms_quartiles"] or [])
        row[3:3] = [quartiles, f"{timing['steps']:,}"]
        row += [memory(timing["memory_bytes"]) if timing["memory_bytes"] else ""] if on_gpu else []
        rows.append([*row, _taken(one, timing)])
    print_table([*header, "TAKEN BY"], rows, right=[name for name in header if name != "PRECISION"])
    for timing in one["timings"]:
        if timing["fault"]:
            print_line(f"{_name(timing)}: {timing['fault']}")


def _name(timing: Mapping[str, Any]) -> str:
    return f"{timing['precision']}, compiled" if timing["compile"] else str(timing["precision"])


def _speed(timing: Mapping[str, Any]) -> list[str]:
    """Images a second, milliseconds a step, the time of the training."""
    if timing["images_per_second"] is None:
        return ["", "", ""]
    rate, step = amount(timing["images_per_second"]), number(timing["ms_per_step"], 3)
    return [rate, step, duration(timing["preset_seconds"])]


def _taken(one: Mapping[str, Any], timing: Mapping[str, Any]) -> str:
    """Who takes a precision: "auto", and the preset where it asks for one by name."""
    names = ["auto"] if timing["auto"] else []
    if timing["taken"] and (one["precision_asked"] != "auto" or timing["compile"]):
        names.append("the preset")
    return ", ".join(names)


def _print_parts(one: Mapping[str, Any]) -> None:
    taken = next(timing for timing in one["timings"] if timing["taken"])
    rows = [
        [part["part"], number(part["ms"], 3), f"{100 * part['share']:.0f} %", part["about"]]
        for part in one["parts"]
    ]
    print_table([f"A STEP IN {_name(taken).upper()}", "MS", "SHARE", ""], rows, right=("MS", "SHARE"))


def _fastest(one: Mapping[str, Any]) -> str:
    """Which precision is the fast one, by how much, and whether it is taken."""
    timed = [timing for timing in one["timings"] if timing["images_per_second"] is not None]
    if len(timed) < 2:
        return ""
    best = max(timed, key=lambda timing: timing["images_per_second"])
    slowest = min(timed, key=lambda timing: timing["images_per_second"])
    times = best["images_per_second"] / slowest["images_per_second"]
    said = f"{_name(best)}, {times:.2f} times as fast as {_name(slowest)}"
    if best["taken"]:
        return said
    setting = "train.compile=true" if best["compile"] else f"train.precision={best['precision']}"
    return f"{said}; to train in it: --set {setting}"


def _course(one: Mapping[str, Any]) -> str:
    """The step at several points of the training, where it is not the same all along."""
    if not one["varies"]:
        return ""
    points = (
        f"{number(point['ms_per_step'], 3)} at {100 * point['progress']:.0f} %" for point in one["course"]
    )
    return f"ms a step: {', '.join(points)} of the training"


def _busy(one: Mapping[str, Any]) -> str:
    """Whether others had the machine too: threads then wait for each other."""
    if one["others_share"] < BUSY:
        return ""
    share = f"{100 * one['others_share']:.0f} %"
    return (
        f"other programs had {share} of the processors meanwhile; one thread may do better: OMP_NUM_THREADS=1"
    )


def _epochs(one: Mapping[str, Any]) -> str:
    seconds = one["epoch_begins_seconds"]
    if seconds * one["epochs"] < 1:
        return ""
    return f"{one['epochs']:,}, each begun in {number(seconds, 3)} s, which TRAINING includes"


class Rows:
    """A table whose rows are printed as they come."""

    HEADER = ("METHOD", "PRESET", "PRECISION", "IMAGES/S", "MS A STEP", "TRAINING")

    def __init__(self, experiments: Sequence[Experiment]) -> None:
        named = [(experiment.run.method, experiment.run.preset) for experiment in experiments]
        method, preset = (max(map(len, column)) for column in zip(*named, strict=True))
        self.widths = (max(method, 6), max(preset, 6), 9, 9, 9, 10)
        self.begun = False

    def show(self, one: Mapping[str, Any]) -> None:
        """Print a row, under a header if it is the first."""
        if not self.begun:
            print_line()
            self._print(self.HEADER, dim=True)
            self.begun = True
        place = [one["method"], one["preset"]]
        if "error" in one:
            self._print(place, after=one["error"])
        else:
            timing = one["timings"][0]
            self._print([*place, timing["precision"], *_speed(timing)])
        sys.stdout.flush()

    def _print(self, cells: Sequence[str], *, after: str = "", dim: bool = False) -> None:
        shown = [
            text.ljust(width) if place < 3 else text.rjust(width)
            for place, (text, width) in enumerate(zip(cells, self.widths, strict=False))
        ]
        print_line("  ".join([*shown, after]).rstrip(), dim=dim)
