"""Single files of a person, in the form that a trained method takes: images, masks and clips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslterm.data.decode import SUFFIXES, UnreadableError, cut_frame, decode, decode_mask, quietly
from sslterm.data.listing import natural
from sslterm.data.video import ANIMATIONS, VIDEOS, frames_of
from sslterm.errors import DataError

MOST_BYTES = 1 << 31
"""Of a clip."""


def load_images(paths: Sequence[Path], *, channels: int, height: int, width: int) -> Tensor:
    """Read image files as training images were read: upright, resized, cut to their middle.

    Args:
        paths: files.
        channels: 3, or 1 for their luma (ITU-R BT.601).

    Returns:
        uint8 [N, C, H, W].

    Raises:
        DataError: one of them is missing, damaged or no image.
    """
    pixels = []
    for path in paths:
        try:
            with quietly():
                pixels.append(torch.from_numpy(decode(path, (height, width)).pixels))
        except UnreadableError as error:
            raise DataError(f"cannot read the image {path}: {error}") from error
    return to_channels(torch.stack(pixels), channels)


def load_mask(path: Path, *, height: int, width: int) -> Tensor:
    """Read which pixels to fill: white ones (128 and above; any that are not 0 in a palette image).

    Returns:
        float32 [1, H, W] of 0 and 1.

    Raises:
        DataError: it is missing, damaged or no image.
    """
    try:
        with quietly():
            return torch.from_numpy(decode_mask(path, (height, width)) > 0).float().unsqueeze(0)
    except UnreadableError as error:
        raise DataError(f"cannot read the mask {path}: {error}") from error


def load_clip(
    path: Path, *, channels: int, height: int = 0, width: int = 0, most_frames: int | None = None
) -> Tensor:
    """Read a folder of frames, a video file or an animated one (GIF, WebP, APNG), as one clip.

    Args:
        height, width: what frames are cut to, as images are; 0 keeps the size that all of them have.
        most_frames: how many to read; all of them without it.

    Returns:
        uint8 [T, C, H, W].

    Raises:
        DataError: it is missing or unreadable, has fewer than two frames, frames of several sizes, or more
            than memory should hold.
    """
    frames: list[Tensor] = []
    for name, picture in _frames(path, (height, width)):
        frame = to_channels(torch.from_numpy(picture)[None], channels)[0]
        if frames and frame.shape != frames[0].shape:
            (_, *first), (_, *other) = frames[0].shape, frame.shape
            raise DataError(
                f"frames of {path} differ in size: the first is {first[1]}x{first[0]}, {name} {other[1]}x{other[0]}"
            )
        frames.append(frame)
        if len(frames) * frame.nbytes > MOST_BYTES:
            raise DataError(
                f"{path} has too many frames to be held at once: {len(frames):,} take {MOST_BYTES >> 30} GiB",
                f"say how many to read: --frames {len(frames) // 2}",
            )
        if len(frames) == most_frames:
            break
    if len(frames) < 2:
        many = "one frame" if frames else "no frames"
        raise DataError(
            f"{path} has {many}; a clip has two or more",
            "give a folder of frames, a video file, or an animated GIF",
        )
    return torch.stack(frames)


def frame_files(folder: Path) -> list[Path]:
    """The image files of a folder in the order of time."""
    names = (
        entry.name for entry in folder.iterdir()
        if entry.suffix.lower() in SUFFIXES and not entry.name.startswith(".")
    )  # fmt: skip
    return [folder / name for name in sorted(names, key=natural)]


def _frames(path: Path, size: tuple[int, int]) -> Iterator[tuple[str, NDArray[np.uint8]]]:
    """(name, uint8 [3, H, W]) of every frame."""
    if not path.exists():
        raise DataError(f"{path}: there is no such folder or file")
    if path.is_dir():
        for file in frame_files(path):
            try:
                with quietly():
                    yield file.name, decode(file, size).pixels
            except UnreadableError as error:
                raise DataError(f"cannot read the frame {file}: {error}") from error
        return
    if path.suffix.lower() not in ANIMATIONS | VIDEOS:
        raise DataError(
            f"cannot read the clip {path}: it is neither a folder nor a video",
            "videos have a suffix that says so",
        )
    try:
        for number, frame in enumerate(frames_of(path)):
            with quietly():
                yield f"frame {number}", cut_frame(frame, size).pixels
    except UnreadableError as error:
        raise DataError(f"cannot read the clip {path}: {error}") from error


def to_channels(images: Tensor, channels: int) -> Tensor:
    """uint8 [N, 3, H, W] -> [N, C, H, W]: unchanged for 3, the luma for 1."""
    if channels == images.shape[1]:
        return images
    luma = (images.float() * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    return luma.round().clamp(0, 255).to(torch.uint8)
