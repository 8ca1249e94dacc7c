"""Tiles cut out of images, and the orders in which a jigsaw shows them."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from sslterm.nn.orders import distances, far_orders
from sslterm.nn.tiles import corners, normalized, pick, sheet, windows
from sslterm.rows import rows


def images(n: int, height: int, width: int) -> Tensor:
    return torch.arange(float(n * 3 * height * width)).view(n, 3, height, width)


def test_windows_are_slices() -> None:
    x = images(4, 12, 17)
    generator = torch.Generator().manual_seed(0)
    top, left = (torch.randint(high, (4, 5, 1), generator=generator) for high in (8, 13))
    found = windows(x, top, left, 5)
    assert found.shape == (4, 5, 3, 5, 5)
    for b, k in itertools.product(range(4), range(5)):
        t, o = int(top[b, k]), int(left[b, k])
        assert torch.equal(found[b, k], x[b, :, t : t + 5, o : o + 5])


def test_windows_of_channels_can_lie_apart_and_stay_inside() -> None:
    x = images(1, 8, 8)
    top, left = torch.tensor([[[-2, 3, 9]]]), torch.tensor([[[1, 1, 0]]])
    (found,) = windows(x, top, left, 4)[0]
    assert torch.equal(found[0], x[0, 0, 0:4, 1:5])
    assert torch.equal(found[1], x[0, 1, 3:7, 1:5])
    assert torch.equal(found[2], x[0, 2, 4:8, 0:4])


@pytest.mark.parametrize(
    ("length", "side", "starts"), [(64, 3, [0, 21, 42]), (65, 3, [1, 22, 43]), (9, 2, [0, 4])]
)
def test_cells_leave_their_rest_outside(length: int, side: int, starts: list[int]) -> None:
    assert corners(length, side) == starts


def test_normalized_tiles_differ_in_neither_mean_nor_deviation() -> None:
    torch.manual_seed(0)
    tiles = torch.rand(2, 9, 3, 6, 6, dtype=torch.float64)
    scaled = tiles * (1 + 5 * torch.rand(2, 9, 3, 1, 1)) + torch.randn(2, 9, 3, 1, 1)
    result = normalized(scaled)
    torch.testing.assert_close(result.mean((-2, -1)), torch.zeros(2, 9, 3, dtype=torch.float64))
    assert (result.std((-2, -1), correction=0) - 1).abs().max() < 1e-4
    torch.testing.assert_close(result, normalized(tiles), rtol=1e-3, atol=1e-3)
    flat = normalized(torch.full((1, 1, 4, 4), 0.3))
    assert flat.abs().max() < 1e-3, "what has no variance stays flat"


def test_a_sheet_puts_tiles_in_order_of_reading() -> None:
    tiles = torch.arange(1.0, 10).view(1, 9, 1, 1, 1).expand(1, 9, 1, 2, 2)
    whole = sheet(tiles, 3)
    assert whole.shape == (1, 1, 12, 12)
    assert whole[0, 0, 1::4, 1::4].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert whole[0, 0, 0].abs().sum() == 0


def test_pick_takes_rows_of_each() -> None:
    choices = torch.arange(12).view(3, 4)
    assert pick(choices, torch.tensor([1, 0, 3])).tolist() == [1, 4, 11]
    assert pick(choices, torch.tensor([[1, 0], [2, 2], [3, 0]])).tolist() == [[1, 0], [6, 6], [11, 8]]


# -- orders


def greedy(n: int, count: int) -> list[tuple[int, ...]]:
    """By brute force: again and again the permutation whose nearest chosen one is farthest; ties by the sum."""
    everything = list(itertools.permutations(range(n)))
    chosen = [everything[0]]

    def merit(order: tuple[int, ...]) -> tuple[int, int]:
        apart = [sum(a != b for a, b in zip(order, other, strict=True)) for other in chosen]
        return min(apart), sum(apart)

    while len(chosen) < count:
        chosen.append(max((order for order in everything if order not in chosen), key=merit))
    return chosen


@pytest.mark.parametrize(("n", "count"), [(3, 6), (4, 2), (4, 4), (4, 12), (4, 24), (5, 20), (6, 30)])
def test_orders_are_those_of_the_greedy_optimum(n: int, count: int) -> None:
    orders, expected = far_orders(n, count), torch.tensor(greedy(n, count))
    assert torch.equal(orders, expected)
    off = ~torch.eye(count, dtype=torch.bool)
    assert distances(orders)[off].min() == distances(expected)[off].min()


def test_orders_of_nine_tiles_are_far_apart() -> None:
    orders = far_orders(9, 100)
    assert torch.equal(orders.sort(1).values, torch.arange(9).expand(100, 9))
    assert orders[0].tolist() == list(range(9))
    apart = distances(orders) + 9 * torch.eye(100, dtype=torch.int64)
    assert apart[:9, :9].min() == 9, "a Latin square"
    assert apart.min() == 6
    assert len(orders.unique(dim=0)) == 100
    assert torch.equal(far_orders(9, 30), orders[:30]), "a smaller set is the beginning of a larger one"


def test_distances_are_hamming() -> None:
    orders = torch.tensor([[0, 1, 2], [0, 2, 1], [1, 2, 0]])
    assert distances(orders).tolist() == [[0, 2, 3], [2, 0, 2], [3, 2, 0]]


def test_draws_inside_rows_do_not_depend_on_the_cut() -> None:
    from sslterm.augment.aberration import drop

    patches = torch.rand(8, 2, 3, 4, 4)
    mean = torch.full((3, 1, 1), 0.5)
    torch.manual_seed(0)
    whole = drop(patches, mean)
    torch.manual_seed(0)
    with rows(4, 8, 8):
        half = drop(patches[4:], mean)
    assert torch.equal(half, whole[4:])
