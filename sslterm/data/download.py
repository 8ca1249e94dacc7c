"""Fetching files over HTTP: verified, whole or not at all, and going on where an earlier attempt stopped."""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sslterm.data.progress import Progress

BLOCK_BYTES = 1 << 18
TIMEOUT_SECONDS = 30


class DownloadError(Exception):
    """A file could not be fetched; says why."""


@dataclass(frozen=True)
class RemoteFile:
    """A published file.

    Attributes:
        path: where it belongs, below the data folder.
        urls: where it is found, the best first.
        md5: its published checksum.
    """

    path: str
    urls: tuple[str, ...]
    md5: str


def fetch(files: Sequence[RemoteFile], root: Path, progress: Progress) -> None:
    """Bring `files` below `root`, one process at a time; those that are there and whole are left alone.

    Raises:
        DownloadError: one of them cannot be had from anywhere, or is not what was published.
        OSError: `root` cannot be written, or the disk is full.
    """
    root.mkdir(parents=True, exist_ok=True)
    with _alone(root / ".sslterm-download.lock"):
        for file in files:
            path = root / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            if not (path.is_file() and md5_of(path) == file.md5):
                _fetch_one(file, path, progress)


def md5_of(path: Path) -> str:
    """The MD5 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _fetch_one(file: RemoteFile, path: Path, progress: Progress) -> None:
    part = path.with_name(path.name + ".part")
    reasons = []
    for url in file.urls:
        try:
            _stream(url, part, progress)
        except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            reasons.append(f"{url}: {getattr(error, 'reason', None) or error}")
            continue
        if (found := md5_of(part)) == file.md5:
            part.replace(path)
            return
        part.unlink()
        reasons.append(f"{url}: not what was published (MD5 {found}, not {file.md5})")
    raise DownloadError("; ".join(reasons))


def _stream(url: str, part: Path, progress: Progress) -> None:
    """Append to `part` what it still lacks of `url`; start anew where the server cannot go on."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "sslterm"} | ({"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS
        )
    except urllib.error.HTTPError as error:
        with error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                return  # all of it is there already
            raise
    with response:
        goes_on = response.status == http.HTTPStatus.PARTIAL_CONTENT
        done = have if goes_on else 0
        total = done + int(response.headers.get("Content-Length") or 0)
        what = f"downloading {part.name.removesuffix('.part')}"
        with part.open("ab" if goes_on else "wb") as stream:
            while block := response.read(BLOCK_BYTES):
                stream.write(block)
                done += len(block)
                progress(what, done, total)
        if done < total:
            raise http.client.IncompleteRead(b"", total - done)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock on `path`, waiting for it; the kernel releases it when the process ends."""
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
