"""Runs as lines: what each is, how it does, how far it is, what it has reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sslterm.render.bars import sparkline
from sslterm.render.cells import Cells, fit, text_width
from sslterm.render.charts import title_of, unit_of
from sslterm.render.palette import ACCENT, GROUND, MUTED
from sslterm.render.quantity import amount, duration, number
from sslterm.run.reader import RunReader
from sslterm.tui.facts import LIVE, SIGNS, age, entry_of, share_done
from sslterm.tui.widgets.canvas import Canvas
from sslterm.tui.widgets.header import progress_bar

SPARK_WIDTH = 10


@dataclass(frozen=True)
class Column:
    """A column of the list; screens narrower than `from_width` leave it out."""

    name: str
    width: int
    right: bool = False
    from_width: int = 0


COLUMNS = (
    Column("state", 11, from_width=28),
    Column("progress", 14, from_width=76),
    Column("rate", 12, right=True, from_width=134),
    Column("time", 13, right=True, from_width=92),
    Column("value", 22, right=True, from_width=58),
    Column("spark", SPARK_WIDTH, from_width=106),
    Column("age", 9, right=True, from_width=118),
)


class RunList(Canvas):
    """The list, with one run marked."""

    def __init__(self, root: str) -> None:
        super().__init__()
        self.root = root
        self.readers: Sequence[RunReader] = ()
        self.at = 0
        self.top = 0
        self.now = 0.0

    @property
    def rows(self) -> int:
        """Runs that fit on the screen."""
        return max(self.size.height - (2 if self.size.height >= 6 else 1), 0)

    @property
    def marked(self) -> RunReader | None:
        return self.readers[min(self.at, len(self.readers) - 1)] if self.readers else None

    def on_screen(self) -> Sequence[RunReader]:
        return self.readers[self.top : self.top + self.rows]

    def move(self, by: int) -> None:
        self.at = min(max(self.at + by, 0), max(len(self.readers) - 1, 0))
        self.redraw()

    def draw(self, width: int, height: int) -> Cells:
        cells = Cells.blank(width, height)
        tint = MUTED if self.in_color else GROUND
        self._draw_head(cells, tint)
        if not self.readers:
            for row, text in enumerate(
                (f"no runs in {self.root} yet", "start one: sslterm train vae --preset digits")
            ):
                cells.put(fit(text, width - 2), 2 + row, 2, tint)
            return cells
        self.at = min(self.at, len(self.readers) - 1)
        rows = self.rows
        self.top = min(max(self.top, self.at - rows + 1), self.at)
        for row, reader in enumerate(self.on_screen(), height - rows):
            self._draw_run(cells, row, reader, marked=self.top + row - (height - rows) == self.at)
        return cells

    def _draw_head(self, cells: Cells, tint: int) -> None:
        states = [reader.state for reader in self.readers]
        counts = [f"{states.count(state)} {state}" for state in SIGNS if state in states]
        cells.put("sslterm", 0, 0, ACCENT if self.in_color else GROUND)
        text = " · ".join(counts) if counts else self.root
        cells.put_right(fit(text, max(cells.width - 9, 0)), 0, cells.width, tint)

    def _draw_run(self, cells: Cells, row: int, reader: RunReader, *, marked: bool) -> None:
        shown = [column for column in COLUMNS if cells.width >= column.from_width]
        name_width = min(cells.width - 2 - sum(column.width + 2 for column in shown), 32)
        accent = ACCENT if self.in_color else GROUND
        if marked:
            cells.put("▸", row, 0, accent)
        cells.put(fit(reader.run.name, max(name_width, 6)), row, 2, accent if marked else GROUND)
        place = 2 + max(name_width, 6) + 2
        for column in shown:
            cells.paste(self._field(reader, column), row, place)
            place += column.width + 2

    def _field(self, reader: RunReader, column: Column) -> Cells:
        """What stands in a column of a run's line."""
        status, state = reader.status, reader.state
        sign, tint = SIGNS.get(state, ("·", MUTED))
        tint = tint if self.in_color else GROUND
        muted = MUTED if self.in_color else GROUND
        if column.name == "state":
            return Cells.line(f"{sign} {state}", column.width, tint)
        if status is None:
            return Cells.blank(column.width, 1)
        if column.name == "progress":
            return progress_bar(share_done(status), column.width, color=self.in_color)
        texts = {
            "rate": f"{amount(status.images_per_second)} img/s" if state == "running" else "",
            "time": self._time(reader),
            "value": self._value(reader),
            "spark": self._spark(reader) if column.name == "spark" else "",
            "age": age(self.now - status.heartbeat) if state not in LIVE and status.heartbeat else "",
        }
        text = fit(texts[column.name], column.width)
        cells = Cells.blank(column.width, 1)
        start = column.width - text_width(text) if column.right else 0
        cells.put(text, 0, start, GROUND if column.name in ("value", "spark") else muted)
        return cells

    def _time(self, reader: RunReader) -> str:
        status = reader.status
        if status is None:
            return ""
        if reader.state != "running":
            return duration(status.elapsed_seconds) if status.elapsed_seconds else ""
        return f"{duration(status.seconds_left)} left" if status.seconds_left is not None else ""

    def _value(self, reader: RunReader) -> str:
        entry = entry_of(reader.config)
        if entry is None or reader.status is None or entry.headline not in reader.status.last:
            return ""
        name = title_of(entry.headline).partition(" (")[0]
        value = number(reader.status.last[entry.headline])
        return " ".join(part for part in (name, value, unit_of(entry.headline)) if part)

    def _spark(self, reader: RunReader) -> str:
        entry = entry_of(reader.config)
        series = reader.metrics.series.get(entry.headline) if entry else None
        return sparkline(series.value, SPARK_WIDTH) if series is not None else ""
