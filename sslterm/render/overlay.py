"""One metric of several runs over each other: a colour, a line style and a letter for each, which stay with it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sslterm.render.cells import Cells
from sslterm.render.chart_plot import FEWEST_TO_SMOOTH, Series, axis_label, places_of
from sslterm.render.charts import BASELINE, choose_charts, title_of, unit_of, where_of
from sslterm.render.curve import draw_plot, frame_of
from sslterm.render.envelope import column_edges, envelope
from sslterm.render.palette import GROUND, categorical
from sslterm.render.plot import Line, Plot, Ranges
from sslterm.render.smoothing import smoothed
from sslterm.render.view import ChartView, domain_over
from sslterm.run.comparison import flat
from sslterm.run.density import density_of, is_likelihood
from sslterm.run.reader import RunReader
from sslterm.run.results import AFTERWARDS

OVER_IMAGES: Final = ChartView(axis="images")
"""Runs of different batches compare over images."""

MOST_BEHIND: Final = 4
"""Runs whose values are drawn behind their averages; the bands of more would cover each other."""
_MOST_BEHIND_WITHOUT_COLOR: Final = 2
_SIGNS: Final = ("━", "╍", "┅", "┄")
_BETWEEN_LETTERS: Final = 24
"""Columns from one letter on a line to the next, where there is no colour."""


def letter(place: int) -> str:
    """The letter of the run at a place in the order of choosing: A, B, ... Z, a, ... z; then "+"."""
    if place < 26:
        return chr(ord("A") + place)
    return chr(ord("a") + place - 26) if place < 52 else "+"


@dataclass(frozen=True, kw_only=True)
class OverlayRun:
    """A run of an overlay.

    Attributes:
        place: in the order of choosing; colour, line style and letter follow from it.
        series: the metric; None where the run has not measured it.
        images_per_epoch: 0 where that is not known.
        density: what the metric is a likelihood of; "" for other metrics.
    """

    place: int
    name: str
    series: Series | None
    images_per_epoch: int = 0
    density: str = ""


def overlay_run(reader: RunReader, place: int, metric: str) -> OverlayRun:
    """A run as it stands now."""
    return OverlayRun(
        place=place,
        name=reader.run.name,
        series=reader.metrics.series.get(metric),
        images_per_epoch=reader.status.images_per_epoch if reader.status else 0,
        density=density_of(flat(reader.config)) if is_likelihood(metric) else "",
    )


def by_density(runs: Sequence[OverlayRun]) -> list[list[OverlayRun]]:
    """The runs that have measured the metric, those of one density together, the largest group first."""
    groups: dict[str, list[OverlayRun]] = {}
    for run in runs:
        if run.series is not None and len(run.series.value):
            groups.setdefault(run.density, []).append(run)
    return sorted(groups.values(), key=len, reverse=True)


def overlay_plot(metric: str, runs: Sequence[OverlayRun], view: ChartView = OVER_IMAGES) -> Plot:
    """The plot of one metric of several runs; lines are named by their letters, and the first is on top.

    Likelihoods of several densities do not compare: those that most runs have are drawn, and the plot names the
    runs that are left out. Lines of few points are not smoothed, for an average would say what none of them does.
    The values themselves lie behind the averages, unless there are so many of those that nothing could be told
    apart. With a run whose epochs are not known, epochs are images for all.
    """
    groups = by_density(runs)
    drawn = [(run, run.series) for run in next(iter(groups), []) if run.series is not None]
    epochs_known = all(run.images_per_epoch > 0 for run, _ in drawn)
    long = [len(series.value) >= FEWEST_TO_SMOOTH for _, series in drawn]
    lines, smoothing = [], False
    for (run, series), enough in zip(drawn, long, strict=True):
        smooth = smoothed(series.value, view.smoothing) if view.smoothing and enough else None
        smoothing |= smooth is not None
        x = places_of(series, view.axis, run.images_per_epoch if epochs_known else 0)
        lines.append(
            Line(
                name=letter(run.place),
                x=x, y=series.value, smooth=smooth, behind=sum(long) <= MOST_BEHIND, hue=run.place, dashed=True,
            )
        )  # fmt: skip
    density = f", {groups[0][0].density}" if len(groups) > 1 else ""
    notes = [f"EMA {view.smoothing:g}"] if smoothing else []
    notes += [
        f"not {', '.join(letter(run.place) for run in group)}: {group[0].density}" for group in groups[1:]
    ]
    ends = domain_over([line.x for line in lines]) if view.window else None
    return Plot(
        title=name_of(metric) + density,
        lines=tuple(lines),
        unit=unit_of(metric),
        x_label=axis_label(view.axis, int(epochs_known)),
        log_x=view.log_x,
        log_y=view.log_y,
        x_range=None if ends is None else view.shown(ends),
        cursor=view.cursor,
        notes=tuple(notes),
    )


def name_of(metric: str) -> str:
    """A metric in words with where it was measured, without its unit: "-ELBO (test)", "loss (generator)"."""
    title, where = title_of(metric), where_of(metric)
    where = "train" if where == "main" else where
    if not where or where in {"speed", *AFTERWARDS}:
        return title
    head, _, rest = title.partition(" (")
    return f"{head} ({where}, {rest}" if rest else f"{title} ({where})"


def metrics_worth_seeing(series: Iterable[Mapping[str, Series]], headlines: Sequence[str]) -> list[str]:
    """All metrics that any run has, the headlines first, then as charts are ordered. Baselines are left out."""
    known = {name for one in series for name in one if not name.endswith(BASELINE)}
    charts = choose_charts(known, next((name for name in headlines if name in known), ""))
    ordered = [name for chart in charts for name in chart.metrics]
    return list(dict.fromkeys([name for name in headlines if name in known] + ordered))


def seen(plot: Plot, *, color: bool) -> Plot:
    """An overlay as it can be read: without colour, of several runs the averages alone."""
    if color or sum(len(line.drawn) > 1 for line in plot.lines) <= _MOST_BEHIND_WITHOUT_COLOR:
        return plot
    return replace(plot, lines=tuple(replace(line, behind=False) for line in plot.lines))


def draw_overlay(plot: Plot, width: int, height: int, *, color: bool, selected: bool = False) -> Cells:
    """An overlay of `width` x `height` cells: as any plot, with the letter of each line at its end.

    Without colour the letters stand along the lines too: there are fewer kinds of dashes than runs.
    """
    plot = seen(plot, color=color)
    frame = frame_of(plot, width, height)
    cells = draw_plot(plot, width, height, color=color, selected=selected, frame=frame)
    ranges = frame.ranges
    if ranges is None or not frame.left:
        return cells
    edges = column_edges(*ranges.x, 2 * frame.columns, log=ranges.log_x)
    taken: set[tuple[int, int]] = set()
    for line in plot.lines:
        places = _places(line, ranges, edges, frame.rows)
        free = [place for place in reversed(places) if place not in taken]
        marked = free[:1] if color else free[:1] + [at for at in free if _has_letter(line, at, free[0])]
        taken.update(marked)
        for row, column in marked:
            cells.put(
                line.name, frame.top + row, frame.left + column, categorical(line.hue) if color else GROUND
            )
    return cells


def _has_letter(line: Line, place: tuple[int, int], end: tuple[int, int]) -> bool:
    """Whether a letter stands at a place before the end: in other columns for each run, to be apart."""
    return place[1] % _BETWEEN_LETTERS == (3 + 7 * line.hue) % _BETWEEN_LETTERS and end[1] - place[1] > 4


def _places(line: Line, ranges: Ranges, edges: NDArray[np.float64], rows: int) -> list[tuple[int, int]]:
    """(row, column) of the cells that a line passes through, one in every column that it crosses."""
    low, high = envelope(line.x, line.strong, edges, log_y=ranges.log_y, log_x=ranges.log_x)
    bottom, top = ranges.y
    dots = np.flatnonzero(np.isfinite(low))
    down = np.clip((top - (low[dots] + high[dots]) / 2) / (top - bottom), 0, 1) * (4 * rows - 1)
    found = dict(zip((dots // 2).tolist(), (np.rint(down) // 4).astype(int).tolist(), strict=True))
    return [(row, column) for column, row in found.items()]


def line_sign(place: int, *, color: bool) -> str:
    """How the line of a run looks, in one cell."""
    return _SIGNS[0] if color else _SIGNS[place % len(_SIGNS)]
