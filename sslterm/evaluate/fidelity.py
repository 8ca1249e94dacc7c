"""Quality of samples in a named feature space, each number beside real images and the untrained network.

Nothing here is the Inception-FID of the literature, and distances in different spaces cannot be compared;
so every number carries its space: `FD[mnist-28px-judge64-v1]@1000`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from sslterm.data.store import Store
from sslterm.errors import UsageError
from sslterm.evaluate.distances import (
    Estimate,
    classifier_score,
    frechet_distance,
    kernel_distance,
    kernel_sums_within,
    kl_to_uniform,
    share_of,
)
from sslterm.evaluate.features import Progress, no_progress
from sslterm.evaluate.judge import Judged, Space, judge_images, judge_store
from sslterm.evaluate.neighbourhoods import Cloud, coverage, density, precision, recall
from sslterm.evaluate.two_sample import two_sample_accuracy

LeaveOut = Callable[[str, UsageError], None]
"""Told which figure cannot be measured, and why."""


class _Side:
    """A set of images as a space sees it."""

    def __init__(self, judged: Judged) -> None:
        self.judged = judged
        self.features = judged.features
        self.cloud = Cloud(judged.features)

    @cached_property
    def kernel_sums(self) -> Tensor:
        """Of the held-out images they are wanted once for each set that is compared with them."""
        return kernel_sums_within(self.features)


@dataclass(frozen=True)
class _Measure:
    """A figure of one set of images against another."""

    name: str
    unit: str
    kind: str
    of: Callable[[_Side, _Side], Estimate | float]


_IN_ANY_SPACE = (
    _Measure("FD", "", "distance", lambda a, b: frechet_distance(a.features, b.features)),
    _Measure(
        "KD", "", "distance", lambda a, b: kernel_distance(a.features, b.features, sums_b=b.kernel_sums)
    ),
    _Measure("precision", "share", "estimate", lambda a, b: precision(a.cloud, b.cloud)),
    _Measure("recall", "share", "estimate", lambda a, b: recall(a.cloud, b.cloud)),
    _Measure("density", "1 for real", "estimate", lambda a, b: density(a.cloud, b.cloud)),
    _Measure("coverage", "share", "estimate", lambda a, b: coverage(a.cloud, b.cloud)),
    _Measure(
        "C2ST", "share (chance 0.5)", "estimate", lambda a, b: two_sample_accuracy(a.features, b.features)
    ),
)
_OF_CLASSES = (
    _Measure("CS", "classes", "estimate", lambda a, b: classifier_score(a.judged.probabilities)),
    _Measure("smallest_class", "share", "estimate", lambda a, b: float(a.judged.histogram.min())),
    _Measure("class_kl", "nats", "estimate", lambda a, b: kl_to_uniform(a.judged.histogram)),
)


def fidelity(
    space: Space,
    samples: Tensor,
    train: Store,
    test: Store,
    *,
    labels: Tensor | None = None,
    untrained: Tensor | None = None,
    seed: int = 0,
    leave_out: LeaveOut = lambda name, error: None,
    progress: Progress = no_progress,
) -> Iterator[dict[str, Any]]:
    """Judge samples (uint8 [N, C, H, W]) against all held-out images.

    Args:
        labels: [N] the classes that were asked for, of a class-conditional method.
        untrained: as many samples of the network before training.
        leave_out: told of a Fréchet distance that there are too few images for.

    Yields:
        {name, value, unit, kind, n, split, floor, baseline_untrained, space, n_real, seed, ...}; `floor` is the
        same number for as many training images (or as many as there are) in place of samples: what a perfect
        generator would get. Of how often the class is the one asked for, it is the judge's own accuracy on
        held-out images.
    """
    n = len(samples)
    real = _Side(judge_store(space, test, seed=seed))
    fake = _Side(judge_images(space, samples))
    known = _Side(judge_store(space, train, n, seed=seed))
    fresh = None if untrained is None else _Side(judge_images(space, untrained))
    about = {
        "n": n, "split": "test", "space": space.name, "space_sha256": space.digest,
        "dimensions": space.dimensions, "judge_accuracy": space.accuracy, "n_real": len(test),
        "n_floor": len(known.features), "seed": seed,
    }  # fmt: skip
    for measure in _IN_ANY_SPACE + (_OF_CLASSES if space.classes else ()):
        title = f"{measure.name}[{space.name}]@{n}"
        progress(f"judging by {measure.name}", 0, 1)
        try:
            found = measure.of(fake, real)
        except UsageError as error:
            leave_out(title, error)
            continue
        floor, before = _value(measure, known, real), _value(measure, fresh, real)
        row = {"name": title, "unit": measure.unit, "kind": measure.kind, **_row(found), "floor": floor}
        if measure.name == "class_kl":
            row["histogram"] = fake.judged.histogram.tolist()
            row["histogram_real"] = real.judged.histogram.tolist()
        yield row | {"baseline_untrained": before} | about
    if labels is not None and space.classes:
        found, before = _agreement(fake, labels), None if fresh is None else _agreement(fresh, labels).value
        yield {
            "name": f"label_agreement[{space.name}]@{n}", "unit": "share", "kind": "estimate", **found.row(),
            "floor": space.accuracy, "baseline_untrained": before, **about,
        }  # fmt: skip


def _agreement(side: _Side, labels: Tensor) -> Estimate:
    """How often the class that is seen is the one that was asked for."""
    return share_of(int((side.judged.classes == labels.to(side.judged.classes.device)).sum()), len(labels))


def _row(estimate: Estimate | float) -> dict[str, Any]:
    return estimate.row() if isinstance(estimate, Estimate) else {"value": estimate}


def _value(measure: _Measure, side: _Side | None, real: _Side) -> float | None:
    """The figure of another set; None where it has too few images for it."""
    if side is None:
        return None
    try:
        found = measure.of(side, real)
    except UsageError:
        return None
    return found.value if isinstance(found, Estimate) else found
