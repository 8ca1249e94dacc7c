"""CIE Lab against scikit-image, and the cells of the ab plane against the colours that there are."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from skimage.color import lab2rgb, rgb2lab
from torch import Tensor

from sslterm.nn.lab import CELL, cells, lab_to_rgb, rgb_to_lab


def colours(n: int, dtype: torch.dtype) -> Tensor:
    """[n, 3, 8, 8], dark ones, pure ones, greys, black and white among them."""
    images = torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    images[0] = images[0] ** 6
    images[1] = images[1].round()
    images[2] = images[2, :1]
    images[3, :, 0, 0], images[3, :, 0, 1] = 0, 1
    return images.to(dtype)


def test_lab_is_that_of_scikit_image() -> None:
    for dtype in (torch.float64, torch.float32):
        images = colours(40, dtype)
        theirs = np.moveaxis(rgb2lab(np.moveaxis(images.double().numpy(), 1, -1)), -1, 1)
        ours = rgb_to_lab(images)
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours.double().numpy(), theirs, rtol=0, atol=1e-4)
        back = np.moveaxis(lab2rgb(np.moveaxis(theirs, 1, -1)), -1, 1)
        np.testing.assert_allclose(
            lab_to_rgb(torch.from_numpy(theirs).to(dtype)).numpy(), back, rtol=0, atol=1e-4
        )


def test_there_and_back_again() -> None:
    images = colours(40, torch.float32)
    torch.testing.assert_close(lab_to_rgb(rgb_to_lab(images)), images, rtol=0, atol=1e-5)


def test_what_a_screen_cannot_show_is_clipped() -> None:
    impossible = torch.tensor([[50.0, 100.0, -100.0], [50.0, -100.0, 90.0], [100.0, 60.0, 0.0]])
    rgb = lab_to_rgb(impossible.view(3, 3, 1, 1))
    assert rgb.min() == 0
    assert rgb.max() == 1
    assert torch.isfinite(rgb).all()


def test_half_precision_around_it_changes_nothing() -> None:
    images = colours(4, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = rgb_to_lab(images)
    assert torch.equal(inside, rgb_to_lab(images))


def test_the_cells_are_those_that_colours_fall_into() -> None:
    """The surface of the cube of 8-bit colours falls into all of them, and its inside into no other."""
    levels = torch.arange(256) / 255
    sides = torch.stack(torch.meshgrid(levels, levels, indexing="ij"))
    surface = [
        torch.stack([*sides[:free], torch.full_like(sides[0], end), *sides[free:]])
        for free, end in itertools.product(range(3), (0.0, 1.0))
    ]
    coarse = torch.linspace(0, 1, 41)
    inside = torch.stack(torch.meshgrid(coarse, coarse, coarse, indexing="ij")).flatten(2)
    found: list[set[tuple[float, ...]]] = []
    for images in (torch.stack(surface), inside[None]):
        ab = (rgb_to_lab(images)[:, 1:] / CELL).round() * CELL
        found.append(set(map(tuple, ab.movedim(1, -1).flatten(0, 2).unique(dim=0).tolist())))
    listed = set(map(tuple, cells().tolist()))
    assert len(cells()) == len(listed) == 261
    assert found[0] == listed
    assert found[1] <= listed
