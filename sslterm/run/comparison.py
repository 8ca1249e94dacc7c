"""Runs beside each other: what each has reached, where their configurations differ, which drawings belong together."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from sslterm.run.metrics import Series
from sslterm.run.panels import Panel
from sslterm.run.reader import RunReader

Direction = Literal["higher", "lower", ""]
"""Which values of a metric are better; "" where neither is."""

_HIGHER: Final = frozenset(
    {"accuracy", "knn", "linear", "linear-sgd", "lowshot", "finetune", "rankme", "precision", "recall", "coverage",
     "smallest_class", "CS", "TSTR", "label_agreement", "images_per_second",
     "ais_effective_chains", "tiles_in_place", "colour", "J", "F", "J&F"}
)  # fmt: skip
_LOWER: Final = frozenset(
    {"loss", "mse", "mse_restored", "mse_masked", "neg_elbo", "nll", "nll_estimate", "iw_nll", "bits_per_dim",
     "FD", "KD", "C2ST", "class_kl"}
)  # fmt: skip
_UNIT: Final = re.compile(r"_(nats|bits_per_dim|bits)$")
_OPPONENTS: Final = frozenset({"generator", "discriminator", "critic"})
"""Where losses rise and fall against each other: neither direction is better."""

_SEED: Final = re.compile(r"\bseed (\d+)")


def better(metric: str) -> Direction:
    """Which values of a metric are better, by its name: "test/knn" -> "higher", "test/neg_elbo_nats" -> "lower".

    "" for what is balanced rather than driven one way (a GAN's losses, the terms of a sum), for settings
    (learning rates), for baselines of the data, and for names that are not known here.
    """
    where, _, what = metric.rpartition("/")
    if where in _OPPONENTS:
        return ""
    what = _UNIT.sub("", re.sub(r"[\[@].*$", "", what))
    return "higher" if what in _HIGHER else "lower" if what in _LOWER else ""


@dataclass(frozen=True)
class Result:
    """What a run has reached in one metric.

    Attributes:
        last: the newest value; NaN where it was not finite.
        best: the best value; None where no direction is better, or no value is finite.
        best_images: after how many images that was.
    """

    last: float
    best: float | None = None
    best_images: int | None = None


def find_result(series: Series, direction: Direction) -> Result:
    """Last and best value of a series of at least one point; of equally good ones the first."""
    last = float(series.value[-1])
    finite = np.isfinite(series.value)
    if not direction or not finite.any():
        return Result(last)
    value = np.where(finite, series.value, np.nan)
    at = int(np.nanargmax(value) if direction == "higher" else np.nanargmin(value))
    return Result(last, float(value[at]), int(series.images[at]))


@dataclass(frozen=True, kw_only=True)
class Side:
    """One run of a comparison.

    Attributes:
        place: in the order of choosing, from 0; its colour, line style and letter stay with it.
        method, preset: "" where the configuration does not say.
        seconds: training time so far.
        config: by dotted key.
        results: by metric; what it has not measured is absent.
    """

    place: int
    name: str
    path: str
    method: str
    preset: str
    state: str
    step: int
    images: int
    seconds: float
    config: Mapping[str, Any]
    results: Mapping[str, Result]

    def last(self, metric: str) -> float | None:
        """The newest value of a metric; None where there is none, or it is not finite."""
        result = self.results.get(metric)
        return result.last if result is not None and math.isfinite(result.last) else None


def side_of(reader: RunReader, place: int, metrics: Iterable[str]) -> Side:
    """A run as it stands now, with its results in `metrics`."""
    status, afterwards = reader.status, reader.measured
    results = {}
    for metric in metrics:
        series = reader.metrics.series.get(metric)
        if series is not None and len(series):
            results[metric] = find_result(series, better(metric))
        elif metric in afterwards:
            value, images = afterwards[metric]
            results[metric] = Result(value, value if better(metric) else None, images)
        elif status is not None and metric in status.last:
            results[metric] = Result(status.last[metric])
    return Side(
        place=place,
        name=reader.run.name,
        path=str(reader.run.path.resolve()),
        method=about_run(reader.config, "method"),
        preset=about_run(reader.config, "preset"),
        state=reader.state,
        step=status.step if status else 0,
        images=status.images if status else 0,
        seconds=status.elapsed_seconds if status else 0.0,
        config=flat(reader.config),
        results=results,
    )


def about_run(config: Mapping[str, Any], key: str) -> str:
    """A text of the section `run` of a configuration; "" where there is none."""
    section = config.get("run")
    value = section.get(key) if isinstance(section, Mapping) else None
    return value if isinstance(value, str) else ""


def flat(table: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """{"optim": {"main": {"lr": 0.1}}} -> {"optim.main.lr": 0.1}, in the order of the table."""
    found: dict[str, Any] = {}
    for key, value in table.items():
        found |= flat(value, f"{above}{key}.") if isinstance(value, Mapping) else {above + key: value}
    return found


def differences(tables: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Keys whose values are not all equal, in the order they are first met; None where a table lacks it."""
    keys = dict.fromkeys(key for table in tables for key in table)
    values = {key: [table.get(key) for table in tables] for key in keys}
    return {key: found for key, found in values.items() if any(one != found[0] for one in found)}


def order(values: Sequence[float | None], direction: Direction) -> list[int]:
    """Indices of `values`, the best first; as they are where no direction is better. What is missing is last."""
    if not direction:
        return list(range(len(values)))
    sign = -1.0 if direction == "higher" else 1.0

    def rank(index: int) -> tuple[bool, float]:
        value = values[index]
        missing = value is None or not math.isfinite(value)
        return missing, 0.0 if value is None or missing else sign * value

    return sorted(range(len(values)), key=rank)


def best_of(values: Sequence[float | None], direction: Direction) -> frozenset[int]:
    """Where the best values stand; nowhere where there are not two to compare, or no direction is better."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not direction or len(known) < 2:
        return frozenset()
    best = max(known) if direction == "higher" else min(known)
    return frozenset(index for index, value in enumerate(values) if value == best)


def main_headline(headlines: Sequence[str], readers: Sequence[RunReader]) -> str:
    """Of the metrics that runs are judged by, the one that most of these runs have measured; "" without any."""

    def measured(metric: str) -> int:
        return sum(metric in reader.metrics.series for reader in readers)

    return max(dict.fromkeys(headlines), key=measured, default="")


# -- panels


def shared_panels(readers: Sequence[RunReader], first: Sequence[str] = ()) -> list[str]:
    """Names of panels: those of most runs before others, among equals those in `first` before others, by name."""
    counts: dict[str, int] = {}
    for reader in readers:
        for name, history in reader.panels.items():
            counts[name] = counts.get(name, 0) + bool(history)
    preferred = {name: place for place, name in enumerate(dict.fromkeys(first))}

    def rank(name: str) -> tuple[int, int, str]:
        return -counts[name], preferred.get(name, len(preferred)), name

    return sorted((name for name, count in counts.items() if count), key=rank)


def moments(readers: Sequence[RunReader], panel: str) -> list[int]:
    """After how many images any of the runs has drawn a panel, rising."""
    return sorted({images for reader in readers for images in reader.panels.get(panel, [])})


def drawn_by(reader: RunReader, panel: str, images: int | None) -> int | None:
    """The newest drawing of a panel at or before `images`; None where there is none.

    Without `images` it is the newest of all.
    """
    history = reader.panels.get(panel, [])
    place = len(history) if images is None else bisect_right(history, images)
    return history[place - 1] if place else None


def seeds_of(panels: Iterable[Panel]) -> list[int]:
    """The different seeds that captions name, rising."""
    found = (_SEED.search(panel.caption) for panel in panels)
    return sorted({int(match[1]) for match in found if match is not None})
