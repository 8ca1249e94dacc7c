"""Codes that were pinned, the path through them, and how both are shown as strips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from sslterm.render.field import Bytes, StripItem, row_of_images
from sslterm.render.palette import ACCENT, GROUND
from sslterm.tui.latent_plane import Code
from sslterm.tui.widgets.strips import Strip

NAMES = "ABCDEFGHIJ"
STEPS = 11
"""Codes from one pin to the next, both included."""
_KINDS = {"spherical": "spherical (slerp)"}


@dataclass(frozen=True, eq=False)
class Pin:
    """A code that was pinned, and what it is decoded to, once that is known."""

    name: str
    z: Code
    image: Bytes | None = None


@dataclass(frozen=True, eq=False)
class Path:
    """What is decoded on the way through pins, `STEPS` images from each to the next.

    Attributes:
        names: of the pins.
        kind: linear or spherical.
        codes: [N, D]
        saved: where it lies, in words; "" where it was not saved.
    """

    names: str
    kind: str
    codes: Code
    images: Bytes
    saved: str = ""


class Pins:
    """Pins in the order in which they were set, and the path through all of them."""

    def __init__(self) -> None:
        self.pins: list[Pin] = []
        self.path: Path | None = None

    def __len__(self) -> int:
        return len(self.pins)

    @property
    def names(self) -> str:
        return "".join(pin.name for pin in self.pins)

    @property
    def codes(self) -> Code:
        """[K, D]"""
        return np.stack([pin.z for pin in self.pins])

    @property
    def full(self) -> bool:
        return len(self.pins) == len(NAMES)

    def add(self, z: Code) -> None:
        """Pin a code under the next name; a path that was shown is of the past."""
        self.pins.append(Pin(NAMES[len(self.pins)], z))
        self.path = None

    def drop(self) -> None:
        """Take the last pin away, and the path."""
        if self.pins:
            self.pins.pop()
        self.path = None

    def after(self, z: Code) -> Pin:
        """The pin after the one that a code is; the first one, where it is none."""
        here = [place for place, pin in enumerate(self.pins) if np.array_equal(pin.z, z)]
        return self.pins[(here[0] + 1) % len(self.pins)] if here else self.pins[0]

    def fill(self, names: str, images: Bytes) -> None:
        """Say what the pins of these names are decoded to."""
        known = dict(zip(names, images, strict=True))
        self.pins = [replace(pin, image=known.get(pin.name, pin.image)) for pin in self.pins]

    def strips(self, width: int, rows: int) -> Sequence[Strip]:
        """The path, which has all pins in it, or else the pins, in `width` columns and `rows` rows of images."""
        if self.path is not None:
            return [_path_strip(self.path, width, rows)]
        if not self.pins:
            return []
        items = [StripItem(pin.image, pin.name, ACCENT) for pin in self.pins]
        title = f"pins {' '.join(self.names)}" + (" · i interpolates" if len(self.pins) > 1 else "")
        return [Strip("pins", title, items)]

    def shown_codes(self, width: int, rows: int) -> Sequence[tuple[Code, str]]:
        """The codes of the images that `strips` shows, and what they are called."""
        if self.path is None:
            return [(pin.z, f"pin {pin.name}") for pin in self.pins]
        way = f"on the path {'→'.join(self.path.names)}"
        return [(self.path.codes[place], way) for place in _shown(self.path, width, rows)[0]]


def _shown(path: Path, width: int, rows: int) -> tuple[list[int], int]:
    image = path.images.shape[2], path.images.shape[3]
    return row_of_images(len(path.images), image, max(width, 1), max(rows, 1))


def _path_strip(path: Path, width: int, rows: int) -> Strip:
    shown, high = _shown(path, width, rows)
    items = []
    for place in shown:
        leg, step = divmod(place, STEPS)
        end = path.names[leg] if step == 0 else path.names[leg + 1] if step == STEPS - 1 else ""
        items.append(StripItem(path.images[place], end, ACCENT if end else GROUND))
    count = len(path.images)
    of = f"{len(shown)} of {count} codes" if len(shown) < count else f"{count} codes"
    kind = _KINDS.get(path.kind, path.kind)
    return Strip(
        "path", f"{'→'.join(path.names)} · {kind} · {of} · {path.saved or 'w saves it'}", items, high
    )
