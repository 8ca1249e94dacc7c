"""Diagnostics of embeddings: against their formulas and lightly, and collapse seen where it is made to happen."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scipy.integrate import quad
from torch import Tensor

from sslterm.catalog import CATALOG
from sslterm.evaluate.embedding import (
    Watchdog,
    alignment,
    effective_rank,
    embedding_numbers,
    find_collapse,
    uniformity,
    used_clusters,
)
from sslterm.run.reader import RunReader
from tests.conformance.shrink import make_trainer, shrink


def pair(n: int = 24, d: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    common = torch.randn(n, d, generator=generator, dtype=torch.float64)
    noise = torch.randn(2, n, d, generator=generator, dtype=torch.float64)
    return common + 0.4 * noise[0], common + 0.4 * noise[1]


def test_alignment_and_uniformity_are_their_definitions() -> None:
    a, b = pair()
    units = [[row / row.norm() for row in side] for side in (a, b)]
    distances = [float((u - v).square().sum()) for u, v in zip(*units, strict=True)]
    assert alignment(a, b) == pytest.approx(sum(distances) / len(distances), rel=1e-12)
    kernel = [
        math.exp(-2 * float((u - v).square().sum()))
        for i, u in enumerate(units[0])
        for j, v in enumerate(units[0])
        if i != j
    ]
    assert uniformity(a) == pytest.approx(math.log(sum(kernel) / len(kernel)), rel=1e-12)


def test_alignment_and_uniformity_are_lightlys() -> None:
    loss = pytest.importorskip("lightly.loss.hypersphere_loss")
    a, b = pair()
    theirs = float(loss.HypersphereLoss(t=2.0, lam=1.0, alpha=2.0)(a, b))
    assert alignment(a, b) + (uniformity(a) + uniformity(b)) / 2 == pytest.approx(theirs, rel=1e-6)


def test_numbers_at_their_ends() -> None:
    same = torch.ones(50, 8)
    assert embedding_numbers(same, same) == pytest.approx(
        {
            "test/alignment": 0.0,
            "test/uniformity": 0.0,
            "test/embedding_std": 0.0,
            "test/embedding_scale": 0.0,
            "test/embedding_rank_share": 1 / 8,
        },
        abs=1e-3,
    )
    spread = torch.randn(5000, 8, generator=torch.Generator().manual_seed(0))
    assert effective_rank(spread) == pytest.approx(8, abs=0.01)
    assert effective_rank(spread[:, :1] * torch.ones(1, 8) + 7) == pytest.approx(1, abs=1e-3)
    # The cosine of two even directions in 8 dimensions has the density (1 - c^2)^(5/2).
    kernel, _ = quad(lambda c: math.exp(4 * c - 4) * (1 - c * c) ** 2.5, -1, 1)
    total, _ = quad(lambda c: (1 - c * c) ** 2.5, -1, 1)
    assert uniformity(spread) == pytest.approx(math.log(kernel / total), abs=0.01)


def test_used_clusters_is_a_share_of_what_could_be_used() -> None:
    assert used_clusters(torch.arange(10), 10) == pytest.approx(1)
    assert used_clusters(torch.zeros(100, dtype=torch.int64), 10) == pytest.approx(0.1)
    assert used_clusters(torch.arange(4), 1000) == pytest.approx(1)  # four images cannot fill a thousand
    assert used_clusters(torch.tensor([0, 0, 1, 1]), 4) == pytest.approx(0.5)


HEALTHY = {"test/embedding_std": 0.8, "test/embedding_rank_share": 0.5, "test/used_clusters": 0.9}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"test/embedding_std": 0.01}, "constant"),
        ({"test/embedding_scale": 1e-5}, "constant"),
        ({"test/embedding_rank_share": 0.01}, "dimensions"),
        ({"test/used_clusters": 0.01}, "clusters"),
        ({"test/embedding_std": 0.01, "test/embedding_rank_share": 0.01}, "constant"),
        ({"test/embedding_std": 0.01, "test/used_clusters": 0.01}, "clusters"),
    ],
)
def test_the_most_particular_collapse_is_named(change: dict[str, float], kind: str) -> None:
    found = find_collapse(HEALTHY | change)
    assert found is not None
    assert found.kind == kind
    assert find_collapse(HEALTHY) is None
    assert find_collapse({}) is None


def test_a_representation_that_unfolds_is_not_warned_of() -> None:
    """The first evaluations of a Barlow Twins training that ends well; then those of a BYOL that stays on a line."""
    dog = Watchdog()
    for share in (0.0152, 0.0272, 0.0354, 0.0385):
        assert not dog.look(HEALTHY | {"test/embedding_rank_share": share})
    told = [dog.look(HEALTHY | {"test/embedding_rank_share": share}) for share in (0.0112, 0.0111, 0.0128)]
    assert [bool(text) for text in told] == [False, True, False]


def test_a_warning_comes_once_and_only_for_what_lasts() -> None:
    bad, other = HEALTHY | {"test/embedding_std": 0.0}, HEALTHY | {"test/used_clusters": 0.0}
    dog = Watchdog()
    told = [dog.look(numbers) for numbers in (bad, HEALTHY, bad, bad, bad, other, other, HEALTHY, bad, bad)]
    assert [text.partition(":")[0] for text in told] == [
        "", "", "", "collapse to a constant", "", "", "collapse of the clusters", "", "", "collapse to a constant",
    ]  # fmt: skip


def warnings_of(folder: Path, method: str, steps: int = 240, **changes: object) -> list[str]:
    """The warnings of a real training on built-in images, with fields of `[method]` changed."""
    batch = 32
    experiment = shrink(method, "patterns", batch=batch, steps=steps, log_every_images=batch * steps)
    experiment = replace(
        experiment,
        data=replace(experiment.data, test_images=300),
        watch=replace(
            experiment.watch,
            evaluate_every_images=batch * 40,
            panels_every_images=batch * steps,
            checkpoint_every_images=batch * steps,
        ),
        method=experiment.method | changes,
    )
    trainer = make_trainer(experiment, folder)
    trainer.prepare(None)
    trainer.train()
    reader = RunReader(trainer.scribe.run)
    reader.refresh()
    return [str(event["text"]) for event in reader.events if event["kind"] == "warning"]


def test_a_constant_is_noticed(tmp_path: Path) -> None:
    told = warnings_of(tmp_path, "vicreg", variance_weight=0.0, covariance_weight=0.0)
    assert len(told) == 1
    assert told[0].startswith("collapse to a constant: the embeddings have shrunk")


def test_lost_dimensions_are_noticed(tmp_path: Path) -> None:
    told = warnings_of(tmp_path, "vicreg", covariance_weight=0.0, projector=(64, 256))
    assert any(text.startswith("collapse of dimensions: embeddings differ in about") for text in told)


def test_one_cluster_for_all_is_noticed(tmp_path: Path) -> None:
    never_centred = {
        "center_momentum": 0.99999,
        "teacher_temperature": 0.02,
        "teacher_temperature_start": 0.02,
    }
    told = warnings_of(tmp_path, "dino", steps=120, outputs=256, freeze_fraction=0.0, **never_centred)
    assert told[0].startswith("collapse of the clusters: images spread over ")


OF_EACH_KIND = {"simclr", "swav", "byol", "dino", "barlow-twins", "pirl"}
HEALTHY_METHODS = [
    pytest.param(entry.name, marks=() if entry.name in OF_EACH_KIND else pytest.mark.slow)
    for entry in CATALOG.values()
    if entry.topic == "representation"
]


@pytest.mark.parametrize("method", HEALTHY_METHODS)
def test_a_healthy_training_is_silent(tmp_path: Path, method: str) -> None:
    assert warnings_of(tmp_path, method, steps=160) == []
