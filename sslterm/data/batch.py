"""What a stream yields and a loss takes."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """What a stream yields.

    Attributes:
        images: [B, C, H, W] float32 in [0, 1]; clips are [B, T, C, H, W].
        index: [B] int64, position in the data set (memory banks, pseudo-labels).
        label: [B] int64, -1 where unknown; for conditional methods and evaluations only.
    """

    images: Tensor
    index: Tensor
    label: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, rows: slice) -> Batch:
        return Batch(self.images[rows], self.index[rows], self.label[rows])
