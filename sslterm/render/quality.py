"""What `sslterm evaluate` has found of the samples of several runs, as one table for each space.

Real images stand first; under every run stands the same network before training. Figures compare only within a
space, with the same weights behind it, and for the same number of samples: each such case is a table of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sslterm.render.comparison import BEST, NOTHING, on_same_data
from sslterm.render.overlay import letter
from sslterm.render.quantity import number
from sslterm.run.comparison import Direction, Side, best_of, better
from sslterm.run.reader import RunReader
from sslterm.run.results import Evaluated

FLOOR, UNTRAINED = "real images", "untrained"
_WITHOUT_SPACE = frozenset({"TSTR", "memorised"})
"""Figures that are the same whatever the space is."""
_DIGITS = 3
_SIGNS: Mapping[Direction, str] = {"higher": "↑", "lower": "↓", "": ""}


@dataclass(frozen=True)
class Judged:
    """A run of a comparison: its place, its name, and its figures by their keys, as a reader has them."""

    place: int
    name: str
    figures: Mapping[str, Evaluated]


@dataclass(frozen=True)
class QualityTable:
    """The figures of runs in one space.

    Attributes:
        title: the space, and how many samples.
        header: "", then the figures, each with the way that is better (↑ or ↓).
        rows: real images, then every run and its untrained network.
        places: of the run of each row; None of real images.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    places: tuple[int | None, ...]


def quality_of(sides: Sequence[Side], readers: Sequence[RunReader]) -> list[QualityTable]:
    """What is known of the samples of runs; `readers` stand by the places of the sides."""
    runs = [Judged(side.place, side.name, readers[side.place].evaluated) for side in sides]
    return quality_tables(runs, marked=on_same_data(sides))


def quality_tables(runs: Sequence[Judged], *, marked: bool = True) -> list[QualityTable]:
    """The tables of runs, in the order that they are to stand in.

    Args:
        marked: mark the best; not where runs saw different data.
    """
    spaces = dict.fromkeys(
        (one.space, one.n) for run in runs for one in run.figures.values() if one.figure == "KD"
    )
    return [_table(runs, space, n, marked=marked) for space, n in spaces]


def _table(runs: Sequence[Judged], space: str, n: int, *, marked: bool) -> QualityTable:
    found: dict[int, dict[str, Evaluated]] = {}
    for run in runs:
        here = [one for one in run.figures.values() if one.n == n and one.space == space]
        beside = [one for one in run.figures.values() if one.n == n and one.figure in _WITHOUT_SPACE]
        if here:
            found[run.place] = {one.figure: one for one in (*here, *beside)}
    shown = [run for run in runs if run.place in found]
    names = list(dict.fromkeys(name for run in shown for name in found[run.place]))
    columns = {
        name: _column([found[run.place].get(name) for run in shown], better(name) if marked else "")
        for name in names
    }
    labels, places = [FLOOR], [None, *(run.place for run in shown for _ in range(2))]
    for run in shown:
        labels += [f"{letter(run.place)} {run.name}", f"  {UNTRAINED}"]
    header = ("", *(name + _SIGNS[better(name)] for name in names))
    rows = zip(labels, *columns.values(), strict=True)
    return QualityTable(f"{n:,} samples of each, judged in {space}", header, tuple(rows), tuple(places))


def _column(figures: Sequence[Evaluated | None], direction: Direction) -> list[str]:
    """A figure of real images, then of every run and of its untrained network.

    Real images are the same for all runs of a space; where other seeds drew them, it is from the least to the most.
    """
    best = best_of([one.value if one else None for one in figures], direction)
    cells = [_from_to([one.floor for one in figures if one and one.floor is not None])]
    for row, one in enumerate(figures):
        if one is None:
            cells += [NOTHING, NOTHING]
            continue
        value = number(one.value, _DIGITS)
        cells.append(f"{BEST} {value}" if row in best else value)
        cells.append(NOTHING if one.untrained is None else number(one.untrained, _DIGITS))
    return cells


def _from_to(values: Sequence[float]) -> str:
    if not values:
        return NOTHING
    ends = dict.fromkeys(number(end, _DIGITS) for end in (min(values), max(values)))
    return " to ".join(ends)


def quality_markdown(table: QualityTable) -> str:
    """A table for a document."""
    rules = [":-", *("-:" for _ in table.header[1:])]
    lines = [table.header, rules, *table.rows]
    text = "\n".join(f"| {' | '.join(cell.strip() for cell in line)} |" for line in lines)
    return f"{table.title}:\n\n{text}\n"
