"""Pictures in a terminal's own pixels, through Kitty's graphics or Sixel, where that is asked for and possible.

textual-image draws them; it is an extra, and imported only here. On its own import it would question the
terminal, with less patience than a slow line needs, so it is imported unable to, and told what was answered.
"""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final, Literal, get_args

from PIL import Image
from textual.widget import Widget

from sslterm.errors import UsageError, did_you_mean
from sslterm.render.terminal_query import Answer, ask_terminal

Wanted = Literal["half", "kitty", "sixel", "auto"]
"""The setting `images`."""
INSTALL: Final = "pip install 'sslterm[images]'"
_USUAL_CELL: Final = (10, 20)
"""Pixels of a cell where the terminal does not tell."""


@dataclass(frozen=True)
class Graphics:
    """How pictures are shown in this terminal.

    Attributes:
        protocol: "half" draws half-blocks, as everywhere.
        cell: width and height of a cell in pixels.
        note: one line for the person, where something else was asked for; else "".
    """

    protocol: Literal["half", "kitty", "sixel"] = "half"
    cell: tuple[int, int] = _USUAL_CELL
    note: str = ""

    def widget(self, picture: Image.Image) -> Widget:
        """A widget that shows a picture in all of its own size. Only where `protocol` is not "half"."""
        from textual_image import widget

        kind = widget.TGPImage if self.protocol == "kitty" else widget.SixelImage
        shown: Widget = kind(picture)
        return shown


HALF: Final = Graphics()


def prepare_graphics(wanted: str = "half") -> Graphics:
    """Find out how pictures can be shown. Call it before the application runs: it may ask the terminal.

    "half" asks nothing and imports nothing, and neither does anything in a pipe. A terminal that does not
    answer costs less than half a second.

    Raises:
        UsageError: there is no such way.
    """
    if wanted not in get_args(Wanted):
        raise UsageError(f"images cannot be shown by {wanted!r}", did_you_mean(wanted, get_args(Wanted)))
    if wanted == "half" or not (sys.stdin.isatty() and sys.stdout.isatty()):
        return HALF
    if find_spec("textual_image") is None:
        return Graphics(note=f"images are shown in half-blocks: {wanted} needs {INSTALL}")
    answer = ask_terminal()
    protocol = choose_protocol(wanted, answer)
    if protocol == "half":
        if wanted == "auto":
            lacks = "the terminal has neither Kitty's graphics nor Sixel"
        else:
            lacks = f"the terminal has no {'Sixel' if wanted == 'sixel' else 'Kitty graphics'}"
        if not answer.answered:
            lacks = "the terminal did not say what it can do"
        return Graphics(note=f"images are shown in half-blocks: {lacks}")
    cell = answer.cell if all(answer.cell) else _USUAL_CELL
    try:
        _import_silently(cell)
    except Exception as error:  # of a package that is not ours: no picture is worth the view
        return Graphics(note=f"images are shown in half-blocks: textual-image does not start ({error})")
    return Graphics(protocol, cell)


def choose_protocol(wanted: str, answer: Answer) -> Literal["half", "kitty", "sixel"]:
    """What was asked for, where the terminal has it.

    "auto" prefers Sixel: terminals with both often lack the part of Kitty's graphics that is needed here.
    """
    if answer.sixel and wanted in ("sixel", "auto"):
        return "sixel"
    return "kitty" if answer.kitty and wanted in ("kitty", "auto") else "half"


def _import_silently(cell: tuple[int, int]) -> None:
    """Import textual-image without its questions, and tell it the size of a cell."""
    stdout = sys.__stdout__
    sys.__stdout__ = io.TextIOWrapper(io.BytesIO())  # type: ignore[misc]
    try:
        import textual_image.widget
        from textual_image import _terminal
    finally:
        sys.__stdout__ = stdout  # type: ignore[misc]
    assert textual_image.widget
    known: Any = _terminal.get_cell_size
    known._result = _terminal.CellSize(*cell)
