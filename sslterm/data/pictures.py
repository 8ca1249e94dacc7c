"""Single files of a person, in the form that a trained method takes: images, masks and clips."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageSequence
from torch import Tensor

from sslterm.data.decode import (
    SUFFIXES,
    UnreadableError,
    cut_frame,
    decode,
    decode_mask,
    explain,
    quietly,
)
from sslterm.data.listing import natural
from sslterm.errors import DataError


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


def load_clip(path: Path, *, channels: int, height: int, width: int) -> Tensor:
    """Read a folder of frames, or an animated file (GIF, WebP, APNG), as one clip.

    Returns:
        uint8 [T, C, H, W].

    Raises:
        DataError: it is missing, unreadable, or has fewer than two frames.
    """
    if path.is_dir():
        names = sorted(
            (entry.name for entry in path.iterdir() if entry.suffix.lower() in SUFFIXES), key=natural
        )
        if len(names) < 2:
            raise DataError(f"{path} has {len(names)} frames; a clip has two or more")
        return load_images([path / name for name in names], channels=channels, height=height, width=width)
    try:
        with quietly(), Image.open(path) as animation:
            frames = [cut_frame(frame, (height, width)).pixels for frame in ImageSequence.Iterator(animation)]
    except Exception as error:  # decoders raise nearly everything on broken input
        raise DataError(f"cannot read the clip {path}: {explain(error)}") from error
    if len(frames) < 2:
        raise DataError(
            f"{path} has one frame; a clip has two or more", "give a folder of frames, or an animated GIF"
        )
    return to_channels(torch.from_numpy(np.stack(frames)), channels)


def to_channels(images: Tensor, channels: int) -> Tensor:
    """uint8 [N, 3, H, W] -> [N, C, H, W]: unchanged for 3, the luma for 1."""
    if channels == images.shape[1]:
        return images
    luma = (images.float() * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    return luma.round().clamp(0, 255).to(torch.uint8)
