"""Batch normalization for generators: in training by the batch, for samples by statistics that are made for them.

The "standing statistics" of Brock et al. 2019, arXiv:1809.11096: when samples are wanted, many batches of noise go
through the generator, and their means and variances are averaged. Those are the statistics of the very weights at
hand, which running averages of a training are not, least of all for averaged weights; and a sample does not depend
on those that are drawn beside it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from sslterm.nn.norm import BatchNorm


class StandingBatchNorm(BatchNorm):
    """BatchNorm whose running statistics are made by `stand`: no part of the state, and never moved by training."""

    def __init__(self, features: int, **options: Any) -> None:
        super().__init__(features, **options)
        self.register_buffer("running_mean", torch.zeros(features), persistent=False)
        self.register_buffer("running_var", torch.ones(features), persistent=False)
        self.accumulates = False

    def forward(self, x: Tensor, *, remember: bool = True) -> Tensor:
        return super().forward(x, remember=remember and self.accumulates)


class ConditionalBatchNorm(nn.Module):
    """BatchNorm whose scale and shift are linear in a condition: [B, features, ...], [B, D] -> [B, features, ...].

    Args:
        linear: makes the layers that give scales, as offsets from 1, and shifts; both without bias.
    """

    def __init__(self, features: int, condition: int, linear: type[nn.Linear]) -> None:
        super().__init__()
        self.norm = StandingBatchNorm(features, affine=False)
        self.scale = linear(condition, features, bias=False)
        self.shift = linear(condition, features, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        over_places = (..., *(None,) * (x.ndim - 2))
        scale, shift = 1 + self.scale(condition)[over_places], self.shift(condition)[over_places]
        return torch.addcmul(shift, self.norm(x), scale)


@torch.no_grad()
def stand(network: nn.Module, batches: Iterable[tuple[Tensor, ...]]) -> None:
    """Set the statistics of every `StandingBatchNorm` inside `network` to their means over `batches`.

    Args:
        batches: arguments of `network`, one tuple for each pass. Every submodule is in the mode it was in afterwards.
    """
    norms = [part for part in network.modules() if isinstance(part, StandingBatchNorm)]
    modes = [norm.training for norm in norms]
    for norm in norms:
        norm.train()
        norm.accumulates = True
    for number, batch in enumerate(batches, start=1):
        for norm in norms:
            norm.momentum = 1 / number  # so that the moving average is the mean of all passes
        network(*batch)
    for norm, training in zip(norms, modes, strict=True):
        norm.train(training)
        norm.accumulates = False
