"""Decoded image files, kept as one memory-mapped array: a folder is decoded once. Imports no torch.

    CACHE/packed/<key>/images.npy     uint8 [N, C, H, W]
    CACHE/packed/<key>/index.json     what was left out and why, and which folder it was

The key is a hash of the files' paths, sizes and times, of their order, and of what they were cut to; so a
changed folder is decoded anew, and a moved one is not. A pack appears whole or not at all.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy.typing import NDArray

from sslterm.data.catalog import cache_root
from sslterm.data.decode import Picture, UnreadableError, decode, decode_mask, picture_size, quietly
from sslterm.data.listing import File
from sslterm.data.progress import Progress
from sslterm.errors import DataError

FORMAT = 1
"""Of the cache; raised when decoding changes."""
FILES_A_TASK = 16
HEADER_BYTES = 128
STALE_SECONDS = 24 * 3600
"""Age at which an unfinished pack belongs to nobody any more."""

Kind = Literal["images", "masks"]
Size = int | tuple[int, int]


@dataclass(frozen=True)
class Pack:
    """Decoded files.

    Attributes:
        images: uint8 [N, C, H, W], memory-mapped; C is 1 where no picture has colour. Masks are [N, 1, H, W].
        rows: int64 [N], which of the files each image is, ascending.
        skipped: (path, reason) of the files that are not in it.
    """

    images: NDArray[np.uint8]
    rows: NDArray[np.int64]
    skipped: tuple[tuple[str, str], ...]


def pack(root: Path, files: Sequence[File], *, size: Size, kind: Kind, progress: Progress) -> Pack:
    """Decode `files` of `root` in their order, or map what was decoded before.

    Args:
        size: what they are cut to, as in `decode`; 0 keeps the size they all have.
        kind: how they are decoded.

    Raises:
        DataError: no file is readable, sizes differ and `size` is 0, or the cache cannot be written.
    """
    key = _hash([FORMAT, kind, size, *((file.path, file.bytes, file.changed) for file in files)])
    folder = cache_root() / "packed" / key
    found = _open(folder, files)
    if found is not None:
        return found
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _sweep(folder.parent, root, kind, files)
        draft = Path(tempfile.mkdtemp(prefix=".tmp-", dir=folder.parent))
        try:
            _build(draft, root, files, size, kind, progress)
            _put_in_place(draft, folder, files)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        reason = "the disk is full" if full else error.strerror or str(error)
        raise DataError(
            f"cannot keep decoded images in {folder.parent}: {reason}",
            "set SSLTERM_CACHE to a folder with room",
        ) from error
    built = _open(folder, files)
    if built is None:
        raise DataError(f"decoded images in {folder} cannot be read back")
    return built


def _open(folder: Path, files: Sequence[File]) -> Pack | None:
    """A finished pack, or None where there is none or it is damaged."""
    try:
        index = json.loads((folder / "index.json").read_text())
        skipped = tuple((str(path), str(reason)) for path, reason in index["skipped"])
        # Copy-on-write: torch wants an array that may be written, and the file must not be.
        images = np.load(folder / "images.npy", mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    gone = {path for path, _ in skipped}
    rows = np.array([row for row, file in enumerate(files) if file.path not in gone], dtype=np.int64)
    return Pack(images, rows, skipped) if len(rows) == len(images) else None


def _put_in_place(draft: Path, folder: Path, files: Sequence[File]) -> None:
    for _ in range(2):
        try:
            draft.rename(folder)
            return
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        if _open(folder, files) is not None:
            return  # another process was first
        shutil.rmtree(folder, ignore_errors=True)  # damaged


def _sweep(parent: Path, root: Path, kind: Kind, files: Sequence[File]) -> None:
    """Remove packs of what this folder was before it changed, and drafts of processes that died."""
    content = _content(files)
    for path in parent.iterdir():
        with suppress(OSError, ValueError, KeyError, TypeError):
            if path.name.startswith(".tmp-"):
                outdated = time.time() - path.stat().st_mtime > STALE_SECONDS
            else:
                index = json.loads((path / "index.json").read_text())
                same_place = index["root"] == str(root) and index["kind"] == kind
                outdated = same_place and index["content"] != content
            if outdated:
                shutil.rmtree(path, ignore_errors=True)


def _build(
    draft: Path, root: Path, files: Sequence[File], size: Size, kind: Kind, progress: Progress
) -> None:
    cut = size or _common_size(root, files)
    work: Callable[[Path], Picture] = (
        (lambda path: decode(path, cut)) if kind == "images" else (lambda path: _mask(path, cut))
    )
    skipped: list[tuple[str, str]] = []
    form, grey, count = (0, 0, 0), True, 0
    with (draft / "images.npy").open("w+b") as stream:
        stream.write(bytes(HEADER_BYTES))
        for done, (file, result) in enumerate(_decode_all(root, files, work), start=1):
            if isinstance(result, Picture):
                stream.write(result.pixels.tobytes())
                form, grey, count = result.pixels.shape, grey and result.grey, count + 1
            else:
                skipped.append((file.path, result))
            progress(f"decoding {root.name}", done, len(files))
        if count == 0:
            path, reason = skipped[0]
            raise DataError(f"none of the {len(files):,} image files in {root} can be read; {path}: {reason}")
        if grey and form[0] == 3:
            form = _drop_colour(stream, count, form)
        _write_header(stream, (count, *form))
        stream.flush()
        os.fsync(stream.fileno())
    index = {"root": str(root), "kind": kind, "content": _content(files), "skipped": skipped}
    (draft / "index.json").write_text(json.dumps(index))


def _mask(path: Path, cut: Size) -> Picture:
    return Picture(decode_mask(path, cut)[None], grey=False)


def _common_size(root: Path, files: Sequence[File]) -> tuple[int, int]:
    """(height, width) that all readable files have."""
    sizes: dict[tuple[int, int], str] = {}
    for file in sorted(files):
        with quietly(), suppress(UnreadableError):
            sizes.setdefault(picture_size(file.place(root)), file.path)
        if len(sizes) > 1:
            (one, first), (other, second) = sizes.items()
            raise DataError(
                f"images in {root} differ in size: {first} is {one[1]}x{one[0]}, "
                f"{second} {other[1]}x{other[0]}",
                "say what they are resized and cut to: --set data.size=64",
            )
    return next(iter(sizes), (1, 1))  # without any, decoding says what is wrong with them


def _decode_all(
    root: Path, files: Sequence[File], work: Callable[[Path], Picture]
) -> Iterator[tuple[File, Picture | str]]:
    """Every file in order with its picture, or why there is none; on all cores: decoders release the GIL."""

    def some(part: Sequence[File]) -> list[tuple[File, Picture | str]]:
        return [(file, _attempt(work, file.place(root))) for file in part]

    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    waiting: deque[Future[list[tuple[File, Picture | str]]]] = deque()
    with quietly(), ThreadPoolExecutor(threads) as pool:
        try:
            for start in range(0, len(files), FILES_A_TASK):
                waiting.append(pool.submit(some, files[start : start + FILES_A_TASK]))
                if len(waiting) > 4 * threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _attempt(work: Callable[[Path], Picture], path: Path) -> Picture | str:
    try:
        return work(path)
    except UnreadableError as error:
        return str(error)


def _drop_colour(stream: IO[bytes], count: int, form: tuple[int, ...]) -> tuple[int, int, int]:
    """Keep the first of three equal channels, in place."""
    channels, height, width = form
    plane = height * width
    for row in range(count):
        stream.seek(HEADER_BYTES + row * channels * plane)
        pixels = stream.read(plane)
        stream.seek(HEADER_BYTES + row * plane)
        stream.write(pixels)
    stream.truncate(HEADER_BYTES + count * plane)
    return (1, height, width)


def _write_header(stream: IO[bytes], shape: tuple[int, ...]) -> None:
    """The header of NumPy's format 1.0 (numpy.lib.format), padded to `HEADER_BYTES`."""
    text = repr({"descr": "|u1", "fortran_order": False, "shape": shape}).encode()
    magic = np.lib.format.magic(1, 0)
    length = HEADER_BYTES - len(magic) - 2
    stream.seek(0)
    stream.write(magic + length.to_bytes(2, "little") + text.ljust(length - 1) + b"\n")


def _content(files: Sequence[File]) -> str:
    return _hash(sorted((file.path, file.bytes, file.changed) for file in files))


def _hash(value: object) -> str:
    return hashlib.blake2b(json.dumps(value).encode(), digest_size=16).hexdigest()
