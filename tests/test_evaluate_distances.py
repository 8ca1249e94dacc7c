"""Distances between sets of features against closed forms, torch-fidelity, scipy and repetition."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric

from sslterm.errors import UsageError
from sslterm.evaluate.distances import (
    classifier_score,
    frechet_distance,
    kernel_distance,
    kl_to_uniform,
    share_of,
)


def with_moments(mean: Tensor, covariance: Tensor, n: int = 500, seed: int = 0) -> Tensor:
    """Points whose sample mean and covariance are exactly these."""
    x = torch.randn(n, len(mean), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    x = x - x.mean(0)
    white = torch.linalg.solve_triangular(torch.linalg.cholesky(torch.cov(x.T)), x.T, upper=False).T
    return mean + white @ torch.linalg.cholesky(covariance).T


def a_covariance(dimensions: int, seed: int) -> Tensor:
    a = torch.randn(
        dimensions, dimensions, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    return a @ a.T / dimensions + 0.05 * torch.eye(dimensions, dtype=torch.float64)


def test_frechet_distance_of_two_gaussians_is_the_closed_form() -> None:
    """Commuting covariances: |m_a - m_b|^2 + sum (sd_a - sd_b)^2 (Dowson & Landau 1982)."""
    sd_a, sd_b = torch.tensor([1.0, 2, 3, 0.5]).double(), torch.tensor([2.0, 2, 1, 0.1]).double()
    mean_a, mean_b = torch.tensor([0.0, 1, 2, 3]).double(), torch.tensor([1.0, 1, 1, 1]).double()
    a = with_moments(mean_a, sd_a.square().diag(), seed=1)
    b = with_moments(mean_b, sd_b.square().diag(), seed=2)
    expected = float((mean_a - mean_b).square().sum() + (sd_a - sd_b).square().sum())
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_agrees_with_scipy_on_any_covariances() -> None:
    c_a, c_b = a_covariance(12, 1), a_covariance(12, 2)
    mean_a, mean_b = torch.zeros(12).double(), torch.linspace(-1, 1, 12).double()
    a, b = with_moments(mean_a, c_a, seed=3), with_moments(mean_b, c_b, n=300, seed=4)
    root = sqrtm(c_a.numpy() @ c_b.numpy())
    expected = np.sum((mean_a - mean_b).numpy() ** 2) + np.trace(
        c_a.numpy() + c_b.numpy() - 2 * np.real(root)
    )
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(a.float(), b.float()) == pytest.approx(expected, rel=1e-5)


def test_frechet_distance_of_singular_covariances_is_real() -> None:
    """Dead units: a matrix square root turns complex here."""
    a = torch.randn(100, 8, generator=torch.Generator().manual_seed(0)).relu()
    a[:, 3:] = 0
    b = a.clone()
    b[:, 4] = 1
    assert frechet_distance(a, b) == pytest.approx(1.0, rel=1e-9)


def test_too_few_images_are_refused() -> None:
    enough, few = torch.randn(40, 8), torch.randn(39, 8)
    assert frechet_distance(enough, enough) == pytest.approx(0, abs=1e-9)
    with pytest.raises(UsageError, match="39 samples are too few") as error:
        frechet_distance(few, enough)
    assert "--n 40" in error.value.hint
    with pytest.raises(UsageError, match="39 held-out images are too few"):
        frechet_distance(enough, few)


def drawn(n: int, dimensions: int, seed: int, *, shift: float = 0.0) -> Tensor:
    return (
        torch.randn(n, dimensions, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift
    )


def test_frechet_distance_is_that_of_torch_fidelity() -> None:
    a, b = drawn(200, 16, 0) @ a_covariance(16, 5), drawn(300, 16, 1, shift=0.3)
    statistics = [fid_features_to_statistics(features) for features in (a, b)]
    expected = fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-8)


def test_kernel_distance_is_that_of_torch_fidelity() -> None:
    """One subset of all: its order is another, and its value is not."""
    a, b = drawn(120, 16, 0).relu(), drawn(120, 16, 1, shift=0.2).relu()
    expected = kid_features_to_metric(
        a, b, kid_subsets=1, kid_subset_size=120, kid_kernel="poly", kid_kernel_poly_degree=3,
        kid_kernel_poly_gamma=None, kid_kernel_poly_coef0=1, rng_seed=0, verbose=False,
    )  # fmt: skip
    assert kernel_distance(a, b).value == pytest.approx(
        expected["kernel_inception_distance_mean"], rel=1e-9, abs=1e-12
    )


def test_kernel_distance_of_sets_of_different_sizes_and_its_jackknife_are_loops() -> None:
    a, b = drawn(7, 3, 0), drawn(5, 3, 1, shift=0.5)

    def mmd(x: Tensor, y: Tensor) -> float:
        def k(u: Tensor, v: Tensor) -> float:
            return (float(u @ v) / 3 + 1) ** 3

        def within(z: Tensor) -> float:
            pairs = [k(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if i != j]
            return sum(pairs) / len(pairs)

        return within(x) + within(y) - 2 * sum(k(u, v) for u in x for v in y) / (len(x) * len(y))

    found = kernel_distance(a, b)
    assert found.value == pytest.approx(mmd(a, b), rel=1e-12)
    without_a = np.array([mmd(a[torch.arange(7) != i], b) for i in range(7)])
    without_b = np.array([mmd(a, b[torch.arange(5) != i]) for i in range(5)])
    expected = math.sqrt(6 * without_a.var() + 4 * without_b.var())
    assert found.error == pytest.approx(expected, rel=1e-12)


def test_kernel_distance_is_unbiased_and_its_error_is_its_spread() -> None:
    found = [kernel_distance(drawn(80, 4, 2 * i), drawn(60, 4, 2 * i + 1, shift=0.4)) for i in range(400)]
    values = np.array([one.value for one in found])
    errors = np.array([one.error for one in found])
    # E k(x, y) of Gaussians with means m and n, by the moments of x.y up to the third, from a great sample
    far, near = drawn(400_000, 4, 10_001, shift=0.4), drawn(400_000, 4, 10_002)
    other_far, other_near = drawn(400_000, 4, 10_003, shift=0.4), drawn(400_000, 4, 10_004)

    def mean(x: Tensor, y: Tensor) -> float:
        return float((((x * y).sum(1) / 4 + 1) ** 3).mean())

    truth = mean(near, other_near) + mean(far, other_far) - 2 * mean(near, far)
    assert values.mean() == pytest.approx(truth, abs=4 * values.std() / 20 + 0.02)
    assert np.sqrt((errors**2).mean()) == pytest.approx(values.std(), rel=0.15)


def test_kernel_distance_of_one_distribution_is_about_zero_and_may_be_negative() -> None:
    values = np.array(
        [kernel_distance(drawn(60, 8, 2 * i), drawn(60, 8, 2 * i + 1)).value for i in range(200)]
    )
    assert abs(values.mean()) < 4 * values.std() / math.sqrt(200)
    assert (values < 0).mean() > 0.3


def test_classifier_score_is_that_of_torch_fidelity() -> None:
    logits = 3 * drawn(200, 10, 0)
    expected = isc_features_to_metric(logits, splits=1, shuffle=False)["inception_score_mean"]
    assert classifier_score(logits.softmax(1)) == pytest.approx(expected, rel=1e-9)
    assert classifier_score(torch.eye(10).repeat(3, 1)) == pytest.approx(10)  # clear and even
    assert classifier_score(torch.eye(10)[:1].repeat(30, 1)) == pytest.approx(1)  # clear, of one class
    assert classifier_score(torch.full((30, 10), 0.1)) == pytest.approx(1)  # even, and unclear


def test_the_interval_of_a_share_holds_what_it_says() -> None:
    """Of binomial draws at several shares about 95 % of Wilson's intervals hold the truth."""
    rng = np.random.default_rng(0)
    for truth in (0.02, 0.5, 0.9):
        intervals = [share_of(int(right), 150).interval for right in rng.binomial(150, truth, 2000)]
        held = np.mean([low <= truth <= high for low, high in intervals])
        assert 0.93 < held < 0.98
    all_right = share_of(20, 20)
    assert all_right.error == 0
    assert all_right.interval == pytest.approx((0.8389, 1.0), abs=1e-4)  # 1 / (1 + z^2 / n)


def test_kl_to_uniform() -> None:
    assert kl_to_uniform(torch.full((10,), 0.1)) == pytest.approx(0, abs=1e-6)
    assert kl_to_uniform(torch.tensor([1.0, 0, 0, 0])) == pytest.approx(math.log(4))
    share = torch.tensor([0.5, 0.25, 0.25])
    uniform = torch.full((3,), 1 / 3)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Categorical(share), torch.distributions.Categorical(uniform)
    )
    assert kl_to_uniform(share) == pytest.approx(float(expected), rel=1e-5)
