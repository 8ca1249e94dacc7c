"""What `sslterm evaluate` prints: what is exact or bounded first, then the quality of samples, space by space."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sslterm.cli.output import GAP, print_line, print_table

Row = Mapping[str, Any]
_NUMBERS = frozenset({"value", "error", "floor", "independent", "untrained", "n"})


def print_evaluation(answer: Mapping[str, Any], seed: int) -> None:
    """An answer of the worker as tables."""
    rows = answer["results"]
    of_samples = [row for row in rows if "untrained_seed" in row]
    others = [row for row in rows if row not in of_samples]
    chosen = "".join(f", {name} {value}" for name, value in answer["sampling"].items())
    print_line(
        f"{answer['run']} after {answer['images']:,} images{chosen}, on held-out images of {answer['data']}"
    )
    if others:
        _print_rows(others)
    for protocol in dict.fromkeys(row["protocol"] for row in others if "protocol" in row):
        print_line(f"likelihood: {protocol}, seed {seed}")
    if of_samples:
        print_line()
        _print_quality(of_samples)
    for skipped in answer["skipped"]:
        print_line(f"{_figure(skipped)} left out: {skipped['reason']}")
        print_line(f"{GAP}{skipped['hint']}")


def _print_rows(rows: Sequence[Row]) -> None:
    _print(
        rows,
        {
            "measure": lambda row: row["name"],
            "value": lambda row: _number(row["value"]),
            "error": lambda row: _number(row.get("standard_error")),
            "floor": lambda row: _number(row.get("floor")),
            "independent": lambda row: _number(row.get("baseline_independent")),
            "untrained": lambda row: _number(row.get("baseline_untrained")),
            "unit": lambda row: row["unit"],
            "kind": lambda row: row["kind"],
            "n": lambda row: f"{row['n']:,}",
        },
    )


def _print_quality(rows: Sequence[Row]) -> None:
    """Figures of samples; what all of them share is said once."""
    judged = next((row for row in rows if "space" in row), rows[0])
    print_line(f"{judged['n']:,} samples against {judged['n_real']:,} held-out images, seed {judged['seed']}")
    if "space" in judged:
        accuracy = judged["judge_accuracy"]
        right = "" if accuracy is None else f", right on {100 * accuracy:.1f} % of held-out images"
        print_line(
            f"space: {judged['space']} ({judged['space_sha256'][:6]}), {judged['dimensions']} dimensions{right}"
        )
    _print(
        rows,
        {
            "measure": _figure,
            "value": lambda row: _number(row["value"]),
            "error": lambda row: _number(row.get("standard_error")),
            "floor": lambda row: _number(row.get("floor")),
            "untrained": lambda row: _number(row.get("baseline_untrained")),
            "unit": lambda row: row["unit"],
        },
    )
    for row in rows:
        if "interval" in row:
            low, high = row["interval"]
            print_line(f"{_figure(row)}: with 95 % confidence in {low:.3f} to {high:.3f}")
    print_line(f"floor: {judged['n_floor']:,} training images in place of samples")
    print_line(f"untrained: the network as it was built with seed {judged['untrained_seed']}")


def _print(rows: Sequence[Row], columns: Mapping[str, Callable[[Row], str]]) -> None:
    """A table without the columns that are empty."""
    table = {name: [cell(row) for row in rows] for name, cell in columns.items()}
    shown = {name: cells for name, cells in table.items() if any(cells)}
    print_table(list(shown), list(zip(*shown.values(), strict=True)), right=_NUMBERS)


def _figure(row: Row) -> str:
    """The name of a figure without its space: "FD[digits-16px-judge32-v1]@1000" -> "FD"."""
    name: str = row["name"]
    return name.partition("@")[0].partition("[")[0]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"
