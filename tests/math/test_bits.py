"""Bits of grey images: drawn anew, drawn once for all, or cut off at a half."""

from __future__ import annotations

import pytest
import torch

from sslterm.nn.bits import binarize

GREYS = torch.randint(0, 256, (64, 1, 12, 12), generator=torch.Generator().manual_seed(0)).float() / 255


def test_fixed_bits_are_the_same_in_any_order_and_batch() -> None:
    bits = binarize(GREYS, "fixed")
    order = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    assert torch.equal(binarize(GREYS[order], "fixed"), bits[order])
    assert torch.equal(binarize(GREYS[5:6], "fixed"), bits[5:6])
    assert torch.equal(binarize(GREYS, "fixed", torch.Generator().manual_seed(2)), bits)
    drawn = [binarize(GREYS, "dynamic", torch.Generator().manual_seed(seed)) for seed in (2, 3)]
    assert not torch.equal(*drawn)


def test_fixed_bits_leave_the_random_state_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    binarize(GREYS, "fixed")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_grey_is_the_share_of_its_bits() -> None:
    """Over 40,000 images that differ in one pixel each: frequencies, and no correlation between neighbours."""
    images = torch.full((40_000, 1, 4, 4), 64 / 255)
    values = torch.arange(40_000)
    images[:, 0, 0, 0] = (values % 256) / 255
    images[:, 0, 0, 1] = (values // 256) / 255
    bits = binarize(images, "fixed").flatten(1)[:, 2:]
    assert bits.mean(0).tolist() == pytest.approx([64 / 255] * 14, abs=0.01)  # four standard errors: 0.009
    correlations = torch.corrcoef(bits.T) - torch.eye(14)
    assert correlations.abs().max() < 0.025


def test_black_is_always_0_and_white_always_1() -> None:
    for how in ("dynamic", "fixed", "threshold"):
        for level in (0.0, 1.0):
            assert (binarize(torch.full((50, 1, 8, 8), level), how) == level).all()  # type: ignore[arg-type]


def test_a_change_of_one_level_changes_the_draw() -> None:
    other = GREYS.clone()
    other[:, 0, 0, 0] = (other[:, 0, 0, 0] * 255 + 1).remainder(256) / 255
    differing = (binarize(GREYS, "fixed") != binarize(other, "fixed")).flatten(1)[:, 1:].float().mean()
    assert differing == pytest.approx(float((2 * GREYS * (1 - GREYS)).mean()), abs=0.02)  # as of two draws
