"""Ways from noise to images along a diffusion chain. Each yields x after every step, so that it can be watched.

A denoiser says, of x_t and t, what it takes for the noise in it, and how large the variance of a step is. Samplers know
nothing else of networks: with the exact denoiser of a distribution they return that distribution.

Shapes: x [B, C, H, W], in [-1, 1] where it is an image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from sslterm.nn.diffusion_schedule import Number, Schedule

Sampler = Literal["ancestral", "ddim"]
RESAMPLED = 5
"""Times that a step of `inpaint` is taken."""


class Guess(NamedTuple):
    """What a denoiser says."""

    noise: Tensor
    """epsilon, [B, C, H, W]."""
    share: Number
    """Where the log variance lies between the small, 0, and the large, 1: see `Transition.log_variance`."""


Denoiser = Callable[[Tensor, int], Guess]


def clean_of(x: Tensor, guess: Guess, schedule: Schedule, t: int, *, clip: bool) -> Tensor:
    """x_0 as the denoiser sees it, clipped to what images can be where asked."""
    level = schedule.level(t)
    clean = (x - level.noise * guess.noise) / level.signal
    return clean.clamp(-1, 1) if clip else clean


def ancestral_step(
    denoise: Denoiser,
    schedule: Schedule,
    x: Tensor,
    t: int,
    s: int,
    generator: torch.Generator,
    *,
    clip: bool,
) -> Tensor:
    """A draw of p(x_s | x_t) (Ho et al. 2020, arXiv:2006.11239, Alg. 2, for any s < t)."""
    guess, transition = denoise(x, t), schedule.transition(t, s)
    mean = transition.mean(clean_of(x, guess, schedule, t, clip=clip), x)
    if s == 0:  # the last step adds no noise
        return mean
    deviation = torch.as_tensor(0.5 * transition.log_variance(guess.share)).exp()
    return mean + deviation * _randn_like(x, generator)


def ddim_step(
    denoise: Denoiser, schedule: Schedule, x: Tensor, t: int, s: int, generator: torch.Generator | None,
    *, clip: bool, eta: float = 0.0,
) -> Tensor:  # fmt: skip
    """x_s of x_t (Song, Meng & Ermon 2021, arXiv:2010.02502, Eq. 12 and 16); without eta nothing is drawn."""
    clean = clean_of(x, denoise(x, t), schedule, t, clip=clip)
    now, then = schedule.level(t), schedule.level(s)
    noise = (x - now.signal * clean) / now.noise  # that of the clipped x_0
    variance = eta**2 * float(schedule.transition(t, s).variance)
    x = then.signal * clean + max(float(then.noise) ** 2 - variance, 0.0) ** 0.5 * noise
    if variance:
        assert generator is not None
        x = x + variance**0.5 * _randn_like(x, generator)
    return x


def ancestral(
    denoise: Denoiser,
    schedule: Schedule,
    x: Tensor,
    *,
    steps: int,
    generator: torch.Generator,
    clip: bool = True,
) -> Iterator[Tensor]:
    """From noise x_T to x_0, in `steps` of the chain's T."""
    for t, s in pairwise(schedule.subsequence(steps)):
        x = ancestral_step(denoise, schedule, x, t, s, generator, clip=clip)
        yield x


def ddim(
    denoise: Denoiser, schedule: Schedule, x: Tensor, *, steps: int, generator: torch.Generator | None = None,
    clip: bool = True, eta: float = 0.0,
) -> Iterator[Tensor]:  # fmt: skip
    """The same by implicit steps: for eta = 0 a function of x_T, for eta = 1 with the small variances."""
    for t, s in pairwise(schedule.subsequence(steps)):
        x = ddim_step(denoise, schedule, x, t, s, generator, clip=clip, eta=eta)
        yield x


def inpaint(
    denoise: Denoiser,
    schedule: Schedule,
    known: Tensor,
    hidden: Tensor,
    *,
    steps: int,
    generator: torch.Generator,
) -> Iterator[Tensor]:
    """Fill `known` where `hidden` [B, 1, H, W] is true (Lugmayr et al. 2022, arXiv:2201.09865, Alg. 1).

    What is known is diffused to every step and put in place. A step is taken several times, with the noise of the step
    added again in between, so that what is painted comes to agree with what is known.
    """
    x = _randn_like(known, generator)
    for t, s in pairwise(schedule.subsequence(steps)):
        for turn in range(RESAMPLED if s else 1):
            if turn:  # q(x_t | x_s)
                alpha = schedule.alpha_bar[t] / schedule.alpha_bar[s]
                x = alpha**0.5 * x + (1 - alpha) ** 0.5 * _randn_like(x, generator)
            x = ancestral_step(denoise, schedule, x, t, s, generator, clip=True)
            level = schedule.level(s)
            x = torch.where(hidden, x, level.signal * known + level.noise * _randn_like(known, generator))
        yield x


def _randn_like(x: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
