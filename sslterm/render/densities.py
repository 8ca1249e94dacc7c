"""Likelihoods of several runs, as one table for each density: nats of different things are never in one column.

Every figure says whether it is exact, a bound or an estimate, of how many images, and how it was found. Pixels that
know nothing of each other stand first: what costs nothing to reach.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sslterm.render.comparison import BEST, NOTHING
from sslterm.render.evaluated_table import SIGNS, UNTRAINED, EvaluatedTable, Judged
from sslterm.render.overlay import letter
from sslterm.render.quantity import number
from sslterm.run.comparison import best_of
from sslterm.run.results import Evaluated

INDEPENDENT = "independent pixels"
NATS, BITS, EFFECTIVE = "_nats", "_bits_per_dim", "ais_effective_chains"
_DIGITS = 4
_WORDS = ("measure", "kind", "how")


def density_tables(runs: Sequence[Judged]) -> list[EvaluatedTable]:
    """The tables of runs, which stand in the order given; densities in the order that they are met."""
    cases = dict.fromkeys((_density(one), run.data) for run in runs for one in _likelihoods(run))
    return [_table(runs, density, data) for density, data in cases]


def _likelihoods(run: Judged) -> Iterator[Evaluated]:
    """The likelihoods in nats of a run; not of log Z, which is no likelihood."""
    for one in run.figures.values():
        if one.protocol and NATS in one.figure and not one.figure.startswith("log_z"):
            yield one


def _density(one: Evaluated) -> str:
    """What the nats are nats of: how they were found follows a semicolon."""
    return one.protocol.partition(";")[0]


def _table(runs: Sequence[Judged], density: str, data: str) -> EvaluatedTable:
    shown = [
        (run, one)
        for run in runs
        if run.data == data
        for one in _likelihoods(run)
        if _density(one) == density
    ]
    best = _best([one for _, one in shown])
    names = ("measure", f"nats{SIGNS['lower']}", "error", "bits/dim", "kind", "n", UNTRAINED, "how")
    rows = [
        (f"{letter(run.place)} {run.name}", *_cells(run, one, marked=row in best))
        for row, (run, one) in enumerate(shown)
    ]
    independent = sorted({(one.n, one.independent) for _, one in shown if one.independent is not None})
    beside = [
        (INDEPENDENT, NOTHING, number(value, _DIGITS), *(NOTHING,) * 3, f"{n:,}", *(NOTHING,) * 2)
        for n, value in independent
    ]
    title = f"{density} of {data}" if data else density
    return EvaluatedTable(
        f"Negative log-likelihood of held-out images: {title}",
        ("", *names),
        (*beside, *rows),
        (*(None for _ in beside), *(run.place for run, _ in shown)),
        frozenset(_WORDS),
    )


def _best(figures: Sequence[Evaluated]) -> frozenset[int]:
    """The rows of the best figure; none where they were measured on other numbers of images.

    A bound is on the worse side of the truth, and so may win; an estimate may be off either way, and never does.
    """
    if len({one.n for one in figures}) > 1:
        return frozenset()
    return best_of([None if one.kind == "estimate" else one.value for one in figures], "lower")


def _cells(run: Judged, one: Evaluated, *, marked: bool) -> tuple[str, ...]:
    found = run.figures.values()
    bits = next((b for b in found if b.figure == one.figure.replace(NATS, BITS) and b.n == one.n), None)
    chains = next((c for c in found if c.figure == EFFECTIVE and c.protocol == one.protocol), None)
    how = [part.strip() for part in one.protocol.split(";")[1:]]
    if chains is not None:
        how.append(f"{number(chains.value, 2)} of them effective")
    value = number(one.value, _DIGITS)
    return (
        one.figure.replace(NATS, ""), f"{BEST} {value}" if marked else value, _number(one.error, 2),
        _number(None if bits is None else bits.value), one.kind, f"{one.n:,}", _number(one.untrained),
        ", ".join(how) or NOTHING,
    )  # fmt: skip


def _number(value: float | None, digits: int = _DIGITS) -> str:
    return NOTHING if value is None else number(value, digits)
