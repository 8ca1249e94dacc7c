"""Initial value problems dx/dt = f(t, x): Euler's and Heun's methods in equal steps, and Dormand & Prince's pair.

`integrate` yields every step on the way, so that whoever follows a flow can watch it. Times may run backwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

Solver = Literal["euler", "heun", "dopri5"]
Field = Callable[[float, Tensor], Tensor]
"""(t, x [B, ...]) -> dx/dt [B, ...]."""

FIRST_STEP, SHORTEST_STEP = 1 / 20, 1 / 1000
"""Of dopri5, as shares of the whole way; steps as short as the second are taken whatever their error."""
SAFETY, LEAST_FACTOR, MOST_FACTOR = 0.9, 0.2, 5.0
"""How the next step follows from the error of the last (Hairer, Nørsett & Wanner 1993, §II.4)."""

# Dormand & Prince 1980, doi:10.1016/0771-050X(80)90013-3, Table 2: the stages' times, what they are made of, and the
# weights of the difference between the solutions of order 5 and 4. The last stage stands at the new point.
TIMES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)


def integrate(
    field: Field, x: Tensor, start: float, end: float, *, solver: Solver, steps: int, tolerance: float
) -> Iterator[tuple[float, Tensor]]:
    """(t, x) after every step; the last has t = end.

    Args:
        x: [B, ...] at `start`.
        steps: of euler and heun.
        tolerance: of dopri5, relative and absolute: of the root mean square over the values of each x of the batch.
    """
    if solver == "dopri5":
        yield from _dormand_prince(field, x, start, end, tolerance)
        return
    times = [start + (end - start) * number / steps for number in range(steps)] + [end]
    for now, then in pairwise(times):
        slope = field(now, x)
        if solver == "heun":
            slope = (slope + field(then, x + (then - now) * slope)) / 2
        x = x + (then - now) * slope
        yield then, x


def _dormand_prince(
    field: Field, x: Tensor, start: float, end: float, tolerance: float
) -> Iterator[tuple[float, Tensor]]:
    now, step = start, (end - start) * FIRST_STEP
    shortest = abs(end - start) * SHORTEST_STEP
    slope = field(now, x)
    while now != end:
        last = abs(end - now) <= abs(step) * (1 + 1e-9)
        step = end - now if last else step
        slopes = [slope]
        for time, weights in zip(TIMES, STAGES, strict=True):
            reached = x + step * _combine(slopes, weights)
            slopes.append(field(now + time * step, reached))
        error = _error(x, reached, step * _combine(slopes, ERROR), tolerance)
        if not error <= 1 and abs(step) > shortest:  # NaN is an error too
            factor = max(LEAST_FACTOR, SAFETY * error**-0.2) if error == error else LEAST_FACTOR
            step = (1 if step > 0 else -1) * max(shortest, abs(step) * factor)
            continue
        now, x, slope = (end if last else now + step), reached, slopes[-1]
        yield now, x
        factor = min(MOST_FACTOR, SAFETY * error**-0.2) if 0 < error <= 1 else 1.0
        step *= MOST_FACTOR if error == 0 else factor


def _combine(slopes: list[Tensor], weights: tuple[float, ...]) -> Tensor:
    parts = [weight * slope for weight, slope in zip(weights, slopes, strict=True) if weight]
    return torch.stack(parts).sum(0)


def _error(before: Tensor, after: Tensor, difference: Tensor, tolerance: float) -> float:
    """The largest of the batch, 1 where it is just what is tolerated."""
    allowed = tolerance * (1 + torch.maximum(before.abs(), after.abs()))
    return float((difference / allowed).flatten(1).square().mean(1).sqrt().max())
