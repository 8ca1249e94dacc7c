"""`sslterm runs export` and `runs import`: a run as one file, to be carried to another machine."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import typer

from sslterm.cli.options import AsJson, Root, RunName
from sslterm.cli.output import note, print_json
from sslterm.cli.run_facts import checkpoints, size_of
from sslterm.errors import DataError, SsltermError, UsageError
from sslterm.mirror.tensorboard import write_all
from sslterm.render.quantity import memory
from sslterm.run.files import replace_file
from sslterm.run.layout import RunDirectory, find_run, runs_root
from sslterm.run.metrics import MetricsReader, csv_of
from sslterm.run.unpack import unpack


def pack(run: RunDirectory, path: Path, *, replace: bool = False) -> list[str]:
    """Write a .tar.gz of a run: configuration, metrics, events, what probes found, panels and the newest
    checkpoint.

    It unpacks to a folder of the run's name, which every command takes as a run. The file appears whole or
    not at all.

    Returns:
        the names of what was packed, relative to the run.

    Raises:
        UsageError: `path` exists already, and is not to be replaced.
        DataError: the run has no configuration.
        SsltermError: `path` cannot be written.
    """
    if path.exists() and not replace:
        raise UsageError(f"{path} exists already", "name another with --out, or add --force")
    if not run.config.exists():
        raise DataError(f"{run.path} has no config.toml: there is no run to pack")
    known = (run.config, run.meta, run.status, run.metrics, run.events, run.results, run.panels)
    parts = [part for part in known if part.exists()]
    initial = run.initial()
    parts += [initial] if initial is not None else []
    parts += [run.checkpoint(images) for images in checkpoints(run)[-1:]]
    try:
        _write(run, parts, path)
    except OSError as error:
        raise SsltermError(f"cannot write {path}: {error.strerror or error}") from error
    return [str(part.relative_to(run.path)) for part in parts]


def _write(run: RunDirectory, parts: Iterable[Path], path: Path) -> None:
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        with tarfile.open(draft, mode="x:gz", compresslevel=6) as archive:
            for part in parts:
                archive.add(part, f"{run.name}/{part.relative_to(run.path)}", filter=_without_drafts)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _without_drafts(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what is being written right now, and what is no plain file; forget who owned the rest."""
    if Path(entry.name).name.startswith(".") or not (entry.isfile() or entry.isdir()):
        return None
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def export(
    run: RunName,
    runs: Root = None,
    to: Annotated[
        Literal["archive", "csv", "tensorboard"],
        typer.Option("--to", help="All of it, its metrics as a table, or metrics and panels as events."),
    ] = "archive",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Otherwise RUN.tar.gz, RUN.csv or RUN-tensorboard, here."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Pack a run into one .tar.gz: configuration, metrics, events, panels and the newest checkpoint.

    Or write its metrics for a spreadsheet, one point a line, or metrics and panels for TensorBoard.

    \b
    Examples:
      sslterm runs export last
      sslterm runs export vae-digits-1 --out vae.tar.gz
      sslterm runs export last --to csv
      sslterm runs export last --to tensorboard --out events/vae
    """
    found = find_run(run, runs_root(runs))
    if to != "archive":
        _export_numbers(found, to, out, force=force, as_json=as_json)
        return
    path = out if out is not None else Path(f"{found.name}.tar.gz")
    if path.is_dir():
        path /= f"{found.name}.tar.gz"
    contents = pack(found, path, replace=force)
    size = path.stat().st_size
    if as_json:
        print_json({"run": found.name, "path": str(path), "bytes": size, "contents": contents})
        return
    typer.echo(str(path))
    note(f"{memory(size)}; take it in elsewhere: sslterm runs import {path.name}")


def _export_numbers(
    run: RunDirectory, to: Literal["csv", "tensorboard"], out: Path | None, *, force: bool, as_json: bool
) -> None:
    """Metrics as CSV, or metrics and panels as TensorBoard's events."""
    path = out if out is not None else Path(f"{run.name}.csv" if to == "csv" else f"{run.name}-tensorboard")
    if to == "csv":
        if path.is_dir():
            path /= f"{run.name}.csv"
        if path.exists() and not force:
            raise UsageError(f"{path} exists already", "name another with --out, or add --force")
        metrics = MetricsReader(run.metrics)
        metrics.refresh()
        try:
            replace_file(path, csv_of(metrics.series).encode())
        except OSError as error:
            raise SsltermError(f"cannot write {path}: {error.strerror or error}") from error
        contents = list(metrics.series)
    else:
        write_all(run, path, replace=force)
        contents = sorted(file.name for file in path.iterdir())
    size = path.stat().st_size if path.is_file() else size_of(path)
    if as_json:
        print_json({"run": run.name, "path": str(path), "bytes": size, "contents": contents})
        return
    typer.echo(str(path))
    note(memory(size) + (f"; look at it: tensorboard --logdir {path}" if to == "tensorboard" else ""))


def import_(
    archive: Annotated[Path, typer.Argument(metavar="FILE", help="What `runs export` wrote.")],
    name: Annotated[str | None, typer.Option(help="Name of the run; otherwise its own.")] = None,
    runs: Root = None,
    as_json: AsJson = False,
) -> None:
    """Take in a run that was packed elsewhere. Nothing in an archive can run code or leave the run's folder.

    \b
    Examples:
      sslterm runs import vae-digits-1.tar.gz
      sslterm runs import vae-digits-1.tar.gz --name theirs
    """
    taken = unpack(archive.expanduser(), runs_root(runs), name=name)
    if as_json:
        print_json(
            {
                "run": taken.run.name, "path": str(taken.run.path), "files": taken.files, "bytes": taken.bytes,
                "left_out": list(taken.left_out),
            }
        )  # fmt: skip
        return
    typer.echo(taken.run.name)
    note(f"{taken.files:,} files, {memory(taken.bytes)}; look at it: sslterm runs show {taken.run.name}")
    if taken.left_out:
        more = f" and {len(taken.left_out) - 3} more" if len(taken.left_out) > 3 else ""
        note(f"left out, as no part of a run: {', '.join(taken.left_out[:3])}{more}")
