"""A memory of the newest embeddings, first in, first out (He et al. 2020, arXiv:1911.05722, §3.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Queue(nn.Module):
    """The newest `size` embeddings, as they are pushed; random unit vectors before it has filled.

    Its state is in buffers, equal on all ranks as long as what is pushed is (gather it first).

    Args:
        size: K.
        dimensions: D.

    Attributes:
        values: [K, D] float32.
        pushed_at: [K] int64, training images drawn when each was pushed; -1 for the random ones.
    """

    values: Tensor
    pushed_at: Tensor
    next: Tensor

    def __init__(self, size: int, dimensions: int) -> None:
        super().__init__()
        self.register_buffer("values", F.normalize(torch.randn(size, dimensions), dim=1))
        self.register_buffer("pushed_at", torch.full((size,), -1))
        self.register_buffer("next", torch.zeros((), dtype=torch.int64))

    def __len__(self) -> int:
        return len(self.values)

    @torch.no_grad()
    def push(self, values: Tensor, *, images: int) -> Tensor:
        """Put `values` [B, D] of all ranks in the place of the oldest, the last of them as the newest.

        Args:
            images: training images drawn so far, the clock.

        Returns:
            the rows of the queue that they took, [B] int64.

        Raises:
            ValueError: there are more of them than places.
        """
        if len(values) > len(self):
            raise ValueError(f"{len(values)} embeddings do not go into a queue of {len(self)}")
        place = (self.next + torch.arange(len(values), device=values.device)) % len(self)
        self.values[place] = values.float()
        self.pushed_at[place] = images
        self.next.copy_((self.next + len(values)) % len(self))
        return place

    def ages(self, images: int | None = None) -> Tensor:
        """[K] float32, from the newest on: images drawn since each was pushed; NaN for the random ones."""
        newest = int(self.pushed_at.max()) if images is None else images
        age = torch.where(self.pushed_at < 0, float("nan"), (newest - self.pushed_at).float())
        order = (self.next - 1 - torch.arange(len(self), device=age.device)) % len(self)
        return age[order]
