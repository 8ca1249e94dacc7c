"""Layers whose weights are divided by their largest singular value, so that each is 1-Lipschitz.

Miyato et al. 2018, arXiv:1802.05957, §2.1 and Alg. 1. The singular vectors are buffers: a forward pass reads
them, and `iterate_power` moves them, once before each update, as Alg. 1 does.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMALLEST = 1e-12
"""Below it a singular value counts as 0, of which there is no quotient."""


class _Spectral(nn.Module):
    """What the layers below share: vectors u, v with sigma = u W v, W the weight as a matrix [outputs, rest]."""

    weight: Tensor
    u: Tensor
    v: Tensor

    def draw_vectors(self) -> None:
        matrix = self.weight.detach().flatten(1)
        self.register_buffer("u", F.normalize(torch.randn(len(matrix)), dim=0))
        self.register_buffer("v", F.normalize(matrix.T @ self.u, dim=0, eps=SMALLEST))

    @torch.no_grad()
    def iterate(self) -> None:
        """One power iteration: v <- W'u / |W'u|, u <- Wv / |Wv|."""
        matrix = self.weight.flatten(1)
        self.v.copy_(F.normalize(matrix.T @ self.u, dim=0, eps=SMALLEST))
        self.u.copy_(F.normalize(matrix @ self.v, dim=0, eps=SMALLEST))

    def sigma(self) -> Tensor:
        """The largest singular value by the vectors at hand; differentiable in the weight alone."""
        with torch.autocast(self.weight.device.type, enabled=False):
            sigma: Tensor = self.u @ self.weight.flatten(1) @ self.v
            return sigma

    def normalized(self) -> Tensor:
        """W / sigma(W)."""
        return self.weight / self.sigma().clamp_min(SMALLEST)


class SpectralLinear(_Spectral, nn.Linear):
    """`nn.Linear` with spectral normalization."""

    def __init__(self, inputs: int, outputs: int, *, bias: bool = True) -> None:
        super().__init__(inputs, outputs, bias=bias)
        self.draw_vectors()

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.normalized(), self.bias)


class SpectralConv2d(_Spectral, nn.Conv2d):
    """`nn.Conv2d` with spectral normalization of its kernel as a matrix [outputs, inputs * height * width]."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, padding: int = 0, bias: bool = True
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride, padding=padding, bias=bias)
        self.draw_vectors()

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self._conv_forward(x, self.normalized(), self.bias)
        return output


class SpectralEmbedding(_Spectral, nn.Embedding):
    """`nn.Embedding` with spectral normalization of its table [entries, width]."""

    def __init__(self, entries: int, width: int) -> None:
        super().__init__(entries, width)
        self.draw_vectors()

    def forward(self, index: Tensor) -> Tensor:
        return F.embedding(index, self.normalized())


def spectral_layers(module: nn.Module) -> list[_Spectral]:
    """All layers inside `module` that are spectrally normalized."""
    return [part for part in module.modules() if isinstance(part, _Spectral)]


def iterate_power(module: nn.Module, times: int = 1) -> None:
    """Move the singular vectors of all spectrally normalized layers inside `module` by power iterations.

    They are a function of the weights and of themselves, and so are equal on all ranks.
    """
    for layer in spectral_layers(module):
        for _ in range(times):
            layer.iterate()
