"""What tests of adversarial methods share: images, an endless stream of them, and an `Update` that keeps a record."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from sslterm.data.batch import Batch
from sslterm.methods.base import Inputs, LossFn, Method


def real_batch(inputs: Inputs, n: int = 10, seed: int = 1) -> Batch:
    images = torch.rand(n, *inputs.shape, generator=torch.Generator().manual_seed(seed))
    return Batch(images, torch.arange(n), torch.full((n,), -1))


def stream_of(inputs: Inputs, n: int = 10) -> Iterator[Batch]:
    """Batches without end; the first image of each is another."""
    return (real_batch(inputs, n, seed) for seed in itertools.count(1))


class Call(NamedTuple):
    name: str
    graded: set[str]
    """The parameters that have got a gradient."""
    batch: Batch


class Recorder:
    """An `Update` that differentiates, records the gradients, and takes a plain gradient step."""

    images, progress = 0, 0.0

    def __init__(self, method: Method, *, step: int = 0, rate: float = 0.1) -> None:
        self.method = method
        self.step = step
        self.rate = rate
        self.calls: list[Call] = []

    def __call__(self, name: str, loss_fn: LossFn, batch: Batch) -> dict[str, Tensor]:
        group = self.method.parameter_groups()[name]
        loss, _ = loss_fn(batch)
        loss.backward(inputs=group)
        graded = {key for key, value in self.method.named_parameters() if value.grad is not None}
        self.calls.append(Call(name, graded, batch))
        for parameter in group:
            assert parameter.grad is not None
            parameter.data -= self.rate * parameter.grad
            parameter.grad = None
        return {}

    def forget(self, module: nn.Module) -> None:
        raise AssertionError("nothing is drawn anew")
