"""What `sslterm evaluate` has found of several runs: a table for each density, then one for each space of samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sslterm.render.comparison import on_same_data
from sslterm.render.densities import density_tables
from sslterm.render.evaluated_table import EvaluatedTable, Judged
from sslterm.render.quality import quality_tables
from sslterm.run.comparison import Side
from sslterm.run.reader import RunReader


def evaluated_tables(sides: Sequence[Side], readers: Sequence[RunReader]) -> list[EvaluatedTable]:
    """All tables of runs; `readers` stand by the places of the sides."""
    runs = [
        Judged(side.place, side.name, readers[side.place].evaluated, _data_of(side.config)) for side in sides
    ]
    return [*density_tables(runs), *quality_tables(runs, marked=on_same_data(sides))]


def _data_of(config: Mapping[str, Any]) -> str:
    name, path, size = (config.get(f"data.{key}", "") for key in ("name", "path", "size"))
    return ", ".join(str(part) for part in (path or name, f"{size} pixels" if size else "") if part)
