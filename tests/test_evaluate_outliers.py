"""Scores of what is out of distribution, against brute force and known cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import mannwhitneyu

from sslterm.errors import UsageError
from sslterm.evaluate.outliers import (
    Scored,
    area_under_roc,
    compressed_bits,
    scores_of,
    share_as_unlike,
)


def test_the_area_is_the_share_of_pairs_in_order() -> None:
    generator = torch.Generator().manual_seed(0)
    other = torch.randint(0, 20, (40,), generator=generator).double()  # with many ties
    held_out = torch.randint(5, 25, (60,), generator=generator).double()
    wins = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a in other.tolist() for b in held_out.tolist())
    area, _ = area_under_roc(other, held_out)
    assert area == pytest.approx(wins / (40 * 60), abs=1e-12)
    assert area == pytest.approx(mannwhitneyu(other.numpy(), held_out.numpy()).statistic / 2400, abs=1e-12)


def test_the_error_of_the_area_is_its_spread_over_draws() -> None:
    generator = torch.Generator().manual_seed(1)
    drawn = [
        area_under_roc(torch.randn(80, generator=generator) + 0.7, torch.randn(120, generator=generator))
        for _ in range(600)
    ]
    areas, errors = np.array(drawn).T
    assert areas.mean() == pytest.approx(0.5 * math.erfc(-0.7 / 2), abs=0.005)  # P(N(0.7, 2) > 0)
    assert errors.mean() == pytest.approx(areas.std(), rel=0.1)


def test_one_image_is_too_few() -> None:
    with pytest.raises(UsageError, match="two images of each"):
        area_under_roc(torch.zeros(1), torch.zeros(5))


def test_scores_are_higher_for_what_is_more_unlike() -> None:
    held_out = Scored(torch.tensor([90.0, 100.0, 110.0]).double(), torch.full((3,), 120.0).double())
    seen = Scored(torch.tensor([100.0, 60.0, 200.0]).double(), torch.tensor([120.0, 20.0, 120.0]).double())
    scores = scores_of(seen, held_out)
    assert scores["likelihood"].tolist() == [100.0, 60.0, 200.0]
    assert scores["typicality"].tolist() == [0.0, 40.0, 100.0]  # what is too likely is unlike as well
    assert scores["complexity"].tolist() == pytest.approx(
        [100 / math.log(2) - 120, 60 / math.log(2) - 20, 200 / math.log(2) - 120]
    )
    assert "complexity" not in scores_of(Scored(seen.nats, None), held_out)


def test_the_share_counts_what_is_as_unlike() -> None:
    held_out = torch.tensor([1.0, 2.0, 2.0, 3.0]).double()
    assert [share_as_unlike(score, held_out) for score in (0.5, 2.0, 3.0, 4.0)] == [1.0, 0.75, 0.25, 0.0]


def test_what_is_simple_compresses_well() -> None:
    generator = torch.Generator().manual_seed(2)
    noise = torch.randint(0, 256, (1, 3, 32, 32), generator=generator, dtype=torch.uint8)
    flat = torch.full((1, 3, 32, 32), 7, dtype=torch.uint8)
    bits = compressed_bits(torch.cat([noise, flat]))
    assert bits[0] >= 8 * noise.numel()  # noise cannot be compressed
    assert 0 < bits[1] < 0.02 * bits[0]
    assert compressed_bits(noise[:, :1]).shape == (1,)
