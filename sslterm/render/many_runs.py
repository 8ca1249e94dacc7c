"""One metric of several runs over each other, each in a colour and a line style of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from sslterm.render.charts import (
    WHOLE,
    Series,
    axis_label,
    domain_of,
    line_of,
    places_of,
    plot_of_lines,
    weights_of,
)
from sslterm.render.plot import Plot
from sslterm.render.smoothing import Smoother
from sslterm.render.view import ChartView, Domain

MOST_RUNS: Final = 10
"""Runs that are drawn over each other."""


def styles_of(runs: Iterable[str], before: Mapping[str, int] | None = None) -> dict[str, int]:
    """A colour and line style for each run: those it had `before`, and free ones for runs that are new."""
    styles: dict[str, int] = dict(before or {})
    for run in runs:
        if run not in styles:
            taken = set(styles.values())
            styles[run] = next(style for style in range(len(taken) + 1) if style not in taken)
    return styles


def overlay_plot(
    metric: str,
    series: Mapping[str, Series],
    view: ChartView = WHOLE,
    *,
    styles: Mapping[str, int] | None = None,
    images_per_epoch: Mapping[str, int] | None = None,
    smoother: Smoother | None = None,
) -> Plot:
    """One metric of several runs over each other, each in its own colour and line style.

    Of more than ten runs the first ten are drawn, and the title says so.

    Args:
        series: by name of the run, in the order of the legend; the first on top.
        styles: by name of the run, from `styles_of`, so that a run keeps its own whatever else is shown;
            otherwise in the order of `series`.
        images_per_epoch: by name of the run; with one that is not known, epochs are images for all.
    """
    smoother = smoother or Smoother()
    shown = dict(list(series.items())[:MOST_RUNS])
    styles = styles_of(shown, styles)
    sizes = {run: (images_per_epoch or {}).get(run, 0) for run in shown}
    size_known = bool(sizes) and min(sizes.values()) > 0
    weights = weights_of({run: one.step for run, one in shown.items()}, view.smoothing)
    lines, domains = [], []
    for run, one in shown.items():
        size = sizes[run] if size_known else 0
        x = places_of(one, view.axis, size)
        here = replace(view, smoothing=weights[run])
        lines.append(line_of(run, metric, x, one.value, here, smoother, hue=styles[run], dashed=True))
        domains.append(domain_of({run: one}, view.axis, size))
    notes = (f"{len(shown)} of {len(series)} runs",) if len(shown) < len(series) else ()
    label = axis_label(view.axis, 1 if size_known else 0)
    return plot_of_lines(metric, lines, view, joined(domains), label, notes)


def joined(domains: Iterable[Domain | None]) -> Domain | None:
    """All that there is to see in several domains."""
    known = [domain for domain in domains if domain is not None]
    if not known:
        return None
    gaps = [domain.spacing for domain in known if domain.spacing > 0]
    return Domain(
        min(domain.low for domain in known),
        max(domain.high for domain in known),
        min(domain.positive for domain in known),
        min(gaps, default=0.0),
    )
