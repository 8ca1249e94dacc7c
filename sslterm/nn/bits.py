"""Pixels as densities are trained on them, and judged by: bits, or 8-bit values spread over their bins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from sslterm.rows import bernoulli, rand

Binarization = Literal["dynamic", "threshold"]
"""dynamic: every grey is the probability of its bit, drawn anew each time; threshold: greys above 0.5 are 1."""

PROTOCOLS: Mapping[str, str] = {"dynamic": "dynamic binarization", "threshold": "binarized at 0.5"}
"""What the nats are nats of. They differ by tens: figures under two protocols never share a column."""


def binarize(images: Tensor, how: Binarization, generator: torch.Generator | None = None) -> Tensor:
    """Greys in [0, 1] -> bits of the same shape, float32.

    Args:
        generator: of the draw; without it, the training's own, an image at a time (`sslterm.rows`). Evaluations
            draw bits before anything else, so that all densities see the same ones under the same seed.
    """
    if how == "threshold":
        return (images > 0.5).float()
    if generator is None:
        return bernoulli(images)
    uniform = torch.rand(images.shape, generator=generator, device=images.device)
    return (uniform < images).float()


def dequantize(images: Tensor, noise: Tensor) -> Tensor:
    """8-bit values i, given as i / 255, -> (i + noise) / 256, in [0, 1) as `noise` is (Theis et al. 2016, §3.1)."""
    return (images * 255 + noise) / 256


def dequantize_at_random(images: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """With uniform noise; `generator` as of `binarize`."""
    if generator is None:
        return dequantize(images, rand(len(images), *images.shape[1:], like=images))
    return dequantize(images, torch.rand(images.shape, generator=generator, device=images.device))
