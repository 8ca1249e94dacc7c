"""What tests of joint-embedding methods are built from: views, inputs, batches, and updates with a clock to set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor, nn

from sslterm.config.schema import ViewConfig
from sslterm.data.batch import Batch
from sslterm.methods.base import Inputs, LossFn, Method

SIDE = 16
ENCODER: dict[str, Any] = {
    "backbone": "conv",
    "widths": (4, 8),
    "patch": 0,
    "pixel_mean": (0.5,),
    "pixel_std": (0.25,),
}
"""The fields of `[method]` of a small encoder of 8 features."""
VIT: dict[str, Any] = {**ENCODER, "backbone": "vit-tiny", "widths": (), "patch": 4}


def view(**changes: object) -> ViewConfig:
    """A crop and a flip, besides `changes`."""
    off: dict[str, object] = {each.name: 0.0 for each in fields(ViewConfig)}
    off.update(size=0, crop=(0.3, 1.0), crop_ratio=(0.75, 1.33), blur_sigma=(0.1, 2.0), flip=0.5)
    return ViewConfig(**{**off, **changes})  # type: ignore[arg-type]


STILL = view(crop=(1.0, 1.0), crop_ratio=(1.0, 1.0), flip=0.0)
"""The image itself."""


def inputs(
    *names: str, batch: int = 8, train_images: int = 64, side: int = SIDE, **views: ViewConfig
) -> Inputs:
    """Colour images, seen through `views`, or a view for each of `names` ("local" is half as large), or a and b."""
    small = {"size": side // 2}
    drawn = {name: view(**(small if name == "local" else {})) for name in names or ("a", "b")}
    return Inputs(
        channels=3, height=side, width=side, train_images=train_images, batch=batch, views=views or drawn
    )


def images_of(n: int, seed: int = 0, *, side: int = SIDE) -> Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(seed))


def batch_of(n: int, seed: int = 0, *, side: int = SIDE, first: int = 0) -> Batch:
    """Images `first` and on of a data set."""
    return Batch(images_of(n, seed + first, side=side), torch.arange(first, first + n), torch.full((n,), -1))


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
