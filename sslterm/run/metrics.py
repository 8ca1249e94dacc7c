"""metrics.jsonl: the numbers of a training, one JSON object a line, and how they are followed while it grows.

    {"step":120,"images":15360,"seconds":3.204,"main/loss":0.104233,"main/lr":0.001}

`seconds` is training time over all resumes; NaN and infinity are null. Numbers have nine significant
digits, which tell any two float32 apart; whole numbers are exact. `{"resumed":100}` says that the training
went on from step 100: what stands above it of later steps is superseded, and readers drop it.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sslterm.run.columns import Rows, parse_lines
from sslterm.run.files import LineTail, append_line
from sslterm.run.json_values import parse_object

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_Part = tuple[NDArray[np.generic], ...]
"""Numbers of lines, step, images, seconds and value, each [K]."""

CLOCKS = ("step", "images", "seconds")
"""Keys of every line; no metric has one of these names."""

RESUMED = "resumed"

_LARGEST_EXACT = 2.0**53


class MetricsWriter:
    """Appends to metrics.jsonl, one write a line."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, *, step: int, images: int, seconds: float, values: Mapping[str, float]) -> None:
        """Append the values of metrics at `step`.

        Raises:
            ValueError: a metric has the name of a clock.
            OSError: the run directory is read-only, or the disk is full.
        """
        line = f'{{"step":{int(step)},"images":{int(images)},"seconds":{seconds:.3f}'
        for name, value in values.items():
            if name in CLOCKS or name == RESUMED:
                raise ValueError(f"a metric cannot be called {name!r}")
            line += f",{json.dumps(name)}:{_text(float(value))}"
        append_line(self.path, (line + "}").encode())

    def resumed(self, step: int) -> None:
        """Say that the training goes on from `step`: readers drop earlier points of later steps.

        Raises:
            OSError: the run directory is read-only, or the disk is full.
        """
        append_line(self.path, json.dumps({RESUMED: int(step)}, separators=(",", ":")).encode())


def _text(value: float) -> str:
    if not math.isfinite(value):
        return "null"
    if value.is_integer() and abs(value) < _LARGEST_EXACT:
        return str(int(value))
    return f"{value:.9g}"


@dataclass(frozen=True)
class Series:
    """One metric over the training: N points in the order in which they were written.

    The arrays are read-only, and stay as they are when the reader goes on.
    """

    step: Integers
    """[N] updates done."""
    images: Integers
    """[N] training images drawn."""
    seconds: Floats
    """[N] training time."""
    value: Floats
    """[N], NaN where it was not finite."""

    def __len__(self) -> int:
        return len(self.value)


class _Points:
    """A series that grows: arrays of doubling capacity, so that N points are copied O(N) times in all."""

    def __init__(self) -> None:
        self.count = 0
        self._arrays: tuple[Integers, Integers, Floats, Floats] = (
            np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0), np.empty(0),
        )  # fmt: skip

    def extend(self, columns: Sequence[NDArray[np.generic]]) -> None:
        """Append step, images, seconds and value, each [K]."""
        needed = self.count + len(columns[0])
        if needed > len(self._arrays[0]):
            self._move(slice(0, self.count), capacity=max(64, needed, 2 * self.count))
        for array, column in zip(self._arrays, columns, strict=True):
            array[self.count : needed] = column
        self.count = needed

    def drop_after(self, step: int) -> None:
        """Drop the points of later steps. Arrays handed out before are not touched."""
        kept = np.flatnonzero(self._arrays[0][: self.count] <= step)
        if len(kept) < self.count:
            self._move(kept, capacity=max(64, len(kept)))
            self.count = len(kept)

    def _move(self, points: slice | NDArray[np.intp], *, capacity: int) -> None:
        def moved(array: NDArray[np.generic]) -> NDArray[np.generic]:
            taken = array[points]
            room = np.empty(capacity, array.dtype)
            room[: len(taken)] = taken
            return room

        step, images, seconds, value = self._arrays
        self._arrays = (moved(step), moved(images), moved(seconds), moved(value))  # type: ignore[assignment]

    def series(self) -> Series:
        step, images, seconds, value = (array[: self.count] for array in self._arrays)
        for array in (step, images, seconds, value):
            array.flags.writeable = False
        return Series(step, images, seconds, value)  # type: ignore[arg-type]


def csv_of(series: Mapping[str, Series], called: str = "metric") -> str:
    """Every point as lines of metric,step,images,seconds,value; nan where a value is not finite.

    Args:
        called: what the keys of `series` name, which heads their column.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((called, *CLOCKS, "value"))
    for name, one in series.items():
        columns = (one.step.tolist(), one.images.tolist(), one.seconds.tolist(), one.value.tolist())
        writer.writerows((name, *point) for point in zip(*columns, strict=True))
    return text.getvalue()


class MetricsReader:
    """Follows metrics.jsonl. Torn, foreign and damaged lines are passed over; a missing file is an empty one.

    A line that lacks a clock is passed over; of any other, the values that are numbers or null are taken.
    """

    def __init__(self, path: Path) -> None:
        self.series: dict[str, Series] = {}
        """By name of the metric, in order of appearance. Replaced, never changed, by `refresh`."""
        self._points: dict[str, _Points] = {}
        self._tail = LineTail(path, on_restart=self._restart)
        self._changed = False

    def refresh(self) -> bool:
        """Read what has been added; true where `series` has changed."""
        for block in self._tail.blocks():
            self._take(block)
        changed, self._changed = self._changed, False
        if changed:
            self.series = {name: points.series() for name, points in self._points.items() if points.count}
        return changed

    def _restart(self) -> None:
        self._points = {}
        self._changed = True

    def _take(self, block: bytes) -> None:
        """Take whole lines, part by part from one `resumed` to the next."""
        taken, found = 0, -1
        while (found := block.find(b'"resumed"', found + 1)) >= 0:
            start, end = block.rfind(b"\n", 0, found) + 1, block.index(b"\n", found)
            step = (parse_object(block[start:end]) or {}).get(RESUMED)
            if isinstance(step, int) and not isinstance(step, bool):
                self._add(parse_lines(block[taken:start]))
                self._drop_after(step)
                taken = found = end + 1
        self._add(parse_lines(block[taken:]))

    def _drop_after(self, step: int) -> None:
        for points in self._points.values():
            points.drop_after(step)
        self._changed = True

    def _add(self, groups: list[Rows]) -> None:
        """Append what some groups of lines hold, every metric in the order of the lines."""
        parts: dict[str, list[_Part]] = {}
        for rows in groups:
            clocks = [rows.columns.get(name) for name in CLOCKS]
            if any(clock is None for clock in clocks):
                continue
            step, images, seconds = (clock for clock in clocks if clock is not None)
            good = _whole(step) & _whole(images) & np.isfinite(seconds)
            for name, value in rows.columns.items():
                if name not in CLOCKS and name != RESUMED:
                    part = (rows.lines, step, images, seconds, value)
                    parts.setdefault(name, []).append(part if good.all() else tuple(c[good] for c in part))
        for name, pieces in parts.items():
            lines, *columns = pieces[0]
            if len(pieces) > 1:
                lines, *columns = (np.concatenate(column) for column in zip(*pieces, strict=True))
                order = np.argsort(lines)
                columns = [column[order] for column in columns]
            if len(lines):
                self._points.setdefault(name, _Points()).extend(columns)
                self._changed = True


def _whole(clock: Floats) -> NDArray[np.bool_]:
    """Where a clock is a whole number that an int64 holds."""
    whole: NDArray[np.bool_] = (np.abs(clock) <= _LARGEST_EXACT) & (np.trunc(clock) == clock)
    return whole
