"""Classifier two-sample test on distributions of known difference; train on samples, test on real images."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
import torch
from torch import Tensor

from sslterm.config.schema import DataConfig
from sslterm.data.source import load_source
from sslterm.data.store import Store
from sslterm.evaluate import judge
from sslterm.evaluate.features import choose
from sslterm.evaluate.train_on_synthetic import teaching
from sslterm.evaluate.two_sample import two_sample_accuracy


def normal(n: int, dimensions: int, seed: int) -> Tensor:
    return torch.randn(n, dimensions, generator=torch.Generator().manual_seed(seed))


def test_a_shift_is_told_as_often_as_it_can_be() -> None:
    """No classifier tells N(0, I) from N(d, I) more often than Phi(|d| / 2); with enough images it comes near."""
    fake, real = normal(4000, 4, 0), normal(4000, 4, 1) + torch.tensor([2.0, 0, 0, 0])
    best = NormalDist().cdf(1.0)
    found = two_sample_accuracy(fake, real)
    assert best - 0.03 < found.value < best + 0.02
    assert found.interval is not None
    assert found.interval[0] < best < found.interval[1] + 0.02


def test_it_sees_what_means_do_not() -> None:
    """Equal means and covariances, other shapes: a linear classifier, and a Fréchet distance, see nothing."""
    sign = normal(2000, 2, 3).sign()
    fake = 0.96 * sign + 0.28 * normal(2000, 2, 4)  # four clusters, of variance 1 together
    found = two_sample_accuracy(fake, normal(2000, 2, 5))
    assert found.value > 0.75


def test_equal_distributions_are_told_apart_in_half_of_the_cases_and_intervals_hold_that() -> None:
    found = [two_sample_accuracy(normal(120, 3, 2 * i), normal(90, 3, 2 * i + 1), seed=i) for i in range(25)]
    values = np.array([one.value for one in found])
    assert values.mean() == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(25 * 90))
    held = [one.interval[0] <= 0.5 <= one.interval[1] for one in found if one.interval]
    assert sum(held) >= 21  # 24 expected


def test_it_repeats_and_leaves_the_random_state() -> None:
    fake, real = normal(50, 3, 0).relu(), normal(60, 3, 1).relu()
    fake[:, 2] = real[:, 2] = 0.0  # a dead unit
    before = torch.get_rng_state()
    assert two_sample_accuracy(fake, real, seed=1) == two_sample_accuracy(fake, real, seed=1)
    assert torch.equal(before, torch.get_rng_state())


@pytest.fixture(scope="module")
def digits() -> tuple[Store, Store]:
    config = DataConfig(name="digits", path="", size=8, train_images=0, test_images=0, seed=0)
    source = load_source(config, lambda what, done, total: None)
    return Store(source.train, torch.device("cpu")), Store(source.test, torch.device("cpu"))


def test_good_samples_teach_as_real_images_do_and_wrong_labels_do_not(
    digits: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judge, "_LEAST_IMAGES", 5000)
    train, test = digits
    chosen = choose(len(train), 400, seed=5)  # the first ones are not typical
    wrong = train.labels[chosen].roll(1)
    (row,) = teaching(train.images[chosen], train.labels[chosen], train, test, classes=10)
    assert row["name"] == "TSTR@400"
    assert row["value"] == pytest.approx(row["floor"], abs=0.03)
    assert row["value"] > 0.85
    assert (row["n"], row["n_real"], row["n_floor"]) == (400, 297, 400)
    assert row["baseline_untrained"] is None
    noise = torch.randint(256, (400, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    (row,) = teaching(train.images[chosen], wrong, train, test, classes=10, untrained=noise)
    assert row["value"] < 0.3
    assert row["baseline_untrained"] < 0.3
    low, high = row["interval"]
    assert low < row["value"] < high
