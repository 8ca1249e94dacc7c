"""Shell completion: methods, presets, runs, data, keys of `--set`. It never fails and never imports torch."""

from __future__ import annotations

from pathlib import Path

import typer

from sslterm.catalog import CATALOG
from sslterm.errors import SsltermError

Choices = list[tuple[str, str]]
"""(value, what it is)."""


def complete_method(incomplete: str) -> Choices:
    return [(entry.name, entry.title) for entry in CATALOG.values() if entry.name.startswith(incomplete)]


def complete_preset(ctx: typer.Context, incomplete: str) -> list[str]:
    """The presets of the method that stands before on the command line."""
    from sslterm.config.presets import preset_names

    try:
        return [name for name in preset_names(_method(ctx)) if name.startswith(incomplete)]
    except (SsltermError, OSError):
        return []


def _method(ctx: typer.Context) -> str:
    """The method of an incomplete line: arguments are left over where an option still lacks its value."""
    return str(ctx.params.get("method") or next(iter(ctx.args), ""))


def complete_run(ctx: typer.Context, incomplete: str) -> list[str]:
    """The runs of the root that is in force, newest first."""
    from sslterm.run.layout import list_runs, runs_root

    root = ctx.params.get("runs")
    try:
        names = [run.name for run in list_runs(runs_root(Path(root) if root else None))]
    except (SsltermError, OSError):
        return []
    return [name for name in ["last", *names] if name.startswith(incomplete)]


def complete_key(ctx: typer.Context, incomplete: str) -> Choices:
    """`section.key=` of the preset that is chosen, beside what it is now."""
    from sslterm.config.override import flatten
    from sslterm.config.presets import default_preset, read_preset

    try:
        method = _method(ctx)
        table, _ = read_preset(method, ctx.params.get("preset") or default_preset(method))
    except (SsltermError, OSError):
        return []
    return [(f"{key}=", str(value)) for key, value in flatten(table).items() if key.startswith(incomplete)]


def complete_source(incomplete: str) -> Choices:
    from sslterm.data.catalog import SOURCES

    return [
        (entry.name, entry.description) for entry in SOURCES.values() if entry.name.startswith(incomplete)
    ]
