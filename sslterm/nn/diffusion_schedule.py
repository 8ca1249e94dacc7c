"""The Gaussian chain of diffusion models: how much of an image is left at every step, and the way back.

q(x_t | x_0) = N(sqrt(a_t) x_0, (1 - a_t) I) for t = 1 ... T, where a_t falls from nearly 1 to nearly 0 (Ho et al.
2020, arXiv:2006.11239, Eq. 4; a_t is their alpha-bar, and a_0 = 1). Between any two steps s < t,
q(x_s | x_t, x_0) = N(c_0 x_0 + c_t x_t, v I), which for s = t - 1 is their Eq. 6-7, and for others what Nichol &
Dhariwal 2021, arXiv:2102.09672, §4, sample with fewer steps by.

Coefficients are Python floats for one step, for samplers, and [B, 1, 1, 1] tensors for a step of each image, for
losses.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

Course = Literal["linear", "cosine"]
LARGEST_BETA = 0.999
"""Of the cosine schedule, so that its last steps do not destroy everything at once (2102.09672, §3.2)."""
LEAST_STEPS = 21
"""Of the linear schedule: with fewer, a beta scaled to them would exceed 1."""

Number = float | Tensor


class Level(NamedTuple):
    """x_t = signal x_0 + noise epsilon."""

    signal: Number
    noise: Number


class Transition(NamedTuple):
    """q(x_s | x_t, x_0), and between which variances that of p(x_s | x_t) lies."""

    of_clean: Number
    """c_0."""
    of_noisy: Number
    """c_t."""
    variance: Number
    """v, beta-tilde of the papers: the right variance where x_0 is one point. 0 for s = 0."""
    log_small: Number
    """log v; where v is 0 that of the step from 2 to 1, which a density can be made of (2102.09672, §3.1)."""
    log_large: Number
    """log beta, beta = 1 - a_t / a_s: the right variance where x_0 is standard normal."""

    def mean(self, clean: Tensor, noisy: Tensor) -> Tensor:
        return self.of_clean * clean + self.of_noisy * noisy

    def log_variance(self, share: Number) -> Number:
        """Between the small one, share 0, and the large one, share 1 (2102.09672, Eq. 15)."""
        return share * self.log_large + (1 - share) * self.log_small


class Schedule(nn.Module):
    """Args:
    course: linear: beta_t from 1e-4 to 0.02 over 1,000 steps (Ho et al. 2020, §4), faster for fewer; cosine:
        a_t = f(t) / f(0), f(t) = cos^2((t / T + 0.008) / 1.008 * pi / 2) (2102.09672, Eq. 17).
    steps: T.
    """

    table: Tensor
    """[T + 1, 2 + 5], float32: the level and the transition to t - 1 of every t; row 0 is that of 1."""

    def __init__(self, course: Course, steps: int) -> None:
        super().__init__()
        if steps < LEAST_STEPS:
            raise ValueError(f"a chain of {steps} steps is too short; it takes {LEAST_STEPS}")
        self.steps = steps
        self.alpha_bar = tuple(alpha_bars(course, steps))
        """a_0 ... a_T."""
        rows = [[*self.level(t), *self.transition(t, t - 1)] for t in range(1, steps + 1)]
        self.register_buffer("table", torch.tensor([rows[0], *rows]), persistent=False)

    def level(self, t: int) -> Level:
        return Level(math.sqrt(self.alpha_bar[t]), math.sqrt(1 - self.alpha_bar[t]))

    def transition(self, t: int, s: int) -> Transition:
        a_t, a_s = self.alpha_bar[t], self.alpha_bar[s]
        beta = 1 - a_t / a_s
        variance = beta * (1 - a_s) / (1 - a_t)
        return Transition(
            of_clean=math.sqrt(a_s) * beta / (1 - a_t),
            of_noisy=math.sqrt(a_t / a_s) * (1 - a_s) / (1 - a_t),
            variance=variance,
            log_small=math.log(variance) if s else self.transition(2, 1).log_small,
            log_large=math.log(beta),
        )

    def levels(self, t: Tensor) -> Level:
        """Of steps t [B]."""
        return Level(*self.table[t, :2, None, None, None].unbind(1))

    def transitions(self, t: Tensor) -> Transition:
        """From steps t [B] to the ones before."""
        return Transition(*self.table[t, 2:, None, None, None].unbind(1))

    def diffuse(self, clean: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """A draw of q(x_t | x_0), [B, C, H, W]."""
        level = self.levels(t)
        return level.signal * clean + level.noise * noise

    def subsequence(self, steps: int) -> list[int]:
        """`steps` of 1 ... T, evenly spaced from the last to the first (2102.09672, §4), and 0."""
        if not 1 <= steps <= self.steps:
            raise ValueError(f"{steps} steps of a chain of {self.steps}")
        gap = (self.steps - 1) / max(steps - 1, 1)
        return [self.steps - round(number * gap) for number in range(steps)] + [0]


def alpha_bars(course: Course, steps: int) -> list[float]:
    """a_0 ... a_T, in the precision of Python's floats."""
    values = [1.0]
    for t in range(1, steps + 1):
        if course == "linear":
            beta = (1e-4 + (0.02 - 1e-4) * (t - 1) / (steps - 1)) * 1000 / steps
        else:
            beta = min(1 - _cosine(t / steps) / _cosine((t - 1) / steps), LARGEST_BETA)
        values.append(values[-1] * (1 - beta))
    return values


def _cosine(share: float) -> float:
    return math.cos((share + 0.008) / 1.008 * math.pi / 2) ** 2
