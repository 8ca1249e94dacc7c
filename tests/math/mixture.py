"""A mixture of normals whose exact denoiser and velocity are known, and a test that samples are drawn from it."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

N = 1000
"""Draws that are compared."""
WEIGHTS = (0.2, 0.5, 0.3)
MEANS = ((-0.8, 0.5), (0.2, -0.6), (0.9, 0.7))
DEVIATIONS = (0.12, 0.25, 0.08)


class Mixture:
    """Of three normals in two dimensions, each with one deviation in all directions."""

    def __init__(self) -> None:
        self.weights = torch.tensor(WEIGHTS, dtype=torch.float64)
        self.means = torch.tensor(MEANS, dtype=torch.float64)
        self.deviations = torch.tensor(DEVIATIONS, dtype=torch.float64)

    def distribution(self, signal: float = 1.0, noise: float = 0.0) -> MixtureSameFamily:
        """Of signal x + noise z."""
        widths = (signal**2 * self.deviations**2 + noise**2).sqrt()
        parts = Independent(Normal(signal * self.means, widths[:, None].expand(3, 2)), 1)
        return MixtureSameFamily(Categorical(self.weights), parts)

    def posterior_mean(self, x: Tensor, signal: float, noise: float) -> Tensor:
        """E[x_0 | signal x_0 + noise z = x], by Bayes' rule, [B, 1, 1, 2]."""
        points = x.flatten(1)[:, None]  # [B, 1, 2]
        variances = signal**2 * self.deviations**2 + noise**2  # [3]
        log_p = self.weights.log() - variances.log()
        log_p = log_p - (points - signal * self.means).square().sum(2) / (2 * variances)  # [B, 3]
        gain = (signal * self.deviations**2 / variances)[:, None]
        means = self.means + gain * (points - signal * self.means)  # [B, 3, 2]
        return (log_p.softmax(1)[:, :, None] * means).sum(1).view_as(x)

    def sample(self, n: int, seed: int) -> Tensor:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return self.distribution().sample((n,))


def same_distribution(samples: Tensor, mixture: Mixture) -> None:
    """Two-sample test by the energy distance of [N, 2], against what draws of the mixture themselves reach."""
    assert float(energy(samples, mixture.sample(N, seed=1))) <= 1.5 * floor()
    nearest = torch.cdist(samples, mixture.means).argmin(1)
    share = torch.bincount(nearest, minlength=3) / N
    torch.testing.assert_close(share.double(), mixture.weights, rtol=0, atol=4 * (0.25 / N) ** 0.5)


@cache
def floor() -> float:
    """The largest distance of twenty sets of the mixture's own draws."""
    mixture = Mixture()
    real = mixture.sample(N, seed=1)
    return max(float(energy(mixture.sample(N, seed), real)) for seed in range(2, 22))


def energy(a: Tensor, b: Tensor) -> Tensor:
    """2 E|A - B| - E|A - A'| - E|B - B'|, without the pairs of a point with itself (Székely & Rizzo 2004)."""
    n, m = len(a), len(b)
    within = torch.cdist(a, a).sum() / (n * (n - 1)) + torch.cdist(b, b).sum() / (m * (m - 1))
    return 2 * torch.cdist(a, b).mean() - within
