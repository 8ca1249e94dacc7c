"""Several processes: joining them, exchanging gradients, keeping state equal."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor, nn

from sslterm.rows import rank, world_size

PATIENCE = timedelta(days=2)
"""Decoding the photographs of ImageNet takes hours, and a barrier waits for minutes."""


def join(device: torch.device) -> torch.device:
    """Join the process group that torchrun describes, if it does; returns this process's device."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device


def leave() -> None:
    """Leave the process group, if there is one."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def barrier() -> None:
    if world_size() > 1:
        dist.barrier()


@contextmanager
def first_before_others() -> Iterator[None]:
    """What rank 0 does alone, and the others after it, however long it takes."""
    if world_size() == 1:
        yield
        return
    group = dist.new_group(backend="gloo", timeout=PATIENCE)
    assert not isinstance(group, int)  # that is a group without this rank
    if rank() != 0:
        dist.barrier(group)
    yield
    if rank() == 0:
        dist.barrier(group)
    dist.destroy_process_group(group)


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its mean over ranks, in one exchange."""
    if world_size() == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= world_size()
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def average(values: Tensor) -> Tensor:
    """Mean over ranks of what each has measured on its own rows."""
    if world_size() > 1:
        dist.all_reduce(values)
        values = values / world_size()
    return values


@torch.no_grad()
def copy_from_first(module: nn.Module) -> None:
    """Give every rank the parameters and buffers of rank 0."""
    if world_size() > 1:
        for tensor in (*module.parameters(), *module.buffers()):
            dist.broadcast(tensor.data, src=0)


def agree(flags: list[bool], device: torch.device) -> list[bool]:
    """Each flag is true on every rank where it was true on any."""
    if world_size() == 1:
        return flags
    votes = torch.tensor(flags, dtype=torch.int32, device=device)
    dist.all_reduce(votes, op=dist.ReduceOp.MAX)
    return [bool(vote) for vote in votes.tolist()]
