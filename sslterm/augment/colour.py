"""Colour operations with one factor per image, equal to torchvision's functionals given that factor.

Images are [B, 3, H, W] or [B, 1, H, W] float32 in [0, 1], factors [B]; every function returns a new tensor of
the same shape in [0, 1]. As in torchvision, saturation, hue and grey leave one-channel images as they are.
"""

from __future__ import annotations

import torch
from torch import Tensor

LUMA = (0.2989, 0.587, 0.114)
"""Weights of red, green and blue in grey (ITU-R 601-2), rounded as in torchvision and PIL."""


def luminance(images: Tensor) -> Tensor:
    """[B, 3, H, W] or [B, 1, H, W] -> [B, 1, H, W]."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(1)
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2]).unsqueeze(1)


def adjust_brightness(images: Tensor, factor: Tensor) -> Tensor:
    """Multiplied by the factor."""
    return (images * _column(factor)).clamp_(0, 1)


def adjust_contrast(images: Tensor, factor: Tensor) -> Tensor:
    """Blended with, or driven away from, the mean of the grey image."""
    return _blend(images, luminance(images).mean((1, 2, 3), keepdim=True), factor)


def adjust_saturation(images: Tensor, factor: Tensor) -> Tensor:
    """Blended with, or driven away from, the grey image."""
    return images.clone() if images.shape[1] == 1 else _blend(images, luminance(images), factor)


def adjust_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Hue shifted in HSV space, which keeps saturation and value, by `turns` [B] of the colour circle.

    A channel is V - C * clamp(2 - 6 * d, 0, 1), where C = S * V is the chroma and d the distance, in turns,
    from the image's hue to the one where that channel is lowest: 1/2 for red, 5/6 for green, 1/6 for blue.
    """
    if images.shape[1] == 1:
        return images.clone()
    value, chroma, hue = _hue(images)
    hue.add_(turns[:, None, None])
    out = torch.empty_like(images)
    for channel, lowest in enumerate((1 / 2, 5 / 6, 1 / 6)):
        away = hue - lowest
        away.sub_(away.round()).abs_()
        torch.addcmul(value, chroma, torch.rsub(away, 2, alpha=6).clamp_(0, 1), value=-1, out=out[:, channel])
    return out


def _hue(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Value, chroma and hue in turns, [B, H, W] each.

    Arithmetic with signs stands in for the choice of a sextant, since selections are slow on a CPU: sort the
    channels and let `start` be the hue, to a sign, where the middle one equals the lowest (Hocevar 2013,
    "Fast branchless RGB to HSV conversion").
    """
    red, green, blue = images.unbind(1)
    higher, lower = torch.maximum(green, blue), torch.minimum(green, blue)
    value, middle = torch.maximum(red, higher), torch.minimum(red, higher)
    chroma = value - torch.minimum(middle, lower)
    blue_first = (blue - green).sign_().clamp_(min=0)
    not_red = (higher - red).sign_().clamp_(min=0)
    start = (2 * blue_first).sub_(1 / 3).mul_(not_red).sub_(blue_first)
    rise = middle.sub_(lower).div_((6 * chroma).clamp_(min=torch.finfo(chroma.dtype).tiny))  # greys: chroma 0
    return value, chroma, start.add_(rise).abs_()


def drop_colour(images: Tensor) -> Tensor:
    """Luminance in every channel."""
    return luminance(images).expand_as(images).clone()


def solarize(images: Tensor) -> Tensor:
    """Values above 0.5 inverted."""
    return torch.minimum(images, 1 - images)


def _column(factor: Tensor) -> Tensor:
    return factor[:, None, None, None]


def _blend(images: Tensor, other: Tensor, factor: Tensor) -> Tensor:
    """factor * images + (1 - factor) * other."""
    return torch.lerp(other, images, _column(factor)).clamp_(0, 1)
