"""Small inputs for joint-embedding methods."""

from __future__ import annotations

from dataclasses import fields

import torch
from torch import Tensor

from sslterm.config.schema import ViewConfig
from sslterm.data.batch import Batch
from sslterm.methods.base import Inputs

ENCODER = {"backbone": "conv", "widths": (4, 8), "patch": 0, "pixel_mean": (0.5,), "pixel_std": (0.25,)}
"""The fields of `EncoderConfig`."""


def view(**changes: object) -> ViewConfig:
    """A crop and a flip, besides `changes`."""
    off: dict[str, object] = {field.name: 0.0 for field in fields(ViewConfig)}
    off.update(size=0, crop=(0.3, 1.0), crop_ratio=(0.75, 1.33), blur_sigma=(0.1, 2.0), flip=0.5)
    return ViewConfig(**{**off, **changes})  # type: ignore[arg-type]


def inputs(*, train_images: int = 64, batch: int = 16, **views: ViewConfig) -> Inputs:
    """16x16 colour images, seen through `views` (a and b where none is given)."""
    views = views or {"a": view(), "b": view()}
    return Inputs(channels=3, height=16, width=16, train_images=train_images, batch=batch, views=views)


def batch_of(n: int, *, seed: int = 0) -> Batch:
    images = torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    return Batch(images, torch.arange(n), torch.full((n,), -1))


def embeddings(n: int, d: int) -> tuple[Tensor, Tensor]:
    """Two related sets [n, d] in float64, not centred and of different scales."""
    generator = torch.Generator().manual_seed(n * 1000 + d)
    common, *noise = torch.randn(3, n, d, generator=generator, dtype=torch.float64)
    return common + 0.5 * noise[0] + 0.3, 2 * (common + 0.5 * noise[1])
