"""Colours as distributions over the cells of the ab plane, and distributions as colours.

Zhang et al. 2016, arXiv:1603.08511, §2. Shapes: ab [..., 2]; Q cells.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sslterm.nn.lab import CELL, cells
from sslterm.nn.precision import in_float32

NEAREST = 5
"""Cells that a colour is spread over."""
SIGMA = 5.0
"""Of the Gaussian that it is spread by, and of the one that smooths the prior, in units of ab."""


class ColourCells(nn.Module):
    """The cells of the ab plane that sRGB colours fall into.

    To find the nearest cells of millions of colours, the plane is cut into boxes of the size of a cell, and
    every box knows the few cells that can be among the nearest of a colour in it.
    """

    centres: Tensor
    corner: Tensor
    candidates: Tensor

    def __init__(self) -> None:
        super().__init__()
        centres = cells()
        low, high = centres.amin(0), centres.amax(0)
        self.shape: tuple[int, int] = tuple((((high - low) / CELL).round().long() + 1).tolist())
        boxes = low + CELL * torch.cartesian_prod(*(torch.arange(side) for side in self.shape))  # [boxes, 2]
        self.register_buffer("centres", centres, persistent=False)
        self.register_buffer("corner", low, persistent=False)
        self.register_buffer("candidates", _candidates(boxes, centres), persistent=False)

    def __len__(self) -> int:
        return len(self.centres)

    def nearest(self, ab: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest cells, nearest first, and the squared distances to them: [..., 5] each."""
        place = ((ab - self.corner) / CELL).round()
        sides = torch.tensor(self.shape, device=ab.device)
        row, column = torch.minimum(place.clamp_min(0), sides - 1).long().unbind(-1)
        candidates = self.candidates[row * self.shape[1] + column]  # [..., K]
        squared = (ab.unsqueeze(-2) - self.centres[candidates]).square().sum(-1)
        found = squared.topk(NEAREST, dim=-1, largest=False)
        return candidates.gather(-1, found.indices), found.values

    def spread(self, ab: Tensor) -> tuple[Tensor, Tensor]:
        """A colour as shares of its nearest cells (§2.1): their numbers and the shares, [..., 5] each."""
        numbers, squared = self.nearest(ab)
        return numbers, (-squared / (2 * SIGMA**2)).softmax(-1)

    def smoothed(self, prior: Tensor) -> Tensor:
        """A distribution over the cells [Q], blurred; what a cell gives away stays among the cells."""
        kernel = (-torch.cdist(self.centres, self.centres).square() / (2 * SIGMA**2)).exp()
        blurred: Tensor = kernel @ (prior / kernel.sum(0))
        return blurred


def _candidates(boxes: Tensor, centres: Tensor) -> Tensor:
    """Cells that may be among the five nearest of a point in a box, [boxes, K]: all of them, and some others."""
    to_centre = torch.cdist(boxes, centres)
    reach = to_centre.topk(NEAREST, largest=False).values[:, -1:] + CELL / 2**0.5
    outside = ((boxes[:, None] - centres).abs() - CELL / 2).clamp_min(0).norm(dim=-1)  # from box to cell
    needed = int((outside <= reach + 1e-3).sum(1).max())
    found: Tensor = outside.topk(needed, largest=False).indices
    return found


@in_float32
def rebalancing_weights(prior: Tensor, uniform_share: float) -> Tensor:
    """What the loss of a pixel weighs by the cell of its colour: 1 on average over the prior (Eq. 4).

    Args:
        prior: smoothed shares of the cells, [Q].
        uniform_share: lambda; 1 gives all the same weight, 0 the inverse of the prior.
    """
    weights = 1 / ((1 - uniform_share) * prior + uniform_share / len(prior))
    return weights / (prior * weights).sum()


@in_float32
def annealed_mean(logits: Tensor, centres: Tensor, temperature: float) -> Tensor:
    """The mean colour of a distribution that is made sharper first (Eq. 5).

    Args:
        logits: [B, Q, H, W].
        centres: [Q, 2].
        temperature: 1 gives the mean, towards 0 the mode.

    Returns:
        [B, 2, H, W].
    """
    return torch.einsum("bqhw,qc->bchw", (logits / temperature).softmax(1), centres)
