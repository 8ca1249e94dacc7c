"""BYOL: Eq. 2, and the target's way."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from sslterm.data.batch import Batch
from sslterm.methods.base import LossFn
from sslterm.methods.joint_embedding.byol import BYOL, regression
from tests.embedding_parts import ENCODER, batch_of, embeddings, inputs


def build(momentum: float = 0.9, *, norm: bool = False) -> BYOL:
    torch.manual_seed(0)
    config = BYOL.Config(
        **ENCODER, projector=(16, 8), projector_batch_norm=norm, predictor=(12,), target_momentum=momentum
    )
    return BYOL(config, inputs())


class Step:
    """An update that moves every weight by one, at a given progress."""

    step, images = 0, 0

    def __init__(self, method: BYOL, progress: float) -> None:
        self.method, self.progress = method, progress

    def __call__(self, name: str | tuple[str, ...], loss_fn: LossFn, batch: Batch) -> dict[str, torch.Tensor]:
        loss_fn(batch)
        with torch.no_grad():
            for parameter in (p for each in name for p in self.method.parameter_groups()[each]):
                parameter += 1
        return {}

    def forget(self, module: nn.Module) -> None:
        raise AssertionError


def test_regression_is_the_squared_distance_of_unit_vectors() -> None:
    prediction, target = (part.requires_grad_() for part in embeddings(9, 5))
    expected = sum(
        (p / p.norm() - t / t.norm()).square().sum() for p, t in zip(prediction, target, strict=True)
    ) / len(prediction)
    loss = regression(prediction, target)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(
        torch.autograd.grad(loss, prediction),
        torch.autograd.grad(expected, prediction),
        rtol=1e-9,
        atol=1e-13,
    )


def test_agrees_with_lightly() -> None:
    from lightly.loss import NegativeCosineSimilarity

    prediction, target = embeddings(24, 7)
    expected = 2 + 2 * NegativeCosineSimilarity()(prediction, target)
    torch.testing.assert_close(regression(prediction, target), expected, rtol=1e-9, atol=0)


def test_the_loss_crosses_views_and_spares_the_target() -> None:
    method, batch = build().train(), batch_of(12)
    torch.manual_seed(1)
    loss, _ = method.loss(batch)
    torch.manual_seed(1)
    a, b = method.random_views(batch.images)
    online = [method.predictor(method.projector(method.encoder(view))) for view in (a, b)]
    target = [method.target(view) for view in (a, b)]
    expected = regression(online[0], target[1]) + regression(online[1], target[0])
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert all(parameter.grad is None for parameter in method.target.parameters())
    groups = method.parameter_groups()
    assert all(parameter.grad is not None for group in groups.values() for parameter in group)
    trained = {id(parameter) for group in groups.values() for parameter in group}
    assert not trained & {id(parameter) for parameter in method.target.parameters()}


@pytest.mark.parametrize(("progress", "momentum"), [(0.0, 0.9), (0.5, 0.95), (1.0, 1.0)])
def test_the_target_follows_the_online_network_after_the_step(progress: float, momentum: float) -> None:
    method = build(0.9).train()
    before = copy.deepcopy(method.target)
    for parameter in (*before.parameters(), *method.encoder.parameters(), *method.projector.parameters()):
        assert torch.isfinite(parameter).all()
    method.step(iter([batch_of(12)]), Step(method, progress))  # type: ignore[arg-type]
    for old, new in zip(before.parameters(), method.target.parameters(), strict=True):
        torch.testing.assert_close(new, old + (1 - momentum))


def test_projections_may_be_normalised() -> None:
    images = batch_of(32).images
    normed, plain = (build(norm=norm).train().embed(images) for norm in (True, False))
    torch.testing.assert_close(normed.mean(0), torch.zeros(8), atol=1e-5, rtol=0)
    torch.testing.assert_close(normed.std(0, correction=0), torch.ones(8), atol=0.05, rtol=0)
    assert plain.mean(0).abs().max() > 0.05
