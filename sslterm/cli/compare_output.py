"""What `sslterm compare` prints: overlay, table and panels as text, or all of it as JSON."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import typer

from sslterm.cli.output import GAP, color_depth, print_folded, print_table
from sslterm.render.comparison import Table, on_same_data, short_keys
from sslterm.render.comparison_cells import HEAD_ROWS, TableView, draw_table, table_width
from sslterm.render.curve import Plot
from sslterm.render.evaluated_table import EvaluatedTable
from sslterm.render.overlay import draw_overlay, letter
from sslterm.render.side_by_side import Shot, draw_side_by_side
from sslterm.run.comparison import Side, better, differences
from sslterm.run.reader import RunReader

PLOT_ROWS, PANEL_ROWS = 14, 20
"""Heights in the terminal."""
WIDTH_OFF_TERMINAL = 160


def to_json(sides: Sequence[Side], metrics: Sequence[str], readers: Sequence[RunReader]) -> dict[str, Any]:
    """A comparison as `compare --json` gives it, but for the files; `readers` stand by the places of the sides."""
    common = {
        what: values.pop() if len(values := {getattr(side, what) for side in sides}) == 1 else None
        for what in ("method", "preset")
    }
    return {
        "metrics": list(metrics),
        "better": {metric: better(metric) for metric in metrics},
        "same_data": on_same_data(sides),
        "common": common,
        "runs": [
            {
                "name": side.name, "letter": letter(side.place), "path": side.path, "method": side.method,
                "preset": side.preset, "state": side.state, "step": side.step, "images": side.images,
                "seconds": side.seconds,
                "metrics": {
                    name: {"last": result.last, "best": result.best, "best_images": result.best_images}
                    for name, result in side.results.items()
                },
                "evaluated": [asdict(figure) for figure in readers[side.place].evaluated.values()],
            }
            for side in sides
        ],
        "config": differences([side.config for side in sides]),
    }  # fmt: skip


def print_comparison(
    table: Table,
    evaluated: Sequence[EvaluatedTable],
    overlay: Plot | None,
    shots: Sequence[Shot],
    *,
    title: str,
) -> None:
    """Overlay (on a terminal), table, what `evaluate` has found, and panels (on a terminal)."""
    depth, tty = color_depth(), sys.stdout.isatty()
    columns = shutil.get_terminal_size().columns if tty else WIDTH_OFF_TERMINAL
    color = depth != "none"
    if tty and overlay is not None:
        typer.echo(draw_overlay(overlay, columns, PLOT_ROWS, color=color).ansi(depth) + "\n", color=True)
    print_folded(table.common or f"{len(table.sides)} runs")
    beside = table_width(table) <= columns
    for number, part in enumerate([table] if beside else _blocks(replace(table, settings=()), columns)):
        rows = len(table.sides) + HEAD_ROWS
        cells = draw_table(
            replace(part, common=" "), min(table_width(part), columns), rows, color=color, view=TableView()
        )
        drawn = cells.ansi(depth).split("\n")[1:]  # without the row of what is common
        typer.echo("\n".join([""] * (number > 0) + drawn), color=True)
    if table.settings and not beside:
        typer.echo("")
        letters = [f"{letter(side.place)} {side.name}" for side in table.sides]
        keys = short_keys([column.name for column in table.settings])
        rows_of = [(key, *column.cells) for key, column in zip(keys, table.settings, strict=True)]
        print_table(("", *letters), rows_of)
    for judged in evaluated:
        typer.echo("")
        print_folded(judged.title)
        for header, *lines in _parts(judged, columns):
            print_table(header, lines, right=set(judged.numbers))
    if tty and shots:
        cells = draw_side_by_side(
            shots, columns, PANEL_ROWS, color=color, title=title, selected=False, marked=None
        )
        typer.echo("\n" + cells.ansi(depth), color=True)


def _parts(table: EvaluatedTable, width: int) -> list[list[tuple[str, ...]]]:
    """Header and rows in parts that fit into `width` cells, each with the labels and some of the figures."""
    lines = [table.header, *table.rows]
    labels, *figures = zip(*lines, strict=True)
    parts: list[list[tuple[str, ...]]] = []
    room = 0
    for figure in figures:
        cells = max(map(len, figure)) + len(GAP)
        if not parts or cells > room:
            parts.append([labels])
            room = width - max(map(len, labels))
        parts[-1].append(figure)
        room -= cells
    return [list(zip(*part, strict=True)) for part in parts]


def _blocks(table: Table, width: int) -> list[Table]:
    """The table in parts that fit into `width` cells, each with some of the columns."""
    blocks = [replace(table, results=())]
    for column in table.results:
        wider = replace(blocks[-1], results=(*blocks[-1].results, column))
        if blocks[-1].results and table_width(wider) > width:
            wider = replace(table, results=(column,))
            blocks.append(wider)
        blocks[-1] = wider
    return blocks
