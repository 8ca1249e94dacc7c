"""A network that predicts an image from coarse to fine.

Mathieu et al. 2016, arXiv:1511.05440, §3.1 and Fig. 2. Shapes: inputs [B, C, H, W] of any size; outputs
[B, K, H, W] float32.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MultiScale(nn.Module):
    """y_k = u(y_(k-1)) + g_k(x_k, u(y_(k-1))): every scale mends what the coarser one, enlarged, has predicted.

    Args:
        channels: C of the inputs.
        outputs: K.
        widths: channels of the hidden convolutions, for each scale from the coarsest to the finest; each scale
            has half the side of the next.
        kernel: side of all filters, odd.
    """

    def __init__(self, channels: int, outputs: int, *, widths: Sequence[Sequence[int]], kernel: int) -> None:
        super().__init__()
        self.outputs = outputs
        self.scales = nn.ModuleList()
        for hidden in widths:
            sizes = [channels + outputs, *hidden]
            stages = [
                nn.Sequential(nn.Conv2d(before, after, kernel, padding=kernel // 2), nn.ReLU())
                for before, after in itertools.pairwise(sizes)
            ]
            last = nn.Conv2d(sizes[-1], outputs, kernel, padding=kernel // 2)
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]
            self.scales.append(nn.ModuleList([*stages, last]))

    def run(self, x: Tensor, start: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Predictions of every scale, coarse to fine, and the last hidden maps that they are made from.

        Args:
            x: [B, C, H, W].
            start: what the coarsest scale mends, [B, K, H, W].
        """
        predictions: list[Tensor] = []
        hidden: list[Tensor] = []
        for number, stages in enumerate(self.scales):
            size = _side(x.shape[2:], len(self.scales) - 1 - number)
            here = F.adaptive_avg_pool2d(x, size)
            if number == 0:
                base = F.adaptive_avg_pool2d(start, size)
            else:
                base = F.interpolate(predictions[-1], size, mode="bilinear")
            z = torch.cat((here, base.to(here.dtype)), dim=1)
            assert isinstance(stages, nn.ModuleList)
            *inner, last = stages
            for stage in inner:
                z = stage(z)
            hidden.append(z.float())
            predictions.append(base.float() + last(z).float())
        return predictions, hidden


def _side(shape: Sequence[int], halvings: int) -> tuple[int, int]:
    height, width = shape
    return max(1, height >> halvings), max(1, width >> halvings)
