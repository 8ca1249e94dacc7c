"""Codes of generators, drawn by a generator of random numbers of their own."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_CELL = 2.0**-24
"""Distance of the uniform numbers that torch draws in float32."""


def truncated_normal(n: int, dims: int, generator: torch.Generator, threshold: float = math.inf) -> Tensor:
    """Standard normal numbers, those beyond +-`threshold` drawn anew: [n, dims] (arXiv:1809.11096, §3.1).

    By the inverse of the distribution's function: the same draws give the same directions at every threshold,
    so that a sweep over thresholds shows what it does to single images.
    """
    uniform = torch.rand(n, dims, generator=generator, device=generator.device)
    symmetric = 2 * uniform - 1 + _CELL  # in (-1, 1), both ends left out
    return math.sqrt(2) * torch.erfinv(symmetric * math.erf(threshold / math.sqrt(2)))
