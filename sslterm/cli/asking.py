"""Asking a worker about a run: the options that all such commands share, the question, the answer."""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from sslterm.cli.output import print_json
from sslterm.cli.preview import Preview
from sslterm.run.layout import find_run, runs_root
from sslterm.run.worker_client import Worker

Checkpoint = Annotated[
    int | None,
    typer.Option(metavar="IMAGES", min=0, help="The checkpoint after so many images; else the newest."),
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of whatever is drawn.")]
Out = Annotated[
    str | None,
    typer.Option("--out", "-o", metavar="FILE", help="A .png, or the numbers as .npz; else RUN/outputs."),
]


def ask(
    name: str,
    runs: Path | None,
    device: str,
    checkpoint: int | None,
    preview: Preview,
    do: str,
    **arguments: Any,
) -> dict[str, Any]:
    """One question to a worker on the run `name`."""
    run = find_run(name, runs_root(runs))
    with Worker(run, device, images=checkpoint) as worker:
        return worker.ask(do, preview.progress, **arguments)


def show(answer: dict[str, Any], preview: Preview, *, as_json: bool) -> None:
    """Print the paths of what was made, and draw it on a terminal; or print the answer as JSON."""
    if as_json:
        print_json(answer)
        return
    typer.echo(answer["path"])
    if answer.get("gif"):
        typer.echo(answer["gif"])
    preview.show(Path(answer["path"]))


def absolute(path: Path | str | None) -> str | None:
    """A file as the worker has to be told of it, which may be at work in another folder."""
    return None if path is None else str(Path(path).expanduser().absolute())


def all_absolute(paths: Sequence[Path] | None) -> list[str]:
    """Several files as the worker has to be told of them."""
    return [str(path.expanduser().absolute()) for path in paths or ()]


def named_or_absolute(name: str | None, names: Container[str]) -> str | None:
    """What one of `names` names as it is; a file or folder as an absolute path."""
    if name is None or name in names or not Path(name).expanduser().exists():
        return name
    return absolute(name)
