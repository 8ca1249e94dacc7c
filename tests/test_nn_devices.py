"""Devices without float64, such as Apple's, and the random state of an accelerator."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from sslterm.nn import kmeans, precision, rng, sinkhorn
from sslterm.nn.precision import double, has_float64


def test_only_metal_has_no_float64() -> None:
    assert [has_float64(torch.device(kind)) for kind in ("cpu", "cuda", "mps")] == [True, True, False]


def test_doubles_are_made_on_the_cpu_where_the_device_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[str] = []

    class Narrow:
        device = torch.device("mps")

        def cpu(self) -> Any:
            moved.append("cpu")
            return torch.ones(2)

    assert double(Narrow()).dtype == torch.float64  # type: ignore[arg-type]
    assert moved == ["cpu"]
    assert double(torch.ones(2, dtype=torch.float16)).dtype == torch.float64


@pytest.fixture
def narrow_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next device that is asked about has no float64; those after it have."""
    answers: Iterator[bool] = iter([False])
    for module in (kmeans, sinkhorn):
        monkeypatch.setattr(module, "has_float64", lambda device: next(answers, True))
    assert precision.has_float64(torch.device("cpu"))


@pytest.mark.usefixtures("narrow_once")
def test_whitening_is_the_same_without_float64() -> None:
    features = torch.randn(50, 6, generator=torch.Generator().manual_seed(0))
    narrow = kmeans.pca_whiten(features, 3)
    assert torch.equal(narrow, kmeans.pca_whiten(features, 3))


@pytest.mark.usefixtures("narrow_once")
def test_potentials_are_the_same_without_float64() -> None:
    scores = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    narrow = sinkhorn.column_potentials(scores, epsilon=0.5)
    assert narrow.dtype == torch.float32
    torch.testing.assert_close(
        narrow.double(), sinkhorn.column_potentials(scores, epsilon=0.5), rtol=1e-6, atol=1e-6
    )


def test_the_cpu_has_no_second_random_state() -> None:
    cpu = torch.device("cpu")
    assert rng.random_state_on(cpu) is None
    rng.set_random_state_on(cpu, None)
    state = torch.get_rng_state()
    rng.set_random_state_on(cpu, torch.zeros_like(state))  # of another kind of device
    assert torch.equal(torch.get_rng_state(), state)


def test_the_random_state_of_metal_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, Any] = {"state": torch.arange(3)}
    monkeypatch.setattr(
        torch,
        "mps",
        SimpleNamespace(
            get_rng_state=lambda: kept["state"], set_rng_state=lambda state: kept.update(state=state)
        ),
    )
    metal = torch.device("mps")
    before = rng.random_state_on(metal)
    kept["state"] = torch.zeros(3)
    rng.set_random_state_on(metal, before)
    assert kept["state"].tolist() == [0, 1, 2]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_the_random_state_of_cuda_is_kept() -> None:
    cuda = torch.device("cuda", 0)
    before = rng.random_state_on(cuda)
    first = torch.rand(4, device=cuda)
    rng.set_random_state_on(cuda, before)
    assert torch.equal(torch.rand(4, device=cuda), first)
