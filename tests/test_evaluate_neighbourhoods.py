"""Precision, recall, density and coverage against prdc, torch-fidelity and loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from prdc import compute_prdc
from torch import Tensor
from torch_fidelity.metric_prc import prc_features_to_metric

from sslterm.evaluate import neighbourhoods
from sslterm.evaluate.neighbourhoods import Cloud, coverage, density, precision, recall


def two_sets() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(160, 6, generator=generator)
    return 1.1 * torch.randn(140, 6, generator=generator) + 0.3, real


@pytest.mark.parametrize("k", [1, 3, 5])
def test_they_are_those_of_prdc(k: int) -> None:
    fake, real = two_sets()
    expected = compute_prdc(real.double().numpy(), fake.double().numpy(), nearest_k=k)
    for measure in (precision, recall, density, coverage):
        found = measure(Cloud(fake), Cloud(real), k=k)
        assert found > 0.1
        assert found == pytest.approx(expected[measure.__name__], abs=1e-9), measure.__name__


def test_precision_and_recall_are_those_of_torch_fidelity() -> None:
    fake, real = two_sets()
    expected = prc_features_to_metric(
        fake, real, prc_neighborhood=3, prc_batch_size=50, save_cpu_ram=False, verbose=False
    )
    assert precision(Cloud(fake), Cloud(real)) == pytest.approx(expected["precision"], abs=1e-6)
    assert recall(Cloud(fake), Cloud(real)) == pytest.approx(expected["recall"], abs=1e-6)


def test_in_portions_they_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, real = two_sets()
    measures = (precision, recall, density, coverage)
    whole = [measure(Cloud(fake), Cloud(real)) for measure in measures]
    monkeypatch.setattr(neighbourhoods, "_DISTANCES", 300)  # one row at a time, or two
    assert [measure(Cloud(fake), Cloud(real)) for measure in measures] == whole


def test_precision_and_coverage_are_their_loops() -> None:
    generator = torch.Generator().manual_seed(0)
    real = torch.randn(60, 4, generator=generator)
    fake = 1.3 * torch.randn(50, 4, generator=generator) + 0.4

    def radius(i: int, k: int) -> float:
        return sorted(float((real[i] - real[j]).norm()) for j in range(60) if j != i)[k - 1]

    near = sum(any(float((x - real[i]).norm()) <= radius(i, 3) for i in range(60)) for x in fake)
    assert precision(Cloud(fake), Cloud(real)) == pytest.approx(near / 50)
    covered = sum(min(float((x - real[i]).norm()) for x in fake) <= radius(i, 5) for i in range(60))
    assert coverage(Cloud(fake), Cloud(real)) == pytest.approx(covered / 60)


def test_coverage_sees_a_missing_half_that_precision_does_not() -> None:
    generator = torch.Generator().manual_seed(0)
    real = (
        torch.randn(400, 2, generator=generator) + torch.tensor([8.0, 0]) * (torch.arange(400) % 2)[:, None]
    )
    half = torch.randn(400, 2, generator=generator)
    assert precision(Cloud(half), Cloud(real)) > 0.9
    assert coverage(Cloud(half), Cloud(real)) < 0.55
    assert recall(Cloud(half), Cloud(real)) < 0.6


def test_density_counts_what_precision_saturates_on() -> None:
    """One real outlier has a ball that holds everything: precision is deceived, density hardly (Naeem et al., §3)."""
    generator = torch.Generator().manual_seed(1)
    real = torch.cat([torch.randn(300, 2, generator=generator), torch.tensor([[30.0, 0]])])
    fake = torch.randn(300, 2, generator=generator) + torch.tensor([15.0, 0])
    assert precision(Cloud(fake), Cloud(real)) > 0.9
    assert density(Cloud(fake), Cloud(real)) < 0.5
    assert density(Cloud(real), Cloud(real)) == pytest.approx(1 + 1 / 5, abs=0.05)  # itself, and k others


def test_copies_of_one_image_are_no_neighbourhoods() -> None:
    real = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    collapsed = real[:1].expand(40, -1)
    found = np.array([measure(Cloud(collapsed), Cloud(real)) for measure in (precision, recall, coverage)])
    assert found[0] == 1.0
    assert found[1] == pytest.approx(1 / 50)
    assert found[2] < 0.3
