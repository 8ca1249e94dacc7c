"""How well a mask agrees with the truth: region similarity J and contour accuracy F, as DAVIS defines them.

Perazzi et al. 2016, A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation, §4. Contours
are compared within a tolerance of 0.008 of the image's diagonal, by dilation with a disk in place of a matching
of their points, as in the benchmark's own code.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

TOLERANCE = 0.008
"""Of the diagonal."""


def region_similarity(mask: Tensor, truth: Tensor) -> Tensor:
    """J: intersection over union of [N, H, W] bool; 1 where both are empty. [N] float64."""
    union = (mask | truth).flatten(1).sum(1).double()
    both = (mask & truth).flatten(1).sum(1).double()
    return torch.where(union > 0, both / union.clamp_min(1), torch.ones_like(union))


def contour_accuracy(mask: Tensor, truth: Tensor, *, tolerance: float = TOLERANCE) -> Tensor:
    """F: the harmonic mean of precision and recall of contour points, [N, H, W] bool -> [N] float64.

    A point of one contour is right where the other has one within `tolerance` of the diagonal, rounded up to
    whole pixels. Without any point in the one, precision is 1 and recall 0, and the other way round; 1 where
    both have none.
    """
    reach = math.ceil(tolerance * math.hypot(*mask.shape[1:]))
    ours, theirs = contour(mask), contour(truth)
    found, right = ours.flatten(1).sum(1).double(), theirs.flatten(1).sum(1).double()
    precision = (ours & dilate(theirs, reach)).flatten(1).sum(1) / found.clamp_min(1)
    recall = (theirs & dilate(ours, reach)).flatten(1).sum(1) / right.clamp_min(1)
    precision = torch.where(found > 0, precision, torch.ones_like(precision))
    recall = torch.where(right > 0, recall, torch.ones_like(recall))
    total = precision + recall
    return torch.where(total > 0, 2 * precision * recall / total.clamp_min(1e-30), torch.zeros_like(total))


def contour(mask: Tensor) -> Tensor:
    """Pixels that differ from the one to the right, below, or right below, [N, H, W] bool."""
    beyond = F.pad(mask.float(), (0, 1, 0, 1), mode="replicate").bool()  # past the border nothing changes
    right, below, corner = beyond[:, :-1, 1:], beyond[:, 1:, :-1], beyond[:, 1:, 1:]
    return (mask ^ right) | (mask ^ below) | (mask ^ corner)


def dilate(mask: Tensor, radius: int) -> Tensor:
    """Pixels within `radius` of one of [N, H, W] bool."""
    offsets = torch.arange(-radius, radius + 1, device=mask.device)
    disk = (offsets[:, None] ** 2 + offsets**2 <= radius**2).float()
    return F.conv2d(mask.float().unsqueeze(1), disk[None, None], padding=radius).squeeze(1) > 0.5
