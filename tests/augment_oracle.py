"""Views of one image after another by torchvision's functionals: what batched views are compared with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torchvision.transforms.v2.functional as T
from scipy import ndimage
from torch import Tensor

from sslterm.augment import Colour, Table, filters
from sslterm.config.schema import ViewConfig

NOTHING = ViewConfig(
    size=0,
    crop=(1.0, 1.0),
    crop_ratio=(3 / 4, 4 / 3),
    flip=0.0,
    rotate=0.0,
    jitter=0.0,
    brightness=0.4,
    contrast=0.4,
    saturation=0.4,
    hue=0.1,
    grey=0.0,
    blur=0.0,
    blur_sigma=(0.1, 2.0),
    solarize=0.0,
    cutout=0.0,
    cutout_size=0.4,
    noise=0.0,
    noise_std=0.1,
    sobel=0.0,
)
"""The view that changes no image."""

STRONG: dict[str, Any] = {"brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.5}

OPERATIONS: dict[str, ViewConfig] = {
    "crop": replace(NOTHING, crop=(0.08, 1.0)),
    "small": replace(NOTHING, size=20, crop=(0.05, 1.0), blur=0.5, cutout=0.5),
    "large": replace(NOTHING, size=40, crop=(0.3, 1.0)),
    "flip": replace(NOTHING, flip=0.5),
    "crop and flip": replace(NOTHING, crop=(0.08, 1.0), flip=0.5),
    "rotate": replace(NOTHING, rotate=0.8),
    "brightness": replace(NOTHING, jitter=0.9, brightness=1.5, contrast=0, saturation=0, hue=0),
    "contrast": replace(NOTHING, jitter=0.9, brightness=0, contrast=1.5, saturation=0, hue=0),
    "saturation": replace(NOTHING, jitter=0.9, brightness=0, contrast=0, saturation=1.5, hue=0),
    "hue": replace(NOTHING, jitter=0.9, brightness=0, contrast=0, saturation=0, hue=0.5),
    "jitter": replace(NOTHING, jitter=0.8, **STRONG),
    "grey": replace(NOTHING, grey=0.5),
    "blur": replace(NOTHING, blur=0.8),
    "solarize": replace(NOTHING, solarize=0.5),
    "cutout": replace(NOTHING, cutout=0.8),
    "noise": replace(NOTHING, noise=0.8),
    "sobel": replace(NOTHING, sobel=0.5),
}

EVERYTHING = replace(
    NOTHING,
    crop=(0.08, 1.0),
    flip=0.5,
    rotate=0.5,
    jitter=0.8,
    **STRONG,
    grey=0.2,
    blur=0.5,
    solarize=0.3,
    cutout=0.5,
    noise=0.5,
    sobel=0.2,
)


def views(config: ViewConfig, images: Tensor, table: Table) -> Tensor:
    """[B, C, H, W] -> [B, C, H, W]"""
    return torch.stack([_view(config, images[i], table, i) for i in range(len(images))])


def _view(config: ViewConfig, image: Tensor, table: Table, i: int) -> Tensor:
    channels, height, width = image.shape
    size = [config.size] * 2 if config.size else [height, width]
    image = T.resized_crop(image, *table.box[i].tolist(), size=size, antialias=not config.size)
    height, width = size
    if table.flip[i]:
        image = T.horizontal_flip(image)
    if table.turns[i]:
        image = T.rotate(image, 90.0 * table.turns[i].item())
    if table.jitter[i]:
        for part in table.order[i].tolist():
            name = Colour(part).name.lower()
            if getattr(config, name):
                image = getattr(T, f"adjust_{name}")(image, table.factors[i, part].item())
    if table.grey[i]:
        image = T.rgb_to_grayscale(image, num_output_channels=channels)
    if table.sigma[i] > 0:
        taps = 2 * filters.blur_radius(config.blur_sigma[1], height, width) + 1
        image = T.gaussian_blur(image, [taps, taps], [table.sigma[i].item()] * 2)
    if table.solarize[i]:
        image = T.solarize(image, 0.5)
    if table.hole[i, 2]:
        image = T.erase(image, *table.hole[i].tolist(), v=torch.tensor(0.5))
    if table.noise[i] > 0:
        normal = filters.standard_normal(table.noise_seed[i : i + 1], image.numel()).view_as(image)
        image = (image + table.noise[i] * normal).clamp(0, 1)
    return _sobel(image) if table.sobel[i] else image


def _sobel(image: Tensor) -> Tensor:
    grey = T.rgb_to_grayscale(image)[0].numpy() if len(image) == 3 else image[0].numpy()
    slopes = (ndimage.sobel(grey, axis, mode="nearest") / 4 for axis in (0, 1))
    edges = np.minimum(np.hypot(*slopes), 1)
    return torch.from_numpy(edges).expand_as(image)


def photographs(n: int, channels: int = 3, size: int = 32) -> Tensor:
    """[n, channels, size, size]: soft noise at several scales, with flat and extreme images among it."""
    generator = torch.Generator().manual_seed(7)
    scales = [torch.rand(n, channels, size // k, size // k, generator=generator) for k in (1, 2, 4, 8)]
    images = sum(torch.nn.functional.interpolate(s, size=[size, size], mode="bilinear") for s in scales) / 4
    assert isinstance(images, Tensor)
    images = ((images - 0.5) * 2.5 + 0.5).clamp(0, 1)
    images[: n // 2] = (images[: n // 2] * 255).round() / 255  # as from 8 bits: ties between channels
    images[0], images[1], images[2] = 0, 1, 0.5
    images[3] = images[3].round()
    images[4] = images[4, :1]  # grey in every channel
    return images
