"""Paths between codes, against closed forms in float64."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
import torch
from torch import Tensor

from sslterm.evaluate.paths import PathKind, default_path, path_between, path_through


def share(steps: int = 9) -> Tensor:
    return torch.linspace(0, 1, steps, dtype=torch.float64)


def draws(n: int, dimensions: int, seed: int = 0) -> Tensor:
    return torch.randn(n, dimensions, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("dimensions", [2, 3, 100])
def test_a_spherical_path_turns_evenly_in_the_plane_of_both_ends(dimensions: int) -> None:
    a, b = (row / row.norm() for row in draws(2, dimensions))
    path = path_between(a, b, share(), "spherical")
    angle = math.acos(float(a @ b))
    across = (b - (a @ b) * a) / (
        b - (a @ b) * a
    ).norm()  # the same circle, spanned by a and what is across it
    closed = torch.stack([math.cos(t * angle) * a + math.sin(t * angle) * across for t in share().tolist()])
    torch.testing.assert_close(path, closed, rtol=0, atol=1e-12)
    torch.testing.assert_close(path.norm(dim=1), torch.ones(9, dtype=torch.float64), rtol=0, atol=1e-12)


def test_a_linear_path_is_the_straight_line() -> None:
    a, b = draws(2, 5)
    path = path_between(a, b, share(), "linear")
    expected = np.array(
        [[(1 - t) * x + t * y for x, y in zip(a, b, strict=True)] for t in np.linspace(0, 1, 9)]
    )
    np.testing.assert_allclose(path.numpy(), expected, atol=1e-14)


@pytest.mark.parametrize("kind", get_args(PathKind))
def test_the_ends_are_exact_whatever_lies_between(kind: PathKind) -> None:
    a, b = draws(2, 7).float()
    cases = [
        (a, b),
        (a, a),
        (a, -a),
        (a, -3 * a),
        (a, 2 * a),
        (torch.zeros(7), b),
        (torch.zeros(7), torch.zeros(7)),
    ]
    for start, end in cases:
        path = path_between(start, end, share(), kind)
        assert torch.equal(path[0].float(), start)
        assert torch.equal(path[-1].float(), end)
        assert bool(path.isfinite().all())


def test_between_opposite_codes_the_path_keeps_away_from_the_origin() -> None:
    a = draws(1, 5)[0]
    path = path_between(a, -2 * a, share(), "spherical")
    expected = float(a.norm()) * (1 + share())  # the length goes evenly from one to two
    torch.testing.assert_close(path.norm(dim=1), expected)
    turn = torch.acos((path[1:] * path[:-1]).sum(1) / path[1:].norm(dim=1) / path[:-1].norm(dim=1))
    torch.testing.assert_close(turn, torch.full((8,), math.pi / 8, dtype=torch.float64))


def test_a_path_through_points_goes_from_each_to_the_next() -> None:
    points = draws(4, 3)
    path = path_through(points, 5, "spherical")
    assert path.shape == (3, 5, 3)
    assert torch.equal(path[:, 0], points[:-1])
    assert torch.equal(path[:, -1], points[1:])


def test_spherical_is_for_normal_priors_of_more_than_two_dimensions() -> None:
    assert default_path("normal", 100) == "spherical"
    assert default_path("normal", 2) == "linear"
    assert default_path("none", 100) == "linear"
