"""Sample quality against closed forms, scipy and loops."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor

from sslterm.config.schema import DataConfig
from sslterm.data.source import Split, load_source
from sslterm.data.store import Store
from sslterm.errors import UsageError
from sslterm.evaluate.fidelity import (
    coverage,
    draw_samples,
    fidelity,
    frechet_distance,
    kl_to_uniform,
    precision,
)
from sslterm.evaluate.judge import Space, judge_images, make_space
from sslterm.methods.base import Method

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits() -> tuple[Store, Store]:
    config = DataConfig(name="digits", path="", size=16, train_images=0, test_images=0, seed=0)
    source = load_source(config, lambda what, done, total: None)
    return Store(source.train, CPU), Store(source.test, CPU)


@pytest.fixture(scope="module")
def space(digits: tuple[Store, Store]) -> Space:
    return make_space("digits", *digits, device=CPU)


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


def test_precision_and_coverage_are_their_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(60, 4, generator=generator)
    fake = 1.3 * torch.randn(50, 4, generator=generator) + 0.4

    def radius(i: int, k: int) -> float:
        return sorted(float((real[i] - real[j]).norm()) for j in range(60) if j != i)[k - 1]

    near = sum(any(float((x - real[i]).norm()) <= radius(i, 3) for i in range(60)) for x in fake)
    assert precision(fake, real) == pytest.approx(near / 50)
    covered = sum(min(float((x - real[i]).norm()) for x in fake) <= radius(i, 5) for i in range(60))
    assert coverage(fake, real) == pytest.approx(covered / 60)


def test_coverage_sees_a_missing_half_that_precision_does_not() -> None:
    generator = torch.Generator().manual_seed(0)
    real = (
        torch.randn(400, 2, generator=generator) + torch.tensor([8.0, 0]) * (torch.arange(400) % 2)[:, None]
    )
    half = torch.randn(400, 2, generator=generator)
    assert precision(half, real) > 0.9
    assert coverage(half, real) < 0.55


def test_kl_to_uniform() -> None:
    assert kl_to_uniform(torch.full((10,), 0.1)) == pytest.approx(0, abs=1e-6)
    assert kl_to_uniform(torch.tensor([1.0, 0, 0, 0])) == pytest.approx(math.log(4))
    share = torch.tensor([0.5, 0.25, 0.25])
    uniform = torch.full((3,), 1 / 3)
    expected = torch.distributions.kl_divergence(
        torch.distributions.Categorical(share), torch.distributions.Categorical(uniform)
    )
    assert kl_to_uniform(share) == pytest.approx(float(expected), rel=1e-5)


def test_the_judge_knows_digits_and_is_named_by_its_data(space: Space) -> None:
    assert space.name == "digits-16px-judge32-v1"
    assert space.accuracy is not None
    assert space.accuracy > 0.95
    assert (space.dimensions, space.classes) == (32, 10)


def test_the_judge_repeats_and_leaves_the_random_state(space: Space, digits: tuple[Store, Store]) -> None:
    torch.manual_seed(77)
    before = torch.get_rng_state()
    again = make_space("digits", *digits, device=CPU)
    assert torch.equal(before, torch.get_rng_state())
    assert again.digest == space.digest


def test_without_labels_the_space_says_that_it_is_random(digits: tuple[Store, Store]) -> None:
    train, test = (Store(Split(store.images, torch.full((len(store),), -1)), CPU) for store in digits)
    space = make_space("pictures", train, test, device=CPU)
    assert space.name == "pictures-16px-random-conv32-seed0"
    assert space.accuracy is None
    judged = judge_images(space, test.batch(torch.arange(20)).images)
    assert judged.features.shape == (20, 32)
    assert judged.histogram.shape == (0,)


def test_the_histogram_counts_classes(space: Space, digits: tuple[Store, Store]) -> None:
    train, _ = digits
    threes = train.batch((train.labels == 3).nonzero().squeeze(1))
    histogram = judge_images(space, threes.images).histogram
    assert float(histogram.sum()) == pytest.approx(1)
    assert float(histogram[3]) > 0.95


class Copies(Method):
    """Samples by drawing training images, of some classes, with noise: a generator of known quality."""

    def __init__(self, store: Store, *, classes: int = 10, noise: float = 0.0) -> None:
        super().__init__()
        self.images = store.batch((store.labels < classes).nonzero().squeeze(1)).images
        self.noise = noise
        self.asked: list[tuple[int, Tensor | None]] = []

    def sample(self, n: int, generator: torch.Generator, label: Tensor | None = None) -> Iterator[Tensor]:
        self.asked.append((n, label))
        yield torch.zeros(n, 1, 16, 16)
        chosen = self.images[torch.randint(len(self.images), (n,), generator=generator)]
        yield (chosen + self.noise * torch.randn(chosen.shape)).clamp(0, 1)


@pytest.fixture
def measured(space: Space, digits: tuple[Store, Store]) -> Callable[..., dict[str, dict[str, Any]]]:
    def measure(method: Copies, n: int = 1000) -> dict[str, dict[str, Any]]:
        return {str(row["name"]).partition("[")[0]: row for row in fidelity(method, space, *digits, n=n)}

    return measure


def test_fidelity_orders_generators_of_known_quality(digits: tuple[Store, Store], measured: Any) -> None:
    train, _ = digits
    good, collapsed, noisy = (
        measured(Copies(train)),
        measured(Copies(train, classes=3)),
        measured(Copies(train, noise=0.5)),
    )
    assert list(good) == ["FD", "precision", "coverage", "smallest_class", "class_kl"]
    assert good["FD"]["name"] == "FD[digits-16px-judge32-v1]@1000"
    for row in good.values():
        assert (row["n"], row["split"], row["n_real"]) == (1000, "test", 297)
    assert 0.2 * good["FD"]["floor"] < good["FD"]["value"] < 5 * good["FD"]["floor"]
    assert collapsed["FD"]["value"] > 10 * good["FD"]["value"]
    assert noisy["FD"]["value"] > 10 * good["FD"]["value"]
    assert good["smallest_class"]["value"] > 0.05
    assert collapsed["smallest_class"]["value"] < 0.01
    assert collapsed["class_kl"]["value"] == pytest.approx(math.log(10 / 3), abs=0.15)
    assert good["class_kl"]["value"] < 0.02
    assert len(good["class_kl"]["histogram"]) == 10
    assert collapsed["coverage"]["value"] < 0.6 < good["coverage"]["value"]
    assert noisy["precision"]["value"] < good["precision"]["value"]


def test_fidelity_repeats_and_refuses(digits: tuple[Store, Store], measured: Any) -> None:
    train, _ = digits
    first, second = (measured(Copies(train, noise=0.1), n=200)["FD"] for _ in range(2))
    assert first == second
    with pytest.raises(UsageError, match="100 samples are too few to judge in 32 dimensions"):
        measured(Copies(train), n=100)
    with pytest.raises(UsageError, match="200 of 200 samples hold numbers that are not finite"):
        measured(Copies(train, noise=float("nan")), n=200)


def test_samples_come_in_portions_with_their_label_and_partial_images(digits: tuple[Store, Store]) -> None:
    method = Copies(digits[0])
    seen: list[Tensor] = []
    torch.manual_seed(3)
    before = torch.get_rng_state()
    images = draw_samples(method, 600, seed=0, label=4, watch=seen.append)
    assert torch.equal(before, torch.get_rng_state())
    assert images.shape == (600, 1, 16, 16)
    assert [n for n, _ in method.asked] == [250, 250, 100]
    assert all(label is not None and label.tolist() == [4] * n for n, label in method.asked)
    assert len(seen) == 6
    assert float(seen[0].max()) == 0
    assert float(images.max()) > 0.5
    assert torch.equal(images[:250], draw_samples(method, 250, seed=0))
