"""Exponential moving averages of networks, and the momentum that changes with time."""

from __future__ import annotations

import math

import torch
from torch import nn


def cosine_between(start: float, end: float, progress: float) -> float:
    """From `start` to `end` along half a cosine, as the momentum of BYOL's target (arXiv:2006.07733, §3.3)."""
    return end + (start - end) * 0.5 * (1.0 + math.cos(math.pi * min(max(progress, 0.0), 1.0)))


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, momentum: float) -> None:
    """average <- momentum * average + (1 - momentum) * network; buffers that are not floats are copied."""
    pairs = list(zip(average.parameters(), network.parameters(), strict=True))
    for mean, value in zip(average.buffers(), network.buffers(), strict=True):
        if mean.is_floating_point():
            pairs.append((mean, value))  # type: ignore[arg-type]
        else:
            mean.copy_(value)
    if pairs:
        torch._foreach_lerp_([mean for mean, _ in pairs], [value for _, value in pairs], 1.0 - momentum)
