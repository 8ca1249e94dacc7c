"""Copies of training images are found, and what is merely like them is not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sslterm.data.source import Split
from sslterm.data.store import Store
from sslterm.evaluate import memorisation
from sslterm.evaluate.memorisation import Nearest, held_out_images, memorised_share, nearest_training


def pictures(n: int, seed: int) -> Tensor:
    """Smooth random pictures, uint8 [n, 1, 8, 8]: sums of a few waves."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(n, 6, generator=generator)
    place = torch.linspace(0, 1, 8)
    waves = torch.stack([torch.cos(torch.pi * k * place) for k in range(3)])  # [3, 8]
    basis = torch.stack(
        [waves[i][:, None] * waves[j] for i, j in ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0), (2, 2))]
    )
    values = torch.einsum("nk,khw->nhw", weights, basis)
    return (128 + 24 * values).clamp(0, 255).round().to(torch.uint8)[:, None]


@pytest.fixture(scope="module")
def train() -> Store:
    return Store(Split(pictures(800, 0), torch.zeros(800, dtype=torch.int64)), torch.device("cpu"))


@pytest.fixture(scope="module")
def held_out(train: Store) -> Nearest:
    return nearest_training(pictures(600, 1), train)


def test_the_nearest_are_those_of_a_search_by_hand(train: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    queries = pictures(30, 2)
    found = nearest_training(queries, train)
    pixels, asked = train.images.double().flatten(1) / 255, queries.double().flatten(1) / 255
    for row in range(30):
        distance = (pixels - asked[row]).norm(dim=1).sort()
        assert int(found.place[row]) == int(distance.indices[0])
        expected = float(distance.values[0] / distance.values[:50].mean())
        assert float(found.relative[row]) == pytest.approx(expected, rel=1e-5)
    monkeypatch.setattr(memorisation, "_BATCH", 60)
    again = nearest_training(queries, train)
    assert torch.equal(again.place, found.place)
    assert torch.allclose(again.relative, found.relative)


def test_copies_are_nearer_than_held_out_images(train: Store, held_out: Nearest) -> None:
    copies = nearest_training(train.images[100:200], train)
    assert copies.place.tolist() == list(range(100, 200))
    assert float(copies.relative.max()) == 0
    assert memorised_share(copies, held_out).value == 1
    faint = (train.images[:100].int() + torch.randint(-2, 3, (100, 1, 8, 8))).clamp(0, 255).to(torch.uint8)
    assert memorised_share(nearest_training(faint, train), held_out).value > 0.9


def test_what_copies_nothing_reaches_a_twentieth(train: Store, held_out: Nearest) -> None:
    found = memorised_share(nearest_training(pictures(2000, 3), train), held_out)
    assert found.error == pytest.approx((0.0475 / 600 + found.value * (1 - found.value) / 2000) ** 0.5)
    assert abs(found.value - 0.05) < 3 * found.error
    assert memorised_share(held_out, held_out).value == pytest.approx(0.05, abs=0.002)


def test_one_copy_in_five_is_seen(train: Store, held_out: Nearest) -> None:
    mixed = torch.cat([pictures(400, 4), train.images[:100]])
    found = memorised_share(nearest_training(mixed, train), held_out)
    assert found.value == pytest.approx(0.2 + 0.8 * 0.05, abs=0.04)


def test_blurred_images_and_noise_are_no_copies(train: Store, held_out: Nearest) -> None:
    """The mean of all training images is nearer to them than held-out images are, and copies none."""
    grey = train.images.float().mean(0).round().to(torch.uint8).expand(50, -1, -1, -1)
    found = nearest_training(grey, train)
    assert memorised_share(found, held_out).value == 0
    noise = torch.randint(256, (50, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert memorised_share(nearest_training(noise, train), held_out).value == 0


def test_large_images_are_compared_at_a_smaller_size() -> None:
    large = pictures(60, 5).repeat_interleave(8, 2).repeat_interleave(8, 3)  # 64 pixels
    store = Store(Split(large, torch.zeros(60, dtype=torch.int64)), torch.device("cpu"))
    found = nearest_training(large[:5], store)
    assert found.place.tolist() == [0, 1, 2, 3, 4]
    assert len(held_out_images(store, seed=0)) == 60
