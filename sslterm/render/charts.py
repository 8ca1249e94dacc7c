"""Which metrics belong into one chart, what they are called, and in which order charts are worth seeing.

Metrics are named `<where>/<what>`: where is a loss's parameter group for training ("main", "critic") or
"test" for held-out images; `what` ends in its unit where it has one ("neg_elbo_nats").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sslterm.render.curve import Line, Plot

Axis = Literal["step", "images", "seconds"]
"""What a curve is drawn over; the names are those of a series' arrays."""

_UNITS: Final = (
    ("_nats", "nats"),
    ("_bits_per_dim", "bits/dim"),
    ("_bits", "bits"),
    ("_images_per_second", "images/s"),
    ("_seconds", "s"),
    ("_db", "dB"),
)
_TITLES: Final[Mapping[str, str]] = {
    "neg_elbo": "-ELBO",
    "nll": "negative log-likelihood",
    "nll_estimate": "negative log-likelihood, estimate",
    "knn": "kNN accuracy (uses labels)",
    "knn_pixels": "kNN accuracy of raw pixels (uses labels)",
    "linear": "linear accuracy (uses labels)",
    "rankme": "RankMe, effective rank",
    "mse": "mean squared error",
    "lr": "learning rate",
    "images_per_second": "speed",
    "bits_per_dim": "negative log-likelihood",
    "kl": "KL",
}
_BASELINE: Final = "_pixels"
"""How metrics end that say what raw pixels reach."""
_LAST: Final = ("lr", "grad_norm", "images_per_second")
"""What says how it trains rather than what it learns."""


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


@dataclass(frozen=True)
class Chart:
    """Metrics of one quantity, drawn over each other: the first on top."""

    what: str
    metrics: tuple[str, ...]


def what_of(metric: str) -> str:
    """The quantity: "test/knn" -> "knn"."""
    return metric.rpartition("/")[2]


def where_of(metric: str) -> str:
    """Where it was measured: "test/knn" -> "test"; "" where that is not said."""
    return metric.rpartition("/")[0]


def unit_of(metric: str) -> str:
    """The unit, "" for a pure number."""
    what = "_" + what_of(metric)
    return next((unit for suffix, unit in _UNITS if what.endswith(suffix)), "")


def title_of(metric: str) -> str:
    """A quantity as people say it, without its unit: "test/neg_elbo_nats" -> "-ELBO"."""
    what = what_of(metric)
    bare = _TITLES.get(what) or next(
        (what[: -len(suffix)] for suffix, _ in _UNITS if what.endswith(suffix)), what
    )
    return _TITLES.get(bare, bare.replace("_", " "))


def line_name(metric: str) -> str:
    """What a line is called beside others of its quantity: "train", "test", or the group's name."""
    where = where_of(metric)
    if what_of(metric).endswith(_BASELINE):
        return "raw pixels"
    return {"main": "train", "": what_of(metric)}.get(where, where)


def choose_charts(metrics: Iterable[str], headline: str = "") -> list[Chart]:
    """Charts in the order of their worth: the headline, losses, what is held out, all else, rates and speeds.

    Curves of one quantity share a chart, the held-out one on top, with what raw pixels reach beside it.
    """
    groups: dict[str, list[str]] = {}
    for metric in sorted(metrics):
        groups.setdefault(what_of(metric).removesuffix(_BASELINE), []).append(metric)
    charts = [
        Chart(what, tuple(sorted(names, key=lambda name: (name != headline, where_of(name) != "test", name))))
        for what, names in groups.items()
    ]

    def worth(chart: Chart) -> tuple[int, str]:
        if headline in chart.metrics:
            return 0, chart.what
        if chart.what == "loss":
            return 1, chart.what
        if any(chart.what.endswith(last) for last in _LAST):
            return 4, chart.what
        return (2 if any(where_of(name) == "test" for name in chart.metrics) else 3), chart.what

    return sorted(charts, key=worth)


def x_range(series: Mapping[str, Series], axis: Axis = "step") -> tuple[float, float] | None:
    """First and last place of all metrics on an axis, for charts that share it; None where there are none."""
    ends = [getattr(one, axis)[[0, -1]] for one in series.values() if len(one.value)]
    return (float(min(end[0] for end in ends)), float(max(end[1] for end in ends))) if ends else None


def plot_of_chart(
    chart: Chart,
    series: Mapping[str, Series],
    *,
    axis: Axis = "step",
    log_y: bool = False,
    across: tuple[float, float] | None = None,
) -> Plot:
    """The plot of a chart. Train is always blue and test always orange; further groups follow.

    A baseline (raw pixels), which is measured once, is a line from one end to the other.

    Args:
        across: the range of x, where several charts share it.
    """
    hues = _hues(chart)
    known = {name: series[name] for name in chart.metrics if name in series}
    ends = across or x_range(known, axis)
    lines = []
    for name, one in known.items():
        x, y = getattr(one, axis), one.value
        if name.endswith(_BASELINE) and ends is not None and len(y):
            x, y = np.array(ends), y[[-1, -1]]
        lines.append(Line(name=line_name(name), x=x, y=y, hue=hues[name]))
    label = {"step": "step", "images": "images", "seconds": "s"}[axis]
    unit = unit_of(chart.metrics[0]) if chart.metrics else ""
    title = title_of(chart.metrics[0]) if chart.metrics else chart.what
    return Plot(title=title, lines=tuple(lines), unit=unit, x_label=label, log_y=log_y, x_range=across)


def _hues(chart: Chart) -> dict[str, int]:
    """A hue for each metric: blue for the first that is trained, orange for test, further ones after."""
    hues = {}
    free = 2
    train = [name for name in sorted(chart.metrics) if where_of(name) != "test"]
    for name in sorted(chart.metrics):
        if name == (train[0] if train else None):
            hues[name] = 0
        elif where_of(name) == "test" and not what_of(name).endswith(_BASELINE):
            hues[name] = 1
        else:
            hues[name], free = free, free + 1
    return hues
