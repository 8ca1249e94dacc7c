"""What is sent of the screen: the cells of spans that changed, and of colours what changes from cell to cell.

Textual sends a row from the left edge of a widget to the last cell that changed (`ChopsUpdate`, "TODO: crop to x
extents"): for a curve that grows at its right end, that is all of the curve, on every tick. And it says the whole
style of every run of cells, and takes it back behind it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, NamedTuple

from rich.console import Console
from rich.control import Control
from textual._compositor import ChopsUpdate, LayoutUpdate
from textual.strip import Strip

_CONTROL: Final = re.compile(r"(\x1b\[[0-9;]*[mH])")
"""A style, or a place to go to."""


class SpansUpdate(ChopsUpdate):
    """The same update, each of its spans cut at both ends."""

    def render_segments(self, console: Console) -> str:
        sent = []
        for y, first, last in self.spans:
            for end, (x, strip) in zip(self.chop_ends[y], self.chops[y].items(), strict=False):
                if strip is None or x >= last or end <= first:
                    continue
                start = x if _is_picture(strip) else max(x, first)
                sent += [
                    Control.move_to(start, y).segment.text,
                    strip.crop(start - x, min(end, last) - x).render(console),
                ]
        return shortened("".join(sent))


def _is_picture(strip: Strip) -> bool:
    """Whether it is drawn by a control sequence, of which no part can be left out."""
    return any(segment.control for segment in strip)


class WholeUpdate(LayoutUpdate):
    """All of the screen, with as few styles as show the same."""

    def render_segments(self, console: Console) -> str:
        return shortened(super().render_segments(console))


def as_sent(update: Any) -> Any:
    """An update of the screen as it is sent; what is neither of spans nor of the whole stays as it is."""
    if type(update) is ChopsUpdate:
        return SpansUpdate(update.chops, update.spans, update.chop_ends)
    if type(update) is LayoutUpdate:
        return WholeUpdate(update.strips, update.region)
    return update


class _Style(NamedTuple):
    """What a style says, as parameters of SGR (ECMA-48 §8.3.117); "" is the terminal's own."""

    other: str = ""
    fg: str = ""
    bg: str = ""


@lru_cache(maxsize=16384)
def _style(parameters: str) -> _Style:
    """The style that parameters make of the terminal's own."""
    other, fg, bg = [], "", ""
    words = parameters.split(";")
    while words:
        count = {"5": 3, "2": 5}.get(words[1], 1) if words[0] in ("38", "48") and len(words) > 1 else 1
        word, words = ";".join(words[:count]), words[count:]
        if re.match(r"(3|9)[0-7]$|38;", word):
            fg = word
        elif re.match(r"(4|10)[0-7]$|48;", word):
            bg = word
        elif word not in ("", "0"):
            other.append(word)
    return _Style(";".join(other), fg, bg)


def shortened(text: str) -> str:
    """Text with colours, in which every style begins from the terminal's own, with as few of them as show the same."""
    sent: list[str] = []
    now = wanted = _Style()
    for part in _CONTROL.split(text):
        if part.endswith("m") and _CONTROL.fullmatch(part):
            wanted = _style(part[2:-1])
        elif part and not _CONTROL.fullmatch(part):
            if wanted != now:
                sent.append(_change(now, wanted))
                now = wanted
            sent.append(part)
        elif part:
            sent.append(part)
    if now != _Style():
        sent.append("\x1b[0m")
    return "".join(sent)


def _change(now: _Style, wanted: _Style) -> str:
    if now.other != wanted.other or not (wanted.fg or wanted.bg):
        parts = ["0", *(part for part in wanted if part)]
    else:
        parts = [wanted.fg or "39"] if wanted.fg != now.fg else []
        parts += [wanted.bg or "49"] if wanted.bg != now.bg else []
    return f"\x1b[{';'.join(parts)}m"
