"""Balanced assignments by Sinkhorn-Knopp.

Cuturi 2013, arXiv:1306.0895; for cluster codes Asano et al. 2020, arXiv:1911.05371, Eq. 6 to 8, and Caron et al. 2020,
arXiv:2006.09882, §3.1, Eq. 3 to 5.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sslterm.nn.precision import has_float64, in_float32

ROUND = 10
"""Iterations of `column_potentials` between two looks at how far it is."""
LARGE = 100.0
"""Logarithm of a scaling that is better kept apart."""
RELAXATION = 1.8
"""Power of a step; 1 is Sinkhorn-Knopp itself, and from 2 on nothing converges."""


@torch.no_grad()
@in_float32
def sinkhorn(scores: Tensor, *, epsilon: float, iterations: int) -> Tensor:
    """The assignment of N rows to K columns that favours high scores, is smooth, and uses all columns equally.

    Args:
        scores: [N, K] of the whole batch (gather it first).
        epsilon: weight of the entropy; the kernel is exp(scores / epsilon).
        iterations: of scaling first the columns to N / K, then the rows to 1.

    Returns:
        [N, K], rows sum to 1; columns sum to N / K the more nearly, the more iterations.
    """
    n, k = scores.shape
    logits = scores / epsilon
    logits = logits - logits.logsumexp(0) + math.log(n / k)  # the first columns, safe from underflow
    q = logits.softmax(1)
    for _ in range(iterations - 1):
        q = q * (n / k / q.sum(0).clamp_min(torch.finfo(q.dtype).tiny))
        q = q / q.sum(1, keepdim=True)
    return q


@torch.no_grad()
def column_potentials(
    scores: Tensor,
    *,
    epsilon: float,
    tolerance: float = 0.01,
    most_iterations: int = 2000,
) -> Tensor:
    """What to add to the logits so that softmax(scores / epsilon + g) uses all columns equally, [K] float64.

    The optimum itself, where `sinkhorn` takes a few steps towards it. Scalings are found in float64 by products
    with the kernel, over-relaxed, which saves nine iterations of ten (Thibault et al. 2017, arXiv:1711.01851); the
    kernel is taken anew from logarithms where scalings become large, so that no row or column can vanish, however
    small epsilon is.

    Args:
        scores: [N, K].
        epsilon: weight of the entropy.
        tolerance: most that a column's sum may differ from N / K, as a share of it.
        most_iterations: after these it is what it is.
    """
    if not has_float64(scores.device):
        found = column_potentials(
            scores.cpu(), epsilon=epsilon, tolerance=tolerance, most_iterations=most_iterations
        )
        return found.float().to(scores.device)
    n, k = scores.shape
    g = torch.zeros(k, dtype=torch.float64, device=scores.device)
    error, left = float("inf"), most_iterations
    while error > tolerance and left > 0:
        kernel = (scores.double() / epsilon).add_(g)
        kernel.sub_(kernel.logsumexp(1, keepdim=True))  # rows sum to 1, in logarithms
        change = math.log(n / k) - kernel.logsumexp(0)
        kernel.add_(change).exp_()
        columns, power = torch.ones_like(g), RELAXATION
        while error > tolerance and left > 0 and columns.log().abs().max() < LARGE:
            rows = 1 / (kernel @ columns)
            for _ in range(ROUND):
                columns = columns * _power((n / k) / (columns * (rows @ kernel)), power)
                rows = rows * _power(1 / (rows * (kernel @ columns)), power)
            rows = 1 / (kernel @ columns)  # as it is without relaxation, to see how far it is
            before, columns = columns, (n / k) / (rows @ kernel)
            error, worst = float((before / columns - 1).abs().max()), error
            power = RELAXATION if error < worst else 1.0
            left -= ROUND
        g = g + change + columns.log()
    return g - g.mean()


def _power(ratio: Tensor, power: float) -> Tensor:
    """A step towards the scaling that is due, or beyond; never so far that a round of them overflows."""
    return ratio.pow(power).clamp(1e-10, 1e10)
