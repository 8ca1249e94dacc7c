"""Image files of every kind as uint8 RGB or grey, upright and cut to size. Imports no torch.

EXIF orientation is applied; transparent parts show white; palettes, CMYK, YCbCr and Lab become RGB; 16 and 32
bits and floats become 8; of an animation or a multi-page file the first picture is taken.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".bmp", ".dib", ".webp", ".avif", ".jp2",
    ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".tga",
))  # fmt: skip
"""Files that are taken for images."""

_GREY_MODES = frozenset(("1", "L", "LA", "La", "I", "F"))


@contextmanager
def quietly() -> Iterator[None]:
    """Ignore what Pillow warns of (large images, odd metadata) around calls of this module.

    Not done by them: filters of warnings belong to the process, and images are decoded by several threads.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


class UnreadableError(Exception):
    """A file is no image, or a damaged or too large one; says why."""


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    Attributes:
        pixels: uint8 [3, H, W].
        grey: it has no colour: all channels are equal.
    """

    pixels: NDArray[np.uint8]
    grey: bool


def decode(path: Path, size: int | tuple[int, int] = 0) -> Picture:
    """Read an image file.

    Args:
        size: side of the square it is cut to: the shorter side is resized to it, antialiased, and the middle
            is kept; (height, width) for another form; 0 keeps its own size.

    Raises:
        UnreadableError: it is no image, damaged, or larger than Pillow's limit against decompression bombs.
    """
    try:
        with Image.open(path) as image:
            wanted = (size, size) if isinstance(size, int) else size
            if all(wanted):
                # A JPEG is decoded at 1/2, 1/4 or 1/8 where that is still at least twice what is wanted.
                image.draft(None, (2 * max(wanted), 2 * max(wanted)))
            return cut_frame(image, wanted)
    except Exception as error:  # decoders raise nearly everything on broken input
        raise UnreadableError(explain(error)) from error


def cut_frame(image: Image.Image, size: tuple[int, int]) -> Picture:
    """What `decode` does to an open image, or to the current frame of one; (0, 0) keeps its size."""
    whole = _eight_bit(ImageOps.exif_transpose(image))
    if all(size):
        whole = fit(whole, *size)
    pixels = np.asarray(whole)
    if pixels.ndim == 2:
        return Picture(np.repeat(pixels[None], 3, 0), grey=True)
    pixels = pixels.transpose(2, 0, 1).copy()  # Pillow's own memory is read-only
    grey = np.array_equal(pixels[0], pixels[1]) and np.array_equal(pixels[1], pixels[2])
    return Picture(pixels, grey=grey)


def decode_mask(path: Path, size: int | tuple[int, int] = 0) -> NDArray[np.uint8]:
    """Read a mask of objects, cut as `decode` cuts but never blended: uint8 [H, W], 0 is background.

    Palette images give their indices, as in DAVIS 2017. Others give their values where all are below 128;
    else, as in DAVIS 2016, values of 128 and above are object 1.

    Raises:
        UnreadableError: it is no image, or damaged.
    """
    try:
        with Image.open(path) as image:
            values = image if image.mode == "P" else image.convert("L")
            wanted = (size, size) if isinstance(size, int) else size
            if all(wanted):
                values = fit(values, *wanted, Image.Resampling.NEAREST)
            pixels = np.asarray(values)
    except Exception as error:
        raise UnreadableError(explain(error)) from error
    numbered = values.mode == "P" or pixels.max(initial=0) < 128
    return pixels.copy() if numbered else (pixels >= 128).astype(np.uint8)


def picture_size(path: Path) -> tuple[int, int]:
    """(height, width) of an image file when upright, from its header.

    Raises:
        UnreadableError: it is no image.
    """
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(0x0112, 1) >= 5
            return (image.width, image.height) if turned else (image.height, image.width)
    except Exception as error:
        raise UnreadableError(explain(error)) from error


def fit(
    image: Image.Image, height: int, width: int, method: Image.Resampling = Image.Resampling.BICUBIC
) -> Image.Image:
    """Resize, antialiased, so that the image just covers height x width, and keep the middle."""
    if image.size == (width, height):
        return image
    scale = max(height / image.height, width / image.width)
    cut_width, cut_height = min(image.width, width / scale), min(image.height, height / scale)
    left, top = (image.width - cut_width) / 2, (image.height - cut_height) / 2
    return image.resize((width, height), method, box=(left, top, left + cut_width, top + cut_height))


def _eight_bit(image: Image.Image) -> Image.Image:
    """In mode L or RGB."""
    mode = image.mode
    if mode.startswith(("I", "F")):
        return _from_wide(image)
    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        grey = mode in _GREY_MODES
        layer = image.convert("RGBA")
        whole = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
        return whole.convert("L") if grey else whole
    if mode == "L":
        return image
    return image.convert("L" if mode in _GREY_MODES else "RGB")


def _from_wide(image: Image.Image) -> Image.Image:
    """From 16 bits; from 32 bits or floats in [0, 1], [0, 255], or up to 65535 or their largest value."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    if image.mode.startswith("I;16"):
        top = 65535.0
    elif image.mode == "F" and values.max(initial=0) <= 1:
        top = 1.0
    else:
        top = 255.0 if values.max(initial=0) <= 255 else max(65535.0, float(values.max()))
    return Image.fromarray(np.clip(np.rint(values * (255 / top)), 0, 255).astype(np.uint8))


def explain(error: Exception) -> str:
    """What a decoder raised, as a person says it."""
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or damaged"
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return (str(error) or type(error).__name__).splitlines()[0]
