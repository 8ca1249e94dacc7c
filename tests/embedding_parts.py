"""What tests of joint-embedding methods are built from: views, inputs, batches, and a step without an optimizer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields

import torch
from torch import Tensor

from sslterm.config.schema import ViewConfig
from sslterm.data.batch import Batch
from sslterm.methods.base import Inputs, LossFn

ENCODER = {"backbone": "conv", "widths": (4, 8), "patch": 0, "pixel_mean": (0.5,), "pixel_std": (0.25,)}
"""The fields of `[method]` of a small encoder of 8 features."""


def view(**changes: object) -> ViewConfig:
    """A crop and a flip, besides `changes`."""
    off: dict[str, object] = {each.name: 0.0 for each in fields(ViewConfig)}
    off.update(size=0, crop=(0.3, 1.0), crop_ratio=(0.75, 1.33), blur_sigma=(0.1, 2.0), flip=0.5)
    return ViewConfig(**{**off, **changes})  # type: ignore[arg-type]


STILL = view(crop=(1.0, 1.0), crop_ratio=(1.0, 1.0), flip=0.0)
"""The image itself."""


def inputs(*, batch: int = 8, train_images: int = 32, side: int = 16, **views: ViewConfig) -> Inputs:
    views = views or {"a": view(), "b": view()}
    return Inputs(channels=3, height=side, width=side, train_images=train_images, batch=batch, views=views)


def batch_of(n: int, *, side: int = 16, first: int = 0) -> Batch:
    images = torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(first))
    return Batch(images, torch.arange(first, first + n), torch.full((n,), -1))


def stream_of(*batches: Batch) -> Iterator[Batch]:
    return iter(batches)


def unit(n: int, d: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Random unit vectors [n, d]."""
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (x / x.norm(dim=1, keepdim=True)).to(dtype)


def embeddings(n: int, d: int) -> tuple[Tensor, Tensor]:
    """Two related sets [n, d] in float64, not centred and of different scales."""
    generator = torch.Generator().manual_seed(n * 1000 + d)
    common, *noise = torch.randn(3, n, d, generator=generator, dtype=torch.float64)
    return common + 0.5 * noise[0] + 0.3, 2 * (common + 0.5 * noise[1])


@dataclass
class Recorder:
    """Stands in for `Update`: computes the loss, keeps it, and trains nothing."""

    step: int = 0
    images: int = 0
    progress: float = 0.0
    losses: list[Tensor] = field(default_factory=list)

    def __call__(self, name: str, loss_fn: LossFn, batch: Batch) -> dict[str, Tensor]:
        loss, aux = loss_fn(batch)
        self.losses.append(loss.detach())
        return {key: value.detach() for key, value in aux.items() if value.ndim}
