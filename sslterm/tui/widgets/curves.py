"""Curves that are looked at through a view, which mouse and keys ask to be another."""

from __future__ import annotations

from collections.abc import Callable

from textual.events import Leave, MouseDown, MouseMove, MouseScrollDown, MouseScrollUp, MouseUp
from textual.message import Message

from sslterm.render.curve import Frame, Plot
from sslterm.render.legend import read_place
from sslterm.render.view import ChartView, Domain
from sslterm.tui.widgets.tile import Tile

ZOOM = 0.8
"""How many times as wide the window is after a turn of the wheel towards what is pointed at."""


class CurveTile(Tile):
    """Curves over one axis. Acts give back or post the view they ask for; whoever owns the view shows it."""

    class ViewChanged(Message):
        """A person asks for another view."""

        def __init__(self, tile: CurveTile, view: ChartView) -> None:
            super().__init__()
            self.tile = tile
            self.view = view

    def __init__(self, key: str, *, movable: bool = False) -> None:
        super().__init__(key, movable=movable)
        self.view = ChartView()
        self.domain: Domain | None = None
        self._newest: float | None = None
        """Where the data ends, which may be before the domain's end."""
        self._frame: Frame | None = None
        """Where axes and curves were drawn last."""
        self._drag: tuple[int, ChartView] | None = None
        """Where a drag began, and the view it began with."""

    @property
    def plot(self) -> Plot:
        """What it shows, as it can be drawn anywhere."""
        raise NotImplementedError

    # -- what keys ask for

    def cursor_moved(self, columns: int) -> ChartView:
        """The view with the cursor some columns of cells further right, or left; at first it is at an end.

        It goes on to the next point at least, however far apart they are, and not beyond the last.
        """
        view, domain = self.view, self.domain
        if domain is None:
            return view
        if view.cursor is None:
            at_end = columns < 0 and self._newest is not None and view.shown(domain)[1] >= self._newest
            return view.pointed(self._newest) if at_end else view.moved(domain, columns, self._columns())
        moved = view.moved(domain, columns, self._columns())
        there = self._next_point(1 if columns > 0 else -1) if columns else moved.cursor
        if there is None or moved.cursor is None:
            return view
        return view.led(domain, max(there, moved.cursor) if columns > 0 else min(there, moved.cursor))

    def _next_point(self, direction: int) -> float | None:
        """The place of the point after the one that is read, or before it; None where there is none."""
        plot, ranges = self.plot, None if self._frame is None else self._frame.ranges
        place = None if ranges is None else read_place(plot, ranges)
        place = plot.cursor if place is None else place
        places = [] if place is None else [line.next_place(place, direction) for line in plot.lines]
        known = [one for one in places if one is not None]
        return min(known, key=lambda one: one * direction, default=None)

    def zoomed(self, factor: float) -> ChartView:
        """The view `factor` times as wide, about the cursor or else the middle."""
        return self._act(lambda view, domain: view.zoomed(domain, factor))

    def panned(self, share: float) -> ChartView:
        """The view moved by a share of its width."""
        return self._act(lambda view, domain: view.panned(domain, share))

    def reset(self) -> ChartView:
        """The view of everything, without a cursor."""
        return self.view.reset()

    def _act(self, act: Callable[[ChartView, Domain], ChartView]) -> ChartView:
        return self.view if self.domain is None else act(self.view, self.domain)

    def _columns(self) -> int:
        return self._frame.columns if self._frame is not None else 1

    # -- what the mouse asks for

    def place_at(self, column: int) -> float | None:
        """The place on the axis of a column of cells of the tile; None where nothing is drawn."""
        if self.domain is None or self._frame is None or self._frame.ranges is None:
            return None
        return self.view.at_share(self.domain, self._frame.share_at(column))

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        self._zoom_about(event, ZOOM)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        self._zoom_about(event, 1 / ZOOM)

    def _zoom_about(self, event: MouseScrollUp | MouseScrollDown, factor: float) -> None:
        event.stop()
        place = self.place_at(event.x)
        if place is not None:
            self._ask(self._act(lambda view, domain: view.zoomed(domain, factor, about=place)))

    def on_mouse_down(self, event: MouseDown) -> None:
        if self.on_title(event):
            self._ask(self.view.pointed(None))
        elif event.button == 1 and self.place_at(event.x) is not None:
            self._drag = event.x, self.view
            self.capture_mouse()

    def on_mouse_up(self, event: MouseUp) -> None:
        if self._drag is not None:
            self._drag = None
            self.release_mouse()

    def on_mouse_move(self, event: MouseMove) -> None:
        if self.moving:
            return
        if self._drag is None:
            self._ask(self.view.pointed(self.place_at(event.x)))
        elif self.domain is not None:
            start, view = self._drag
            share = (start - event.x) / max(self._columns() - 1, 1)
            self._ask(view.panned(self.domain, share))

    def on_leave(self, event: Leave) -> None:
        if self._drag is None:
            self._ask(self.view.pointed(None))

    def _ask(self, view: ChartView) -> None:
        """Post a view. What follows before it is told counts from it: over a slow link acts come in bursts."""
        if view != self.view:
            self.view = view
            self.post_message(self.ViewChanged(self, view))
