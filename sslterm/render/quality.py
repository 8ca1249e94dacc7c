"""What `sslterm evaluate` has found of the samples of several runs, as one table for each space.

Real images stand first; under every run stands the same network before training. Figures compare only within a
space, with the same weights behind it, and for the same number of samples: each such case is a table of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from sslterm.render.comparison import BEST, NOTHING
from sslterm.render.evaluated_table import SIGNS, UNTRAINED, EvaluatedTable, Judged
from sslterm.render.overlay import letter
from sslterm.render.quantity import number
from sslterm.run.comparison import Direction, best_of, better
from sslterm.run.results import Evaluated

FLOOR = "real images"
_WITHOUT_SPACE = frozenset({"TSTR", "memorised"})
"""Figures that are the same whatever the space is."""
_DIGITS = 3


def quality_tables(runs: Sequence[Judged], *, marked: bool = True) -> list[EvaluatedTable]:
    """The tables of runs, in the order that they are to stand in.

    Args:
        marked: mark the best; not where runs saw different data.
    """
    spaces = dict.fromkeys(
        (one.space, one.n) for run in runs for one in run.figures.values() if one.figure == "KD"
    )
    return [_table(runs, space, n, marked=marked) for space, n in spaces]


def _table(runs: Sequence[Judged], space: str, n: int, *, marked: bool) -> EvaluatedTable:
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
    header = ("", *(name + SIGNS[better(name)] for name in names))
    rows = zip(labels, *columns.values(), strict=True)
    return EvaluatedTable(f"{n:,} samples of each, judged in {space}", header, tuple(rows), tuple(places))


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
