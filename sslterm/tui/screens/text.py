"""A text over the whole screen, to be scrolled through; it follows its source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from textual.app import ComposeResult
from textual.events import MouseScrollDown, MouseScrollUp
from textual.screen import Screen

from sslterm.render.cells import Cells, fit
from sslterm.render.palette import ACCENT, GROUND, MUTED
from sslterm.tui.key import bindings
from sslterm.tui.keys import TEXT_KEYS
from sslterm.tui.screens.dialog import KeyList
from sslterm.tui.widgets.canvas import Canvas
from sslterm.tui.widgets.keybar import KeyBar

Lines = Sequence[tuple[str, int]]
"""Lines with their colours."""

FOLLOW_SECONDS = 1.0


class TextView(Canvas):
    """Lines of text under a title, from the one at `top` on."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.title_text = title
        self.lines: Lines = ()
        self.top = 0

    @property
    def rows(self) -> int:
        """Lines that fit."""
        return max(self.size.height - 2, 1)

    def scroll(self, by: int) -> None:
        self.top = min(max(self.top + by, 0), max(len(self.lines) - self.rows, 0))
        self.redraw()

    def draw(self, width: int, height: int) -> Cells:
        cells = Cells.blank(width, height)
        last = min(self.top + self.rows, len(self.lines))
        cells.put(fit(self.title_text, width), 0, 0, ACCENT if self.in_color else GROUND)
        if len(self.lines) > self.rows:
            cells.put_right(f" {self.top + 1}-{last} of {len(self.lines)}", 0, width, MUTED)
        for row, (text, tint) in enumerate(self.lines[self.top : last], 2 if height > 2 else 1):
            cells.put(fit(text, width), row, 0, tint if self.in_color else GROUND)
        return cells if self.in_color else cells.uncolored()

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        self.scroll(3)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        self.scroll(-3)


class TextScreen(Screen[None]):
    """Shows a file, or what a function gives, and keeps to its end where that was on the screen.

    Args:
        title: above the text.
        source: a file, or a function of its lines.
    """

    BINDINGS = bindings(TEXT_KEYS)
    CSS = """
    TextScreen { background: ansi_default; }
    TextScreen TextView { width: 1fr; height: 1fr; }
    TextScreen KeyBar { width: 1fr; height: 1; }
    """

    def __init__(self, title: str, source: Path | Callable[[], Lines]) -> None:
        super().__init__()
        self.source = source
        self.text, self.key_bar = TextView(title), KeyBar(TEXT_KEYS)

    def compose(self) -> ComposeResult:
        yield self.text
        yield self.key_bar

    def on_mount(self) -> None:
        self.read()
        self.set_interval(FOLLOW_SECONDS, self.read)

    def read(self) -> None:
        """Take the text as it is now."""
        at_end = bool(self.text.lines) and self.text.top + self.text.rows >= len(self.text.lines)
        if isinstance(self.source, Path):
            try:
                self.text.lines = [(line, GROUND) for line in self.source.read_text().splitlines()]
            except (OSError, UnicodeDecodeError) as error:
                self.text.lines = [(f"cannot read it: {error}", GROUND)]
        else:
            self.text.lines = self.source()
        self.text.scroll(len(self.text.lines) if at_end else 0)

    def action_scroll(self, by: int) -> None:
        self.text.scroll(by)

    def action_page(self, by: int) -> None:
        self.text.scroll(by * self.text.rows)

    def action_help(self) -> None:
        self.app.push_screen(KeyList("Keys", TEXT_KEYS))

    def action_leave(self) -> None:
        self.app.pop_screen()
