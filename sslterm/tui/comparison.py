"""What is compared and how it is looked at: the runs, the metric, the panel, the place in the training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sslterm.render.comparison import (
    Table,
    csv_text,
    headlines_of,
    markdown,
    panels_worth_seeing,
    table_of,
)
from sslterm.render.curve import Plot
from sslterm.render.evaluated import evaluated_tables
from sslterm.render.evaluated_table import EvaluatedTable, evaluated_markdown
from sslterm.render.overlay import OVER_IMAGES, letter, metrics_worth_seeing, overlay_plot, overlay_run
from sslterm.render.picture_overlay import overlay_picture
from sslterm.render.picture_side_by_side import side_by_side_picture
from sslterm.render.png import save_picture
from sslterm.render.quantity import amount
from sslterm.render.side_by_side import Shot, shot_of
from sslterm.render.view import AXES
from sslterm.run.comparison import Side, drawn_by, main_headline, moments, side_of
from sslterm.run.files import replace_file
from sslterm.run.layout import RunDirectory
from sslterm.run.metrics import csv_of
from sslterm.run.reader import RunReader
from sslterm.run.results import probed


class Comparison:
    """Runs that are followed, and the choices that a person made; without one the most telling is shown."""

    def __init__(self, runs: Sequence[RunDirectory]) -> None:
        unique = {run.path.resolve(): run for run in runs}
        self.readers = [RunReader(run) for run in unique.values()]
        self.view = OVER_IMAGES
        self.hidden: frozenset[int] = frozenset()
        self._metric = ""
        self._panel = ""
        self._space = -1
        """Which table of `evaluated` is seen; -1 is the table of results."""
        self._moment: int | None = None
        """Images at which panels are seen; None follows the newest drawings."""
        self._loaded: dict[int, tuple[str, int, Shot]] = {}
        """By place of the run: which drawing is in memory."""

    def refresh(self) -> bool:
        """Read what is new of all runs; true where there was anything."""
        changed = [reader.refresh() for reader in self.readers]  # of every one, not only the first with news
        return any(changed)

    # -- the overlay and the table

    def metrics(self) -> list[str]:
        """Metrics to choose from, the one that most methods are judged by first."""
        headlines = headlines_of(self.readers)
        first = main_headline(headlines, self.readers)
        ordered = [first, *headlines] if first else []
        return metrics_worth_seeing([reader.metrics.series for reader in self.readers], ordered)

    @property
    def metric(self) -> str:
        """The chosen metric; "" where there is none yet."""
        known = self.metrics()
        return self._metric if self._metric in known else known[0] if known else ""

    def turn_metric(self, by: int) -> None:
        known = self.metrics()
        if known:
            self._metric = known[(known.index(self.metric) + by) % len(known)]

    def toggle(self, place: int) -> None:
        """Leave a run out of the overlay, or put it back."""
        self.hidden ^= {place}

    def plot(self) -> Plot:
        """The overlay of the runs that are not hidden."""
        runs = [overlay_run(reader, self.readers.index(reader), self.metric) for reader in self._seen()]
        return overlay_plot(self.metric, runs, self.view)

    def _seen(self) -> list[RunReader]:
        """The runs that are not hidden."""
        return [reader for place, reader in enumerate(self.readers) if place not in self.hidden]

    def next_axis(self) -> None:
        """The overlay over another axis; over epochs only where their length is known."""
        known = all(reader.status and reader.status.images_per_epoch for reader in self.readers)
        axes = [axis for axis in AXES if axis != "epoch" or known]
        at = axes.index(self.view.axis) if self.view.axis in axes else -1
        self.view = self.view.on_axis(axes[(at + 1) % len(axes)])

    def shown_metrics(self) -> list[str]:
        """The metrics of the table: what the runs are judged by, and the chosen one."""
        first = main_headline(headlines_of(self.readers), self.readers)
        afterwards = [name for reader in self.readers for name in probed(reader.measured)]
        return [name for name in dict.fromkeys([first, self.metric, *afterwards]) if name]

    def sides(self) -> list[Side]:
        metrics = self.shown_metrics()
        return [side_of(reader, place, metrics) for place, reader in enumerate(self.readers)]

    def table(self) -> Table:
        return table_of(self.sides(), self.shown_metrics())

    def evaluated(self) -> list[EvaluatedTable]:
        """What `evaluate` has found of the runs: a table a density, then a table a space of samples."""
        return evaluated_tables(self.sides(), self.readers)

    def seen_evaluated(self) -> EvaluatedTable | None:
        """The table of `evaluated` that is seen in place of the table of results, with its number."""
        known = self.evaluated() if self._space >= 0 else []
        if not known:
            return None
        place = min(self._space, len(known) - 1)
        return replace(known[place], title=f"{known[place].title} ({place + 1} of {len(known)})")

    def turn_table(self) -> bool:
        """On to the next table: results, then every density and space; false where there is no other."""
        known = self.evaluated()
        self._space = -1 if self._space + 1 >= len(known) else self._space + 1
        return bool(known)

    # -- the panels

    def panels(self) -> list[str]:
        return panels_worth_seeing(self.readers)

    @property
    def panel(self) -> str:
        """The chosen panel; "" where there is none yet."""
        known = self.panels()
        return self._panel if self._panel in known else known[0] if known else ""

    def turn_panel(self, by: int) -> None:
        """Another panel, at the same place in the training."""
        known = self.panels()
        if known:
            self._panel = known[(known.index(self.panel) + by) % len(known)]

    def go(self, by: int) -> None:
        """Go on by so many of the places at which any run has drawn the panel; the last follows the newest."""
        known = moments(self.readers, self.panel)
        if not known:
            return
        now = known[-1] if self._moment is None else self._moment
        place = sum(images <= now for images in known) - 1
        place = min(max(place + by, 0), len(known) - 1)
        self._moment = None if place == len(known) - 1 else known[place]

    def go_to_end(self, *, newest: bool) -> None:
        """To the newest drawings, or the first."""
        known = moments(self.readers, self.panel)
        self._moment = None if newest or not known else known[0]

    def panel_title(self) -> str:
        """Which panel is seen, and at which place in the training."""
        known = moments(self.readers, self.panel)
        if not known or self._moment is None:
            return f"{self.panel} · newest"
        place = sum(images <= self._moment for images in known)
        return f"{self.panel} · at or before {amount(self._moment)} images ({place} of {len(known)})"

    def shots(self) -> list[Shot]:
        """The panel of every run at the chosen place; only drawings that were not in memory are read."""
        return [self._shot(reader, place) for place, reader in enumerate(self.readers)]

    def _shot(self, reader: RunReader, place: int) -> Shot:
        name, images = self.panel, drawn_by(reader, self.panel, self._moment)
        if images is None:
            return shot_of(reader, place, name, self._moment)
        kept = self._loaded.get(place)
        if kept is None or kept[:2] != (name, images) or kept[2].panel is None:
            kept = self._loaded[place] = (name, images, shot_of(reader, place, name, images))
        return kept[2]

    # -- what is written

    def write(self) -> tuple[Path, list[str]]:
        """Write all that is seen into a new folder beside the runs; returns the folder and the names in it.

        Raises:
            OSError: the folder of runs is read-only or gone, or the disk is full.
        """
        folder = _new_folder(self.readers[0].run.path.parent)
        sides, metrics = self.sides(), self.shown_metrics()
        names = {letter(side.place): side.name for side in sides}
        save_picture(overlay_picture(self.plot(), names), folder / "overlay.png")
        replace_file(folder / "table.csv", csv_text(sides, metrics).encode())
        tables = [markdown(table_of(sides, metrics)), *map(evaluated_markdown, self.evaluated())]
        replace_file(folder / "table.md", "\n".join(tables).encode())
        series = [(reader.run.name, reader.metrics.series.get(self.metric)) for reader in self._seen()]
        curves = csv_of({name: one for name, one in series if one is not None}, called="run")
        replace_file(folder / "curves.csv", curves.encode())
        written = ["overlay.png", "curves.csv", "table.csv", "table.md"]
        shots = self.shots()
        if any(shot.panel is not None for shot in shots):
            written.append(f"{self.panel}.png")
            save_picture(side_by_side_picture(shots, self.panel_title()), folder / written[-1])
        return folder, written


def _new_folder(root: Path) -> Path:
    """A new folder `compare-<n>` in `root`, with the next free n."""
    number = 1
    while True:
        folder = root / f"compare-{number}"
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder
