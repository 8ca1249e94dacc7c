"""Randomness and gathering that do not depend on how a batch is cut over ranks and micro-batches.

All ranks keep the same random state. A draw is made for the whole batch, and each rank or micro-batch takes its rows;
so one process, two ranks and four micro-batches see the same noise for the same image, and a run saved on N ranks
resumes on M. The engine says which rows are at hand with `rows(...)`; outside of it, draws are plain draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

_cut: tuple[int, int, int] | None = None
"""(start, stop, total): the rows of the whole batch at hand; None where the batch is whole."""


@contextmanager
def rows(start: int, stop: int, total: int) -> Iterator[None]:
    """Say that the images at hand are rows `start:stop` of a batch of `total`."""
    global _cut
    before, _cut = _cut, (start, stop, total) if stop - start != total else None
    try:
        yield
    finally:
        _cut = before


def draw(n: int, make: Callable[[int], Tensor]) -> Tensor:
    """`make(total)` for the whole batch, cut to the `n` rows at hand.

    Where `n` is not the number of rows at hand (a draw that is not per image), it is simply `make(n)`.
    """
    if _cut is None or _cut[1] - _cut[0] != n:
        return make(n)
    start, stop, total = _cut
    return make(total)[start:stop]


def randn(n: int, *shape: int, like: Tensor) -> Tensor:
    """Standard normal [n, *shape] in float32 on the device of `like`."""
    return draw(n, lambda total: torch.randn(total, *shape, device=like.device))


def rand(n: int, *shape: int, like: Tensor) -> Tensor:
    """Uniform in [0, 1), [n, *shape], float32, on the device of `like`."""
    return draw(n, lambda total: torch.rand(total, *shape, device=like.device))


def randint(high: int, n: int, *shape: int, like: Tensor) -> Tensor:
    """Uniform integers in [0, high), [n, *shape], on the device of `like`."""
    return draw(n, lambda total: torch.randint(high, (total, *shape), device=like.device))


def bernoulli(probability: Tensor) -> Tensor:
    """A 0/1 draw for each probability, [B, ...] float32."""
    return (rand(len(probability), *probability.shape[1:], like=probability) < probability).float()


def world_size() -> int:
    """Number of ranks; 1 without torch.distributed."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's rank; 0 without torch.distributed."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:
        parts = [torch.empty_like(local) for _ in range(world_size())]
        dist.all_gather(parts, local.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].contiguous()
        dist.all_reduce(gradient)
        return gradient.chunk(world_size())[rank()]


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, local: Tensor) -> Tensor:
        total = local.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def gather(local: Tensor) -> Tensor:
    """[B, ...] of every rank -> [W * B, ...], in order of rank, differentiable.

    Its gradient is summed over ranks. Together with the engine's mean of parameter gradients over ranks, a loss of the
    gathered batch has the gradient it would have in one process.
    """
    return local if world_size() == 1 else _Gather.apply(local)


def sum_over_ranks(local: Tensor) -> Tensor:
    """Sum over ranks, differentiable (its gradient is summed over ranks as well)."""
    return local if world_size() == 1 else _Sum.apply(local)


def shard(whole: Tensor) -> Tensor:
    """This rank's rows of a tensor that is equal on all ranks."""
    return whole.chunk(world_size())[rank()] if world_size() > 1 else whole
