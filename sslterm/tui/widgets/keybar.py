"""The last row: keys and what they do, or what was just said."""

from __future__ import annotations

from collections.abc import Sequence

from textual.events import Click

from sslterm.render.cells import Cells, fit, text_width
from sslterm.render.palette import ACCENT, MUTED, WARNING
from sslterm.tui.key import Key
from sslterm.tui.widgets.canvas import Canvas


class KeyBar(Canvas):
    """As many keys as fit, the last two always; a notice takes their place until it is taken back.

    A click on a key does what the key does.
    """

    def __init__(self, keys: Sequence[Key]) -> None:
        super().__init__()
        self.all_keys = keys
        self.keys = [key for key in keys if key.label]
        self.notice = ""

    def say(self, notice: str) -> None:
        self.notice = notice
        self.redraw()

    def draw(self, width: int, height: int) -> Cells:
        if self.notice:
            return Cells.line(fit(self.notice, width), width, WARNING if self.in_color else -1)
        cells = Cells.blank(width, 1)
        column = 0
        for key in self._fitting(width):
            column = self._put(cells, key, column) + 2
        return cells

    def _fitting(self, width: int) -> list[Key]:
        """The keys that there is room for."""
        *others, leave, last = self.keys
        widths = [text_width(f"{key.sign} {key.label}") + 2 for key in others]
        room = width - sum(text_width(f"{key.sign} {key.label}") for key in (leave, last)) - 2
        count = next((n for n in range(len(others), 0, -1) if sum(widths[:n]) <= room), 0)
        return [*others[:count], leave, last]

    def _put(self, cells: Cells, key: Key, column: int) -> int:
        column = cells.put(key.sign, 0, column, ACCENT if self.in_color else -1)
        return cells.put(f" {key.label}", 0, column, MUTED if self.in_color else -1)

    async def on_click(self, event: Click) -> None:
        if self.notice:
            return
        end = -2
        for key in self._fitting(self.size.width):
            start, end = end + 2, end + 2 + text_width(f"{key.sign} {key.label}")
            if start <= event.x < end and key.action:
                await self.screen.run_action(key.action)
