"""Annealed importance sampling: an estimate of log Z of a density that is known up to that constant.

Neal 2001; Salakhutdinov & Murray 2008 (doi:10.1145/1390156.1390266). Chains start at a distribution whose constant is
known, and are moved through distributions in between to the one in question; each is weighted by how much more
likely every next distribution finds it than the one before. The mean weight is Z / Z_0, without bias; its logarithm
is biased low, and by much where few chains have all the weight.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sslterm.nn.precision import has_float64

BETAS, CHAINS = 10_000, 100
"""Of an estimate that is to be reported."""
QUICK_BETAS = 1_000
"""Of one that is made while a method trains: seconds instead of a minute, and as a rule optimistic by some tenths
of a nat."""

Advance = Callable[[Tensor, float, float], tuple[Tensor, Tensor]]
"""(chains, beta, next beta) -> the chains, moved by what leaves the next distribution as it is, and
log p*_next - log p*_beta of the chains as they were, [N]."""


@dataclass(frozen=True, kw_only=True)
class LogZ:
    """An estimate of log Z.

    Attributes:
        value: in nats.
        standard_error: of `value`, from the spread of the weights; too small where few chains have all the weight.
        effective_chains: (sum w)^2 / sum w^2, between 1 and `chains`.
        betas: steps from the first distribution to the last.
    """

    value: float
    standard_error: float
    effective_chains: float
    chains: int
    betas: int


def annealed_importance_sampling(
    chains: Tensor,
    log_z_start: float,
    advance: Advance,
    *,
    betas: int,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> LogZ:
    """Anneal from beta 0 to 1 in `betas` equal steps.

    Args:
        chains: [N, ...] independent draws from the distribution at beta 0.
        log_z_start: the logarithm of its constant.
        progress: told (steps done, steps in all), a hundred times.
    """
    # Thousands of small terms: summed in float64 where the device has it.
    kind = torch.float64 if has_float64(chains.device) else torch.float32
    log_weights = torch.zeros(len(chains), dtype=kind, device=chains.device)
    for step in range(betas):
        chains, gained = advance(chains, step / betas, (step + 1) / betas)
        log_weights += gained
        if (step + 1) % max(betas // 100, 1) == 0:
            progress(step + 1, betas)
    return summarize(log_weights.cpu().double(), log_z_start, betas=betas)


def summarize(log_weights: Tensor, log_z_start: float, *, betas: int) -> LogZ:
    """The estimate that log-weights [N] give."""
    n = len(log_weights)
    share = log_weights.softmax(0)  # [N], sums to 1
    # Delta method: the standard deviation of the mean weight over that mean.
    relative = (n * share).std(correction=1) / math.sqrt(n) if n > 1 else torch.tensor(math.inf)
    return LogZ(
        value=log_z_start + float(log_weights.logsumexp(0)) - math.log(n),
        standard_error=float(relative),
        effective_chains=float(1 / share.square().sum()),
        chains=n,
        betas=betas,
    )
