"""Sample quality of generators that are known to be good, collapsed, noisy or thieves."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from sslterm.config.schema import DataConfig
from sslterm.data.source import Split, load_source
from sslterm.data.store import Store
from sslterm.errors import UsageError
from sslterm.evaluate.fidelity import fidelity
from sslterm.evaluate.judge import Space, judge_images, make_space
from sslterm.evaluate.sampling import draw_bytes, draw_samples, require_samples
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


Measured = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def measured(space: Space, digits: tuple[Store, Store]) -> Any:
    def measure(method: Copies, n: int = 1000, untrained: Copies | None = None) -> Measured:
        fresh = None if untrained is None else draw_bytes(untrained, n, seed=0)
        rows = fidelity(space, draw_bytes(method, n, seed=0), *digits, untrained=fresh)
        return {str(row["name"]).partition("[")[0]: row for row in rows}

    return measure


@pytest.fixture(scope="module")
def good(digits: tuple[Store, Store], measured: Any) -> Measured:
    found: Measured = measured(Copies(digits[0]), untrained=Copies(digits[0], noise=50.0))
    return found


@pytest.fixture(scope="module")
def collapsed(digits: tuple[Store, Store], measured: Any) -> Measured:
    found: Measured = measured(Copies(digits[0], classes=3))
    return found


@pytest.fixture(scope="module")
def noisy(digits: tuple[Store, Store], measured: Any) -> Measured:
    found: Measured = measured(Copies(digits[0], noise=0.5))
    return found


def test_every_figure_says_what_it_is(good: Measured) -> None:
    of_classes = ["CS", "smallest_class", "class_kl"]
    figures = ["FD", "KD", "precision", "recall", "density", "coverage", "C2ST", *of_classes]
    assert list(good) == figures
    for name, row in good.items():
        assert row["name"] == f"{name}[digits-16px-judge32-v1]@1000"
        assert (row["n"], row["split"], row["n_real"], row["n_floor"]) == (1000, "test", 297, 1000)
        assert row["space"] == "digits-16px-judge32-v1"
        assert len(row["space_sha256"]) == 12
        assert isinstance(row["floor"], float)
        assert isinstance(row["baseline_untrained"], float)
    assert "standard_error" in good["KD"]
    low, high = good["C2ST"]["interval"]
    assert low < good["C2ST"]["value"] < high


def test_what_draws_training_images_stands_at_the_floor(good: Measured) -> None:
    """The floor is other training images: the same distribution."""
    assert 0.2 * good["FD"]["floor"] < good["FD"]["value"] < 5 * good["FD"]["floor"]
    assert abs(good["KD"]["value"] - good["KD"]["floor"]) < 5 * good["KD"]["standard_error"]
    for name in ("precision", "recall", "density", "coverage", "C2ST", "smallest_class"):
        assert good[name]["value"] == pytest.approx(good[name]["floor"], abs=0.15), name
    low, high = good["C2ST"]["interval"]
    assert low < 0.5 + 0.05 < high + 0.1
    assert good["CS"]["value"] == pytest.approx(good["CS"]["floor"], abs=0.3)
    assert good["class_kl"]["value"] < 0.02
    assert len(good["class_kl"]["histogram"]) == 10


def test_collapse_is_seen_by_recall_coverage_and_classes(good: Measured, collapsed: Measured) -> None:
    assert collapsed["FD"]["value"] > 10 * good["FD"]["value"]
    assert collapsed["KD"]["value"] > 8 * collapsed["KD"]["standard_error"]
    assert collapsed["precision"]["value"] > 0.8
    assert collapsed["recall"]["value"] < 0.5 < good["recall"]["value"]
    assert collapsed["coverage"]["value"] < 0.6 < good["coverage"]["value"]
    assert collapsed["C2ST"]["value"] > 0.75
    assert collapsed["CS"]["value"] == pytest.approx(3, abs=0.4)
    assert collapsed["smallest_class"]["value"] < 0.01
    assert collapsed["class_kl"]["value"] == pytest.approx(math.log(10 / 3), abs=0.15)
    assert collapsed["FD"]["baseline_untrained"] is None


def test_noise_is_seen_by_precision_and_density(good: Measured, noisy: Measured) -> None:
    assert noisy["FD"]["value"] > 10 * good["FD"]["value"]
    assert noisy["precision"]["value"] < 0.5 * good["precision"]["value"]
    assert noisy["density"]["value"] < 0.5 * good["density"]["value"]
    assert noisy["C2ST"]["value"] > 0.9
    for name in ("FD", "KD"):
        assert good[name]["value"] < noisy[name]["value"] < 3 * good[name]["baseline_untrained"]


def test_it_repeats(digits: tuple[Store, Store], measured: Any) -> None:
    first, second = (measured(Copies(digits[0], noise=0.1), n=200) for _ in range(2))
    assert first == second


def test_too_few_for_a_frechet_distance_leave_it_out_alone(digits: tuple[Store, Store], space: Space) -> None:
    left: list[tuple[str, UsageError]] = []
    samples = draw_bytes(Copies(digits[0]), 120, seed=0)
    rows = list(fidelity(space, samples, *digits, leave_out=lambda *found: left.append(found)))
    ((name, error),) = left
    assert name == "FD[digits-16px-judge32-v1]@120"
    assert error.message == "120 samples are too few for a Fréchet distance in 32 dimensions"
    assert error.hint == "take --n 160 or more"
    assert len(rows) == 9


def test_what_cannot_be_judged_is_refused(digits: tuple[Store, Store]) -> None:
    require_samples(100, 100)
    with pytest.raises(UsageError, match="99 samples are too few to judge a generator by"):
        require_samples(99, 100)
    with pytest.raises(UsageError, match="99 held-out images are too few"):
        require_samples(1000, 99)
    with pytest.raises(UsageError, match="200 of 200 samples hold numbers that are not finite"):
        draw_bytes(Copies(digits[0], noise=float("nan")), 200, seed=0)


def test_requested_classes_are_compared_with_those_seen(digits: tuple[Store, Store], space: Space) -> None:
    train, test = digits
    chosen = torch.arange(300)
    images, labels = train.images[chosen], train.labels[chosen].clone()
    labels[:60] = (labels[:60] + 1) % 10  # a fifth of another class than was asked for
    *_, row = fidelity(space, images, train, test, labels=labels, untrained=images.flip(0))
    assert row["name"] == "label_agreement[digits-16px-judge32-v1]@300"
    assert row["value"] == pytest.approx(0.8, abs=0.02)
    assert row["floor"] == space.accuracy
    assert row["baseline_untrained"] < 0.3
    low, high = row["interval"]
    assert low < 0.8 < high


def test_samples_are_judged_as_they_would_be_saved(digits: tuple[Store, Store]) -> None:
    found = draw_bytes(Copies(digits[0]), 40, seed=0)
    assert found.dtype == torch.uint8
    assert torch.equal(found, (draw_samples(Copies(digits[0]), 40, seed=0) * 255).round().to(torch.uint8))


def test_every_sample_is_of_the_class_that_it_is_asked_for(digits: tuple[Store, Store]) -> None:
    method = Copies(digits[0])
    labels = torch.arange(300) % 10
    draw_bytes(method, 300, seed=0, labels=labels)
    asked = torch.cat([label for _, label in method.asked if label is not None])
    assert torch.equal(asked, labels)


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
