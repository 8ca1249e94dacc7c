"""Small joint-embedding methods to test, and an update whose clock is set by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import torch
from torch import Tensor, nn

from sslterm.config.schema import ViewConfig
from sslterm.data.batch import Batch
from sslterm.methods.base import Inputs, LossFn, Method

SIDE = 16
CONV: dict[str, Any] = {
    "backbone": "conv",
    "widths": (4, 8),
    "patch": 0,
    "pixel_mean": (0.5,),
    "pixel_std": (0.25,),
}
VIT: dict[str, Any] = {**CONV, "backbone": "vit-tiny", "widths": (), "patch": 4}


def view(**changes: object) -> ViewConfig:
    """A crop and a flip, besides `changes`."""
    off: dict[str, object] = {field.name: 0.0 for field in fields(ViewConfig)}
    off.update(size=0, crop=(0.3, 1.0), crop_ratio=(0.75, 1.33), blur_sigma=(0.1, 2.0), flip=0.5)
    return ViewConfig(**{**off, **changes})  # type: ignore[arg-type]


def inputs(*names: str, train_images: int = 64, batch: int = 8) -> Inputs:
    """Images of 16 pixels, with a view for each name; "local" is half as large."""
    views = {name: view(size=8) if name == "local" else view() for name in names}
    return Inputs(channels=3, height=SIDE, width=SIDE, train_images=train_images, batch=batch, views=views)


def images_of(n: int, seed: int = 0) -> Tensor:
    return torch.rand(n, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def batch_of(n: int, seed: int = 0) -> Batch:
    return Batch(images_of(n, seed), torch.arange(n), torch.full((n,), -1))


class Data(Iterator[Batch]):
    """The same images again and again, `size` a batch."""

    def __init__(self, images: Tensor, size: int) -> None:
        self.images, self.size, self.position = images, size, 0

    def __next__(self) -> Batch:
        return self.through(torch.arange(len(self.images)))

    def through(self, order: Tensor) -> Batch:
        index = order[(self.position + torch.arange(self.size)) % len(self.images)]
        self.position += self.size
        return Batch(self.images[index], index, torch.full((self.size,), -1))

    def sweep(self, fn: Any, index: Tensor | None = None) -> Tensor:
        with torch.no_grad():
            result: Tensor = fn(self.images if index is None else self.images[index])
        return result


class Step:
    """An update by plain gradient descent; `progress` and `images` are what one sets."""

    def __init__(self, method: Method, *, rate: float = 0.1, progress: float = 0.0, images: int = 0) -> None:
        self.groups = method.parameter_groups()
        self.rate, self.progress, self.images, self.step = rate, progress, images, 0
        self.aux: dict[str, Tensor] = {}
        self.loss = 0.0
        self.forgotten: list[nn.Module] = []

    def __call__(self, name: str | tuple[str, ...], loss_fn: LossFn, batch: Batch) -> dict[str, Tensor]:
        names = (name,) if isinstance(name, str) else name
        parameters = [p for each in names for p in self.groups[each] if p.requires_grad]
        loss, self.aux = loss_fn(batch)
        self.loss = float(loss.detach())
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            parameter.data.sub_(self.rate * gradient)
        self.step += 1
        self.images += len(batch)
        return {key: value.detach() for key, value in self.aux.items() if value.ndim}

    def forget(self, module: nn.Module) -> None:
        self.forgotten.append(module)
