"""The terms of a variational bound of 8-bit images with Gaussian steps, in nats an image.

Shapes: x, mean, log_variance broadcast to [B, C, H, W]; results [B]. x is in [-1, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor

from sslterm.nn.precision import in_float32

HALF_LEVEL = 1 / 255
"""Half the distance between two of 256 levels on [-1, 1]."""


@in_float32
def normal_kl(mean: Tensor, log_variance: Tensor, mean_p: Tensor, log_variance_p: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(mean_p, variance_p))."""
    values = -1 + log_variance_p - log_variance + (log_variance - log_variance_p).exp()
    values = 0.5 * (values + (mean - mean_p).square() * (-log_variance_p).exp())
    return values.flatten(1).sum(1)


@in_float32
def discretized_normal(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log of the mass that a normal has in the levels of x (Ho et al. 2020, arXiv:2006.11239, Eq. 13).

    The first and last levels take what lies beyond them. Levels above the mean are mirrored, so that the difference of
    two cumulative probabilities is always taken in the lower tail, where floats are dense.
    """
    centred = x - mean
    inverse = (-0.5 * log_variance).exp()
    above = centred > 0
    near = (
        torch.where(above, HALF_LEVEL - centred, HALF_LEVEL + centred) * inverse
    )  # the end closer to the mean
    log_near = torch.special.log_ndtr(near)
    log_far = torch.special.log_ndtr(near - 2 * HALF_LEVEL * inverse)
    inside = log_near + (-torch.expm1((log_far - log_near).clamp_max(-1e-7))).log()
    # Of an outermost level only the inner end counts: `near` where the mean is further inside, its mirror beyond.
    first, last = x < -1 + HALF_LEVEL, x > 1 - HALF_LEVEL
    edge = torch.where(first, centred + HALF_LEVEL, HALF_LEVEL - centred) * inverse
    return torch.where(first | last, torch.special.log_ndtr(edge), inside).flatten(1).sum(1)
