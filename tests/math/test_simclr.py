"""SimCLR's loss: Eq. 1 and Alg. 1 of the paper, beside lightly's."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sslterm.config.resolve import resolve
from sslterm.engine.build import build_method
from sslterm.errors import UsageError
from sslterm.methods.joint_embedding.simclr import SimCLR, nt_xent
from sslterm.rows import gather
from tests.embedding_parts import ENCODER, batch_of, embeddings, inputs

TEMPERATURE = 0.2


def by_the_paper(z_a: Tensor, z_b: Tensor) -> Tensor:
    """Eq. 1 view by view, averaged as in Alg. 1; views alternate as there."""
    z = [view / view.norm() for pair in zip(z_a, z_b, strict=True) for view in pair]
    total = torch.zeros((), dtype=z_a.dtype)
    for i in range(len(z)):
        j = i ^ 1
        others = sum((z[i] @ z[k] / TEMPERATURE).exp() for k in range(len(z)) if k != i)
        total = total - ((z[i] @ z[j] / TEMPERATURE).exp() / others).log()
    return total / len(z)


def test_value_and_gradient_are_those_of_the_paper() -> None:
    z = [part.requires_grad_() for part in embeddings(9, 5)]
    loss, _ = nt_xent(*z, TEMPERATURE)
    expected = by_the_paper(*z)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(
        torch.autograd.grad(loss, z), torch.autograd.grad(expected, z), rtol=1e-10, atol=1e-14
    )


def test_agrees_with_lightly() -> None:
    from lightly.loss import NTXentLoss

    z = [part.requires_grad_() for part in embeddings(24, 7)]
    loss, _ = nt_xent(*z, TEMPERATURE)
    expected = NTXentLoss(temperature=TEMPERATURE)(*z)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=0)
    torch.testing.assert_close(
        torch.autograd.grad(loss, z), torch.autograd.grad(expected, z), rtol=1e-6, atol=1e-8
    )


def test_values_that_are_known() -> None:
    same = torch.ones(6, 4, dtype=torch.float64)
    assert float(nt_xent(same, same, TEMPERATURE)[0]) == pytest.approx(
        math.log(11)
    )  # nothing tells views apart
    apart = torch.eye(6, dtype=torch.float64)
    loss, recognised = nt_xent(apart, 3 * apart, TEMPERATURE)
    assert float(loss) == pytest.approx(math.log(1 + 10 * math.exp(-1 / TEMPERATURE)))
    assert float(recognised) == 1
    assert float(nt_xent(apart, apart.roll(1, 0), TEMPERATURE)[1]) == 0


def test_the_loss_is_that_of_the_projections_of_both_views() -> None:
    method, batch = (
        SimCLR(SimCLR.Config(**ENCODER, projector=(16, 8), temperature=0.2), inputs()),
        batch_of(12),
    )
    torch.manual_seed(1)
    loss, aux = method.loss(batch)
    torch.manual_seed(1)
    z = [method.projector(method.encoder(method.views[name](batch.images))) for name in "ab"]
    expected, recognised = nt_xent(*map(gather, z), 0.2)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(aux["recognised"], recognised)
    method.eval()
    assert method.encode(batch.images).shape == (12, 8)
    assert torch.equal(method.layers(batch.images)["pooled"], method.encode(batch.images))


def test_panels_say_how_well_pairs_are_found() -> None:
    method, batch = (
        SimCLR(SimCLR.Config(**ENCODER, projector=(8,), temperature=0.2), inputs()).eval(),
        batch_of(60),
    )
    with torch.no_grad():
        similarity, views = method.panels(batch)
    assert similarity.array.shape == (48, 48)
    assert (similarity.low, similarity.center, similarity.high) == (-1.0, 0.0, 1.0)
    assert "60 held-out images" in similarity.caption
    assert views.array.shape == (48, 3, 16, 16)


@pytest.mark.parametrize("method", ["simclr", "byol", "simsiam", "vicreg", "barlow-twins"])
def test_a_projector_of_no_layers_is_refused(method: str) -> None:
    experiment = resolve(method, "patterns", overrides=["method.projector=[]"])
    with pytest.raises(UsageError, match=r"method\.projector has no layers"):
        build_method(experiment, inputs(a=experiment.augment["a"], b=experiment.augment["b"], batch=16))
