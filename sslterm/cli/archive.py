"""A run as one file, to be carried to another machine and unpacked there."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

from sslterm.cli.run_facts import checkpoints
from sslterm.errors import DataError, SsltermError, UsageError
from sslterm.run.layout import RunDirectory


def pack(run: RunDirectory, path: Path, *, replace: bool = False) -> list[str]:
    """Write a .tar.gz of a run: configuration, metrics, events, panels and the newest checkpoint.

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
    known = (run.config, run.meta, run.status, run.metrics, run.events, run.panels)
    parts = [part for part in known if part.exists()]
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
