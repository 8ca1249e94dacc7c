"""Pointers between frames against loops over all places."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sslterm.nn.pointing import copied, follow, pixel_maps, point, propagate


def test_pointers_are_a_softmax_of_inner_products() -> None:
    target, references = torch.randn(2, 3, 4).double(), torch.randn(2, 3, 5).double()
    pointers = point(target, references, 0.7)
    for b in range(2):
        for j in range(4):
            products = [float(target[b, :, j] @ references[b, :, i]) / 0.7 for i in range(5)]
            total = sum(math.exp(product) for product in products)
            expected = [math.exp(product) / total for product in products]
            assert pointers[b, j].tolist() == pytest.approx(expected)


def test_colours_are_copied_along_pointers() -> None:
    pointers = torch.rand(2, 3, 4).double().softmax(2)
    references = torch.tensor([[0, 2, 2, 1], [1, 1, 1, 1]])
    shares = copied(pointers, references, 3)
    for b in range(2):
        for j in range(3):
            for colour in range(3):
                expected = sum(float(pointers[b, j, i]) for i in range(4) if references[b, i] == colour)
                assert float(shares[b, j, colour]) == pytest.approx(expected)


def brute_propagate(
    queries: Tensor,
    keys: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    recent: int,
    radius: int,
    strongest: int,
) -> Tensor:
    frames, _, height, width = queries.shape
    known = [labels]
    for t in range(1, frames):
        now = torch.zeros_like(labels)
        for y in range(height):
            for x in range(width):
                pointers = []
                for r in sorted({0, *range(max(0, t - recent), t)}):
                    for v in range(height):
                        for u in range(width):
                            if radius and max(abs(v - y), abs(u - x)) > radius:
                                continue
                            product = float(queries[t, :, y, x] @ keys[r, :, v, u]) / temperature
                            pointers.append((product, known[r][:, v, u]))
                pointers.sort(key=lambda pointer: -pointer[0])
                kept = pointers[: strongest or None]
                total = sum(math.exp(product) for product, _ in kept)
                now[:, y, x] = sum(
                    (math.exp(product) / total * label for product, label in kept),
                    torch.zeros(len(labels)).double(),
                )
        known.append(now)
    return torch.stack(known)


@pytest.mark.parametrize(
    ("recent", "radius", "strongest"), [(1, 0, 0), (2, 1, 0), (2, 1, 3), (3, 2, 1), (9, 0, 5)]
)
def test_propagation_is_a_loop_over_frames_and_places(recent: int, radius: int, strongest: int) -> None:
    generator = torch.Generator().manual_seed(3)
    queries = torch.randn(4, 3, 3, 4, generator=generator).double()
    keys = torch.randn(4, 3, 3, 4, generator=generator).double()
    labels = torch.rand(2, 3, 4, generator=generator).double()
    settings = {"temperature": 0.5, "recent": recent, "radius": radius, "strongest": strongest}
    ours = propagate(queries, keys, labels, **settings)  # type: ignore[arg-type]
    theirs = brute_propagate(queries, keys, labels, **settings)  # type: ignore[arg-type]
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def moving_identities(frames: int, side: int, step: int) -> Tensor:
    """Every place of the first frame has a feature of its own; all move to the right, around the border."""
    own = torch.eye(side * side).view(side * side, side, side)
    return torch.stack([own.roll(step * t, 2) for t in range(frames)])


def test_labels_go_where_their_features_go() -> None:
    features = moving_identities(5, 6, 1)
    mask = torch.zeros(1, 6, 6)
    mask[0, 2:4, :2] = 1
    found = propagate(features, features, mask, temperature=0.01, recent=1, radius=0, strongest=1)
    for t in range(5):
        torch.testing.assert_close(found[t], mask.roll(t, 2))


def test_a_window_bounds_how_far_labels_jump() -> None:
    features = moving_identities(2, 6, 3)
    mask = torch.zeros(1, 6, 6)
    mask[0, :, 0] = 1
    settings = {"temperature": 0.01, "recent": 1, "strongest": 1}
    free = propagate(features, features, mask, radius=0, **settings)  # type: ignore[arg-type]
    assert torch.equal(free[1], mask.roll(3, 2))
    bound = propagate(features, features, mask, radius=2, **settings)  # type: ignore[arg-type]
    assert bound[1, 0, :, 3].max() < 1


def test_pointers_of_raw_pixels_fall_with_their_squared_difference() -> None:
    clip = torch.rand(2, 3, 5, 7)
    queries, keys, temperature = pixel_maps(clip, 2)
    assert queries.shape == keys.shape == (2, 13, 3, 4)  # cut off nowhere
    q, k = queries[1, :, 1, 2], keys[0].flatten(1)  # one place with all others
    weights = (q @ k / temperature).softmax(0)
    pixels = keys[0, :12].flatten(1)
    rms = (pixels - q[:12, None]).square().mean(0)
    expected = (-rms / (2 * 0.1**2)).softmax(0)
    torch.testing.assert_close(weights, expected, atol=1e-5, rtol=1e-4)


def test_masks_are_followed_at_their_own_resolution() -> None:
    features = moving_identities(3, 6, 1)
    mask = torch.zeros(1, 12, 12)
    mask[0, 4:8, :4] = 1
    found = follow(features, features, mask, temperature=0.01, recent=1, radius=0, strongest=1)
    assert found.shape == (3, 1, 12, 12)
    assert torch.equal(found[0], mask)
    assert torch.equal((found[2] > 0.5).float(), mask.roll(4, 2))
