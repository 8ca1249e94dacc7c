"""Which metrics belong into one chart, what they are called, and in which order charts are worth seeing.

Metrics are named `<where>/<what>`: where is a loss's parameter group for training ("main", "critic") or
"test" for held-out images; `what` ends in its unit where it has one ("neg_elbo_nats").
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sslterm.errors import UsageError, did_you_mean
from sslterm.render.legend import TIME
from sslterm.render.plot import Line, Plot
from sslterm.render.smoothing import Smoother
from sslterm.render.view import Axis as Axis
from sslterm.render.view import ChartView, Domain, domain_over
from sslterm.run.comparison import better

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
    "accuracy_real": "accuracy",
    "accuracy_fake": "accuracy",
    "gap": "critic's gap",
    "sample_spread": "spread of samples (1: that of images)",
}
_DATA: Final = re.compile(r"([^\[]*)(?:\[(.*)\])?$", re.DOTALL)
"""A quantity, and the data it was measured on where that is said: "knn[cifar10]"."""
_BASELINE: Final = "_pixels"
"""How metrics end that say what raw pixels reach."""
_JUDGED: Final = {"_real": "real", "_fake": "generated"}
"""How metrics of real and of generated images end, and what their lines are called."""
FEWEST_TO_SMOOTH: Final = 30
"""Of fewer points, an average would say what none of them does."""
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


def metrics_meant(words: Iterable[str], known: Iterable[str], whose: str) -> list[str]:
    """The metrics that people mean: full names, or quantities, which may stand for several ("loss").

    Args:
        whose: who has the `known` ones, as "vae-1 has no" or "none of these runs has a".

    Raises:
        UsageError: a word means none of them.
    """
    names = list(dict.fromkeys(known))
    found: dict[str, None] = {}
    for word in words:
        meant = [name for name in names if name == word] or [name for name in names if what_of(name) == word]
        if not meant:
            quantities = dict.fromkeys(what_of(name) for name in names)
            near = did_you_mean(word, quantities) if "/" not in word else ""
            hint = near if near.startswith("did") else did_you_mean(word, names)
            raise UsageError(f"{whose} metric {word!r}", hint)
        found.update(dict.fromkeys(meant))
    return list(found)


def unit_of(metric: str) -> str:
    """The unit, "" for a pure number."""
    what = "_" + what_of(metric)
    return next((unit for suffix, unit in _UNITS if what.endswith(suffix)), "")


def title_of(metric: str) -> str:
    """A quantity as people say it, without its unit: "test/neg_elbo_nats" -> "-ELBO"."""
    what, data = _DATA.match(what_of(metric)).groups()  # type: ignore[union-attr]
    if data:
        return f"{_TITLES.get(what, what).removesuffix(' (uses labels)').removesuffix(' accuracy')} on {data}"
    bare = _TITLES.get(what) or next(
        (what[: -len(suffix)] for suffix, _ in _UNITS if what.endswith(suffix)), what
    )
    return _TITLES.get(bare, bare.replace("_", " "))


def line_name(metric: str) -> str:
    """What a line is called beside others of its quantity: "train", "test", or the group's name."""
    where = where_of(metric)
    if what_of(metric).endswith(_BASELINE):
        return "raw pixels"
    for suffix, kind in _JUDGED.items():
        if what_of(metric).endswith(suffix):
            return kind
    return {"main": "train", "": what_of(metric)}.get(where, where)


def choose_charts(metrics: Iterable[str], headline: str = "") -> list[Chart]:
    """Charts in the order of their worth: the headline, losses, what is held out, all else, rates and speeds.

    Curves of one quantity share a chart, the held-out one on top, with what raw pixels reach beside it; so do what a
    discriminator makes of real and of generated images.
    """
    groups: dict[str, list[str]] = {}
    for metric in sorted(metrics):
        what = what_of(metric)
        for suffix in (_BASELINE, *_JUDGED):
            what = what.removesuffix(suffix)
        groups.setdefault(what, []).append(metric)
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


def best_of(metric: str) -> Literal["min", "max"] | None:
    """Which of a metric's values is the best; None where that is not known, and for what says how it trains."""
    if what_of(metric).endswith(_LAST):
        return None
    directions: Mapping[str, Literal["min", "max"]] = {"lower": "min", "higher": "max"}
    return directions.get(better(metric))


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
        if name.endswith(_BASELINE) and ends is not None and len(one.value):
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
        elif where_of(name) == "test" and not what_of(name).endswith(_BASELINE):
            hues[name] = 1
        else:
            hues[name], free = free, free + 1
    return hues
