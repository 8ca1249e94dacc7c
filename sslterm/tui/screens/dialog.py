"""Questions and lists over a screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from textwrap import wrap

from textual.app import ComposeResult
from textual.binding import Binding
from textual.events import Click, MouseScrollDown, MouseScrollUp, Paste, Resize
from textual.events import Key as KeyPress
from textual.screen import ModalScreen

from sslterm.render.cells import Cells, fit, text_width
from sslterm.render.palette import ACCENT, GROUND, MUTED
from sslterm.tui.key import Key
from sslterm.tui.line_edit import LineEdit
from sslterm.tui.widgets.canvas import Canvas

Row = tuple[str, str]
"""What stands at the left in the accent colour, and the text beside it."""


class Sheet(Canvas):
    """A framed list: a title, then rows of a key and what it does.

    Args:
        scrolls: whether rows may be out of sight; otherwise they are cut short before one is left out.
    """

    def __init__(self, title: str, rows: Sequence[Row], *, scrolls: bool) -> None:
        super().__init__()
        self.title_text = title
        self.rows = rows
        self.scrolls = scrolls
        self.top = 0
        """First row shown, where not all fit."""

    def sign_at(self, row: int) -> str:
        """What stands at the left of the row of the sheet, or of the row that it goes on; "" where nothing does."""
        framed, lines = self._layout(*self.size)
        place = row - framed + self.top
        seen = lines[: place + 1] if 0 <= place < len(lines) and lines[place][1] else []
        return next((sign for sign, text in reversed(seen) if sign or not text), "")

    def wanted(self, width: int, height: int) -> tuple[int, int]:
        """Cells that the sheet takes on a screen of a size."""
        left = max((text_width(sign) for sign, _ in self.rows), default=0)
        widest = max([text_width(self.title_text), *(left + 2 + text_width(text) for _, text in self.rows)])
        wide = min(widest + 4, width)
        framed, lines = self._layout(wide, height)
        return wide, min(len(lines) + 2 * framed, height)

    def _layout(self, width: int, height: int) -> tuple[bool, list[Row]]:
        """Whether there is a frame, and the lines: the first way of several that fits."""
        left = max((text_width(sign) for sign, _ in self.rows), default=0)
        short: list[Row] = [("", fit(self.title_text, width)), *self.rows]
        ways = [(True, self._wrapped(width - 4, left)), (False, self._wrapped(width, left)), (False, short)]
        for framed, lines in ways[:1] if self.scrolls else ways:
            if len(lines) + 2 * framed <= height and (width >= 16 or not framed):
                return framed, lines
        return (height >= 8 and width >= 16, ways[0][1]) if self.scrolls else (False, short[1:])

    def _wrapped(self, width: int, left: int) -> list[Row]:
        """Title and rows, wrapped to `width`."""
        lines: list[Row] = [("", line) for line in wrap(self.title_text, max(width, 8))]
        lines.append(("", ""))
        for sign, text in self.rows:
            first, *more = wrap(text, max(width - left - 2, 8)) or [""]
            lines.append((sign, first))
            lines += [("", f"{'':{left + 2}}{line}") for line in more]
        return lines

    def scroll(self, by: int) -> None:
        """Go down by so many lines, where not all are seen."""
        self.top = max(self.top + by, 0)
        self.redraw()

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        self.scroll(3)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        self.scroll(-3)

    def draw(self, width: int, height: int) -> Cells:
        cells = Cells.blank(width, height)
        framed, lines = self._layout(width, height)
        left = max((text_width(sign) for sign, _ in self.rows), default=0)
        margin = 2 if framed else 0
        room = height - margin
        self.top = max(min(self.top, len(lines) - room), 0)
        if framed:
            _frame(cells, MUTED if self.in_color else GROUND)
        for row, (sign, text) in enumerate(lines[self.top : self.top + room], 1 if framed else 0):
            column = margin
            if sign:
                cells.put(sign, row, column, ACCENT if self.in_color else GROUND)
                column += left + 2
            cells.put(fit(text, width - margin - column), row, column)
        return cells


def _frame(cells: Cells, tint: int) -> None:
    across = "─" * (cells.width - 2)
    cells.put(f"┌{across}┐", 0, 0, tint)
    cells.put(f"└{across}┘", cells.height - 1, 0, tint)
    for row in range(1, cells.height - 1):
        cells.put("│", row, 0, tint)
        cells.put("│", row, cells.width - 1, tint)


class Dialog(ModalScreen[str | None]):
    """A sheet in the middle of the screen, over what is there."""

    DEFAULT_CSS = "Dialog { align: center middle; background: transparent; }"

    def __init__(self, sheet: Sheet) -> None:
        super().__init__()
        self.sheet = sheet

    def compose(self) -> ComposeResult:
        yield self.sheet

    def on_resize(self, event: Resize) -> None:
        self.sheet.styles.width, self.sheet.styles.height = self.sheet.wanted(*event.size)


@dataclass(frozen=True)
class Option:
    """An answer: the key for it, the value that comes back, and what it means."""

    key: str
    value: str
    text: str


class Question(Dialog):
    """Asks for one of several answers, by a key or a click.

    None where the person thinks better of it: escape, or a click beside the question.
    """

    BINDINGS = [Binding("escape", "answer('')", priority=True)]  # noqa: RUF012 - as Textual declares it

    def __init__(self, title: str, options: Sequence[Option]) -> None:
        super().__init__(Sheet(title, [(option.key, option.text) for option in options], scrolls=False))
        self.answers = {option.key: option.value for option in options}

    def on_key(self, event: KeyPress) -> None:
        if event.key in self.answers:
            event.stop()
            self.action_answer(self.answers[event.key])

    def on_click(self, event: Click) -> None:
        if event.widget is not self.sheet:
            self.action_leave()
        elif (sign := self.sheet.sign_at(event.y)) in self.answers:
            self.action_answer(self.answers[sign])

    def action_answer(self, value: str) -> None:
        self.dismiss(value or None)

    def action_leave(self) -> None:
        self.dismiss(None)


class LineQuestion(Dialog):
    """Asks for a line of text; None where the person thinks better of it (escape).

    Args:
        value: what stands there at first.
        check: what is wrong with a text; "" where it may be taken.
    """

    BINDINGS = [Binding("escape", "leave", priority=True)]  # noqa: RUF012 - as Textual declares it

    def __init__(self, title: str, *, value: str, check: Callable[[str], str]) -> None:
        self.check = check
        self.line = LineEdit.of(value)
        super().__init__(Sheet(title, self._rows(), scrolls=False))

    def _rows(self) -> Sequence[Row]:
        before, after = self.line.text[: self.line.at], self.line.text[self.line.at :]
        said = self.check(self.line.text) or "enter takes it, escape leaves it as it is"
        return [("▸", f"{before}▏{after}"), ("", said)]

    def _take(self, line: LineEdit) -> None:
        self.line = line
        self.sheet.rows = self._rows()
        self.sheet.styles.width, self.sheet.styles.height = self.sheet.wanted(*self.size)
        self.sheet.redraw()

    def on_key(self, event: KeyPress) -> None:
        event.stop()
        edited = self.line.pressed(event.key)
        if edited is None and event.is_printable and event.character is not None:
            edited = self.line.typed(event.character)
        if edited is not None:
            self._take(edited)
        elif event.key == "enter" and not self.check(self.line.text):
            self.dismiss(self.line.text)

    def on_paste(self, event: Paste) -> None:
        self._take(self.line.typed(event.text))

    def action_leave(self) -> None:
        self.dismiss(None)


class KeyList(Dialog):
    """All keys of a screen; any key and a click put it away, up, down and the wheel scroll."""

    def __init__(self, title: str, keys: Sequence[Key]) -> None:
        super().__init__(Sheet(title, [(key.sign, key.help) for key in keys if key.help], scrolls=True))

    def on_key(self, event: KeyPress) -> None:
        event.stop()
        if event.key in ("down", "up", "pagedown", "pageup"):
            self.sheet.scroll({"down": 1, "up": -1, "pagedown": 10, "pageup": -10}[event.key])
        else:
            self.dismiss(None)

    def on_click(self, event: Click) -> None:
        self.dismiss(None)

    def action_leave(self) -> None:
        self.dismiss(None)
