"""Sinkhorn-Knopp, k-means, whitening and mutual information, beside loops, closed forms and scikit-learn."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import normalized_mutual_info_score
from torch import Tensor

from sslterm.nn import kmeans as module
from sslterm.nn.kmeans import kmeans, mutual_information, nearest, pca_whiten
from sslterm.nn.sinkhorn import column_potentials, sinkhorn


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cosines(n: int, k: int) -> Tensor:
    return torch.rand(n, k, generator=seeded(n + k), dtype=torch.float64) * 2 - 1


# -- Sinkhorn


def by_loops(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """Algorithm 1 of SwAV's appendix, entry by entry: Q = exp(scores / eps), columns to 1 / K, rows to 1 / N."""
    n, k = scores.shape
    q = [[float((scores[i, j] / epsilon).exp()) for j in range(k)] for i in range(n)]
    for _ in range(iterations):
        for j in range(k):
            total = sum(q[i][j] for i in range(n))
            for i in range(n):
                q[i][j] /= total * k
        for i in range(n):
            total = sum(q[i])
            q[i] = [value / (total * n) for value in q[i]]
    return torch.tensor(q, dtype=torch.float64) * n


@pytest.mark.parametrize("iterations", [1, 3, 10])
def test_sinkhorn_is_the_papers_iteration(iterations: int) -> None:
    scores = cosines(7, 4)
    expected = by_loops(scores, 0.05, iterations)
    torch.testing.assert_close(
        sinkhorn(scores, epsilon=0.05, iterations=iterations), expected, rtol=1e-10, atol=1e-14
    )


def test_sinkhorn_balances_rows_and_columns() -> None:
    q = sinkhorn(cosines(30, 6), epsilon=0.3, iterations=200)
    torch.testing.assert_close(q.sum(1), torch.ones(30, dtype=torch.float64))
    torch.testing.assert_close(q.sum(0), torch.full((6,), 5.0, dtype=torch.float64))


def test_sinkhorn_of_two_by_two_has_a_closed_form() -> None:
    """Scaling keeps q11 q22 / (q12 q21), and a doubly stochastic q has q11 = q22."""
    scores, epsilon = cosines(2, 2), 0.4
    kernel = (scores / epsilon).exp()
    root = (kernel[0, 0] * kernel[1, 1] / kernel[0, 1] / kernel[1, 0]).sqrt()
    q = sinkhorn(scores, epsilon=epsilon, iterations=500)
    torch.testing.assert_close(q[0, 0], root / (1 + root))
    torch.testing.assert_close(q[0, 1], 1 / (1 + root))


def test_sinkhorn_survives_a_sharp_kernel_in_float32() -> None:
    scores = cosines(40, 8)
    sharp = sinkhorn(scores.float(), epsilon=0.005, iterations=3)  # exp(-400) is 0 in float32
    assert torch.isfinite(sharp).all()
    torch.testing.assert_close(sharp.sum(1), torch.ones(40))
    expected = sinkhorn(scores, epsilon=0.005, iterations=3)
    torch.testing.assert_close(sharp, expected.float(), rtol=0, atol=1e-3)


def test_half_precision_around_it_does_not_reach_sinkhorn() -> None:
    scores = cosines(16, 8).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = sinkhorn(scores, epsilon=0.05, iterations=3)
    assert torch.equal(inside, sinkhorn(scores, epsilon=0.05, iterations=3))


@pytest.mark.parametrize("epsilon", [1.0, 1 / 25])
def test_potentials_are_the_limit_of_the_iteration(epsilon: float) -> None:
    log_p = (4 * cosines(60, 5)).log_softmax(1)
    g = column_potentials(log_p, epsilon=epsilon, tolerance=1e-12, most_iterations=200_000)
    q = (log_p / epsilon + g).softmax(1)
    torch.testing.assert_close(q.sum(0), torch.full((5,), 12.0, dtype=torch.float64), rtol=1e-9, atol=0)
    limit = sinkhorn(log_p, epsilon=epsilon, iterations=20_000)
    torch.testing.assert_close(q, limit, rtol=1e-6, atol=1e-9)


def test_potentials_stop_within_their_tolerance() -> None:
    log_p = (4 * cosines(600, 10)).log_softmax(1)
    loose = column_potentials(log_p, epsilon=0.04)
    sums = (log_p / 0.04 + loose).softmax(1).sum(0)
    assert float((sums / 60 - 1).abs().max()) < 0.02
    assert not torch.allclose(sums, torch.full((10,), 60.0, dtype=torch.float64), rtol=1e-9)


def test_relaxation_saves_most_iterations(monkeypatch: pytest.MonkeyPatch) -> None:
    log_p = (20 * cosines(2000, 40)).log_softmax(1)

    def worst() -> float:
        g = column_potentials(log_p, epsilon=1 / 25, most_iterations=60)
        return float(((log_p * 25 + g).softmax(1).sum(0) / 50 - 1).abs().max())

    relaxed = worst()
    monkeypatch.setattr("sslterm.nn.sinkhorn.RELAXATION", 1.0)
    assert relaxed < 0.01 < 0.03 < worst()


def test_a_label_that_is_never_probable_gets_its_share() -> None:
    logits = 4 * cosines(90, 3)
    logits[:, 2] -= 500  # to the power of 25 nothing of it is left, in any arithmetic
    labels = (25 * logits.log_softmax(1) + column_potentials(logits.log_softmax(1), epsilon=1 / 25)).argmax(1)
    assert (torch.bincount(labels, minlength=3) - 30).abs().max() <= 3


def test_where_the_kernel_is_sharp_labels_are_the_best_balanced_assignment() -> None:
    scores = cosines(12, 3)
    g = column_potentials(scores, epsilon=1 / 200, tolerance=1e-3, most_iterations=100_000)
    labels = (scores * 200 + g).argmax(1).numpy()
    rows, slots = linear_sum_assignment(-scores.numpy().repeat(4, axis=1))  # four places for each label
    assert (slots // 4)[np.argsort(rows)].tolist() == labels.tolist()


# -- k-means


def blobs(n: int, k: int, d: int) -> Tensor:
    centres = 3 * torch.randn(k, d, generator=seeded(1))
    return centres[torch.randint(k, (n,), generator=seeded(2))] + torch.randn(n, d, generator=seeded(3))


def inertia(points: Tensor, labels: Tensor, centroids: Tensor) -> float:
    return float((points - centroids[labels]).square().sum())


def test_kmeans_ends_where_scikit_learn_ends_from_the_same_starts() -> None:
    points, k = blobs(400, 12, 5), 9
    starts = points[torch.randperm(400, generator=seeded(7))[:k]]
    labels, centroids = kmeans(points, k, iterations=100, generator=seeded(7))
    theirs = KMeans(k, init=starts.numpy(), n_init=1, max_iter=100, tol=0, algorithm="lloyd").fit(
        points.numpy()
    )
    assert labels.tolist() == theirs.labels_.tolist()
    np.testing.assert_allclose(centroids.numpy(), theirs.cluster_centers_, rtol=1e-4, atol=1e-4)
    assert inertia(points, labels, centroids) == pytest.approx(theirs.inertia_, rel=1e-5)


def test_every_iteration_of_kmeans_helps() -> None:
    points = blobs(300, 10, 4)
    courses = [
        inertia(points, *kmeans(points, 8, iterations=count, generator=seeded(0))) for count in range(12)
    ]
    assert all(after <= before + 1e-3 for before, after in itertools.pairwise(courses))
    assert courses[-1] < courses[0]


def test_no_cluster_is_empty_even_where_points_are_the_same() -> None:
    points = torch.tensor([[0.0, 1.0], [5.0, 0.0], [9.0, 9.0]])[torch.arange(24) % 3]
    for seed in range(5):
        labels, centroids = kmeans(points, 7, iterations=5, generator=seeded(seed))
        assert torch.bincount(labels, minlength=7).min() > 0
        assert torch.isfinite(centroids).all()


def test_nearest_is_the_same_in_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    points, centroids = blobs(101, 5, 3), blobs(6, 5, 3)
    expected = torch.cdist(points.double(), centroids.double()).argmin(1)
    assert torch.equal(nearest(points, centroids), expected)
    monkeypatch.setattr(module, "CHUNK_VALUES", 60)
    assert torch.equal(nearest(points, centroids), expected)


# -- whitening


@pytest.mark.parametrize("portion", [1 << 26, 64])
def test_whitening_is_that_of_scikit_learn_up_to_signs(portion: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_VALUES", portion)
    features = blobs(200, 6, 10) @ torch.randn(10, 10, generator=seeded(4)) + 20
    white = PCA(4, whiten=True, svd_solver="full").fit_transform(features.double().numpy())
    white /= np.linalg.norm(white, axis=1, keepdims=True)
    ours = pca_whiten(features, 4).double().numpy()
    np.testing.assert_allclose(ours @ ours.T, white @ white.T, atol=1e-4)


def test_directions_without_variance_are_zeros() -> None:
    features = torch.zeros(50, 6)
    features[:, 0] = torch.randn(50, generator=seeded(0))
    white = pca_whiten(features, 4)
    torch.testing.assert_close(white[:, 0].abs(), torch.ones(50))
    assert not white[:, 1:].any()
    assert not pca_whiten(torch.ones(5, 3), 2).any()  # images of which all features are the same


def test_more_dimensions_than_there_are_gives_those_there_are() -> None:
    assert pca_whiten(torch.randn(9, 3), 64).shape == (9, 3)


# -- mutual information


def test_mutual_information_is_that_of_scikit_learn() -> None:
    a = torch.randint(9, (500,), generator=seeded(5))
    b = torch.where(torch.rand(500, generator=seeded(6)) < 0.4, a, a.roll(1) % 4)
    expected = normalized_mutual_info_score(a.numpy(), b.numpy(), average_method="geometric")
    assert 0.1 < expected < 0.9
    assert mutual_information(a, b) == pytest.approx(expected, abs=1e-9)
    assert mutual_information(b, a) == pytest.approx(expected, abs=1e-9)


def test_mutual_information_at_its_ends() -> None:
    a = torch.arange(60) % 5
    assert mutual_information(a, (a + 3) % 5) == pytest.approx(1)  # names do not matter
    halves = torch.arange(60) // 30
    assert mutual_information(a, halves) == pytest.approx(0, abs=1e-9)
    assert mutual_information(a, torch.zeros_like(a)) == 0
    assert mutual_information(torch.zeros_like(a), torch.zeros_like(a)) == 1
