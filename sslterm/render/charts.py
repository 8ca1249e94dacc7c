"""Which metrics belong into one chart, what they are called, and in which order charts are worth seeing.

Metrics are named `<where>/<what>`: where is a loss's parameter group for training ("main", "critic") or
"test" for held-out images; `what` ends in its unit where it has one ("neg_elbo_nats").
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from sslterm.errors import UsageError, did_you_mean
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
BASELINE: Final = "_pixels"
"""How metrics end that say what raw pixels reach."""
_JUDGED: Final = {"_real": "real", "_fake": "generated"}
"""How metrics of real and of generated images end, and what their lines are called."""
_LAST: Final = ("lr", "grad_norm", "images_per_second")
"""What says how it trains rather than what it learns."""


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
    if what_of(metric).endswith(BASELINE):
        return "raw pixels"
    for suffix, kind in _JUDGED.items():
        if what_of(metric).endswith(suffix):
            return kind
    return {"main": "train", "": what_of(metric)}.get(where, where)


def choose_charts(metrics: Iterable[str], headline: str = "", first: Sequence[str] = ()) -> list[Chart]:
    """Charts in the order of their worth: the headline, losses, what is held out, all else, rates and speeds.

    Curves of one quantity share a chart, the held-out one on top, with what raw pixels reach beside it; so do what a
    discriminator makes of real and of generated images. Of a quantity in two units, the second comes after all
    that says something else.

    Args:
        first: quantities that follow the headline, in this order, before all others.
    """
    groups: dict[str, list[str]] = {}
    for metric in sorted(metrics):
        what = what_of(metric)
        for suffix in (BASELINE, *_JUDGED):
            what = what.removesuffix(suffix)
        groups.setdefault(what, []).append(metric)
    charts = [
        Chart(what, tuple(sorted(names, key=lambda name: (name != headline, where_of(name) != "test", name))))
        for what, names in groups.items()
    ]

    def worth(chart: Chart) -> tuple[int, int]:
        if headline in chart.metrics:
            return 0, 0
        if chart.what in first:
            return 1, first.index(chart.what)
        if chart.what == "loss":
            return 2, 0
        if any(chart.what.endswith(last) for last in _LAST):
            return 6, 0
        return (3 if any(where_of(name) == "test" for name in chart.metrics) else 4), 0

    ordered = sorted(charts, key=lambda chart: (*worth(chart), chart.what))
    told: dict[str, str] = {}
    for chart in ordered:
        told.setdefault(title_of(chart.what), chart.what)
    again = [
        chart for chart in ordered if 3 <= worth(chart)[0] <= 4 and told[title_of(chart.what)] != chart.what
    ]
    return sorted(ordered, key=lambda chart: (5, 0) if chart in again else worth(chart))


def best_of(metric: str) -> Literal["min", "max"] | None:
    """Which of a metric's values is the best; None where that is not known, and for what says how it trains."""
    if what_of(metric).endswith(_LAST):
        return None
    directions: Mapping[str, Literal["min", "max"]] = {"lower": "min", "higher": "max"}
    return directions.get(better(metric))
