"""Charts as plots: which points over which axis, in which colours, how strongly averaged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from sslterm.render.charts import BASELINE, Chart, best_of, line_name, title_of, unit_of, what_of, where_of
from sslterm.render.legend import TIME
from sslterm.render.plot import Line, Plot
from sslterm.render.smoothing import Smoother
from sslterm.render.view import Axis, ChartView, Domain, domain_over

FEWEST_TO_SMOOTH: Final = 30
"""Of fewer points, an average would say what none of them does."""


class Series(Protocol):
    """A metric over time, as the run's reader keeps it; arrays [N]."""

    @property
    def step(self) -> NDArray[Any]: ...
    @property
    def images(self) -> NDArray[Any]: ...
    @property
    def seconds(self) -> NDArray[Any]: ...
    @property
    def value(self) -> NDArray[Any]: ...


def places_of(one: Series, axis: Axis, images_per_epoch: int = 0) -> NDArray[Any]:
    """Where the points of a series are on an axis: [N]; images where epochs are asked for and not known."""
    if axis != "epoch":
        places: NDArray[Any] = getattr(one, axis)
        return places
    return one.images / images_per_epoch if images_per_epoch > 0 else one.images


def axis_label(axis: Axis, images_per_epoch: int = 0) -> str:
    """What stands beside an axis; it says where epochs are not known."""
    if axis == "epoch" and images_per_epoch <= 0:
        return "images (epoch unknown)"
    return TIME if axis == "seconds" else axis


def domain_of(series: Mapping[str, Series], axis: Axis = "step", images_per_epoch: int = 0) -> Domain | None:
    """What there is to see of all metrics on an axis, for charts that share it; None where there are none."""
    size = images_per_epoch if axis == "epoch" and images_per_epoch > 0 else 1
    bare: Axis = "images" if axis == "epoch" else axis
    return domain_over([places_of(one, bare) for one in series.values()], size)


WHOLE: Final = ChartView()
"""Everything over steps, as it is."""


def plot_of_chart(
    chart: Chart,
    series: Mapping[str, Series],
    view: ChartView = WHOLE,
    *,
    domain: Domain | None = None,
    images_per_epoch: int = 0,
    smoother: Smoother | None = None,
) -> Plot:
    """The plot of a chart. Train is always blue and test always orange; further groups follow.

    A baseline (raw pixels), which is measured once, is a line from one end to the other.

    Args:
        domain: the range of x, where several charts share it; otherwise the chart's own.
        images_per_epoch: 0 where it is not known.
        smoother: keeps moving averages from one call to the next.
    """
    hues = _hues(chart)
    known = {name: series[name] for name in chart.metrics if name in series}
    ends = domain or domain_of(known, view.axis, images_per_epoch)
    smoother = smoother or Smoother()
    epochs = view.axis == "epoch" and images_per_epoch > 0
    weights = weights_of({name: one.step for name, one in known.items()}, view.smoothing)
    lines = []
    for name, one in known.items():
        x = smoother.places(name, one.images, images_per_epoch) if epochs else places_of(one, view.axis)
        if name.endswith(BASELINE) and ends is not None and len(one.value):
            x, y = np.array([ends.start(log=view.log_x), ends.high]), one.value[[-1, -1]]
            lines.append(Line(name=line_name(name), x=x, y=y, hue=hues[name], level=True))
        else:
            here = replace(view, smoothing=weights[name])
            lines.append(line_of(line_name(name), name, x, one.value, here, smoother, hue=hues[name]))
    metric = chart.metrics[0] if chart.metrics else chart.what
    return plot_of_lines(metric, lines, view, ends, axis_label(view.axis, images_per_epoch))


def weights_of(steps: Mapping[str, NDArray[Any]], smoothing: float) -> dict[str, float]:
    """The weight of the past for each of some series that are drawn together, by their steps.

    The series that has its points closest is averaged with `smoothing`; in one that has them r times as far
    apart (r to the nearest power of two) it is smoothing^r, so that all lag behind by the same way.
    """
    gaps = {name: float(s[-1] - s[0]) / (len(s) - 1) for name, s in steps.items() if len(s) > 1}
    closest = min((gap for gap in gaps.values() if gap > 0), default=0.0)
    times = {name: 2.0 ** round(math.log2(gap / closest)) for name, gap in gaps.items() if gap > 0}
    return {name: smoothing ** times.get(name, 1.0) for name in steps}


def line_of(
    name: str,
    metric: str,
    x: NDArray[Any],
    y: NDArray[Any],
    view: ChartView,
    smoother: Smoother,
    *,
    hue: int,
) -> Line:
    """The line of a metric through (x, y), each [N], as a view draws it."""
    wanted = view.smoothing > 0 and len(y) >= FEWEST_TO_SMOOTH
    smooth = smoother.smooth(f"{metric} {name}", y, view.smoothing) if wanted else None
    return Line(name=name, x=x, y=y, hue=hue, smooth=smooth, best=best_of(metric))


def plot_of_lines(
    metric: str,
    lines: list[Line],
    view: ChartView,
    ends: Domain | None,
    label: str,
    notes: tuple[str, ...] = (),
) -> Plot:
    """Lines of a metric under a view; `ends` is what there is to see of them, `notes` follow the title."""
    if view.smoothing > 0:
        smooth = any(line.smooth is not None for line in lines)
        notes = (*notes, f"EMA {view.smoothing:g}" if smooth else "too few points for EMA")
    return Plot(
        title=title_of(metric),
        lines=tuple(lines),
        unit=unit_of(metric),
        x_label=label,
        log_y=view.log_y,
        log_x=view.log_x,
        x_range=None if ends is None else view.shown(ends),
        cursor=view.cursor,
        notes=notes,
    )


def _hues(chart: Chart) -> dict[str, int]:
    """A hue for each metric: blue for the first that is trained, orange for test, further ones after."""
    hues = {}
    free = 2
    train = [name for name in sorted(chart.metrics) if where_of(name) != "test"]
    for name in sorted(chart.metrics):
        if name == (train[0] if train else None):
            hues[name] = 0
        elif where_of(name) == "test" and not what_of(name).endswith(BASELINE):
            hues[name] = 1
        else:
            hues[name], free = free, free + 1
    return hues
