"""A list to choose from, with what there is to know about the choice below it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import wrap

from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message

from sslterm.render.cells import Cells, fit, text_width
from sslterm.render.palette import ACCENT, GROUND, MUTED, WARNING
from sslterm.tui.widgets.canvas import Canvas


@dataclass(frozen=True)
class Choice:
    """A line of the list.

    Attributes:
        value: what is chosen; "" for a line that only groups others.
        lead: what stands before its name (branches of a tree).
        beside: what stands behind it.
        about: paragraphs below the list while it is under the cursor.
    """

    value: str
    lead: str = ""
    beside: str = ""
    about: tuple[str, ...] = ()


class Chooser(Canvas):
    """Choices, one under the cursor; letters leave only those that have them."""

    class Chosen(Message):
        """A person has double-clicked on a choice."""

    def __init__(self) -> None:
        super().__init__()
        self.choices: Sequence[Choice] = ()
        self.typed = ""
        self.at = 0
        """Place of the cursor among `shown_choices`."""
        self._top = 0
        self._rows = 1

    def offer(self, choices: Sequence[Choice], value: str = "") -> None:
        """Show choices, with the cursor on one."""
        self.choices, self.typed, self._top = choices, "", 0
        places = [i for i, choice in enumerate(choices) if choice.value and choice.value == value]
        self.at = places[0] if places else next((i for i, choice in enumerate(choices) if choice.value), 0)
        self.redraw()

    @property
    def shown_choices(self) -> list[Choice]:
        if not self.typed:
            return list(self.choices)
        typed = self.typed.lower()
        return [
            c for c in self.choices if c.value and (typed in c.value.lower() or typed in c.beside.lower())
        ]

    @property
    def chosen(self) -> Choice | None:
        shown = self.shown_choices
        return shown[self.at] if self.at < len(shown) and shown[self.at].value else None

    def find(self, typed: str) -> None:
        """Leave only the choices that have these letters."""
        self.typed, self.at, self._top = typed, 0, 0
        self.at = next((i for i, choice in enumerate(self.shown_choices) if choice.value), 0)
        self.redraw()

    def move(self, by: int) -> None:
        """Go `by` choices further, over lines that only group."""
        places = [i for i, choice in enumerate(self.shown_choices) if choice.value]
        if places:
            now = min(range(len(places)), key=lambda i: abs(places[i] - self.at))
            self.at = places[min(max(now + by, 0), len(places) - 1)]
        self.redraw()

    def page(self, by: int) -> None:
        self.move(by * max(self._rows - 1, 1))

    def draw(self, width: int, height: int) -> Cells:
        cells = Cells.blank(width, height)
        shown = self.shown_choices
        about = self._about(width - 2) if height >= 8 else []
        self._rows = max(height - min(len(about) + 1 if about else 0, height // 2), 1)
        self._top = max(min(self._top, self.at), self.at - self._rows + 1, 0)
        if self.at < self._rows and self._top <= self.at:
            self._top = 0  # the lines that group the first choice
        if not shown:
            text = f"nothing has {self.typed!r} in its name; backspace takes it back"
            cells.put(fit(text, width), 0, 0, WARNING if self.in_color else GROUND)
        left = (
            max((text_width(c.value) + (0 if self.typed else text_width(c.lead)) for c in shown), default=0)
            + 4
        )
        for row, choice in enumerate(shown[self._top : self._top + self._rows]):
            self._draw_choice(cells, row, choice, left, marked=self._top + row == self.at)
        for row, text in enumerate(about[: height - self._rows - 1], self._rows + 1):
            cells.put(text, row, 2)
        return cells

    def _draw_choice(self, cells: Cells, row: int, choice: Choice, left: int, *, marked: bool) -> None:
        accent, muted = (ACCENT, MUTED) if self.in_color else (GROUND, GROUND)
        if marked:
            cells.put("▸", row, 0, accent)
        column = cells.put("" if self.typed else choice.lead, row, 2, muted)
        cells.put(choice.value, row, column, accent if marked else GROUND)
        cells.put(fit(choice.beside, cells.width - left), row, left, muted)

    def _about(self, width: int) -> list[str]:
        chosen = self.chosen
        paragraphs = chosen.about if chosen else ()
        return [line for text in paragraphs for line in wrap(text, max(width, 8))]

    def on_click(self, event: Click) -> None:
        shown, place = self.shown_choices, self._top + event.y
        if event.y < self._rows and place < len(shown) and shown[place].value:
            self.at = place
            self.redraw()
            if event.chain == 2:
                self.post_message(self.Chosen())

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        self.move(1)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        self.move(-1)
