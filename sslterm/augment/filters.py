"""Blur, Sobel edges, holes and noise; images are [B, C, H, W] float32 in [0, 1].

None uses convolution kernels of a library: a blur with its own width for every image is a sum of shifted
images, which has full float32 precision on every device, whatever the machine's setting for convolutions.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.augment.colour import luminance

GREY = 0.5
"""Value of cut-out pixels."""


def blur_radius(largest_sigma: float, height: int, width: int) -> int:
    """Reach of a Gaussian kernel in pixels: three standard deviations, and less than the image."""
    return min(math.ceil(3 * largest_sigma), min(height, width) - 1)


def gaussian_blur(images: Tensor, sigma: Tensor, radius: int) -> Tensor:
    """Separable Gaussian, reflected at the border; torchvision's with a kernel of 2 * radius + 1 pixels.

    Args:
        images: [B, C, H, W].
        sigma: [B] standard deviations in pixels; 0 leaves an image as it is.
        radius: see `blur_radius`.
    """
    offsets = torch.arange(-radius, radius + 1, device=images.device)
    narrowest = 1e-3  # at which the neighbours' weights are exactly 0
    weights = torch.exp(-0.5 * (offsets / sigma.clamp(min=narrowest)[:, None]) ** 2)  # [B, 2R + 1]
    weights = (weights / weights.sum(1, keepdim=True))[:, :, None, None, None]
    for dim in (2, 3):
        pad = (radius, radius, 0, 0) if dim == 3 else (0, 0, radius, radius)
        padded, size = F.pad(images, pad, mode="reflect"), images.shape[dim]
        images = padded.narrow(dim, 0, size) * weights[:, 0]
        for tap in range(1, 2 * radius + 1):
            images.addcmul_(padded.narrow(dim, tap, size), weights[:, tap])
    return images.clamp_(0, 1)


def sobel_edges(images: Tensor) -> Tensor:
    """Magnitude of the Sobel gradient of the grey image, in every channel; the border is repeated outwards.

    A step from 0 to 1 along an axis has magnitude 1; the few steeper gradients (up to 1.08) are cut to 1.
    """
    padded = F.pad(luminance(images), (1, 1, 1, 1), mode="replicate")
    smooth_y = padded[:, :, :-2] + 2 * padded[:, :, 1:-1] + padded[:, :, 2:]  # [B, 1, H, W + 2]
    smooth_x = padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]  # [B, 1, H + 2, W]
    dx = smooth_y[..., 2:] - smooth_y[..., :-2]
    dy = smooth_x[:, :, 2:] - smooth_x[:, :, :-2]
    return (torch.sqrt(dx * dx + dy * dy) / 4).clamp_(max=1).expand_as(images).clone()


def cut_holes(images: Tensor, hole: Tensor) -> Tensor:
    """Grey within the rectangles `hole` [B, 4] int64: top, left, height, width."""
    height, width = images.shape[2:]
    y, x = torch.arange(height, device=images.device), torch.arange(width, device=images.device)
    top, left, tall, wide = hole[:, :, None].unbind(1)  # [B, 1] each
    inside = ((y >= top) & (y < top + tall))[:, None, :, None] & ((x >= left) & (x < left + wide))[
        :, None, None, :
    ]
    return images.masked_fill(inside, GREY)


def add_noise(images: Tensor, std: Tensor, seed: Tensor) -> Tensor:
    """Gaussian noise of `std` [B], a function of `seed` [B] int64 in [0, 2^48) alone; cut to [0, 1]."""
    places = images.shape[1:].numel()
    normal = standard_normal(seed, places).view_as(images)
    return (images + std[:, None, None, None] * normal).clamp_(0, 1)


def standard_normal(seed: Tensor, n: int) -> Tensor:
    """[B, n] standard normal numbers, a function of `seed` [B] int64 in [0, 2^48), by Box and Muller.

    A counter is hashed with either half of the seed, so that every device and backend finds the same numbers,
    and no generator's state is involved.
    """
    counter = torch.arange((n + 1) // 2, device=seed.device)
    low, high = (seed & 0xFFFFFF)[:, None], (seed >> 24)[:, None]
    bits = _mix(
        _mix(counter ^ (low * 0x9E3779B1 & _WORD)) ^ (high * 0x85EBCA77 & _WORD)
    )  # [B, n / 2] of 32 bits
    more = _mix(bits ^ 0x68E31DA4)
    radius = torch.sqrt(-2 * torch.log(((bits >> 8) + 1).float() * 2**-24))  # of a uniform number in (0, 1]
    angle = (more >> 8).float() * (2 * math.pi * 2**-24)
    pairs = torch.stack((radius * torch.cos(angle), radius * torch.sin(angle)), dim=2)
    return pairs.flatten(1)[:, :n]


_WORD = 0xFFFFFFFF


def _mix(x: Tensor) -> Tensor:
    """A bijection of 32-bit words that spreads every bit (Wellons' lowbias32), on int64."""
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & _WORD
    x = ((x ^ (x >> 15)) * 0x846CA68B) & _WORD
    return x ^ (x >> 16)
