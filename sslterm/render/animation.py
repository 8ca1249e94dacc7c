"""Images in motion: GIFs that any viewer plays."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sslterm.run.files import replace_file

SIDE: Final = 256
"""Side in pixels that small images are enlarged to, as far as whole numbers allow."""
FRAME_MS: Final = 50
_END_MS: Final = 500
"""How long the first and the last image stand."""


def write_gif(frames: NDArray[np.uint8], path: Path, *, back: bool = True) -> None:
    """Write images [T, C, H, W] as a GIF that runs for ever, forth and back or from the start again.

    It is written whole or not at all.

    All frames share one palette, so that colours do not flicker.

    Raises:
        OSError: the disk is full or read-only.
    """
    zoom = max(SIDE // max(frames.shape[2:]), 1)
    large = frames.repeat(zoom, axis=2).repeat(zoom, axis=3)
    pictures = [Image.fromarray(picture[0]) for picture in large]
    if frames.shape[1] == 3:
        pictures = _in_one_palette(large)
    order = [*range(len(pictures)), *(range(len(pictures) - 2, 0, -1) if back else ())]
    stands = [_END_MS if place in (0, len(pictures) - 1) else FRAME_MS for place in order]
    content = io.BytesIO()
    first, *others = (pictures[place] for place in order)
    first.save(
        content, format="GIF", save_all=True, append_images=others, duration=stands, loop=0, optimize=False
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content.getvalue())


def _in_one_palette(frames: NDArray[Any]) -> list[Image.Image]:
    """[T, 3, H, W] uint8 -> pictures in the 256 colours that suit all of them."""
    pixels = frames.transpose(0, 2, 3, 1)
    palette = Image.fromarray(pixels.reshape(-1, *pixels.shape[2:])).quantize(256, dither=Image.Dither.NONE)
    return [
        Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE) for picture in pixels
    ]
