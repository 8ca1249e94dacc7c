"""The divergence of a vector field, sum_i d f_i / d x_i, for densities that are carried along it.

Shapes: B batch; x, f(x), probe [B, ...]; results [B].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

Trace = Literal["exact", "hutchinson"]
"""exact: one backward pass for each value of x; hutchinson: one in all, right on average over probes."""


def field_and_divergence(
    field: Callable[[Tensor], Tensor], x: Tensor, probe: Tensor | None
) -> tuple[Tensor, Tensor]:
    """f(x), and its divergence at x.

    Args:
        field: acts on every x of the batch by itself.
        probe: numbers of mean 0 and variance 1: the estimate probe (df/dx) probe (Hutchinson 1989; Grathwohl et al.
            2019, arXiv:1810.01367, Eq. 7). Without it, the exact trace.
    """
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        value = field(x)
        if probe is not None:
            (product,) = torch.autograd.grad((value * probe).sum(), x)
            return value.detach(), (product * probe).flatten(1).sum(1)
        columns, divergence = value.flatten(1), torch.zeros(len(x), device=x.device, dtype=x.dtype)
        for number in range(columns.shape[1]):
            (slope,) = torch.autograd.grad(columns[:, number].sum(), x, retain_graph=True)
            divergence = divergence + slope.flatten(1)[:, number]
    return value.detach(), divergence
