"""`sslterm presets`: the recipes of the methods, to read and to copy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sslterm.catalog import CATALOG, find_method
from sslterm.cli.complete import complete_method, complete_preset
from sslterm.cli.group import new_group
from sslterm.cli.options import AsJson, MethodName
from sslterm.cli.output import note, print_json, print_table
from sslterm.config.presets import needs_download, preset_names, preset_path, read_preset
from sslterm.config.read import parse_experiment
from sslterm.errors import SsltermError, UsageError
from sslterm.render.quantity import amount

app = new_group(
    "List, show and copy the recipes of methods; alone it lists them.",
    "sslterm presets                     list them all",
    "sslterm presets show vae digits     read one",
)

PresetName = Annotated[
    str, typer.Argument(metavar="PRESET", help="See `sslterm presets list`.", autocompletion=complete_preset)
]


@app.callback()
def start(ctx: typer.Context) -> None:
    """List, show and copy the recipes of methods; alone it lists them."""
    if ctx.invoked_subcommand is None:
        show_list()


@app.command("list", short_help="List the presets of all methods, or of one.")
def show_list(
    method: Annotated[
        str | None,
        typer.Argument(metavar="METHOD", help="Only those of a method.", autocompletion=complete_method),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the presets of all methods, or of one; those that need no download come first.

    \b
    Examples:
      sslterm presets list
      sslterm presets list vae
    """
    methods = [find_method(method).name] if method else list(CATALOG)
    found = [_describe(name, preset) for name in methods for preset in preset_names(name)]
    if as_json:
        print_json(found)
        return
    rows = [
        (
            preset["method"],
            preset["name"],
            preset["data"] or "",
            "yes" if preset["needs_download"] else "no",
            amount(preset["images"]) if preset["images"] else "",
            preset["problem"] or preset["about"],
        )
        for preset in found
    ]
    print_table(("METHOD", "PRESET", "DATA", "DOWNLOAD", "IMAGES", "ABOUT"), rows, right=("IMAGES",))


def _describe(method: str, name: str) -> dict[str, Any]:
    about, problem, experiment = "", None, None
    try:
        table, header = read_preset(method, name)
        about = _about(method, header)
        experiment = parse_experiment(table, f"{method}/{name}")
    except SsltermError as error:
        problem = error.message
    return {
        "method": method,
        "name": name,
        "data": experiment.data.name if experiment else None,
        "needs_download": needs_download(table) if experiment else None,
        "images": experiment.train.images if experiment else None,
        "batch": experiment.train.batch if experiment else None,
        "about": about,
        "path": str(preset_path(method, name)),
        "problem": problem,
    }


def _about(method: str, header: str) -> str:
    """What a preset's header says it is: all before the command, without the line that names the paper."""
    lines = header.split("\nsslterm ")[0].splitlines()
    names_paper = bool(lines) and lines[0].startswith(find_method(method).title)
    return " ".join(lines[1:] if names_paper else lines)


@app.command("show", short_help="Print a preset as it is written.")
def show(
    method: MethodName,
    preset: PresetName,
    as_json: AsJson = False,
) -> None:
    """Print a preset as it is written: a complete TOML file.

    \b
    Examples:
      sslterm presets show vae digits
      sslterm presets show vae mnist --json
    """
    table, _ = read_preset(method, preset)
    if as_json:
        print_json(table)
    else:
        typer.echo(preset_path(method, preset).read_text(encoding="utf-8"), nl=False)


@app.command("copy", short_help="Copy a preset to a file of your own.")
def copy(
    method: MethodName,
    preset: PresetName,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="Where to; otherwise METHOD-PRESET.toml here.", dir_okay=True),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Copy a preset to a file of your own, to be changed and trained with --config.

    \b
    Examples:
      sslterm presets copy vae digits
      sslterm presets copy vae mnist mine.toml
    """
    text = preset_path(method, preset).read_text(encoding="utf-8")
    path = file or Path(f"{method}-{preset}.toml")
    if path.is_dir():
        path /= f"{method}-{preset}.toml"
    try:
        with path.open("x", encoding="utf-8") as copied:
            copied.write(text)
    except FileExistsError as error:
        raise UsageError(f"{path} exists already", "name another file") from error
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
    if as_json:
        print_json({"method": method, "preset": preset, "path": str(path)})
        return
    typer.echo(str(path))
    note(f"change it, and: sslterm train {method} --preset {preset} --config {path}")
