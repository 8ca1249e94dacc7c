"""Distances between two sets of features, and scores of what a classifier says of one.

Nothing here knows where features come from: a number means something only with the name of their space.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sslterm.errors import UsageError
from sslterm.nn.precision import double

IMAGES_PER_DIMENSION = 5
"""Fewest images for a Fréchet distance, per dimension of the space; below, the covariance is mostly noise."""
_ROWS = 1000
"""Rows of a kernel matrix that are in memory at once."""


@dataclass(frozen=True)
class Estimate:
    """A number measured on a sample.

    Attributes:
        error: its standard error; None where it is not known.
        interval: in which it lies with 95 % confidence; None where it is not known.
    """

    value: float
    error: float | None = None
    interval: tuple[float, float] | None = None

    def row(self) -> dict[str, Any]:
        """As it stands in a result: {value, standard_error, interval}, as far as it is known."""
        found: dict[str, Any] = {"value": self.value}
        if self.error is not None:
            found["standard_error"] = self.error
        if self.interval is not None:
            found["interval"] = list(self.interval)
        return found


def share_of(right: int, total: int) -> Estimate:
    """A share of independent answers, with its binomial error and its interval (Wilson 1927)."""
    share = right / total
    return Estimate(share, math.sqrt(share * (1 - share) / total), _wilson(right, total))


def _wilson(right: int, total: int) -> tuple[float, float]:
    """95 % confidence interval of a share (Wilson 1927), which stays within [0, 1]."""
    z, share = 1.959964, right / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return max(0.0, middle - half), min(1.0, middle + half)


# -- distances


def require_enough(fake: int, real: int, dimensions: int) -> None:
    """Refuse sets that are too small for a Fréchet distance.

    Raises:
        UsageError: a set has fewer than 5 images per dimension.
    """
    least = IMAGES_PER_DIMENSION * dimensions
    if fake < least:
        raise UsageError(
            f"{fake:,} samples are too few for a Fréchet distance in {dimensions:,} dimensions",
            f"take --n {least} or more",
        )
    if real < least:
        raise UsageError(
            f"{real:,} held-out images are too few for a Fréchet distance in {dimensions:,} dimensions",
            f"hold out {least} or more (data.test_images), or judge in another --space",
        )


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Fréchet distance of the Gaussians with the means and covariances of two sets of features.

    |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a^1/2 C_b C_a^1/2)^1/2), in float64; the symmetric product has the
    eigenvalues of C_a C_b, so that no matrix square root can turn complex.

    Args:
        a: [N, D].
        b: [M, D].

    Raises:
        UsageError: a set has fewer than 5 D images.
    """
    require_enough(len(a), len(b), a.shape[1])
    a, b = double(a), double(b)
    covariance_a, covariance_b = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(covariance_a)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    product = torch.linalg.eigvalsh(root @ covariance_b @ root)
    trace = covariance_a.trace() + covariance_b.trace() - 2 * product.clamp_min(0).sqrt().sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + trace.clamp_min(0))


def kernel_distance(a: Tensor, b: Tensor, *, sums_b: Tensor | None = None) -> Estimate:
    """Squared maximum mean discrepancy under the kernel (x.y / D + 1)^3: unbiased, so that it may be negative.

    Bińkowski et al. 2018, arXiv:1801.01401. Over all pairs, where it is usual to average over random
    subsets: the expectation is the same, the variance the least there is. Its standard error is the
    jackknife's, each image of either set left out once (Arvesen 1969): the spread over subsets that share
    images, which stands beside many published values, is none.

    Args:
        a: [N, D].
        b: [M, D].
        sums_b: `kernel_sums_within(b)`, where it is known already.
    """
    a, b = double(a), double(b)
    n, m = len(a), len(b)
    of_a, of_b = kernel_sums_within(a), kernel_sums_within(b) if sums_b is None else sums_b
    across_a, across_b = _kernel_sums(a, b), _kernel_sums(b, a)
    within_a, within_b = of_a.sum() / (n * (n - 1)), of_b.sum() / (m * (m - 1))
    across = across_a.sum() / (n * m)
    without_a = _without_each(of_a) + within_b - 2 * (across_a.sum() - across_a) / ((n - 1) * m)
    without_b = within_a + _without_each(of_b) - 2 * (across_b.sum() - across_b) / (n * (m - 1))
    variance = sum((len(part) - 1) * part.var(correction=0) for part in (without_a, without_b))
    return Estimate(float(within_a + within_b - 2 * across), math.sqrt(float(variance)))


def kernel_sums_within(points: Tensor) -> Tensor:
    """sum of k(x_i, x_j) over j != i, [N] float64."""
    points = double(points)
    own = _cubed(points.square().sum(1) / points.shape[1] + 1)
    return _kernel_sums(points, points) - own


def _kernel_sums(a: Tensor, b: Tensor) -> Tensor:
    """sum_j k(a_i, b_j), [N]."""
    a = a / a.shape[1]
    return torch.cat([_cubed((rows @ b.T).add_(1)).sum(1) for rows in torch.split(a, _ROWS)])


def _cubed(values: Tensor) -> Tensor:
    """By products: a power of float64 is several times as slow."""
    return values * values * values


def _without_each(row_sums: Tensor) -> Tensor:
    """Mean kernel of different images with the i-th left out, [N], from the sums of its rows."""
    n = len(row_sums)
    return (row_sums.sum() - 2 * row_sums) / ((n - 1) * (n - 2))


# -- what a classifier says


def classifier_score(probabilities: Tensor) -> float:
    """exp of the mean KL(p(y | x) || p(y)): 1 where all images look alike or none is clear, at most the classes.

    The form of Salimans et al. 2016, arXiv:1606.03498, §4; of another classifier than theirs, it is no
    Inception score.

    Args:
        probabilities: [N, classes].
    """
    p = double(probabilities)
    ratio = torch.special.xlogy(p, p) - torch.special.xlogy(p, p.mean(0))
    return float(ratio.sum(1).mean().exp())


def kl_to_uniform(histogram: Tensor) -> float:
    """KL(histogram || uniform) in nats: 0 where all classes are as frequent, log(classes) for one class."""
    share = histogram.double()
    return float(torch.special.xlogy(share, share * len(share)).sum())
