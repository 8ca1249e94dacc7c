"""J and F on hand-made masks, against their definitions written out pixel by pixel."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from sslterm.evaluate.segmentation import contour, contour_accuracy, dilate, region_similarity


def brute_contour(mask: Tensor) -> set[tuple[int, int]]:
    """Pixels that differ from their neighbour to the right, below, or right below, where there is one."""
    height, width = mask.shape
    found = set()
    for y, x in itertools.product(range(height), range(width)):
        near = [(y, x + 1), (y + 1, x), (y + 1, x + 1)]
        if any(v < height and u < width and mask[v, u] != mask[y, x] for v, u in near):
            found.add((y, x))
    return found


def brute_f(mask: Tensor, truth: Tensor, tolerance: float) -> float:
    reach = math.ceil(tolerance * math.hypot(*mask.shape))
    ours, theirs = brute_contour(mask), brute_contour(truth)

    def matched(points: set[tuple[int, int]], others: set[tuple[int, int]]) -> int:
        return sum(any((y - v) ** 2 + (x - u) ** 2 <= reach**2 for v, u in others) for y, x in points)

    precision = matched(ours, theirs) / len(ours) if ours else 1.0
    recall = matched(theirs, ours) / len(theirs) if theirs else 1.0
    if not precision + recall:
        return 0.0
    return 2 * precision * recall / (precision + recall)


def masks_of_all_kinds() -> list[Tensor]:
    """Squares, shifted squares, blobs, specks, masks at the border, empty and full ones, [18, 25] bool."""
    generator = torch.Generator().manual_seed(0)
    grid_y, grid_x = torch.meshgrid(torch.arange(18), torch.arange(25), indexing="ij")
    square = (grid_y >= 4) & (grid_y < 12) & (grid_x >= 6) & (grid_x < 15)
    blobs = [
        torch.nn.functional.avg_pool2d(torch.rand(1, 1, 22, 29, generator=generator), 5, 1)[0, 0] > 0.5
        for _ in range(3)
    ]
    return [
        square, square.roll(1, 1), square.roll((3, 4), (0, 1)), grid_x < 7, grid_y > 15,
        (grid_y - 9) ** 2 + (grid_x - 12) ** 2 < 30, torch.rand(18, 25, generator=generator) > 0.9, *blobs,
        torch.zeros(18, 25, dtype=torch.bool), torch.ones(18, 25, dtype=torch.bool),
    ]  # fmt: skip


@pytest.mark.parametrize("tolerance", [0.008, 0.07, 0.1])
def test_f_is_its_definition(tolerance: float) -> None:
    pairs = list(itertools.product(masks_of_all_kinds(), repeat=2))
    mask, truth = (torch.stack(side) for side in zip(*pairs, strict=True))
    expected = [brute_f(one, other, tolerance) for one, other in pairs]
    assert contour_accuracy(mask, truth, tolerance=tolerance).tolist() == pytest.approx(expected, abs=1e-9)


def test_contours_are_one_pixel_wide_and_do_not_run_along_the_border() -> None:
    for mask in masks_of_all_kinds():
        found = {(int(y), int(x)) for y, x in contour(mask[None])[0].nonzero()}
        assert found == brute_contour(mask)
    assert not contour(torch.ones(1, 5, 5, dtype=torch.bool)).any()


def test_dilation_is_by_a_disk() -> None:
    point = torch.zeros(1, 9, 9, dtype=torch.bool)
    point[0, 4, 4] = True
    for radius in (1, 2, 3):
        grown = {(int(y) - 4, int(x) - 4) for _, y, x in dilate(point, radius).nonzero()}
        reach = range(-radius, radius + 1)
        assert grown == {(y, x) for y in reach for x in reach if y * y + x * x <= radius * radius}


def test_j_is_intersection_over_union() -> None:
    a, b = torch.zeros(2, 1, 10, 10, dtype=torch.bool)
    a[0, :4, :5] = True  # 20 pixels
    b[0, 2:6, :5] = True  # 20 pixels, 10 of them the same
    assert region_similarity(a, b).item() == pytest.approx(10 / 30)
    nothing = torch.zeros_like(a)
    assert region_similarity(nothing, nothing).item() == 1
    assert region_similarity(a, nothing).item() == 0
    assert region_similarity(a, a).item() == 1


def test_f_of_hand_made_masks() -> None:
    """A square moved within the tolerance is as good as in place; beyond it only crossing contours count."""
    square = torch.zeros(1, 100, 100, dtype=torch.bool)
    square[0, 30:60, 30:60] = True
    assert contour_accuracy(square, square.roll(1, 2)).item() == 1  # ceil(0.008 * 141.4) = 2 pixels
    assert contour_accuracy(square, square.roll(2, 2)).item() == 1
    assert contour_accuracy(square, square.roll(40, 2)).item() == 0
    nothing = torch.zeros_like(square)
    assert contour_accuracy(nothing, nothing).item() == 1
    assert contour_accuracy(square, nothing).item() == contour_accuracy(nothing, square).item() == 0
