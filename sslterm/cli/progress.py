"""What `train` prints where there is no live view: one plain line every few seconds, or JSON lines."""

from __future__ import annotations

import time
from collections.abc import Mapping

from sslterm.catalog import USES, Entry
from sslterm.cli.output import print_json_line
from sslterm.render.charts import title_of, unit_of, where_of
from sslterm.render.quantity import amount, duration, number
from sslterm.run.layout import RunDirectory
from sslterm.run.status import Status

LINE_SECONDS = 2.0


def losses(last: Mapping[str, float], headline: str) -> dict[str, float]:
    """The metrics worth a line: the headline, then every group's loss."""
    shown = {headline: last[headline]} if headline in last else {}
    return shown | {name: value for name, value in last.items() if name.endswith("/loss")}


def said(metric: str, value: float) -> str:
    """A metric in words: "test/neg_elbo_nats" -> "held-out -ELBO 101.8 nats", "critic/gap" -> "critic's gap 2.1"."""
    where = where_of(metric)
    name = title_of(metric).partition(" (")[0]
    where = "" if where and name.startswith(where) else where
    named = {"main": name, "": name, "test": f"held-out {name}"}.get(where, f"{where} {name}")
    return " ".join(part for part in (named, number(value), unit_of(metric)) if part)


class PlainProgress:
    """One line every few seconds on stdout."""

    def __init__(self, run: RunDirectory, entry: Entry) -> None:
        self.run = run
        self.entry = entry
        self._next = 0.0
        self._introduced = False

    def __call__(self, status: Status) -> None:
        if status.state == "running" and not self._introduced:
            self._introduced = True
            print(
                f"{self.run.name}: {status.message}, {status.parameters:,} parameters, "
                f"{status.device}, {status.precision}",
                flush=True,
            )
            if status.images:
                print(f"resumed at step {status.step:,}", flush=True)
        at_work = status.state in ("running", "paused")  # the end is told by the summary
        if not at_work or status.images == 0 or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LINE_SECONDS
        parts = [f"step {status.step:>7,}", f"{status.images:,}/{status.total_images:,} images"]
        parts += [said(name, value) for name, value in losses(status.last, self.entry.headline).items()]
        parts.append(f"{amount(status.images_per_second)} img/s")
        if 0 < status.total_images <= status.images:
            parts.append("measuring what was reached")
        elif status.seconds_left is not None:
            parts.append(f"{duration(status.seconds_left)} left")
        print("   ".join(parts), flush=True)


class JsonProgress:
    """One JSON object a line on stdout, as `outputs` has it: Progress."""

    def __init__(self, run: RunDirectory) -> None:
        self.run = run

    def __call__(self, status: Status) -> None:
        line = {
            "run": self.run.name, "state": status.state, "step": status.step, "images": status.images,
            "total_images": status.total_images, "images_per_second": round(status.images_per_second, 1),
            "elapsed_seconds": round(status.elapsed_seconds, 2), "metrics": dict(status.last),
        }  # fmt: skip
        print_json_line(line)


def _result(entry: Entry, value: float) -> str:
    """The headline and what kind of number it is: "-ELBO 101.8 nats (bound, held-out)"."""
    words = said(entry.headline, value).removeprefix("held-out ")
    known = unit_of(entry.headline) or "accuracy"
    return f"{words} {entry.unit.removeprefix(known).strip()}".rstrip()


def summary(run: RunDirectory, entry: Entry, status: Status, shown: str) -> str:
    """What a person wants to know when a run has ended: the result, the picture, and what to do next."""
    lines = []
    value = status.last.get(entry.headline)
    result = f": {_result(entry, value)}" if value is not None else ""
    if status.state == "finished":
        lines.append(f"done in {duration(status.elapsed_seconds)}{result}")
    else:
        lines.append(f"{status.state} at step {status.step:,}{result}")
    for name in entry.opens_on:
        picture = run.panel(name, status.images, ".png")
        if picture.exists():
            lines.append(f"{name}: {picture}")
    if status.state == "finished":
        commands = [
            f"sslterm {verb} {shown}" for capability, verb in USES.items() if capability in entry.capabilities
        ]
        lines.append("next: " + " · ".join([*commands, f"sslterm monitor {shown}"]))
    else:
        lines.append(f"next: sslterm resume {shown}")
    return "\n".join(lines)
