"""Layers whose weights are scaled at runtime by He's constant, so that all learn at the same speed.

Karras et al. 2018, arXiv:1710.10196, §4.1: weights are drawn from N(0, 1) and used as gain / sqrt(fan_in) times
themselves. Adam's steps do not depend on the scale of a gradient; so every weight moves at the same rate
relative to what its layer does, however many inputs that has.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HE_GAIN = math.sqrt(2.0)
"""For layers that a (leaky) ReLU follows (He et al. 2015, arXiv:1502.01852)."""


class EqualizedLinear(nn.Module):
    """[B, inputs] -> [B, outputs].

    Args:
        gain: 1 where nothing follows that halves the variance.
    """

    def __init__(self, inputs: int, outputs: int, *, gain: float = HE_GAIN) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = gain / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias)


class EqualizedConv2d(nn.Module):
    """[B, inputs, h, w] -> [B, outputs, h, w], for odd kernels."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, gain: float = HE_GAIN) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.padding = kernel // 2
        self.scale = gain / math.sqrt(inputs * kernel * kernel)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=self.padding)
