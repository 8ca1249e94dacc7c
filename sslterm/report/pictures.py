"""Pictures of panels, made small enough to stand in a page together."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

SMALL_BYTES = 48_000
"""Smaller ones are taken as they are."""
COLORS = 128
WIDEST = 900
"""Pixels across, of a picture that is reduced."""


def small_png(path: Path, most_bytes: int) -> bytes | None:
    """The PNG at `path` in at most `most_bytes`: as it is, in fewer colours, or reduced; None where it cannot be."""
    try:
        content = path.read_bytes()
        if len(content) <= min(most_bytes, SMALL_BYTES):
            return content
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            whole = picture.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError):
        return None
    if whole.width > WIDEST:
        whole.thumbnail((WIDEST, WIDEST * 4), Image.Resampling.LANCZOS)
    while True:
        out = io.BytesIO()
        whole.quantize(COLORS, dither=Image.Dither.NONE).save(out, format="PNG", optimize=True)
        if out.tell() <= most_bytes:
            return min(out.getvalue(), content if len(content) <= most_bytes else out.getvalue(), key=len)
        if min(whole.size) < 64:
            return None
        whole.thumbnail((whole.width * 3 // 4, whole.height * 3 // 4), Image.Resampling.LANCZOS)


def data_uri(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
