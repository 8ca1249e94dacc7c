"""What `sslterm bench` prints: the machine, a preset that was looked at closely, or a row for each of several."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from sslterm.cli.output import print_fields, print_line, print_table
from sslterm.config.schema import Experiment
from sslterm.render.quantity import column, duration, memory, number

BUSY = 0.1
"""Share of the processors that other programs may have without a word about it."""
NOT_COUNTED = "without evaluations, panels and checkpoints"


def _machine_fields(machine: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What was timed on, for `print_fields`."""
    cores = f"{machine['cores']:g} core" + ("" if machine["cores"] == 1 else "s")
    return [
        ("machine", f"{machine['processor']}, {cores} usable"),
        ("device", f"{machine['device']}, torch {machine['torch']}"),
    ]


def print_measured(one: Mapping[str, Any], machine: Mapping[str, Any]) -> None:
    """A preset in every precision, and where the time of its step goes."""
    *frames, channels, height, width = one["shape"]
    of = f"clips of {frames[0]} frames of" if frames else "images of"
    batch = f"batches of {one['batch']:,} {of} {width}x{height}x{channels}"
    about = f"{one['method']}/{one['preset']}, {one['parameters']:,} parameters, {batch}"
    print_fields([*_machine_fields(machine), ("preset", about)])
    print_line()
    _print_timings(one)
    print_line()
    if one["parts"]:
        _print_parts(one)
        print_line()
    fields = [("fastest", _fastest(one)), ("course", _course(one)), ("epochs", _epochs(one))]
    if one["process_bytes"]:
        fields.append(("memory", f"{memory(one['process_bytes'])} at most, torch and the data included"))
    fields.append(("busy", _busy(one, machine["threads"])))
    fields.append(("training", f"all {one['total_images']:,} images at that rate, {NOT_COUNTED}"))
    print_fields(fields)
    if one["interrupted"]:
        print_line("Stopped early: this is what was measured until then.")


def _print_timings(one: Mapping[str, Any]) -> None:
    timings = one["timings"]
    on_gpu = any(timing["memory_bytes"] is not None for timing in timings)
    header = ["PRECISION", "IMAGES/S", "MS A STEP", "QUARTILES", "TRAINING", *(["MEMORY"] if on_gpu else [])]
    measured = [timing for timing in timings if timing["images_per_second"] is not None]
    times = column([value for each in measured for value in (each["ms_per_step"], *each["ms_quartiles"])])
    rows = []
    for place, timing in enumerate(measured):
        step, low, high = times[3 * place : 3 * place + 3]
        row = [_name(timing), rate(timing["images_per_second"]), step, f"{low}-{high}"]
        row += [duration(timing["preset_seconds"]), *([memory(timing["memory_bytes"])] if on_gpu else [])]
        rows.append([*row, _taken(one, timing)])
    print_table([*header, "TAKEN BY"], rows, right=[name for name in header if name != "PRECISION"])
    for timing in timings:
        if timing["fault"]:
            print_line(f"{_name(timing)}: {timing['fault']}")


def _name(timing: Mapping[str, Any]) -> str:
    return f"{timing['precision']}+compile" if timing["compile"] else str(timing["precision"])


def rate(images_per_second: float) -> str:
    """Whole images where they are many: 12,804, 61.9."""
    return f"{images_per_second:,.0f}" if images_per_second >= 100 else number(images_per_second, 3)


def _taken(one: Mapping[str, Any], timing: Mapping[str, Any]) -> str:
    """Who takes a precision: "auto", the preset where it asks for one by name, or both."""
    by_name = timing["taken"] and (one["precision_asked"] != "auto" or timing["compile"])
    return ("both" if by_name else "auto") if timing["auto"] else "preset" if by_name else ""


def _print_parts(one: Mapping[str, Any]) -> None:
    taken = next(timing for timing in one["timings"] if timing["taken"])
    times = column([part["ms"] for part in one["parts"]])
    rows = [
        [part["part"], ms, f"{100 * part['share']:.0f} %", part["about"]]
        for part, ms in zip(one["parts"], times, strict=True)
    ]
    print_table([f"A STEP IN {_name(taken).upper()}", "MS", "SHARE", ""], rows, right=("MS", "SHARE"))


def _fastest(one: Mapping[str, Any]) -> str:
    """Which precision is the fast one, by how much, and whether it is taken."""
    timed = [timing for timing in one["timings"] if timing["images_per_second"] is not None]
    if len(timed) < 2:
        return ""
    best = max(timed, key=lambda timing: timing["images_per_second"])
    slowest = min(timed, key=lambda timing: timing["images_per_second"])
    if best["ms_quartiles"][1] >= slowest["ms_quartiles"][0]:
        return f"none for sure: the quartiles of {_name(best)} and {_name(slowest)} overlap"
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
        f"{number(point['ms_per_step'], 3)} at {100 * point['progress']:g} %" for point in one["course"]
    )
    return f"ms a step: {', '.join(points)} of the training"


def _epochs(one: Mapping[str, Any]) -> str:
    """What happens before every epoch, where it takes its time."""
    seconds = one["epoch_begins_seconds"]
    if seconds * one["epochs"] < 1:
        return ""
    return f"{one['epochs']:,}, each begun in {number(seconds, 3)} s, which the training includes"


def _busy(one: Mapping[str, Any], threads: int) -> str:
    """Whether others had the machine too: threads then wait for each other."""
    if one["others_share"] < BUSY:
        return ""
    said = f"other programs had {100 * one['others_share']:.0f} % of the processors meanwhile"
    return f"{said}; one thread may do better: OMP_NUM_THREADS=1" if threads > 1 else said


class Rows:
    """A table whose rows are printed as they come."""

    HEADER = ("METHOD", "PRESET", "PRECISION", "IMAGES/S", "MS A STEP", "TRAINING")

    def __init__(self, experiments: Sequence[Experiment], machine: Mapping[str, Any]) -> None:
        self.machine = machine
        named = [(experiment.run.method, experiment.run.preset) for experiment in experiments]
        method, preset = (max(map(len, column)) for column in zip(*named, strict=True))
        self.widths = (max(method, 6), max(preset, 6), 9, 9, 9, 10)
        self.begun = False

    def show(self, one: Mapping[str, Any]) -> None:
        """Print a row, under the machine and a header if it is the first."""
        if not self.begun:
            print_fields(_machine_fields(self.machine))
            print_line()
            self._print(self.HEADER, dim=True)
            self.begun = True
        place = [one["method"], one["preset"]]
        if "error" in one:
            self._print(place, after=one["error"])
        else:
            timing = one["timings"][0]
            speed = [rate(timing["images_per_second"]), number(timing["ms_per_step"], 3)]
            self._print([*place, timing["precision"], *speed, duration(timing["preset_seconds"])])
        sys.stdout.flush()

    def close(self, stopped: str) -> None:
        """Say what the last column is, if there are rows, and where it was stopped ("" where it was not)."""
        if self.begun:
            print_line()
            about = f"the whole preset at that rate, {NOT_COUNTED}"
            print_fields([("training", about), ("stopped", stopped)])

    def _print(self, cells: Sequence[str], *, after: str = "", dim: bool = False) -> None:
        shown = [
            text.ljust(width) if place < 3 else text.rjust(width)
            for place, (text, width) in enumerate(zip(cells, self.widths, strict=False))
        ]
        print_line("  ".join([*shown, after]).rstrip(), dim=dim)
