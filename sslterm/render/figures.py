"""What `probe` and `evaluate` have found of a run, each figure with all that says what it is.

A table holds figures that were measured alike: by the same protocol or in the same space, on the same data, of the
same checkpoint. Figures of samples that were drawn otherwise than the run draws them by itself come last, and say so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sslterm.render.comparison import escaped
from sslterm.render.quantity import number, whole
from sslterm.run.events import Event
from sslterm.run.results import EVALUATE, PROBE, finite

COLUMNS = ("measure", "layer", "value", "error", "unit", "kind", "n", "split", "training images")
"""In their order; baselines follow. `error` is one standard error."""
RIGHT = frozenset({"value", "error", "n", "training images"})
"""Columns of numbers, beside the baselines."""
LEGEND = (
    "Errors are one standard error. What is exact was computed for these very images, a bound is on the worse side of "
    "the truth, an estimate may be off either way, and a distance compares only within its space and with as many "
    "samples. Baselines stand at the right."
)
_PROBED = {
    "baseline_pixels": "raw pixels", "baseline_pixels_centred": "centred pixels",
    "baseline_untrained": "untrained", "baseline_frozen": "frozen features",
}  # fmt: skip
_EVALUATED = {
    "floor": "floor", "baseline_independent": "independent pixels", "baseline_untrained": "untrained",
}  # fmt: skip
_OF_SAMPLES = {"floor": "real images", "baseline_untrained": "untrained"}


@dataclass(frozen=True)
class FigureTable:
    """Figures that were measured alike.

    Attributes:
        title: how, on which data, and of which checkpoint.
        header: names of columns; those without a value are left out.
        rows: a figure each.
        baselines: the columns that say what others reach.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    baselines: frozenset[str]

    def is_number(self, column: str) -> bool:
        """Whether a column holds numbers, which stand at the right."""
        return column in RIGHT or column in self.baselines


@dataclass(frozen=True)
class _Figure:
    """A row before its table is complete.

    Attributes:
        how: it was measured: what its table is called.
        cells: by column; `baselines` apart.
        beside: what the title says last.
    """

    how: str
    cells: Mapping[str, str]
    baselines: Mapping[str, str]
    beside: str = ""


def figure_tables(results: Iterable[Event], *, images: int | None = None) -> list[FigureTable]:
    """The newest of every figure.

    Args:
        results: of `RunReader.results`; what is damaged is passed over.
        images: take those of the checkpoint after so many training images alone; else of all, and name it.
    """
    found: dict[tuple[bool, str], dict[tuple[str, ...], _Figure]] = {}
    for result in results:
        seen, rows = result.get("images"), result.get("results")
        if not isinstance(seen, int) or not isinstance(rows, list) or images not in (None, seen):
            continue
        drawn = _drawn(result)
        when = "" if images is not None else f", after {whole(seen)} images of training"
        for row in rows:
            figure = _figure(result, row) if isinstance(row, dict) else None
            if figure is not None:
                table = found.setdefault((bool(drawn), figure.how + when + drawn + figure.beside), {})
                key = tuple(figure.cells.get(name, "") for name in ("measure", "layer", "n"))
                table.pop(key, None)
                table[key] = figure
    ordered = sorted(found.items(), key=lambda entry: entry[0][0])  # stable
    return [_table(title, list(figures.values())) for (_, title), figures in ordered]


def _drawn(result: Event) -> str:
    """That samples were drawn otherwise, and how; "" where they were not."""
    sampling = result.get("sampling")
    if not isinstance(sampling, Mapping) or not sampling:
        return ""
    chosen = ", ".join(f"{name} {value}" for name, value in sampling.items())
    return f", drawn with {chosen} and not as the run draws by itself"


def _figure(result: Event, row: Mapping[str, Any]) -> _Figure | None:
    """A row that can be read."""
    kind, data = result.get("kind"), str(result.get("data", ""))
    if kind == PROBE and (found := finite(row.get("accuracy"))) is not None:
        return _probed(row, found, data)
    if kind == EVALUATE and (found := finite(row.get("value"))) is not None and row.get("name"):
        return _evaluated(row, found, data)
    return None


def _seed(row: Mapping[str, Any]) -> str:
    return f", seed {row['seed']}" if isinstance(row.get("seed"), int) else ""


def _probed(row: Mapping[str, Any], accuracy: float, data: str) -> _Figure:
    """An accuracy, with its standard error: of a share of images, and of the draws of training images if there were
    several.
    """
    n, draws, std = row.get("n_test"), row.get("draws"), finite(row.get("std"))
    error = None
    if isinstance(n, int) and n > 1:
        error = math.sqrt(accuracy * (1 - accuracy) / (n - 1))
        if isinstance(draws, int) and draws > 1 and std is not None:
            error = math.hypot(error, std / math.sqrt(draws))
    treated = f" ({row['layers']})" if row.get("layers") else ""
    cells = {
        "measure": f"{row.get('protocol', '')}{treated}",
        "layer": str(row.get("layer", "")),
        **_numbers(accuracy, error),
        "unit": "accuracy",
        "kind": "estimate",
        "n": _count(n),
        "split": "test",
        "training images": _count(row.get("n_train")),
    }
    how = f"Probes of features, which use labels, trained and tested on {data}{_seed(row)}"
    return _Figure(how, cells, _beside(row, _PROBED))


def _evaluated(row: Mapping[str, Any], value: float, data: str) -> _Figure:
    n, of_samples = row.get("n"), "untrained_seed" in row
    name = str(row["name"]).removesuffix(f"@{n}")
    cells = {
        "measure": name.partition("[")[0] if "space" in row else name,
        **_numbers(value, finite(row.get("standard_error"))),
        "unit": str(row.get("unit", "")),
        "kind": str(row.get("kind", "")),
        "n": _count(n) + (" samples" if of_samples else ""),
        "split": str(row.get("split", "")),
    }
    baselines = _beside(row, _OF_SAMPLES if of_samples else _EVALUATED)
    if isinstance(row.get("space"), str):
        beside = f"; real images: {_count(row.get('n_floor'))} training images in place of samples"
        return _Figure(_judged(row, data), cells, baselines, beside)
    if isinstance(row.get("protocol"), str):
        return _Figure(f"Likelihood of {data}, {row['protocol']}{_seed(row)}", cells, baselines)
    return _Figure(f"Measured on {data}{_seed(row)}", cells, baselines)


def _judged(row: Mapping[str, Any], data: str) -> str:
    """In which space samples were judged, and against what."""
    digest, accuracy = row.get("space_sha256"), finite(row.get("judge_accuracy"))
    space = row["space"] + (f"-{digest[:6]}" if isinstance(digest, str) else "")
    right = "" if accuracy is None else f", its judge right on {100 * accuracy:.1f} % of them"
    return (
        f"Samples beside {_count(row.get('n_real'))} held-out images of {data}, in the space {space} of "
        f"{row.get('dimensions')} dimensions{right}{_seed(row)}"
    )


def _numbers(value: float, error: float | None) -> dict[str, str]:
    return {"value": number(value), "error": "" if error is None else f"± {number(error, 2)}"}


def _beside(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    """What others reach, by name."""
    found = ((name, finite(row.get(key))) for key, name in names.items())
    return {name: number(value) for name, value in found if value is not None}


def _count(value: object) -> str:
    return whole(value) if isinstance(value, int) else ""


def _table(title: str, figures: Sequence[_Figure]) -> FigureTable:
    cells = [name for name in COLUMNS if any(figure.cells.get(name) for figure in figures)]
    beside = list(dict.fromkeys(name for figure in figures for name in figure.baselines))
    rows = tuple(
        (
            *(figure.cells.get(name, "") for name in cells),
            *(figure.baselines.get(name, "") for name in beside),
        )
        for figure in figures
    )
    return FigureTable(title, (*cells, *beside), rows, frozenset(beside))


def figures_markdown(table: FigureTable) -> str:
    """A table for a document, under its title."""
    rules = ["--:" if table.is_number(name) else ":--" for name in table.header]
    lines = [table.header, rules, *table.rows]
    text = "\n".join(f"| {' | '.join(escaped(cell) for cell in line)} |" for line in lines)
    return f"{escaped(table.title)}:\n\n{text}\n"
