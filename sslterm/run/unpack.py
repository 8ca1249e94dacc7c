"""A packed run taken in again: nothing in an archive can run code, or be written outside of the run's folder.

Whoever made the archive is not trusted. Only plain files are taken, only those that a run consists of, and
only as much as the disk has room for; the run appears whole or not at all.
"""

from __future__ import annotations

import re
import shutil
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath

from sslterm.errors import DataError, UsageError
from sslterm.run.files import draft_of
from sslterm.run.layout import RunDirectory, check_name

MOST_FILES = 1_000_000
BLOCK_BYTES = 1 << 20
SHARE_OF_FREE_DISK = 0.9
KNOWN = re.compile(
    r"config\.toml|initial\.(?:safetensors|pt)|(?:meta|status)\.json|(?:metrics|events|results)\.jsonl"
    r"|panels/[\w.+-]+/[0-9]+\.(?:npz|png)|checkpoints/[0-9]+/[\w.+-]+"
)
"""What a run consists of, below its folder."""


@dataclass(frozen=True)
class Unpacked:
    """A run that was taken in.

    Attributes:
        run: where it is now.
        files, bytes: how much was taken.
        left_out: names in the archive that are no part of a run.
    """

    run: RunDirectory
    files: int
    bytes: int
    left_out: tuple[str, ...]


def unpack(path: Path, root: Path, *, name: str | None = None) -> Unpacked:
    """Take the run in the archive at `path` into `root`, under its own name or `name`.

    Raises:
        DataError: the file is missing, damaged, no archive, or holds no run, or what is no part of one: links,
            devices, paths that lead out of it.
        UsageError: there is a run of that name already.
    """
    root.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(path, mode="r:*") as archive:
            members = _members(archive, path)
            first = next(members, None)
            if first is None:
                raise DataError(f"{path} is empty")
            called = name or first[0]
            check_name(called)
            if (root / called).exists():
                raise UsageError(
                    f"there is a run {called!r} in {root} already", "take it in under another --name"
                )
            draft = draft_of(root / called)
            try:
                taken = _extract(archive, chain([first], members), draft, path)
                draft.rename(root / called)
            finally:
                with suppress(OSError):
                    shutil.rmtree(draft)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is no archive of a run, or is damaged: {error}") from error
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    files, size, left_out = taken
    return Unpacked(RunDirectory(root / called), files, size, left_out)


def _members(archive: tarfile.TarFile, path: Path) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """(the one folder that all is in, a file or folder in it), checked."""
    top = ""
    for count, member in enumerate(archive, 1):
        if count > MOST_FILES:
            raise DataError(f"{path} holds more than {MOST_FILES:,} files: it is no run")
        parts = PurePosixPath(member.name).parts
        if member.name.startswith("/") or ".." in parts or "\0" in member.name or not parts:
            raise DataError(
                f"{path} holds {member.name!r}, which leads out of its folder: nothing was unpacked"
            )
        if not (member.isfile() or member.isdir()) or member.sparse is not None:
            raise DataError(f"{path} holds {member.name!r}, which is no plain file: nothing was unpacked")
        top = top or parts[0]
        if parts[0] != top:
            raise DataError(f"{path} holds more than one folder: {top!r} and {parts[0]!r}")
        yield top, member


def _extract(
    archive: tarfile.TarFile, members: Iterable[tuple[str, tarfile.TarInfo]], folder: Path, path: Path
) -> tuple[int, int, tuple[str, ...]]:
    """Write what belongs to a run into `folder`: number of files, their bytes, names of what was left out."""
    folder.mkdir()
    room = SHARE_OF_FREE_DISK * shutil.disk_usage(folder).free
    files, size, left_out = 0, 0, []
    for _, member in members:
        below = "/".join(PurePosixPath(member.name).parts[1:])
        if member.isdir():
            continue
        if not KNOWN.fullmatch(below):
            left_out.append(below)
            continue
        size += member.size
        if size > room:
            raise DataError(f"{path} holds more than the disk has room for: over {size / 2**30:.1f} GiB")
        target = folder / below
        target.parent.mkdir(parents=True, exist_ok=True)
        source = archive.extractfile(member)
        assert source is not None
        with source, open(target, "xb") as file:
            shutil.copyfileobj(source, file, BLOCK_BYTES)
        if target.stat().st_size != member.size:
            raise DataError(f"{path} is cut off within {below}")
        files += 1
    if not (folder / "config.toml").is_file():
        raise DataError(f"{path} holds no config.toml: it is no archive of a run")
    return files, size, tuple(left_out)
