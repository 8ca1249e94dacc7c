"""k-means on whatever device the points are, and the whitening that goes before it in DeepCluster."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.nn.precision import double, has_float64

CHUNK_VALUES = 1 << 26
"""Most distances at once."""
APART = 1e-4
"""How far, relative to its length, the halves of a split cluster are moved from each other."""


@torch.no_grad()
def pca_whiten(features: Tensor, dimensions: int) -> Tensor:
    """PCA to `dimensions`, unit variance in each, then unit length (Caron et al. 2018, arXiv:1807.05520, §3.4).

    Args:
        features: [N, D].

    Returns:
        [N, min(dimensions, D)] float32. Directions without variance become zeros.
    """
    if not has_float64(features.device):
        return pca_whiten(features.cpu(), dimensions).to(features.device)
    mean = features.mean(0, dtype=torch.float64)
    parts = features.split(max(1, CHUNK_VALUES // features.shape[1]))
    covariance = sum((part - mean).T @ (part - mean) for part in parts) / len(features)  # float64
    variance, axes = torch.linalg.eigh(covariance)  # rising
    variance, axes = variance.flip(0)[:dimensions], axes.flip(1)[:, :dimensions]
    floor = variance[0].clamp_min(1e-30) * 1e-10
    scale = torch.where(variance > floor, variance.clamp_min(floor).rsqrt(), torch.zeros_like(variance))
    return torch.cat([F.normalize(((part - mean) @ (axes * scale)).float(), dim=1) for part in parts])


@torch.no_grad()
def kmeans(points: Tensor, k: int, *, iterations: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Lloyd's algorithm from k random points; a cluster that empties takes half of the largest one.

    Args:
        points: [N, D], N >= k.
        generator: on the CPU; the same on all ranks.

    Returns:
        labels [N] int64, no cluster empty; centroids [k, D].
    """
    start = torch.randperm(len(points), generator=generator)[:k].to(points.device)
    centroids = points[start].clone()
    for _ in range(iterations):
        labels = nearest(points, centroids)
        centroids = _means(points, labels, centroids)
    labels = _fill(nearest(points, centroids), k)
    return labels, _means(points, labels, centroids)


def nearest(points: Tensor, centroids: Tensor) -> Tensor:
    """The index of the nearest centroid of each point, [N] int64."""
    half = centroids.square().sum(1) / 2
    if torch.compiler.is_exporting():  # the number of chunks must not depend on that of the points
        return (points @ centroids.T - half).argmax(1)
    size = max(1, CHUNK_VALUES // len(centroids))
    return torch.cat([(part @ centroids.T - half).argmax(1) for part in points.split(size)])


def _means(points: Tensor, labels: Tensor, before: Tensor) -> Tensor:
    """Means of the clusters [k, D]; an empty one and the largest become two near copies of the latter."""
    k = len(before)
    counts = torch.bincount(labels, minlength=k)
    sums = torch.zeros_like(before).index_add_(0, labels, points)
    means = sums / counts.clamp_min(1).to(sums.dtype)[:, None]
    for empty in (counts == 0).nonzero().flatten().tolist():
        largest = int(counts.argmax())
        apart = 1 + APART * (1 - 2 * (torch.arange(means.shape[1], device=means.device) % 2))
        means[empty] = means[largest] * apart
        means[largest] = means[largest] * (2 - apart)
        counts[empty] = counts[largest] // 2
        counts[largest] -= counts[empty]
    return means


def _fill(labels: Tensor, k: int) -> Tensor:
    """Give each cluster that is empty still every second member of the largest."""
    labels = labels.clone()
    counts = torch.bincount(labels, minlength=k)
    for empty in (counts == 0).nonzero().flatten().tolist():
        largest = int(counts.argmax())
        members = (labels == largest).nonzero().flatten()
        labels[members[::2]] = empty
        counts = torch.bincount(labels, minlength=k)
    return labels


def mutual_information(a: Tensor, b: Tensor) -> float:
    """What one labelling tells of another, as a share of sqrt(H(a) H(b)): 0 for nothing, 1 for all (NMI).

    Args:
        a, b: [N] int64, not negative.
    """
    joint = torch.stack((a, b), dim=1).unique(dim=0, return_counts=True)[1]  # only what occurs
    h_a, h_b = (_entropy(labels.unique(return_counts=True)[1]) for labels in (a, b))
    if h_a == 0 or h_b == 0:  # a single cluster tells nothing
        return 1.0 if h_a == h_b else 0.0
    return (h_a + h_b - _entropy(joint)) / math.sqrt(h_a * h_b)


def _entropy(counts: Tensor) -> float:
    shares = double(counts)
    return float(torch.special.entr(shares / shares.sum()).sum())
