"""A function of images over the whole training set, for methods that look at it between epochs."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from sslterm.data.store import Store
from sslterm.rows import rank, world_size


@torch.no_grad()
def sweep_over(
    store: Store, fn: Callable[[Tensor], Tensor], index: Tensor | None = None, *, size: int
) -> Tensor:
    """`fn` over images of a store, [N, ...], equal on all ranks, which share the work.

    Args:
        fn: [B, C, H, W] -> [B, ...].
        index: which images, int64 [N], equal on all ranks; all of the store in their order without it.
        size: most images in a call of `fn`.
    """
    index = torch.arange(len(store)) if index is None else index
    total, world = len(index), world_size()
    per_rank = math.ceil(total / world)
    places = torch.arange(rank() * per_rank, (rank() + 1) * per_rank).clamp_max(total - 1)
    mine = index[places.to(index.device)]
    outputs = torch.cat([fn(store.batch(part).images) for part in mine.split(size)])
    if world == 1:
        return outputs
    parts = [torch.empty_like(outputs) for _ in range(world)]
    torch.distributed.all_gather(parts, outputs.contiguous())
    return torch.cat(parts)[:total]
