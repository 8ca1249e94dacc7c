"""The table of a comparison: a row a run, what each has reached, and only those settings that differ."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sslterm.catalog import CATALOG
from sslterm.render.charts import unit_of, where_of
from sslterm.render.overlay import letter, name_of
from sslterm.render.quantity import duration, number, whole
from sslterm.run.comparison import Side, about_run, best_of, better, differences, shared_panels
from sslterm.run.density import densities_of, density_of
from sslterm.run.reader import RunReader
from sslterm.run.results import AFTERWARDS

BEST = "◆"
"""Stands before the best value of a column."""
NOTHING = "-"
"""In place of what a run does not have."""
_LONGEST_SETTING = 28
_SECTIONS = ("run", "data", "method", "optim", "train", "watch")
"""Sections of a configuration, in the order in which their differences are worth seeing."""
_DATA = ("data.name", "data.path", "data.size", "data.test_images")
"""Settings in which runs must agree for their held-out numbers to compare."""


@dataclass(frozen=True)
class Column:
    """A column of the table: its name, and what stands in each row."""

    name: str
    cells: tuple[str, ...]
    right: bool = False
    """Whether it holds numbers, which stand at the right."""
    best: frozenset[int] = frozenset()
    """Rows with the best value."""


@dataclass(frozen=True)
class Table:
    """A comparison as text.

    Attributes:
        sides: the runs, a row each.
        common: what all runs share, and which way the metrics are better.
        results: columns of what came out: state, images, metrics, time.
        settings: columns of the settings that differ, by their full keys.
    """

    sides: tuple[Side, ...]
    common: str
    results: tuple[Column, ...]
    settings: tuple[Column, ...]

    @property
    def columns(self) -> tuple[Column, ...]:
        """All columns after the names."""
        return self.results + self.settings


def headlines_of(readers: Iterable[RunReader]) -> list[str]:
    """The metrics that the methods of runs are judged by, each once, in the order of the runs."""
    methods = (about_run(reader.config, "method") for reader in readers)
    return list(dict.fromkeys(CATALOG[method].headline for method in methods if method in CATALOG))


def panels_worth_seeing(readers: Sequence[RunReader]) -> list[str]:
    """Names of panels: those that most runs have, among them samples, what their methods open on, the others."""
    methods = (about_run(reader.config, "method") for reader in readers)
    first = [name for method in methods if method in CATALOG for name in CATALOG[method].opens_on]
    return shared_panels(readers, ["samples", *first])


def table_of(sides: Sequence[Side], metrics: Sequence[str]) -> Table:
    """The table of runs, with the last and (where one direction is better) the best value of `metrics`."""
    columns = [
        Column("state", tuple(side.state for side in sides)),
        Column("images", tuple(whole(side.images) for side in sides), right=True),
    ]
    for metric in metrics:
        densities = densities_of(sides, metric)
        if len(densities) < 2:
            columns += _metric_columns(sides, metric)
        for density in densities if len(densities) > 1 else ():
            columns += _metric_columns(sides, metric, density)
    columns.append(Column("time", tuple(_time(side) for side in sides), right=True))
    return Table(tuple(sides), _common(sides, metrics), tuple(columns), _settings(sides))


def on_same_data(sides: Sequence[Side]) -> bool:
    """Whether runs were measured on the same images, as far as their configurations say."""
    return all(len({side.config[key] for side in sides if key in side.config}) < 2 for key in _DATA)


def _metric_columns(sides: Sequence[Side], metric: str, density: str = "") -> list[Column]:
    """The last and the best value; the best of all is marked where the runs can be compared.

    Args:
        density: show runs of this density alone.
    """
    if density:
        sides = [side if density_of(side.config) == density else replace(side, results={}) for side in sides]
    direction = better(metric)
    judged = direction if on_same_data(sides) else ""
    unit = unit_of(metric)
    name = name_of(metric).replace(", uses labels)", ")") + (f" {unit}" if unit else "")
    name += f", {density}" if density else ""
    last = [side.last(metric) for side in sides]
    shown = tuple(number(side.results[metric].last) if metric in side.results else NOTHING for side in sides)
    columns = [Column(name, shown, right=True, best=best_of(last, judged))]
    if (
        direction and where_of(metric) not in AFTERWARDS
    ):  # what is measured afterwards has no course, and so no best
        best = [side.results[metric].best if metric in side.results else None for side in sides]
        texts = tuple(NOTHING if value is None else number(value) for value in best)
        columns.append(Column("best", texts, right=True, best=best_of(best, judged)))
    return columns


def _time(side: Side) -> str:
    return duration(side.seconds) if side.seconds else NOTHING


def _common(sides: Sequence[Side], metrics: Sequence[str]) -> str:
    """What holds for all rows, in one line."""
    parts = []
    for what in ("method", "preset"):
        values = {getattr(side, what) for side in sides}
        if len(values) == 1 and (value := values.pop()):
            parts.append(f"{what} {value}")
    if not on_same_data(sides):
        parts.append("different data: numbers do not compare")
    for metric in metrics:
        direction = better(metric)
        labels = "uses labels" if "uses labels" in name_of(metric) else ""
        notes = ", ".join(note for note in (f"{direction} is better" if direction else "", labels) if note)
        if notes:
            parts.append(f"{name_of(metric).partition(' (')[0]}: {notes}")
    alone = sum(_of_one_method(sides, key) for key in differences([side.config for side in sides]))
    if alone:
        parts.append(f"{alone} setting{'s' * (alone != 1)} that one method alone has left out")
    return " · ".join(dict.fromkeys(parts))


def _settings(sides: Sequence[Side]) -> tuple[Column, ...]:
    """The settings that differ, those that matter most first; what one method alone has is left out."""
    found = differences([side.config for side in sides])

    def rank(key: str) -> int:
        section = key.partition(".")[0]
        return _SECTIONS.index(section) if section in _SECTIONS else len(_SECTIONS) - 1

    keys = sorted((key for key in found if not _of_one_method(sides, key)), key=rank)
    return tuple(Column(key, tuple(_setting(value) for value in found[key])) for key in keys)


def _of_one_method(sides: Sequence[Side], key: str) -> bool:
    """Whether a key differs only because other methods do not have it: that says no more than the method does."""
    having = [side for side in sides if key in side.config]
    methods = {side.method for side in having}
    if len(methods) != 1 or key.startswith("run."):
        return False
    same = all(side.config[key] == having[0].config[key] for side in having)
    return same and len(having) == sum(side.method in methods for side in sides)


def _setting(value: Any) -> str:
    """A setting as it stands in a configuration, cut where it is long."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return str(value).lower()
    text = f"{value:g}" if isinstance(value, float) else str(value)
    text = text or '""'
    return text if len(text) <= _LONGEST_SETTING else text[: _LONGEST_SETTING - 1] + "…"


def short_keys(keys: Sequence[str]) -> list[str]:
    """The last two parts of each key, or as many as tell it from the others: "optim.main.lr" -> "main.lr"."""

    def end(key: str, parts: int) -> str:
        return ".".join(key.split(".")[-parts:])

    def parts_of(key: str) -> int:
        parts = 2
        while parts < key.count(".") + 1 and sum(end(other, parts) == end(key, parts) for other in keys) > 1:
            parts += 1
        return parts

    return [end(key, parts_of(key)) for key in keys]


def shown_cell(column: Column, row: int) -> str:
    """What stands in a cell, with the sign of the best value."""
    return f"{BEST} {column.cells[row]}" if row in column.best else column.cells[row]


def markdown(table: Table) -> str:
    """The table for a document; the best value of a column is bold."""
    header = ["", "run", *(column.name for column in table.columns)]
    rules = [":-", ":-", *("-:" if column.right else ":-" for column in table.columns)]
    lines = [header, rules]
    for row, side in enumerate(table.sides):
        cells = [
            f"**{escaped(column.cells[row])}**" if row in column.best else escaped(column.cells[row])
            for column in table.columns
        ]
        lines.append([letter(side.place), escaped(side.name), *cells])
    text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{text}\n\n{escaped(table.common)}\n" if table.common else f"{text}\n"


def escaped(text: str) -> str:
    """A text as Markdown shows it as it is, in a cell of a table too."""
    one_line = " ".join(text.split())
    return "".join(f"\\{character}" if character in "|\\*_`<" else character for character in one_line)


def csv_text(sides: Sequence[Side], metrics: Sequence[str]) -> str:
    """The table for a program: full keys and all digits; what a run does not have is empty.

    Columns: run, method, preset, state, step, images, seconds; of each metric its last value, and
    "<metric> best" and "<metric> best images" where one direction is better; then the settings that differ.
    """
    found = differences([side.config for side in sides])
    found = {key: values for key, values in found.items() if key not in ("run.method", "run.preset")}
    header = ["run", "method", "preset", "state", "step", "images", "seconds"]
    for metric in metrics:
        header += [metric, f"{metric} best", f"{metric} best images"] if better(metric) else [metric]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*header, *found])
    for row, side in enumerate(sides):
        cells: list[Any] = [
            side.name,
            side.method,
            side.preset,
            side.state,
            side.step,
            side.images,
            side.seconds,
        ]
        for metric in metrics:
            result = side.results.get(metric)
            cells.append(result.last if result else None)
            if better(metric):
                cells += [result.best, result.best_images] if result else [None, None]
        writer.writerow([_plain(cell) for cell in cells + [values[row] for values in found.values()]])
    return out.getvalue()


def _plain(value: Any) -> Any:
    """A value of a CSV cell: nothing for what there is not; NaN in words."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
