"""Balanced soft assignments by Sinkhorn-Knopp.

Cuturi 2013, arXiv:1306.0895; for cluster codes Asano et al. 2020, arXiv:1911.05371, §3.2, and Caron et al. 2020,
arXiv:2006.09882, §3.1, Eq. 3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sslterm.nn.precision import in_float32


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
    q = ((scores - scores.max()) / epsilon).exp()
    for _ in range(iterations):
        q = q / (q.sum(0) * k).clamp_min(torch.finfo(q.dtype).tiny)
        q = q / (q.sum(1, keepdim=True) * n).clamp_min(torch.finfo(q.dtype).tiny)
    return q * n
