"""Distributions of the parameters of views, and that they do not depend on how a batch is cut."""

from __future__ import annotations

import math
from dataclasses import fields, replace
from itertools import pairwise

import pytest
import torch
from scipy import stats
from torch import Tensor
from torchvision.transforms import RandomResizedCrop

from sslterm import rows
from sslterm.augment import Table, View
from sslterm.errors import UsageError
from tests import augment_oracle as oracle

CPU = torch.device("cpu")


def draw(n: int, height: int = 32, width: int = 32, **changes: object) -> Table:
    torch.manual_seed(0)
    return View(replace(oracle.EVERYTHING, **changes)).sample(n, height, width, device=CPU)


@pytest.mark.parametrize(
    ("crop", "ratio", "height", "width"),
    [
        ((0.08, 1.0), (3 / 4, 4 / 3), 32, 32),
        ((0.2, 0.6), (0.5, 2.0), 24, 40),
        ((0.9, 1.0), (1.5, 2.0), 32, 32),  # nearly all ten tries miss: the central box
        ((0.5, 1.0), (0.25, 0.5), 20, 64),
    ],
)
def test_crop_boxes_are_distributed_as_torchvisions(crop, ratio, height, width):
    torch.manual_seed(1)
    image = torch.empty(3, height, width)
    expected = torch.tensor(
        [RandomResizedCrop.get_params(image, list(crop), list(ratio)) for _ in range(5000)]
    )
    box = draw(20000, height, width, crop=crop, crop_ratio=ratio, rotate=0.0).box
    for name, ours, theirs in zip(("top", "left", "height", "width"), box.T, expected.T, strict=True):
        assert stats.ks_2samp(ours.numpy(), theirs.numpy()).pvalue > 0.005, name
    areas = [(b[:, 2] * b[:, 3]).numpy() for b in (box, expected)]  # height and width depend on each other
    assert stats.ks_2samp(*areas).pvalue > 0.005


@pytest.mark.parametrize(("height", "width"), [(32, 32), (8, 64), (1, 1)])
def test_crop_boxes_lie_within_the_image(height, width):
    box = draw(20000, height, width, crop=(0.01, 1.0), rotate=0.0).box
    assert (box[:, :2] >= 0).all()
    assert (box[:, 2:] >= 1).all()
    assert (box[:, 0] + box[:, 2] <= height).all()
    assert (box[:, 1] + box[:, 3] <= width).all()


def test_a_crop_of_the_whole_area_keeps_the_whole_image():
    box = draw(1000, 24, 96, crop=(1.0, 1.0), rotate=0.0).box
    assert box.unique(dim=0).tolist() == [[0, 0, 24, 96]]


def test_orders_of_the_colour_operations_are_uniform_over_all_24():
    orders, counts = draw(24000).order.unique(dim=0, return_counts=True)
    assert len(orders) == 24
    assert (orders.sort(dim=1).values == torch.arange(4)).all()
    assert stats.chisquare(counts.numpy()).pvalue > 0.01


def test_factors_are_uniform_over_their_ranges_and_independent():
    strengths = {"brightness": 0.4, "contrast": 1.5, "saturation": 0.8, "hue": 0.3}
    factors = draw(10000, **strengths).factors
    ranges = [(0.6, 1.4), (0.0, 2.5), (0.2, 1.8), (-0.3, 0.3)]
    for factor, (low, high) in zip(factors.T, ranges, strict=True):
        assert stats.kstest(factor.numpy(), stats.uniform(low, high - low).cdf).pvalue > 0.01
        assert factor.min() >= low - 1e-6
        assert factor.max() <= high + 1e-6
    assert (torch.corrcoef(factors.T) - torch.eye(4)).abs().max() < 0.04


def flags(table: Table) -> dict[str, Tensor]:
    """Which images each operation is for."""
    return {
        "flip": table.flip,
        "rotate": table.turns > 0,
        "jitter": table.jitter,
        "grey": table.grey,
        "blur": table.sigma > 0,
        "solarize": table.solarize,
        "cutout": table.hole[:, 2] > 0,
        "noise": table.noise > 0,
        "sobel": table.sobel,
    }


@pytest.mark.parametrize(
    "name", ["flip", "rotate", "jitter", "grey", "blur", "solarize", "cutout", "noise", "sobel"]
)
def test_probabilities(name):
    n = 20000
    assert not flags(draw(n, **{name: 0.0}))[name].any()
    assert flags(draw(n, **{name: 1.0}))[name].all()
    chosen = flags(draw(n, **{name: 0.3}))
    assert chosen[name].float().mean().item() == pytest.approx(0.3, abs=4 * math.sqrt(0.3 * 0.7 / n))
    for other, flag in chosen.items():
        if other != name:
            assert abs(torch.corrcoef(torch.stack((chosen[name], flag)).float())[0, 1]) < 0.03, other


def test_quarter_turns_blur_widths_and_holes_are_uniform():
    table = draw(20000, rotate=1.0, blur=1.0, cutout=1.0, noise=1.0)
    assert stats.chisquare(table.turns.bincount()[1:].numpy()).pvalue > 0.01
    assert len(table.turns.bincount()) == 4
    assert stats.kstest(table.sigma.numpy(), stats.uniform(0.1, 1.9).cdf).pvalue > 0.01
    top, left, height, width = table.hole.T
    side = round(0.4 * 32)
    assert height.max() == width.max() == side
    assert ((height == side) | (top == 0) | (top + height == 32)).all()
    assert (top + height <= 32).all()
    assert (left + width <= 32).all()
    assert (width >= side // 2).all()  # its middle lies in the image
    inner = top[(top > 0) & (height == side)]
    assert stats.chisquare(inner.bincount(minlength=32 - side + 1)[1:].numpy()).pvalue > 0.01
    assert len(table.noise_seed.unique()) == len(table)


def test_every_image_has_its_own_parameters():
    table = draw(256)
    assert len(table.factors.unique(dim=0)) == 256
    assert len(table.box.unique(dim=0)) > 200
    assert len(table.order.unique(dim=0)) > 20


@pytest.mark.parametrize("backend", ["eager", "native"])
@pytest.mark.parametrize("cuts", [(0, 8, 16), (0, 3, 4, 11, 16), tuple(range(17))])
def test_views_do_not_depend_on_how_a_batch_is_cut(monkeypatch, backend, cuts):
    monkeypatch.setenv("SSLTERM_AUGMENT", backend)
    view, images = View(oracle.EVERYTHING), oracle.photographs(16)
    torch.manual_seed(3)
    whole = view(images)
    after = torch.get_rng_state()
    parts = []
    for start, stop in pairwise(cuts):
        torch.manual_seed(3)
        with rows.rows(start, stop, 16):
            parts.append(view(images[start:stop]))
        assert torch.equal(torch.get_rng_state(), after)
    # The vector and the scalar form of a logarithm or exponential in torch differ in their last bit.
    rounding = 1e-6 if backend == "eager" else 0
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=rounding)


def test_a_table_can_be_cut_and_repeated():
    table = draw(8)
    frames = table[torch.arange(8).repeat_interleave(3)]
    assert len(frames) == 24
    for field in fields(Table):
        assert torch.equal(getattr(frames, field.name)[3:6], getattr(table, field.name)[[1, 1, 1]])


def test_oblong_images_cannot_be_turned_by_quarters():
    with pytest.raises(UsageError, match="64x32 pixels") as error:
        draw(2, 32, 64)
    assert "rotate" in error.value.hint
