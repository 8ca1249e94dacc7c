"""Frames of video files: animations by Pillow, everything else by PyAV where it is installed. Imports no torch.

A data set's videos are unpacked once, without loss, so that training reads them as folders of frames:

    CACHE/unpacked/<key>/00000.png
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from PIL import Image, ImageSequence

from sslterm.data.catalog import cache_root
from sslterm.data.decode import UnreadableError, explain, quietly
from sslterm.data.listing import File
from sslterm.data.progress import Progress
from sslterm.errors import DataError

ANIMATIONS = frozenset((".gif", ".apng", ".webp"))
"""Image files that may hold many frames."""
VIDEOS = frozenset((
    ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ogv", ".wmv", ".flv", ".mts", ".3gp",
))  # fmt: skip
"""Files that are taken for video."""


def is_video(path: Path) -> bool:
    """Whether a file has frames: a video by its suffix, an image file by their number."""
    suffix = path.suffix.lower()
    if suffix not in ANIMATIONS:
        return suffix in VIDEOS
    try:
        with quietly(), Image.open(path) as image:
            return int(getattr(image, "n_frames", 1)) > 1
    except Exception:  # whoever reads it says what is wrong with it
        return False


def frames_of(path: Path) -> Iterator[Image.Image]:
    """The frames of a video file or an animation, in order, upright.

    Raises:
        UnreadableError: it is damaged, or no video.
        DataError: PyAV is needed, and not installed.
    """
    yield from _of_animation(path) if path.suffix.lower() in ANIMATIONS else _of_video(path)


def _of_animation(path: Path) -> Iterator[Image.Image]:
    try:
        with Image.open(path) as animation:
            for frame in ImageSequence.Iterator(animation):
                yield frame.copy()
    except Exception as error:  # decoders raise nearly everything on broken input
        raise UnreadableError(explain(error)) from error


def _of_video(path: Path) -> Iterator[Image.Image]:
    av = _import_av(path)
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                image: Image.Image = frame.to_image()
                yield image.rotate(frame.rotation, expand=True) if frame.rotation else image
    except (av.FFmpegError, IndexError) as error:  # IndexError: there is no stream of pictures
        raise UnreadableError(getattr(error, "strerror", None) or "no video, or damaged") from error


def _import_av(path: Path) -> Any:
    try:
        import av
    except ImportError as error:
        raise DataError(
            f"{path}: video files are read with PyAV, which is not installed",
            "pip install 'sslterm[video]', or give a folder of frames",
        ) from error
    return av


def unpack(path: Path, sequence: str, progress: Progress) -> list[File]:
    """The frames of a video file as image files in the cache, unpacked on first use.

    Args:
        sequence: the folder that the frames are seen in.

    Raises:
        UnreadableError: it is damaged, or no video.
        DataError: PyAV is not installed, or the cache cannot be written.
    """
    about = path.stat()
    key = hashlib.blake2b(
        f"{path}\0{about.st_size}\0{about.st_mtime_ns}".encode(), digest_size=16
    ).hexdigest()
    folder = cache_root() / "unpacked" / key
    try:
        if not folder.is_dir():
            _write_frames(path, folder, progress)
        return [
            File(f"{sequence}/{frame.name}", (now := frame.stat()).st_size, now.st_mtime_ns, str(frame))
            for frame in sorted(folder.iterdir())
        ]
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise DataError(
            f"cannot keep the frames of {path.name} in {folder.parent}: "
            f"{'the disk is full' if full else error.strerror or error}",
            "set SSLTERM_CACHE to a folder with room",
        ) from error


def _write_frames(path: Path, folder: Path, progress: Progress) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".tmp-", dir=folder.parent))
    try:
        number = -1
        with quietly():
            for number, frame in enumerate(frames_of(path)):
                frame.convert("RGB").save(draft / f"{number:05}.png", compress_level=1)
                progress(f"unpacking {path.name}", number + 1, 0)
        if number < 0:
            raise UnreadableError("it has no frame")
        with suppress(FileExistsError):  # another process was first
            draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
