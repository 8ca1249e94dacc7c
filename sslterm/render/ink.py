"""Text and rules on pictures, in the font that comes with Pillow."""

from __future__ import annotations

import unicodedata
from functools import cache, lru_cache
from typing import Final

from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int]

PAPER: Final[Color] = (255, 255, 255)
INK: Final[Color] = (32, 33, 36)
FAINT: Final[Color] = (110, 113, 120)
RULE: Final[Color] = (200, 203, 208)

TITLE_SIZE: Final = 20
TEXT_SIZE: Final = 15
SMALL_SIZE: Final = 13

_SPELLED: Final = {
    "§": "sec. ", "’": "'", "“": '"', "”": '"', "∈": "in", "∑": "sum", "≠": "!=",
    "×": "x", "−": "-", "‐": "-", "–": "-", "—": "-", "→": "->", "←": "<-", "≈": "~", "≤": "<=", "≥": ">=",
    "∞": "inf", "²": "^2", "³": "^3", "√": "sqrt", "∥": "|", "‖": "|", "\u00a0": " ", "\u202f": " ",
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "eps", "λ": "lambda", "μ": "mu", "µ": "u",
    "π": "pi", "ρ": "rho", "σ": "sigma", "τ": "tau", "φ": "phi", "ψ": "psi", "ω": "omega", "Δ": "Delta",
    "Σ": "Sigma", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "ß": "ss", "æ": "ae",
}  # fmt: skip
"""What the font lacks, spelled out."""


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    loaded = ImageFont.load_default(size)
    if not isinstance(loaded, ImageFont.FreeTypeFont):
        raise RuntimeError("this Pillow was built without FreeType; install a wheel of Pillow from PyPI")
    return loaded


@lru_cache(maxsize=2048)
def _spelled(character: str) -> str:
    if character in _SPELLED:
        return _SPELLED[character]
    if character.isascii() and character.isprintable():
        return character
    face = font(SMALL_SIZE)
    if character.isprintable() and bytes(face.getmask(character)) != bytes(face.getmask("\uffff")):
        return character
    plain = "".join(c for c in unicodedata.normalize("NFKD", character) if c.isascii() and c.isprintable())
    return plain or "?"


def spelled(text: str) -> str:
    """`text` with what the font lacks spelled out in characters that it has."""
    return "".join(map(_spelled, text))


def text_size(text: str, size: int = TEXT_SIZE) -> tuple[int, int]:
    """(width, height of a line) in pixels."""
    return round(font(size).getlength(spelled(text))), line_height(size)


def line_height(size: int) -> int:
    return round(size * 1.4)


def write(
    picture: Image.Image,
    x: float,
    y: float,
    text: str,
    *,
    size: int = TEXT_SIZE,
    color: Color = INK,
    anchor: str = "lm",
) -> None:
    """Write `text` at (x, y); `anchor` as in Pillow: l, m, r and t (here "a", of the line), m, s."""
    ImageDraw.Draw(picture).text(
        (round(x), round(y)), spelled(text), font=font(size), fill=color, anchor=anchor
    )


def write_upwards(
    picture: Image.Image, x: float, y: float, text: str, *, size: int = TEXT_SIZE, color: Color = INK
) -> None:
    """Write `text` from bottom to top, centred on (x, y)."""
    width, height = text_size(text, size)
    label = Image.new("RGB", (width + 2, height), PAPER)
    write(label, 1, height / 2, text, size=size, color=color)
    turned = label.rotate(90, expand=True)
    picture.paste(turned, (round(x - turned.width / 2), round(y - turned.height / 2)))


def wrapped(text: str, width: int, size: int = TEXT_SIZE) -> list[str]:
    """Lines of at most `width` pixels, broken at spaces."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_size(longer, size)[0] <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def shortened(text: str, width: int, size: int = TEXT_SIZE) -> str:
    """`text`, cut with an ellipsis where it is wider than `width` pixels."""
    if text_size(text, size)[0] <= width:
        return text
    while text and text_size(text + "…", size)[0] > width:
        text = text[:-1]
    return text + "…"
