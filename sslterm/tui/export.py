"""What is on a run's screen, written to files of the run: the screen, the selected tile, the data."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from sslterm.errors import SsltermError
from sslterm.render.cells import Cells
from sslterm.render.picture_charts import plot_picture
from sslterm.render.png import framed, save_picture
from sslterm.run.files import claim_file
from sslterm.run.metrics import csv_of
from sslterm.tui.widgets.canvas import Canvas
from sslterm.tui.widgets.chart import ChartTile

if TYPE_CHECKING:
    from sslterm.tui.screens.tiles import TileScreen

EXPORTS: Final[Mapping[str, tuple[str, str]]] = {
    "s": ("svg", "the screen as SVG"),
    "t": ("text", "the screen as plain text"),
    "p": ("png", "the selected chart as PNG (a panel has its own)"),
    "d": ("csv", "the data of all curves as CSV"),
}
"""By key: a name, and what it writes."""


def export(what: str, screen: TileScreen) -> str:
    """Write one of `EXPORTS` into RUN/outputs; says where, or what went wrong."""
    run = screen.reader.run
    stem = time.strftime("%Y%m%d-%H%M%S")
    try:
        folder = run.path / "outputs"
        folder.mkdir(exist_ok=True)
        match what:
            case "svg":
                path = claim_file(folder, f"screen-{stem}", ".svg")
                path.write_text(screen.app.export_screenshot(title=run.name))
            case "text":
                path = claim_file(folder, f"screen-{stem}", ".txt")
                path.write_text(screen_cells(screen).plain() + "\n")
            case "csv":
                path = claim_file(folder, f"metrics-{stem}", ".csv")
                path.write_text(csv_of(screen.reader.metrics.series))
            case _:
                tile = screen.board.tile
                if not isinstance(tile, ChartTile):
                    picture = screen.board.history.picture() if screen.board.history else ""
                    return f"a panel's picture is {picture}" if picture else "there is no picture yet"
                path = claim_file(folder, f"chart-{tile.chart.what}-{stem}", ".png")
                plot = tile.plot
                save_picture(framed(plot_picture(plot), f"{run.name} · {plot.title}"), path)
    except OSError as error:
        return f"cannot write {error.filename or run.path}: {error.strerror or error}"
    except SsltermError as error:
        return error.message
    return f"wrote {path}"


def screen_cells(screen: TileScreen) -> Cells:
    """Everything that stands on a screen, as cells."""
    cells = Cells.blank(*screen.size)
    for canvas in screen.query(Canvas):
        if canvas.display and canvas.shown is not None:
            cells.paste(canvas.shown, canvas.region.y, canvas.region.x)
    return cells
