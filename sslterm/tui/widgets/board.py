"""The tiles of a run: which there are, where they stand, what each shows, and which is selected."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Container
from textual.events import Resize
from textual.message import Message

from sslterm.errors import DataError
from sslterm.render.cells import Cells
from sslterm.render.chart_plot import domain_of
from sslterm.render.charts import Chart, choose_charts
from sslterm.render.palette import GROUND, MUTED
from sslterm.render.view import ChartView
from sslterm.run.reader import RunReader
from sslterm.tui.arrangement import CHART, PANEL, Arrangement
from sslterm.tui.facts import entry_of
from sslterm.tui.graphics import HALF
from sslterm.tui.mosaic import Place, lay_out
from sslterm.tui.panel_history import PanelHistory
from sslterm.tui.widgets.canvas import Canvas
from sslterm.tui.widgets.chart import ChartTile
from sslterm.tui.widgets.curves import CurveTile
from sslterm.tui.widgets.message import message_cells
from sslterm.tui.widgets.panel_tile import PanelTile
from sslterm.tui.widgets.tile import Tile


class _Nothing(Canvas):
    """What stands where no tile is."""

    def draw(self, width: int, height: int) -> Cells:
        return message_cells("nothing to see yet", width, height, MUTED if self.in_color else GROUND)


class Board(Container):
    """A tile for every chart and panel of a run that was ever shown; those that are to be seen have room.

    Attributes:
        view: how all charts are looked at.
        arrangement: what the person wants to see, in which order.
        selected: key of the selected tile; "" where there is none.
        enlarged: whether that one has all the room.
    """

    class Dragging(Message):
        """A tile is dragged onto another, or onto none (""); tiles of a kind, let go of there, have changed places."""

        def __init__(self, key: str, onto: str, alike: bool, *, dropped: bool) -> None:
            super().__init__()
            self.key, self.onto, self.alike, self.dropped = key, onto, alike, dropped

    DEFAULT_CSS = """
    Board { background: ansi_default; }
    Board > Canvas { position: absolute; }
    Board > _Nothing { width: 100%; height: 100%; }
    """

    def __init__(self, reader: RunReader) -> None:
        super().__init__()
        self.reader = reader
        self.view = ChartView()
        self.arrangement = Arrangement()
        self.selected = ""
        self.enlarged = False
        self.charts: dict[str, Chart] = {}
        self.histories: dict[str, PanelHistory] = {}
        self.tiles: dict[str, Tile] = {}
        self._seen: list[str] = []
        self._places: dict[str, Place] = {}
        """Where each tile was put last."""
        self._nothing = _Nothing()
        self._chosen = False
        """Whether a person has chosen the selected tile; until then it is the one most worth seeing."""
        self._told: dict[str, tuple[object, ...]] = {}
        """What each panel tile was last told to show."""

    def compose(self) -> ComposeResult:
        yield self._nothing

    # -- what there is

    @property
    def all_panels(self) -> list[str]:
        """Keys of the panels that there are, those that the method opens on before the others."""
        entry = entry_of(self.reader.config)
        made = [name for name, history in self.reader.panels.items() if history]
        first = [name for name in (entry.opens_on if entry else ()) if name in made]
        return [PANEL + name for name in first + sorted(set(made) - set(first))]

    @property
    def panels(self) -> list[str]:
        return self.arrangement.of(self.all_panels)

    @property
    def keys(self) -> list[str]:
        """Tiles that are not hidden, in the order in which they are gone through."""
        return [*self.panels, *self.arrangement.of(self.charts)]

    @property
    def tile(self) -> Tile | None:
        """The selected tile."""
        return self.tiles.get(self.selected)

    @property
    def history(self) -> PanelHistory | None:
        """The history of the selected panel; None where a chart is selected."""
        return self.histories.get(self.selected)

    @property
    def images_per_epoch(self) -> int:
        return self.reader.status.images_per_epoch if self.reader.status else 0

    def seen(self) -> list[Tile]:
        """The tiles that are on the screen: charts, then panels, each as they are read."""
        return [self.tiles[key] for key in self._seen]

    # -- drawing

    def on_resize(self, event: Resize) -> None:
        self.update()

    def update(self, *, asked: bool = True) -> None:
        """Take in what is new in the run, and draw what it changes.

        Args:
            asked: a person did something; otherwise what is costly to send may wait.
        """
        entry, series = entry_of(self.reader.config), self.reader.metrics.series
        charts = choose_charts(series, *((entry.headline, entry.curves) if entry else ()))
        self.charts = {CHART + chart.what: chart for chart in charts}
        for name in self.reader.panels:
            self.histories.setdefault(PANEL + name, PanelHistory(self.reader, name))
        keys = self.keys
        if self.selected not in keys or not self._chosen:
            self.selected = next(iter(keys), "")
            self.enlarged = self.enlarged and bool(keys)
        domain = domain_of(series, self.view.axis, self.images_per_epoch)
        for tile in self._place():
            if isinstance(tile, ChartTile):
                tile.tell(
                    series,
                    self.view,
                    domain=domain,
                    images_per_epoch=self.images_per_epoch,
                    chart=self.charts[tile.key],
                )
            elif isinstance(tile, PanelTile):
                self._tell_panel(tile, at_once=asked)

    def _place(self) -> Sequence[Tile]:
        """Give the tiles that are to be seen their room; returns them."""
        places = lay_out(
            *self.size,
            charts=self.arrangement.of(self.charts),
            panels=self.panels,
            selected=self.selected,
            enlarged=self.enlarged,
        )
        self._seen = [place.key for place in places]
        if self._nothing.display != (not places):
            self._nothing.display = not places
        for key, tile in self.tiles.items():
            if tile.display != (key in self._seen):
                tile.display = key in self._seen
        for place in places:
            tile = self._tile_of(place.key)
            if self._places.get(place.key) != place:
                self._places[place.key] = place
                tile.styles.offset = (place.x, place.y)
                tile.styles.width, tile.styles.height = place.width, place.height
            tile.select(place.key == self.selected)
        return [self.tiles[place.key] for place in places]

    def _tile_of(self, key: str) -> Tile:
        """The tile of a key, made when it is first wanted."""
        if key not in self.tiles:
            graphics = getattr(self.app, "graphics", HALF)
            chart = self.charts.get(key)
            tile = (
                ChartTile(chart, movable=True)
                if chart is not None
                else PanelTile(key, graphics=graphics, movable=True)
            )
            self.tiles[key] = tile
            self.mount(tile)
        return self.tiles[key]

    def _tell_panel(self, tile: PanelTile, *, at_once: bool) -> None:
        history = self.histories[tile.key]
        drawing, picture = history.shown(), history.picture()
        if drawing is None or self._told.get(tile.key) == (drawing, picture):
            return
        try:
            found = history.load()
        except DataError as error:
            tile.show(None, trouble=error.message)
            return
        if found is not None:
            self._told[tile.key] = (drawing, picture)
            tile.show(
                found.panel,
                before=found.before,
                since=found.since,
                when=drawing.when,
                place=picture,
                at_once=at_once,
            )

    # -- what a person does

    def look(self, view: ChartView) -> None:
        """Look at all charts in another way."""
        self.view = view
        self.update()

    def select(self, key: str) -> None:
        self.selected, self._chosen = key, True
        self.update()

    def turn(self, by: int) -> None:
        """Select the tile `by` places further."""
        keys = self.keys
        if keys:
            at = keys.index(self.selected) if self.selected in keys else 0
            self.select(keys[(at + by) % len(keys)])

    def go(self, by: int, *, all_panels: bool = False) -> None:
        """Show the selected panel as it was `by` drawings later; or every panel, as they were then."""
        if self.history is None:
            return
        self._chosen = True
        self.history.go(by)
        now = self.history.shown()
        if all_panels and now is not None:
            for history in self.histories.values():
                if history is not self.history:
                    history.go_to(now.images)
        self.update()

    def move(self, by: int) -> None:
        """Move the selected tile among those of its kind."""
        self.arrangement = self.arrangement.moved(self.selected, by, self._among(self.selected))
        self._chosen = True
        self.update()

    def swap(self, key: str, other: str) -> None:
        """Put two tiles of a kind in each other's place, as they are seen."""
        among = self._among(key)
        if key in self.panels:  # one that is selected may stand in the place of the first
            first = next(tile.key for tile in self.seen() if tile.key in self.panels)
            self.arrangement = self.arrangement.swapped(first, self.panels[0], among)
        self.arrangement = self.arrangement.swapped(key, other, among)
        self.select(key)

    def _among(self, key: str) -> list[str]:
        """The tiles of a kind."""
        return list(self.charts) if key in self.charts else self.all_panels

    def hide(self) -> None:
        """Take the selected tile away, unless it is the last one."""
        keys = self.keys
        if len(keys) > 1:
            after = keys[(keys.index(self.selected) + 1) % len(keys)]
            self.arrangement = self.arrangement.without(self.selected)
            self.select(after)

    def hidden(self) -> list[str]:
        """Keys of tiles that there are and that are hidden."""
        return [key for key in (*self.all_panels, *self.charts) if key in self.arrangement.hidden]

    def on_tile_chosen(self, message: Tile.Chosen) -> None:
        self.enlarged ^= message.enlarge
        self.select(message.tile.key)

    def on_tile_dragged(self, message: Tile.Dragged) -> None:
        tile = message.tile
        others = [other for other in self.seen() if other is not tile]
        onto = next((other for other in others if other.region.contains_point(message.over)), None)
        alike = onto is not None and onto.key in self._among(tile.key)
        if onto is not None and alike and message.dropped:
            self.swap(tile.key, onto.key)
        self.post_message(self.Dragging(tile.key, onto.key if onto else "", alike, dropped=message.dropped))

    def on_curve_tile_view_changed(self, message: CurveTile.ViewChanged) -> None:
        self.look(message.view)
