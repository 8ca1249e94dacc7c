"""The Barlow Twins loss: Eq. 1 and 2 of the paper, in both of its forms, over ranks, and beside lightly's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from sslterm.config.schema import ViewConfig
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.methods.joint_embedding.barlow_twins import (
    BarlowTwins,
    barlow_twins_loss,
    correlation_terms,
    cross_correlation,
    squared_norm_by_gram,
    squared_norm_by_product,
    standardize,
)
from sslterm.rows import gather, shard
from tests.embedding_parts import ENCODER, batch_of, view

LAMBDA = 0.0051


def embeddings(n: int, d: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n * 1000 + d)
    common = torch.randn(n, d, generator=generator, dtype=torch.float64)
    a, b = (common + 0.5 * torch.randn(n, d, generator=generator, dtype=torch.float64) + 3 for _ in range(2))
    return a.to(dtype), (2 * b).to(dtype)


def by_the_paper(z_a: Tensor, z_b: Tensor, weight: float) -> Tensor:
    """Eq. 1 and 2, entry by entry."""
    a, b = z_a - z_a.mean(0), z_b - z_b.mean(0)
    total = torch.zeros((), dtype=z_a.dtype)
    for i in range(a.shape[1]):
        for j in range(b.shape[1]):
            c = (a[:, i] * b[:, j]).sum() / (a[:, i].square().sum().sqrt() * b[:, j].square().sum().sqrt())
            total = total + ((1 - c) ** 2 if i == j else weight * c**2)
    return total


@pytest.mark.parametrize(("n", "d"), [(24, 7), (6, 17)])  # D x D, and Gram (2N < D)
def test_value_and_gradient_are_those_of_the_paper(n: int, d: int) -> None:
    z = [part.requires_grad_() for part in embeddings(n, d)]
    expected = by_the_paper(*z, LAMBDA)
    expected_gradients = torch.autograd.grad(expected, z)
    loss, sums = barlow_twins_loss(*z, LAMBDA)
    # Standardization adds 1e-5 to variances of about 1 and 5.
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=0)
    torch.testing.assert_close(sums["on_diagonal"] + LAMBDA * sums["off_diagonal"], loss)
    for gradient, wanted in zip(torch.autograd.grad(loss, z), expected_gradients, strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("n", "d"), [(16, 16), (8, 200), (200, 8)])
def test_gram_form_equals_product_form(n: int, d: int) -> None:
    a, b = (standardize(part).requires_grad_() for part in embeddings(n, d))
    gram, product = squared_norm_by_gram(a, b), squared_norm_by_product(a, b)
    torch.testing.assert_close(gram, product, rtol=1e-12, atol=0)
    for one, other in zip(
        torch.autograd.grad(gram, (a, b)), torch.autograd.grad(product, (a, b)), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-14)


def test_gram_form_is_taken_where_it_is_cheaper(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    module = "sslterm.methods.joint_embedding.barlow_twins"
    for form in (squared_norm_by_gram, squared_norm_by_product):
        monkeypatch.setattr(
            f"{module}.{form.__name__}", lambda a, b, form=form: taken.append(form.__name__) or form(a, b)
        )
    for n, d in [(8, 17), (8, 16), (8, 15)]:
        correlation_terms(*embeddings(n, d))
    assert taken == ["squared_norm_by_gram", "squared_norm_by_product", "squared_norm_by_product"]


@pytest.mark.parametrize(("n", "d"), [(32, 20), (32, 300)])
def test_agrees_with_lightly(n: int, d: int) -> None:
    from lightly.loss import BarlowTwinsLoss

    theirs = [part.requires_grad_() for part in embeddings(n, d, torch.float32)]
    ours = [part.detach().clone().requires_grad_() for part in theirs]
    expected = BarlowTwinsLoss(lambda_param=LAMBDA)(*theirs)
    loss, _ = barlow_twins_loss(*ours, LAMBDA)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
    loss.backward()
    expected.backward()
    for mine, wanted in zip(ours, theirs, strict=True):
        assert mine.grad is not None
        assert wanted.grad is not None
        assert float((mine.grad - wanted.grad).norm() / wanted.grad.norm()) < 1e-5


def test_perfect_embeddings_have_no_loss() -> None:
    orthogonal = torch.linalg.qr(torch.randn(64, 9, generator=torch.Generator().manual_seed(0)).double()).Q
    centred = torch.linalg.qr(orthogonal - orthogonal.mean(0)).Q  # columns are orthogonal and have mean 0
    loss, _ = barlow_twins_loss(100 * centred, 100 * centred, 1.0)
    assert float(loss) < 1e-9
    torch.testing.assert_close(
        cross_correlation(100 * centred, 100 * centred),
        torch.eye(9, dtype=torch.float64),
        atol=1e-5,
        rtol=0,
    )


def test_half_precision_around_it_does_not_reach_the_loss() -> None:
    z_a, z_b = embeddings(16, 100, torch.float32)
    plain, _ = barlow_twins_loss(z_a, z_b, LAMBDA)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside, _ = barlow_twins_loss(z_a, z_b, LAMBDA)
        from_half, _ = barlow_twins_loss(z_a.bfloat16(), z_b.bfloat16(), LAMBDA)
    assert torch.equal(plain, inside)
    assert from_half.dtype == torch.float32


SHAPES = [(24, 10), (6, 20)]


def _gradients_of_a_rank(rank: int, meeting: str, out: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    results = []
    for shape in SHAPES:
        weight = torch.eye(shape[1], dtype=torch.float64).requires_grad_()
        z_a, z_b = (shard(part) @ weight for part in embeddings(*shape))
        loss, _ = barlow_twins_loss(gather(z_a), gather(z_b), LAMBDA)
        loss.backward()
        assert weight.grad is not None
        dist.all_reduce(weight.grad)  # the engine's mean of gradients over ranks
        results.append((loss.detach(), weight.grad / 2))
    torch.save(results, f"{out}/{rank}.pt")
    dist.destroy_process_group()


def test_two_ranks_have_the_gradient_of_one(tmp_path: Path) -> None:
    spawn(_gradients_of_a_rank, (str(tmp_path / "meeting"), str(tmp_path)), nprocs=2)
    over_ranks = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for number, shape in enumerate(SHAPES):
        weight = torch.eye(shape[1], dtype=torch.float64).requires_grad_()
        loss, _ = barlow_twins_loss(*(part @ weight for part in embeddings(*shape)), LAMBDA)
        (gradient,) = torch.autograd.grad(loss, weight)
        for results in over_ranks:
            torch.testing.assert_close(results[number], (loss.detach(), gradient))


def build(dimensions: int = 8, **views: ViewConfig) -> BarlowTwins:
    config = BarlowTwins.Config(
        **ENCODER,
        projector=(16, dimensions),
        off_diagonal_weight=LAMBDA,
    )
    torch.manual_seed(0)
    shape = Inputs(channels=3, height=16, width=16, train_images=64, views=views)
    return BarlowTwins(config, shape)


def test_each_view_is_its_own_and_passes_the_network_by_itself() -> None:
    method, batch = build(a=view(), b=view(solarize=1.0)).train(), batch_of(32)
    torch.manual_seed(1)
    loss, aux = method.loss(batch)
    torch.manual_seed(1)
    z = [method.projector(method.encoder(method.views[one](batch.images))) for one in "ab"]
    assert method.views["b"].config.solarize == 1.0
    expected, _ = barlow_twins_loss(*z, LAMBDA)
    torch.testing.assert_close(loss, expected)
    assert set(aux) == {"on_diagonal", "off_diagonal"}


@pytest.mark.parametrize("names", ["a", "abc"])
def test_other_than_two_views_are_a_usage_error(names: str) -> None:
    with pytest.raises(
        UsageError, match=r"takes its views from \[augment.a\] and \[augment.b\], and the preset has"
    ):
        build(**{name: view() for name in names})


@pytest.mark.parametrize("dimensions", [8, 300])
def test_panels_show_the_correlation_and_the_views(dimensions: int) -> None:
    whole = view(crop=(1.0, 1.0), flip=0.0)
    method, batch = build(dimensions, a=whole, b=whole).eval(), batch_of(40)
    with torch.no_grad():
        for weight in method.projector.parameters():
            weight *= 10  # variances far above the 1e-5 that standardization adds
        correlation, views = method.panels(batch)
    shown = min(dimensions, 256)
    assert correlation.name == "cross-correlation"
    assert (correlation.center, correlation.low, correlation.high) == (0.0, -1.0, 1.0)
    assert correlation.array.shape == (shown, shown)
    # Both views are the image itself, so that this is an ordinary matrix of correlations: of numpy's.
    with torch.no_grad():
        expected = np.corrcoef(method.embed(batch.images).numpy().T)[:shown, :shown]
    np.testing.assert_allclose(correlation.array, expected, atol=1e-3)
    assert ("first 256 of 300 dimensions" in correlation.caption) == (dimensions == 300)
    assert views.array.shape == (48, 3, 16, 16)
    np.testing.assert_array_equal(views.array[0::2], views.array[1::2])


def test_what_is_encoded_is_before_the_projector() -> None:
    method = build(a=view(), b=view()).eval()
    images = batch_of(4).images
    assert method.encode(images).shape == (4, 8)
    assert torch.equal(method.layers(images)["pooled"], method.encode(images))
