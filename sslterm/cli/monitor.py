"""`sslterm monitor`: the live view of runs, or the same in plain text where there is no terminal."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from sslterm.cli.complete import complete_run
from sslterm.cli.options import AsJson, Root
from sslterm.cli.output import note, on_a_terminal, print_json
from sslterm.cli.run_facts import summarize
from sslterm.cli.runs import print_runs
from sslterm.run.layout import find_run, list_runs, runs_root


def monitor(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN", help="Which; otherwise all of them.", autocompletion=complete_run),
    ] = None,
    images: Annotated[
        Literal["half", "kitty", "sixel", "auto"] | None,
        typer.Option(
            help="Pictures as half (blocks), kitty, sixel or auto (what the terminal can); remembered.",
        ),
    ] = None,
    mouse: Annotated[
        bool, typer.Option("--mouse/--no-mouse", help="Whether the view takes the mouse.")
    ] = True,
    runs: Root = None,
    as_json: AsJson = False,
) -> None:
    """Watch runs live: curves, panels, progress; pause, save and stop them.

    Leaving it leaves the training alone. Without a terminal it prints what `runs list` prints, once.

    \b
    Examples:
      sslterm monitor
      sslterm monitor last
    """
    root = runs_root(runs)
    found = [find_run(name, root) for name in names or ()]
    if as_json:
        print_json([summarize(run) for run in found or list_runs(root)])
    elif not on_a_terminal():
        shown = found or list_runs(root)
        print_runs(shown)
        if not shown:
            note(f"there is no run in {root} yet; start one: sslterm train vae --preset digits")
    else:
        from sslterm import tui  # imports textual

        tui.monitor(root, found, images=images or "", mouse=mouse)
