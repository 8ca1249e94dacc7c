"""Images cut into tiles, and tiles laid out as images."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def cut(images: Tensor, side: int) -> Tensor:
    """[B, C, H, W] -> side x side tiles of equal size in order of reading, a rest left out.

    Returns:
        [B, side^2, C, H / side, W / side].
    """
    height, width = images.shape[2] // side, images.shape[3] // side
    top, left = corners(images.shape[2], side)[0], corners(images.shape[3], side)[0]
    grid: Tensor = images[:, :, top : top + side * height, left : left + side * width]
    tiles: Tensor = grid.unflatten(3, (side, width)).unflatten(2, (side, height))  # [B, C, side, h, side, w]
    return tiles.permute(0, 2, 4, 1, 3, 5).flatten(1, 2).contiguous()


def corners(length: int, side: int) -> list[int]:
    """Where each of `side` cells of equal size begins on a line of `length`, what is left over outside of them."""
    cell = length // side
    rest = (length - side * cell) // 2
    return [rest + number * cell for number in range(side)]


def windows(images: Tensor, top: Tensor, left: Tensor, size: int) -> Tensor:
    """Squares out of images, each where it is said.

    Args:
        images: [B, C, H, W].
        top, left: int64 [B, n, C] or, for all channels at one place, [B, n, 1]; moved into the image where a
            square would reach beyond it.
        size: of the squares, in pixels.

    Returns:
        [B, n, C, size, size].
    """
    along = torch.arange(size, device=images.device)
    rows = top.clamp(0, images.shape[2] - size)[..., None, None] + along[:, None]  # [B, n, C, size, 1]
    columns = left.clamp(0, images.shape[3] - size)[..., None, None] + along  # [B, n, C, 1, size]
    image = torch.arange(len(images), device=images.device).view(-1, 1, 1, 1, 1)
    channel = torch.arange(images.shape[1], device=images.device).view(1, 1, -1, 1, 1)
    return images[image, channel, rows, columns]


def pick(choices: Tensor, which: Tensor) -> Tensor:
    """Of choices [B, K, ...], those that which [B] or [B, n] says: [B, ...] or [B, n, ...]."""
    rest = choices.shape[2:]
    index = which.view(len(which), -1, *(1,) * len(rest)).expand(-1, -1, *rest)
    picked = choices.gather(1, index)
    return picked if which.ndim == 2 else picked.squeeze(1)


def normalized(tiles: Tensor, *, least: float = 1e-3) -> Tensor:
    """Every channel of every tile at mean 0 and standard deviation 1, so that neither says where it is from.

    Args:
        tiles: [..., h, w].
        least: variances are raised by its square, a quarter of a step of 8 bits: a tile of one colour stays flat.
    """
    var, mean = torch.var_mean(tiles, dim=(-2, -1), correction=0, keepdim=True)
    scaled: Tensor = (tiles - mean) * (var + least**2).rsqrt()
    return scaled


def sheet(tiles: Tensor, side: int) -> Tensor:
    """Tiles [B, side^2, C, h, w] in order of reading, side by side with black lines between: [B, C, H, W]."""
    framed = F.pad(tiles, (1, 1, 1, 1))
    grid = framed.unflatten(1, (side, side)).permute(0, 3, 1, 4, 2, 5)  # [B, C, side, h, side, w]
    whole: Tensor = grid.flatten(4, 5).flatten(2, 3)
    return whole
