"""Whether two runs of one configuration say the same: to the bit, within a tolerance, or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sslterm.run.metrics import Series

Verdict = Literal["equal", "close", "different"]
"""To the bit; the last values of what is measured on held-out images within the tolerance; neither."""
UNCOMPARED = "speed/"
"""How fast a machine is is not what a configuration says."""


@dataclass(frozen=True)
class Agreement:
    """One metric of two runs.

    Attributes:
        metric: its name.
        points: how many have been compared: those that both have.
        last, again: the last of these in either run.
        difference: the largest between two points, over the larger of the two magnitudes; 0 is equality to the bit.
        first_step: where they differ first; None where they do not.
    """

    metric: str
    points: int
    last: float
    again: float
    difference: float
    first_step: int | None


def agreements(original: Mapping[str, Series], again: Mapping[str, Series]) -> list[Agreement]:
    """All metrics that both runs have, at the steps that both have logged."""
    found = []
    for metric in sorted(original.keys() & again.keys()):
        if metric.startswith(UNCOMPARED):
            continue
        one, other = original[metric], again[metric]
        (one_steps, one_values), (other_steps, other_values) = _last_of_steps(one), _last_of_steps(other)
        steps, here, there = np.intersect1d(one_steps, other_steps, assume_unique=True, return_indices=True)
        if not len(steps):
            continue
        a, b = one_values[here], other_values[there]
        differs = (a != b) & ~(np.isnan(a) & np.isnan(b))
        with np.errstate(invalid="ignore", divide="ignore"):
            relative = np.where(differs, np.abs(a - b) / np.maximum(np.abs(a), np.abs(b)), 0.0)
        found.append(
            Agreement(
                metric=metric,
                points=len(steps),
                last=float(a[-1]),
                again=float(b[-1]),
                difference=float(np.nan_to_num(relative, nan=np.inf).max()),
                first_step=int(steps[differs][0]) if differs.any() else None,
            )
        )
    return found


def _last_of_steps(series: Series) -> tuple[NDArray[Any], NDArray[Any]]:
    """Steps and values, the last of each step: what was evaluated again when asked stands there twice."""
    steps, backwards = np.unique(series.step[::-1], return_index=True)
    return steps, series.value[::-1][backwards]


def verdict_of(found: list[Agreement], tolerance: float) -> Verdict:
    """What they say together; runs with nothing in common are different.

    Args:
        tolerance: most that last values on held-out images (of the losses, where none are held out) may differ by,
            over the larger magnitude.
    """
    if not found:
        return "different"
    if all(one.first_step is None for one in found):
        return "equal"
    held_out = [one for one in found if one.metric.startswith("test/")] or found
    ends = [abs(one.last - one.again) / max(abs(one.last), abs(one.again), 1e-12) for one in held_out]
    return "close" if all(end <= tolerance for end in ends) else "different"
