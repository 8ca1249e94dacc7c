"""What is hidden of a picture: its centre, its lower half, or a region of any form.

Shapes: masks [B, 1, H, W] float32, 1 where a picture is hidden and 0 elsewhere.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

MaskKind = Literal["center", "random", "bottom"]

REGION_SHARE = 0.25
"""Of a picture, hidden by the central square and by a random region (Pathak et al. 2016, arXiv:1604.07379, §3.3)."""
NOISE_SIDE = 5
"""Of the noise that a random region is made of: the larger, the finer its form."""


def make_masks(kind: MaskKind, noise: Tensor, height: int, width: int) -> Tensor:
    """One mask for each picture: [B, 1, height, width].

    Args:
        noise: standard normal [B, 1, NOISE_SIDE, NOISE_SIDE]; only "random" looks at it.
    """
    if kind == "random":
        return regions(noise, height, width, REGION_SHARE)
    mask = torch.zeros(height, width, device=noise.device)
    if kind == "center":
        top, left = height // 4, width // 4
        mask[top : top + height // 2, left : left + width // 2] = 1
    else:
        mask[height - height // 2 :] = 1
    return mask.expand(len(noise), 1, height, width)


def regions(noise: Tensor, height: int, width: int, share: float) -> Tensor:
    """Where smooth noise is highest: one or several pieces of any form that cover `share` of the picture."""
    field = F.interpolate(noise, size=(height, width), mode="bicubic", align_corners=False)
    visible = max(1, round((1 - share) * height * width))
    threshold = field.flatten(1).kthvalue(visible).values
    return (field > threshold.view(-1, 1, 1, 1)).float()


def dilate(masks: Tensor, pixels: int) -> Tensor:
    """The masks grown by so many pixels in all directions, diagonals included."""
    return F.max_pool2d(masks, 2 * pixels + 1, stride=1, padding=pixels)


def border_mean(images: Tensor, masks: Tensor) -> Tensor:
    """The mean colour of the visible pixels that touch the hidden ones: [B, C, 1, 1]."""
    ring = dilate(masks, 1) - masks
    return (images * ring).sum((2, 3), keepdim=True) / ring.sum((2, 3), keepdim=True).clamp_min(1)


def fill_with_border(images: Tensor, masks: Tensor) -> Tensor:
    """The naive answer: hidden pixels take the mean colour of the border."""
    return torch.where(masks > 0.5, border_mean(images, masks), images)


def hidden_error(answers: Tensor, images: Tensor, masks: Tensor) -> Tensor:
    """Mean squared error per value of the hidden pixels alone, [B]."""
    hidden = masks.sum((1, 2, 3)).clamp_min(1) * images.shape[1]
    return ((answers - images).square() * masks).sum((1, 2, 3)) / hidden
