"""Self-attention over the places of a feature map, for generators and discriminators.

Zhang et al. 2019 (SAGAN), arXiv:1805.08318, §3, with keys and values pooled to half the side, as in the authors' code
and in Brock et al. 2019, arXiv:1809.11096.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.nn.spectral import SpectralConv2d

NARROWER = 8
"""Queries and keys have so many times fewer channels (SAGAN, §3)."""


class SelfAttention(nn.Module):
    """[B, c, h, w] -> [B, c, h, w], h and w even; at the start it changes nothing.

    Args:
        channels: c.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow, half = max(1, channels // NARROWER), max(1, channels // 2)
        self.query = SpectralConv2d(channels, narrow, 1, bias=False)
        self.key = SpectralConv2d(channels, narrow, 1, bias=False)
        self.value = SpectralConv2d(channels, half, 1, bias=False)
        self.output = SpectralConv2d(half, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        queries = self.query(x).flatten(2)  # [B, narrow, h w]
        keys = F.max_pool2d(self.key(x), 2).flatten(2)  # [B, narrow, h w / 4]
        values = F.max_pool2d(self.value(x), 2).flatten(2)  # [B, half, h w / 4]
        weights = (queries.transpose(1, 2) @ keys).softmax(dim=-1)  # [B, h w, h w / 4]
        seen = (values @ weights.transpose(1, 2)).unflatten(2, x.shape[2:])
        output: Tensor = x + self.gamma * self.output(seen)
        return output
