"""The newest events of a run, and its result once it has one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sslterm.render.cells import Cells, fit
from sslterm.render.palette import GROUND, MUTED
from sslterm.tui.facts import clock_time, event_line
from sslterm.tui.widgets.canvas import Canvas

_ENDS = frozenset({"failed", "finished", "stopped"})
"""Events that the result repeats."""


class EventLog(Canvas):
    """Events, the newest last; below them the result, which is never scrolled away."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, str, int]] = []
        """When, what, and in which colour."""
        self.result: Sequence[tuple[str, int]] = ()
        self._read = 0

    def tell(
        self, events: Sequence[Mapping[str, Any]], result: Sequence[tuple[str, int]], *, headline: str = ""
    ) -> None:
        if len(events) < self._read:
            self.lines, self._read = [], 0
        for event in events[self._read :]:
            line = event_line(event, headline)
            if line is not None and not (result and event is events[-1] and event.get("kind") in _ENDS):
                self.lines.append((clock_time(event), *line))
        self._read = len(events)
        del self.lines[:-200]
        self.result = result
        self.redraw()

    def draw(self, width: int, height: int) -> Cells:
        cells = Cells.blank(width, height)
        result = self.result[-height:]
        room = height - len(result)
        shown = self.lines[-room:] if room > 0 else []
        for row, (moment, text, tint) in enumerate(shown):
            column = cells.put(moment, row, 0, MUTED if self.in_color else GROUND) + 1
            cells.put(fit(text, width - column), row, column, tint if self.in_color else GROUND)
        for row, (text, tint) in enumerate(result, height - len(result)):
            cells.put(fit(text, width), row, 0, tint if self.in_color else GROUND)
        return cells
