"""Several runs beside each other: an overlay of one metric, a table, and the same panel of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from textual.app import ComposeResult
from textual.events import Resize
from textual.screen import Screen

from sslterm.render.cells import Cells, fit
from sslterm.render.palette import ACCENT, GROUND, MUTED
from sslterm.render.view import ChartView
from sslterm.run.files import replace_file
from sslterm.run.layout import RunDirectory
from sslterm.tui.comparison import Comparison
from sslterm.tui.export import svg_of, text_of
from sslterm.tui.facts import SIGNS
from sslterm.tui.key import bindings
from sslterm.tui.keys import COMPARE_KEYS
from sslterm.tui.pace import Pace
from sslterm.tui.screens.compare_layout import OVERLAY, TABLE, share_rows
from sslterm.tui.screens.dialog import KeyList
from sslterm.tui.seen import is_seen
from sslterm.tui.widgets.canvas import Canvas
from sslterm.tui.widgets.comparison import OverlayPart, PanelsPart, Part, TablePart
from sslterm.tui.widgets.curves import ZOOM, CurveTile
from sslterm.tui.widgets.keybar import KeyBar
from sslterm.tui.widgets.tile import Tile

TICK_SECONDS = 0.5
NOTICE_SECONDS = 8.0
FAR = 10
"""Columns that the cursor jumps with shift."""

NOTHING = "nothing to compare yet: mark runs in the list, then compare them"


class CompareHead(Canvas):
    """How many runs are compared, and how they do."""

    def __init__(self) -> None:
        super().__init__()
        self.states: Sequence[str] = ()

    def draw(self, width: int, height: int) -> Cells:
        cells = Cells.blank(width, height)
        column = cells.put("compare", 0, 0, ACCENT if self.in_color else GROUND)
        count = len(self.states)
        counts = [f"{count} run{'s' * (count != 1)}"]
        counts += [f"{self.states.count(state)} {state}" for state in SIGNS if state in self.states]
        text = fit(" · " + " · ".join(counts), max(width - column, 0))
        cells.put(text, 0, column, MUTED if self.in_color else GROUND)
        return cells


class CompareScreen(Screen[None]):
    """Compares runs, finished or running; each keeps its letter, colour and line style by its place in `runs`."""

    BINDINGS = bindings(COMPARE_KEYS)
    CSS = """
    CompareScreen { background: ansi_default; }
    CompareScreen Canvas { width: 1fr; height: 1; }
    """

    def __init__(self, runs: Sequence[RunDirectory]) -> None:
        super().__init__()
        self.comparison = Comparison(runs)
        self.head = CompareHead()
        self.overlay, self.table, self.panels = OverlayPart(), TablePart(), PanelsPart()
        self.parts: tuple[Tile, ...] = (self.overlay, self.table, self.panels)
        self.key_bar = KeyBar(COMPARE_KEYS)
        self.part = OVERLAY
        self.marked = 0
        """The run that keys act on."""
        self.enlarged = False
        self._pace = Pace()

    def compose(self) -> ComposeResult:
        yield self.head
        yield from self.parts
        yield self.key_bar

    def on_mount(self) -> None:
        self.comparison.refresh()
        self.update()
        self.select_part(self.part)
        self.set_interval(TICK_SECONDS, self.tick)

    def on_resize(self, event: Resize) -> None:
        self.share_out(event.size.height)

    def tick(self) -> None:
        """Look for news of all runs, and draw what they change, at a pace that leaves the trainings alone."""
        if not is_seen(self) or not self._pace.due():
            return
        self._pace.begin()
        states = [reader.state for reader in self.comparison.readers]  # a trainer that died tells nobody
        if self.comparison.refresh() or states != self.head.states:
            self.update()

    def update(self) -> None:
        """Draw everything that has changed."""
        self.head.states = [reader.state for reader in self.comparison.readers]
        self.head.redraw()
        self.update_overlay()
        self.update_table()
        self.update_panels()

    def update_overlay(self) -> None:
        comparison = self.comparison
        self.overlay.message = "" if comparison.readers else NOTHING
        plot = comparison.plot()
        if comparison.readers and len(comparison.hidden) == len(comparison.readers):
            plot = replace(plot, title="all runs are hidden: space shows them")
        self.overlay.tell(plot, comparison.view)

    def update_table(self) -> None:
        table, rows = self.table, self.table.rows()
        table.table = self.comparison.table() if self.comparison.readers else None
        table.evaluated = self.comparison.seen_evaluated()
        table.marked, table.hidden = self.marked, self.comparison.hidden
        if table.rows() != rows:
            self.share_out()
        table.redraw()

    def update_panels(self) -> None:
        comparison, panels = self.comparison, self.panels
        panels.shots = comparison.shots() if comparison.panel else []
        panels.title_text, panels.marked = comparison.panel_title(), self.marked
        panels.redraw()

    def share_out(self, height: int | None = None) -> None:
        """Give each part its rows on a screen of `height` rows: the present one, where none is given."""
        shares = share_rows(
            self.size.height if height is None else height,
            self.table.rows(),
            part=self.part,
            enlarged=self.enlarged or not self.comparison.readers,
        )
        rows = (shares.header, shares.overlay, shares.table, shares.panels, shares.keys)
        for widget, count in zip((self.head, *self.parts, self.key_bar), rows, strict=True):
            widget.display = count > 0
            widget.styles.height = max(count, 1)

    def select_part(self, part: int) -> None:
        self.part = part
        for place, one in enumerate(self.parts):
            one.select(place == part)
        self.share_out()

    def mark(self, row: int) -> None:
        """Mark a run, as far as there are any."""
        self.marked = min(max(row, 0), max(len(self.comparison.readers) - 1, 0))
        self.update_table()
        self.update_panels()

    # -- what keys do

    def action_part(self, by: int) -> None:
        if self.comparison.readers:
            self.select_part((self.part + by) % len(self.parts))

    def action_metric(self, by: int) -> None:
        self.comparison.turn_metric(by)
        self.update_overlay()
        self.update_table()

    def action_table(self) -> None:
        """The table of results, or what `evaluate` has found, density by density and space by space."""
        if not self.comparison.turn_table():
            self.say("nothing is evaluated yet: sslterm evaluate RUN measures it")
        self.table.first = 0
        self.update_table()

    def action_down(self, by: int) -> None:
        """Another metric on the overlay, another run elsewhere."""
        if self.part == OVERLAY:
            self.action_metric(by)
        else:
            self.mark(self.marked + by)

    def action_across(self, by: int, far: bool = False) -> None:
        """Move the cursor of the overlay, scroll the columns of the table, or go through the training."""
        if self.part == OVERLAY:
            self.look(self.overlay.cursor_moved(by * (FAR if far else 1)))
        elif self.part == TABLE:
            self.table.scroll_columns(by)
        else:
            self.comparison.go(by)
            self.update_panels()

    def action_panel(self, by: int) -> None:
        self.comparison.turn_panel(by)
        self.update_panels()

    def action_newest(self, newest: bool) -> None:
        self.comparison.go_to_end(newest=newest)
        self.update_panels()

    def action_hide(self) -> None:
        if self.comparison.readers:
            self.comparison.toggle(self.marked)
            self.update_overlay()
            self.update_table()

    def action_axis(self) -> None:
        self.comparison.next_axis()
        self.update_overlay()

    def action_log_x(self) -> None:
        self.look(replace(self.comparison.view.reset(), log_x=not self.comparison.view.log_x))

    def action_log_y(self) -> None:
        self.look(replace(self.comparison.view, log_y=not self.comparison.view.log_y))

    def action_smooth(self) -> None:
        self.look(self.comparison.view.with_next_smoothing())

    def action_zoom(self, steps: int) -> None:
        """Zoom into the overlay about its cursor, or out of it."""
        self.look(self.overlay.zoomed(ZOOM**steps))

    def action_pan(self, share: float) -> None:
        self.look(self.overlay.panned(share))

    def action_whole(self) -> None:
        """All of the axis, without a cursor."""
        self.look(self.overlay.reset())

    def look(self, view: ChartView) -> None:
        """Look at the overlay in another way."""
        self.comparison.view = view
        self.update_overlay()

    def action_enlarge(self) -> None:
        self.enlarged = not self.enlarged and bool(self.comparison.readers)
        self.share_out()

    def action_write(self) -> None:
        """Write what is seen, and say where it lies."""
        if not self.comparison.readers:
            self.say("there is nothing to write")
            return
        try:
            folder, names = self.comparison.write()
            for name, text in (("screen.svg", svg_of(self, "comparison")), ("screen.txt", text_of(self))):
                replace_file(folder / name, text.encode())
        except OSError as error:
            self.say(f"cannot write {error.filename or ''}: {error.strerror or error}")
        else:
            self.say(f"wrote {folder}/: {', '.join(names)}, screen.svg, screen.txt")

    def say(self, text: str) -> None:
        """Say something in place of the keys, for a few seconds."""
        self.key_bar.say(text)
        self.set_timer(NOTICE_SECONDS, lambda: self.key_bar.say("") if self.key_bar.notice == text else None)

    async def action_theme(self) -> None:
        await self.run_action("app.next_theme")

    def action_repaint(self) -> None:
        self.refresh(layout=True)

    def action_help(self) -> None:
        self.app.push_screen(KeyList("Keys", COMPARE_KEYS))

    def action_back(self) -> None:
        view = self.comparison.view
        if view.cursor is not None or view.window is not None:
            self.action_whole()
        elif self.enlarged:
            self.action_enlarge()
        else:
            self.action_leave()

    def action_leave(self) -> None:
        if len(self.app.screen_stack) > 2:
            self.app.pop_screen()
        else:
            self.app.exit()

    # -- what the mouse does

    def on_tile_chosen(self, message: Tile.Chosen) -> None:
        self.select_part(next(place for place, part in enumerate(self.parts) if part is message.tile))
        if message.enlarge:
            self.action_enlarge()

    def on_curve_tile_view_changed(self, message: CurveTile.ViewChanged) -> None:
        self.look(message.view)

    def on_part_marked(self, message: Part.Marked) -> None:
        self.mark(message.row)

    def on_part_wheeled(self, message: Part.Wheeled) -> None:
        """Scroll the runs of the table and its columns; go through the training on the panels."""
        if message.part is self.table:
            if message.down:
                self.mark(self.marked + message.down)
            self.table.scroll_columns(message.right)
        elif message.part is self.panels:
            self.comparison.go(message.down + message.right)
            self.update_panels()
