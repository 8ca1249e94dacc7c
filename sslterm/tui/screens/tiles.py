"""What keys do to the tiles of a run: select, read, zoom, scrub, arrange, copy, write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from textual.screen import Screen

from sslterm.catalog import Entry
from sslterm.render.view import AXES
from sslterm.run.reader import RunReader
from sslterm.tui.arrangement import Arrangement
from sslterm.tui.export import OF_TILES, ask_to_write, write_tiles
from sslterm.tui.facts import entry_of
from sslterm.tui.picture import copy_text, open_picture
from sslterm.tui.screens.dialog import Option, Question
from sslterm.tui.widgets.board import Board
from sslterm.tui.widgets.chart import ChartTile
from sslterm.tui.widgets.curves import ZOOM
from sslterm.tui.widgets.keybar import KeyBar
from sslterm.tui.widgets.panel_tile import PanelTile

NOTICE_SECONDS = 4.0
FAR = 10
"""Columns that a cursor jumps with shift."""


class TileScreen(Screen[None]):
    """A screen around the tiles of a run.

    Args:
        reader: of the run.
        key_bar: where something can be said.
    """

    def __init__(self, reader: RunReader, key_bar: KeyBar) -> None:
        super().__init__()
        self.reader = reader
        self.board, self.key_bar = Board(reader), key_bar
        self.inspecting = False
        """Whether arrows move the cursor of the selected panel."""

    @property
    def entry(self) -> Entry | None:
        return entry_of(self.reader.config)

    def share_out(self, height: int | None = None) -> None:
        """Give the parts of the screen their rows."""
        raise NotImplementedError

    def say(self, text: str, *, stays: bool = False) -> None:
        """Say something in place of the keys, for a few seconds unless it `stays`."""
        self.key_bar.say(text)
        if text and not stays:
            self.set_timer(
                NOTICE_SECONDS, lambda: self.key_bar.say("") if self.key_bar.notice == text else None
            )

    def ask_person(self, dialog: Screen[Any], then: Callable[[str | None], None]) -> None:
        self.app.push_screen(dialog, then)

    # -- what keys do to the tiles

    def action_turn(self, by: int) -> None:
        """Select the next tile, or the one before."""
        self.inspecting = False
        self.board.turn(by)

    def action_across(self, by: int, far: bool = False) -> None:
        """Left and right: the cursor of a chart or of a panel that is read, else the history of a panel."""
        tile = self.board.tile
        if isinstance(tile, ChartTile):
            self.board.look(tile.cursor_moved(by * (FAR if far else 1)))
        elif isinstance(tile, PanelTile) and self.inspecting:
            tile.move_cursor(by * (FAR if far else 1), 0)
        else:
            self.board.go(by, all_panels=far)

    def action_down(self, by: int, far: bool = False) -> None:
        """Up and down: the cursor of a panel that is read, else another tile."""
        tile = self.board.tile
        if isinstance(tile, PanelTile) and self.inspecting:
            tile.move_cursor(0, by * (FAR if far else 1))
        else:
            self.action_turn(by)

    def action_zoom(self, steps: int) -> None:
        """Zoom into charts about the cursor; enlarge the picture under the cursor of a panel."""
        tile = self.board.tile
        if isinstance(tile, ChartTile):
            self.board.look(tile.zoomed(ZOOM**steps))
        elif isinstance(tile, PanelTile):
            tile.zoomed = steps > 0

    def action_pan(self, share: float) -> None:
        tile = self.board.tile
        if isinstance(tile, ChartTile):
            self.board.look(tile.panned(share))

    def action_whole(self) -> None:
        """All of the axis; no cursor anywhere."""
        self.inspecting = False
        for tile in self.board.tiles.values():
            if isinstance(tile, PanelTile):
                tile.zoomed = tile.difference = False
                tile.clear_cursor()
        self.board.look(self.board.view.reset())

    def action_inspect(self) -> None:
        """Read values: arrows move the cursor of the selected panel."""
        tile = self.board.tile
        if isinstance(tile, PanelTile):
            self.inspecting = not self.inspecting
            if self.inspecting:
                tile.move_cursor(0, 0)
                self.say("arrows read values · + enlarges the picture there · i or esc ends it")
            else:
                tile.clear_cursor()
        else:
            self.action_across(0)

    def action_difference(self) -> None:
        """What has changed in the selected panel since the drawing before, or the panel itself."""
        tile = self.board.tile
        if isinstance(tile, PanelTile):
            tile.difference = not tile.difference

    def action_enlarge(self) -> None:
        self.board.enlarged = not self.board.enlarged and bool(self.board.keys)
        self.share_out()
        self.board.update()

    def action_back(self) -> None:
        view = self.board.view
        if self.inspecting:
            self.action_inspect()
        elif view.cursor is not None or view.window is not None:
            self.action_whole()
        elif self.board.enlarged:
            self.action_enlarge()
        elif len(self.app.screen_stack) > 2:
            self.app.pop_screen()

    def action_log_y(self) -> None:
        self.board.look(replace(self.board.view, log_y=not self.board.view.log_y))

    def action_log_x(self) -> None:
        self.board.look(replace(self.board.view.reset(), log_x=not self.board.view.log_x))

    def action_axis(self) -> None:
        axes = [axis for axis in AXES if axis != "epoch" or self.board.images_per_epoch]
        at = axes.index(self.board.view.axis) if self.board.view.axis in axes else -1
        self.board.look(self.board.view.on_axis(axes[(at + 1) % len(axes)]))

    def action_smooth(self) -> None:
        self.board.look(self.board.view.with_next_smoothing())
        weight = self.board.view.smoothing
        self.say(f"moving average, weight {weight:g} of the past" if weight else "values as they are")

    def action_move(self, by: int) -> None:
        self.board.move(by)
        self._remember()

    def on_board_dragging(self, message: Board.Dragging) -> None:
        """Say what letting go of a tile would do, or has done."""
        kind, _, name = message.key.partition(":")
        other = message.onto.partition(":")[2]
        if message.dropped:
            self.say(f"{name} and {other} have changed places" if message.alike else "")
        elif message.alike:
            self.say(f"let go: {name} and {other} change places", stays=True)
        else:
            self.say(f"drag {name} onto another {kind}: they change places", stays=True)
        if message.dropped and message.alike:
            self._remember()

    def action_hide(self) -> None:
        self.board.hide()
        self._remember()
        self.say("hidden; a brings it back")

    def action_add(self) -> None:
        """Ask which hidden tile to bring back."""
        hidden = self.board.hidden()
        options = [
            Option(str(number), key, key.partition(":")[2]) for number, key in enumerate(hidden[:9], start=1)
        ]
        options.append(Option("0", "all", "everything, in the order it had at first"))
        self.ask_person(Question("Show what was hidden", options), self._added)

    def _added(self, key: str | None) -> None:
        if key:
            kept = self.board.arrangement
            self.board.arrangement = Arrangement() if key == "all" else kept.with_(key)
            self.board.update()
            self._remember()

    def _remember(self) -> None:
        """Keep the arrangement for all runs of the method."""
        remember = getattr(self.app, "remember_arrangement", None)
        if remember is not None and self.entry is not None:
            remember(self.entry.name, self.board.arrangement)

    # -- pictures and texts

    def action_copy(self) -> None:
        """Copy the path of the selected panel's picture, or of the run."""
        path = self._picture() or str(self.reader.run.path)
        copy_text(self.app, path)
        self.say(f"copied {path}")

    def action_open(self) -> None:
        path = self._picture()
        self.say(open_picture(path) if path else "there is no picture of this; w writes one")

    def _picture(self) -> str:
        return self.board.history.picture() if self.board.history is not None else ""

    def action_write(self) -> None:
        ask_to_write(self, OF_TILES, lambda what: write_tiles(what, self), self.say)
