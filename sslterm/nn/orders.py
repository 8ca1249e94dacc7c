"""Orders of n things that are as far from one another as can be."""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor


@lru_cache(maxsize=4)
def far_orders(n: int, count: int) -> Tensor:
    """`count` permutations of n things, chosen one by one so that the nearest ones are as far apart as can be.

    The first is the order itself; each next one has, of all permutations, the largest Hamming distance to the
    nearest of those chosen; of several such the largest sum of distances to all of them; of several such it is
    the first in the order of the alphabet.

    Args:
        n: at most 9, of which there are 362,880 permutations.
        count: at most n!.

    Returns:
        int64 [count, n]; equal on all machines.
    """
    everything = np.array(list(itertools.permutations(range(n))), dtype=np.uint8).T.copy()  # [n, n!]
    nearest = np.full(everything.shape[1], n + 1, dtype=np.int64)
    total = np.zeros(everything.shape[1], dtype=np.int64)
    chosen = [0]
    for _ in range(count - 1):
        latest = everything[:, chosen[-1]]
        distance = np.zeros(everything.shape[1], dtype=np.uint8)
        for place, thing in zip(everything, latest, strict=True):
            distance += place != thing
        np.minimum(nearest, distance, out=nearest)
        total += distance
        # What is chosen is at distance 0 of itself, so that it comes last and never again.
        chosen.append(int(np.argmax(nearest * (n * count + 1) + total)))
    return torch.from_numpy(everything[:, chosen].T.astype(np.int64))


def distances(orders: Tensor) -> Tensor:
    """In how many places each two of orders [P, n] differ, [P, P] int64."""
    return (orders[:, None] != orders).sum(2)
