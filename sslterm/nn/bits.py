"""Greys as bits: what a density over binary pixels is trained on, and judged by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from sslterm.rows import bernoulli

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
