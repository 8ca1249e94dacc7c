"""Files that several processes share: replaced whole, or appended and followed line by line.

Writers may be killed at any moment and readers look at any moment, so a reader sees a replaced file whole,
old or new, and of an appended file the lines that have ended. What stands in a run directory may also be
foreign, damaged or written by a later version; reading it never blocks and never needs more memory than the
bounds given here.
"""

from __future__ import annotations

import os
import secrets
import stat
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from pathlib import Path

DRAFT = ".tmp-"
"""How names of unfinished files begin."""

BLOCK_BYTES = 1 << 19
"""What is read at once of an appended file: small enough for the processor's cache."""

LONGEST_LINE_BYTES = 16 << 20
"""Longer lines are passed over."""


def replace_file(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all, with the permissions that the umask leaves.

    Raises:
        OSError: the folder is missing or read-only, or the disk is full; `path` is as it was.
    """
    draft = draft_of(path)
    try:
        with open(draft, "xb") as file:
            file.write(content)
        os.replace(draft, path)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise


def draft_of(path: Path) -> Path:
    """A new name beside `path`, to write to before renaming."""
    return path.with_name(f"{DRAFT}{secrets.token_hex(6)}-{path.name}")


def remove_old_drafts(folder: Path, *, seconds: float = 60.0) -> None:
    """Remove what killed writers left in `folder`: unfinished files older than `seconds`."""
    try:
        drafts = [entry for entry in os.scandir(folder) if entry.name.startswith(DRAFT)]
    except OSError:
        return
    for draft in drafts:
        with suppress(OSError):
            if draft.is_file(follow_symlinks=False) and time.time() - draft.stat().st_mtime > seconds:
                os.unlink(draft.path)


def append_line(path: Path, line: bytes) -> None:
    """Append `line` and a newline with one write, on a fresh line even where a killed writer left a torn one.

    Raises:
        OSError: the folder is missing or read-only, or the disk is full; what was written of the line is
        torn.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        content = (b"\n" if torn else b"") + line + b"\n"
        written = os.write(descriptor, content)
        while written < len(content):  # a disk that fills up takes a part, and refuses the rest here
            written += os.write(descriptor, content[written:])
    finally:
        os.close(descriptor)


def read_file(path: Path, *, most_bytes: int = 4 << 20) -> bytes | None:
    """The content of a regular file; None where there is none, or it is longer than `most_bytes`."""
    try:
        descriptor = _open_regular(path)
    except OSError:
        return None
    try:
        with open(descriptor, "rb") as file:
            content = file.read(most_bytes + 1)
    except OSError:
        return None
    return content if len(content) <= most_bytes else None


def _open_regular(path: Path) -> int:
    """A descriptor to read a regular file from; opening a pipe or a device in its place does not block."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is not a regular file")
    return descriptor


Signature = tuple[int, int, int]
"""Changes when a file is replaced or written to: inode, size, time of change in ns."""


def signature(path: Path) -> Signature | None:
    """What tells whether `path` has changed since it was last read; None where it is missing."""
    try:
        about = os.stat(path)
    except OSError:
        return None
    return about.st_ino, about.st_size, about.st_mtime_ns


def claim_file(folder: Path, stem: str, suffix: str, *, beside: Sequence[str] = ()) -> Path:
    """A new, empty file in `folder`: stem.suffix, or stem-2.suffix and so on where there is one already.

    Args:
        beside: other endings that must be free as well.

    Raises:
        OSError: the folder is read-only or gone.
    """
    number = 1
    while True:
        path = folder / (f"{stem}{suffix}" if number == 1 else f"{stem}-{number}{suffix}")
        number += 1
        if any(path.with_suffix(other).exists() for other in beside):
            continue
        with suppress(FileExistsError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            return path


class LineTail:
    """Reads the lines that have been added to a file since the last look.

    Args:
        path: the file; it need not exist yet. on_restart: called before the first block where the file has
        been truncated or replaced by another one.
    """

    def __init__(self, path: Path, on_restart: Callable[[], None]) -> None:
        self.path = path
        self.offset = 0
        self._on_restart = on_restart
        self._identity: tuple[int, int] | None = None

    def blocks(self) -> Generator[bytes]:
        """New whole lines, in blocks that end with a newline. A torn last line waits for its end."""
        try:
            descriptor = _open_regular(self.path)
        except OSError:
            return
        try:
            about = os.fstat(descriptor)
            identity = (about.st_dev, about.st_ino)
            if about.st_size < self.offset or self._identity not in (None, identity):
                self.offset = 0
                self._on_restart()
            self._identity = identity
            while block := self._next_block(descriptor):
                yield block
        finally:
            os.close(descriptor)

    def _next_block(self, descriptor: int) -> bytes:
        size = BLOCK_BYTES
        while True:
            try:
                read = os.pread(descriptor, size, self.offset)
            except OSError:
                return b""
            if whole := read.rfind(b"\n") + 1:
                self.offset += whole
                return read[:whole]
            if len(read) < size:
                return b""
            if size >= LONGEST_LINE_BYTES:
                self.offset += len(read)
            else:
                size *= 2
