"""A function of images over the whole training set, for methods that look at it between epochs."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from sslterm.data.store import Store
from sslterm.rows import rank, world_size


@torch.no_grad()
def sweep_over(store: Store, fn: Callable[[Tensor], Tensor], *, size: int) -> Tensor:
    """`fn` over all images of a store in index order, [N, ...], equal on all ranks, which share the work.

    Args:
        fn: [B, C, H, W] -> [B, ...].
        size: most images in a call of it.
    """
    total, world = len(store), world_size()
    per_rank = math.ceil(total / world)
    mine = torch.arange(rank() * per_rank, (rank() + 1) * per_rank).clamp_max(total - 1)
    outputs = torch.cat([fn(store.batch(index).images) for index in mine.split(size)])
    if world == 1:
        return outputs
    parts = [torch.empty_like(outputs) for _ in range(world)]
    torch.distributed.all_gather(parts, outputs.contiguous())
    return torch.cat(parts)[:total]
