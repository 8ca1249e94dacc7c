"""Where each pixel of a view comes from: crop and resize, mirror, quarter turns.

The crop is bilinear. A crop is never larger than its image, so resizing it back only ever enlarges, where
torchvision's antialiased and plain interpolation are the same; both are matched. A view that is smaller than
its crop is that of plain interpolation. Rows, not pixels, are
gathered: first whole rows of the image, then, transposed, whole columns. Unlike a product with banded
matrices this has full float32 precision whatever the machine's setting for matrix products, and it is faster.
"""

from __future__ import annotations

import torch
from torch import Tensor


def crop_and_flip(images: Tensor, box: Tensor, flip: Tensor, size: tuple[int, int]) -> Tensor:
    """Crops, resized, some then mirrored.

    Args:
        images: [B, C, H, W] float32.
        box: [B, 4] int64: top, left, height, width.
        flip: [B] bool.
        size: H' and W', height and width of a view.

    Returns:
        [B, C, H', W'], a new tensor.
    """
    height, width = size
    columns = torch.arange(width, device=images.device)
    columns = torch.where(flip[:, None], width - 1 - columns, columns)  # [B, W']
    rows = torch.arange(height, device=images.device).expand(len(images), height)  # [B, H']
    tall = _interpolate_rows(images, rows, box[:, 0], box[:, 2])
    wide = _interpolate_rows(tall.transpose(2, 3), columns, box[:, 1], box[:, 3])
    return wide.transpose(2, 3).contiguous()


def _interpolate_rows(images: Tensor, target: Tensor, start: Tensor, length: Tensor) -> Tensor:
    """Rows `target` [B, H'] of the stretch `start`, `length` [B] resized to H': [B, C, H', W]."""
    b, c, h, w = images.shape
    size = target.shape[1]
    place = ((target + 0.5) * (length[:, None] / size) - 0.5).clamp_(
        min=0
    )  # centre of a row, within the stretch
    above = place.floor()
    weight = place - above  # of the row below
    above = above.long()
    below = torch.minimum(above + 1, length[:, None] - 1)
    first = (
        torch.arange(0, b * c * h, h, device=images.device).view(b, c, 1) + start[:, None, None]
    )  # [B, C, 1]
    flat = images.reshape(b * c * h, w)
    upper = flat.index_select(0, (first + above[:, None]).flatten()).view(b, c, size, w)
    lower = flat.index_select(0, (first + below[:, None]).flatten()).view(b, c, size, w)
    return upper.lerp_(lower, weight[:, None, :, None])


def quarter_turns(images: Tensor, turns: Tensor) -> Tensor:
    """Square [B, C, S, S], each turned counter-clockwise by `turns` [B] int64 quarters."""
    by = turns[:, None, None, None]
    half = torch.where(by >= 2, images.flip(2, 3), images)
    return torch.where(by % 2 == 1, half.transpose(2, 3).flip(2), half)
