"""What is on a screen, written to files: the screen itself, the tiles of a run as pictures, the data."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from textual.screen import Screen

from sslterm.errors import SsltermError, UsageError
from sslterm.render.cells import Cells
from sslterm.render.picture_charts import plot_picture
from sslterm.render.picture_sheet import sheet_picture
from sslterm.render.png import framed, panel_picture, save_picture
from sslterm.run.files import claim_file, replace_file
from sslterm.run.layout import RunDirectory
from sslterm.run.metrics import csv_of
from sslterm.tui.screens.dialog import Option, Question
from sslterm.tui.widgets.canvas import Canvas
from sslterm.tui.widgets.chart import ChartTile
from sslterm.tui.widgets.panel_tile import PanelTile

if TYPE_CHECKING:
    from PIL import Image

    from sslterm.tui.screens.tiles import TileScreen

Options = Mapping[str, tuple[str, str]]
"""By key: a name, and what it writes."""

OF_A_SCREEN: Final[Options] = {"s": ("svg", "the screen as SVG"), "t": ("text", "the screen as plain text")}
OF_TILES: Final[Options] = {
    **OF_A_SCREEN,
    "a": ("all", "all charts and panels on the screen as one PNG"),
    "p": ("png", "the selected chart as PNG (a panel has its own)"),
    "d": ("csv", "the data of all curves as CSV"),
}
OF_RUNS: Final[Options] = {
    **OF_A_SCREEN,
    "d": ("csv", "the runs that are listed, with settings and last values, as CSV"),
}

CHART_PIXELS: Final = 640, 240
"""Of the area of a chart between its axes, where several stand on one picture."""


def ask_to_write(
    screen: Screen[None], options: Options, write: Callable[[str], Path], say: Callable[[str], None]
) -> None:
    """Ask a person what of a screen to write; say where it lies, or what went wrong.

    Args:
        write: writes what is called so in `options`; it may raise SsltermError and OSError.
    """

    def chosen(what: str | None) -> None:
        if not what:
            return
        try:
            say(f"wrote {write(what)}")
        except OSError as error:
            say(f"cannot write {error.filename or 'it'}: {error.strerror or error}")
        except SsltermError as error:
            say(error.message)

    asked = [Option(key, name, text) for key, (name, text) in options.items()]
    screen.app.push_screen(Question("Write what is on the screen", asked), chosen)


def new_file(folder: Path, name: str, suffix: str) -> Path:
    """A new, empty file `name-<when><suffix>` in a folder, which is made where it is not there.

    Raises:
        OSError: the folder cannot be written to.
    """
    folder.mkdir(exist_ok=True)
    return claim_file(folder, f"{name}-{time.strftime('%Y%m%d-%H%M%S')}", suffix)


def write_screen(what: str, screen: Screen[None], folder: Path, title: str) -> Path:
    """Write one of `OF_A_SCREEN` into a folder.

    Raises:
        OSError: the folder cannot be written to.
    """
    path = new_file(folder, "screen", ".svg" if what == "svg" else ".txt")
    replace_file(path, (svg_of(screen, title) if what == "svg" else text_of(screen)).encode())
    return path


def ask_to_write_screen(screen: Screen[None], run: RunDirectory, say: Callable[[str], None]) -> None:
    """Ask a person how to write a screen of a run; it goes to RUN/outputs."""
    ask_to_write(
        screen, OF_A_SCREEN, lambda what: write_screen(what, screen, run.path / "outputs", run.name), say
    )


def write_tiles(what: str, screen: TileScreen) -> Path:
    """Write one of `OF_TILES` into RUN/outputs.

    Raises:
        OSError: RUN/outputs cannot be written to.
        UsageError: there is nothing to be written.
    """
    run = screen.reader.run
    folder, tile = run.path / "outputs", screen.board.tile
    if what in ("svg", "text"):
        return write_screen(what, screen, folder, run.name)
    if what == "csv":
        path = new_file(folder, "metrics", ".csv")
        replace_file(path, csv_of(screen.reader.metrics.series).encode())
        return path
    if what == "all":
        picture = _tiles_picture(screen)
        path = new_file(folder, "screen", ".png")
    elif isinstance(tile, ChartTile):
        plot = tile.plot
        picture = framed(plot_picture(plot), f"{run.name} · {plot.title}")
        path = new_file(folder, f"chart-{tile.chart.what}", ".png")
    else:
        own = screen.board.history.picture() if screen.board.history else ""
        raise UsageError(f"a panel's picture is {own}" if own else "there is no picture yet")
    save_picture(picture, path)
    return path


def _tiles_picture(screen: TileScreen) -> Image.Image:
    """The charts that are seen at the left, the panels that are seen at the right, as on the screen."""
    charts, panels = [], []
    for tile in sorted(screen.board.seen(), key=lambda tile: (tile.region.y, tile.region.x)):
        if isinstance(tile, ChartTile):
            plot = tile.plot
            charts.append(framed(plot_picture(plot, *CHART_PIXELS), plot.title))
        elif isinstance(tile, PanelTile) and tile.panel is not None:
            panels.append(panel_picture(tile.panel))
    if not charts and not panels:
        raise UsageError("there are neither charts nor panels yet")
    status = screen.reader.status
    at = f" · step {status.step:,} · {status.images:,} images" if status is not None else ""
    return sheet_picture(f"{screen.reader.run.name}{at}", charts, panels)


def svg_of(screen: Screen[None], title: str) -> str:
    return screen.app.export_screenshot(title=title)


def text_of(screen: Screen[None]) -> str:
    return screen_cells(screen).plain() + "\n"


def screen_cells(screen: Screen[None]) -> Cells:
    """Everything that stands on a screen, as cells."""
    cells = Cells.blank(*screen.size)
    for canvas in screen.query(Canvas):
        if canvas.display and canvas.shown is not None:
            cells.paste(canvas.shown, canvas.region.y, canvas.region.x)
    return cells
