"""Precision, recall, density and coverage: which samples lie among real images, and which real ones among samples.

Every image has a ball that reaches to its k-th neighbour in its own set; the balls of a set cover where it lives.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from sslterm.nn.precision import double

PRECISION_NEIGHBOURS = 3
"""k of precision and recall (Kynkäänniemi et al. 2019)."""
DENSITY_NEIGHBOURS = 5
"""k of density and coverage (Naeem et al. 2020)."""
_DISTANCES = 1 << 24
"""Distances that are in memory at once."""


class Cloud:
    """A set of features [N, D], and the balls around them."""

    def __init__(self, points: Tensor) -> None:
        self.points = double(points)
        self._nearest = self.points.new_empty(len(points), 0)

    def __len__(self) -> int:
        return len(self.points)

    def radii(self, k: int) -> Tensor:
        """Distance of each point to its k-th neighbour among the others, [N]; found once for all usual k."""
        k = min(k, len(self) - 1)
        if self._nearest.shape[1] <= k:
            most = min(max(k, DENSITY_NEIGHBOURS), len(self) - 1) + 1  # itself is the first
            self._nearest = torch.cat(
                [found.topk(most, dim=1, largest=False).values for found in _distances(self, self)]
            )
        return self._nearest[:, k]

    def balls_around(self, other: Cloud, k: int) -> Tensor:
        """How many balls of this set each point of the other lies in, [M]."""
        return torch.cat([(d <= self.radii(k)).sum(1) for d in _distances(other, self)])


def precision(fake: Cloud, real: Cloud, *, k: int = PRECISION_NEIGHBOURS) -> float:
    """Share of the samples that lie in the ball of any real image (arXiv:1904.06991, Eq. 1-2)."""
    return _mean(real.balls_around(fake, k) > 0)


def recall(fake: Cloud, real: Cloud, *, k: int = PRECISION_NEIGHBOURS) -> float:
    """Share of the real images that lie in the ball of any sample (arXiv:1904.06991, Eq. 1-2)."""
    return _mean(fake.balls_around(real, k) > 0)


def density(fake: Cloud, real: Cloud, *, k: int = DENSITY_NEIGHBOURS) -> float:
    """How many balls of real images a sample lies in, over k: 1 for real ones, above it where samples crowd
    (Naeem et al. 2020, arXiv:2002.09797, §3). One real outlier, whose ball is large, hardly moves it."""
    return _mean(real.balls_around(fake, k)) / k


def coverage(fake: Cloud, real: Cloud, *, k: int = DENSITY_NEIGHBOURS) -> float:
    """Share of the real images with a sample in their ball (arXiv:2002.09797, §3)."""
    nearest = torch.cat([d.amin(1) for d in _distances(real, fake)])
    return _mean(nearest <= real.radii(k))


def _distances(a: Cloud, b: Cloud) -> Iterator[Tensor]:
    """Distances of points of a to all of b, some rows at a time: [rows, M]."""
    for rows in torch.split(a.points, max(1, _DISTANCES // len(b))):
        yield torch.cdist(rows, b.points)


def _mean(values: Tensor) -> float:
    return float(double(values).mean())
