"""Shell completion: methods, presets, runs, data, keys of `--set`, metrics, panels. It never fails and never imports
torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from sslterm.catalog import CATALOG
from sslterm.errors import SsltermError

if TYPE_CHECKING:
    from sslterm.run.layout import RunDirectory

Choices = list[tuple[str, str]]
"""(value, what it is)."""


ZSH_EVAL = """\
  eval $(env _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" %(autocomplete_var)s=complete_zsh %(prog_name)s)
"""
ZSH_OPEN = """\
  local answer=$(env _TYPER_COMPLETE_ARGS="${words[1,$CURRENT]}" %(autocomplete_var)s=complete_zsh %(prog_name)s)
  if [[ $answer == *'=":'* ]]; then
    compadd() { builtin compadd -S "" "$@" }
    { eval $answer } always { unfunction compadd }
  else
    eval $answer
  fi
"""


def leave_keys_open() -> None:
    """Let the scripts that bash and zsh are given put no space behind `key=`, whose value is still to come."""
    from typer import _completion_shared as shared  # there is no other door to the scripts

    there, end = shared.COMPLETION_SCRIPT_BASH, "    return 0\n"
    shared._completion_scripts["bash"] = there.replace(
        end, f'    [[ "${{COMPREPLY[*]}}" == *= ]] && compopt -o nospace\n{end}'
    )
    shared._completion_scripts["zsh"] = shared.COMPLETION_SCRIPT_ZSH.replace(ZSH_EVAL, ZSH_OPEN)


def complete_words(*words: str) -> Callable[[str], list[str]]:
    """One of a few words."""
    return lambda incomplete: [word for word in words if word.startswith(incomplete)]


complete_device = complete_words("auto", "cpu", "cuda", "cuda:0", "cuda:1", "mps")


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
    """The method of an incomplete line, the first where it takes several.

    Arguments are left over where an option still lacks its value.
    """
    method = ctx.params.get("method") or next(iter(ctx.args), "")
    return str(method[0] if isinstance(method, list | tuple) else method)


def complete_run(ctx: typer.Context, incomplete: str) -> list[str]:
    """The runs of the root that is in force, newest first."""
    from sslterm.run.layout import list_runs

    try:
        names = [run.name for run in list_runs(_root(ctx))]
    except (SsltermError, OSError):
        return []
    return [name for name in ["last", *names] if name.startswith(incomplete)]


def complete_space(ctx: typer.Context, incomplete: str) -> list[str]:
    """What samples can be judged in."""
    return [*complete_words("judge", "pixels")(incomplete), *complete_run(ctx, incomplete)]


def _root(ctx: typer.Context) -> Path:
    from sslterm.run.layout import runs_root

    given = ctx.params.get("runs")
    return runs_root(Path(given) if given else None)


def complete_metric(ctx: typer.Context, incomplete: str) -> list[str]:
    """The metrics of the runs that stand before on the command line."""
    from sslterm.run.metrics import MetricsReader  # brings numpy

    found: set[str] = set()
    try:
        for run in _named_runs(ctx):
            reader = MetricsReader(run.metrics)
            reader.refresh()
            found |= set(reader.series)
    except (SsltermError, OSError):
        return []
    return sorted(name for name in found if name.startswith(incomplete))


def complete_panel(ctx: typer.Context, incomplete: str) -> list[str]:
    """The panels of the runs that stand before on the command line."""
    found: set[str] = set()
    try:
        for run in _named_runs(ctx):
            found |= {path.name for path in run.panels.glob(f"{incomplete}*") if path.is_dir()}
    except (SsltermError, OSError):
        return []
    return sorted(found)


def _named_runs(ctx: typer.Context) -> Iterator[RunDirectory]:
    """The runs of an incomplete line; arguments are left over where an option still lacks its value."""
    from sslterm.run.layout import find_run

    one, several = ctx.params.get("run"), ctx.params.get("names")
    for name in several or ([one] if one else ctx.args or ["last"]):
        yield find_run(name, _root(ctx))


def complete_field(ctx: typer.Context, incomplete: str) -> list[str]:
    """What runs can be sorted by: what every run has, and the metrics of those that are there."""
    from sslterm.run.layout import list_runs
    from sslterm.run.query import FIELDS
    from sslterm.run.status import read_status

    names = dict.fromkeys(FIELDS)
    try:
        for run in list_runs(_root(ctx)):
            status = read_status(run.status)
            names |= dict.fromkeys(status.last if status else ())
    except (SsltermError, OSError):
        return []
    return [name for name in names if name.startswith(incomplete)]


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
