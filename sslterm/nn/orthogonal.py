"""Weights whose rows are at right angles to each other: how they begin, and what keeps them there.

Saxe et al. 2014, arXiv:1312.6120; Brock et al. 2017, arXiv:1609.07093, and 2019, arXiv:1809.11096, §3.1.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from sslterm.nn.precision import in_float32


def init_orthogonal(module: nn.Module) -> None:
    """Orthogonal weights in all layers inside `module`; biases stay as they are."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear | nn.Embedding):
            nn.init.orthogonal_(part.weight)


def matrices(module: nn.Module, *, besides: Iterable[nn.Module] = ()) -> list[Tensor]:
    """The weights of convolutions and dense layers inside `module`, without those of `besides`."""
    left_out = {id(parameter) for part in besides for parameter in part.parameters()}
    return [
        parameter for parameter in module.parameters() if parameter.ndim > 1 and id(parameter) not in left_out
    ]


def between_rows(weights: Iterable[Tensor]) -> Tensor:
    """sum |W W' * (1 - I)|^2 over weights, each as a matrix W [outputs, rest] (arXiv:1809.11096, Eq. 3).

    Rows are filters. Their lengths are left free, so that only the angles between them matter.
    """
    return torch.stack([_off_diagonal(weight.flatten(1)) for weight in weights]).sum()


@in_float32
def _off_diagonal(matrix: Tensor) -> Tensor:
    gram = matrix @ matrix.T
    return gram.square().sum() - gram.diagonal().square().sum()
