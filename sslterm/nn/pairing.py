"""Which noise belongs to which image: exact optimal transport between the two halves of a batch."""

from __future__ import annotations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from sslterm.nn.precision import double


@torch.no_grad()
def optimal_pairs(start: Tensor, end: Tensor) -> Tensor:
    """The order of `start` in which the sum of squared distances to `end` is smallest, [N] int64.

    Between two sets of N points each, the plan of optimal transport is a permutation (Peyré & Cuturi 2019, Prop. 2.1).

    Args:
        start, end: [N, ...].
    """
    cost = torch.cdist(double(start.flatten(1)), double(end.flatten(1))).square()
    rows, columns = linear_sum_assignment(cost.cpu().numpy())
    order = torch.empty(len(end), dtype=torch.int64)
    order[torch.from_numpy(columns)] = torch.from_numpy(rows)
    return order.to(start.device)
