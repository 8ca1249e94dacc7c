"""VICReg: Eq. 1 to 6 with the authors' half of the variance term, beside lightly's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sslterm.methods.joint_embedding.vicreg import VICReg, covariance_term, variance_term
from tests.embedding_parts import ENCODER, batch_of, embeddings, inputs


def covariance_by_the_paper(z: Tensor) -> Tensor:
    """Eq. 3 and 4, entry by entry."""
    n, d = z.shape
    centred = z - z.mean(0)
    total = torch.zeros((), dtype=z.dtype)
    for i in range(d):
        for j in range(d):
            if i != j:
                total = total + ((centred[:, i] * centred[:, j]).sum() / (n - 1)) ** 2
    return total / d


def variance_by_the_paper(z: Tensor) -> Tensor:
    """Eq. 1 and 2, dimension by dimension."""
    total = torch.zeros((), dtype=z.dtype)
    for column in z.unbind(1):
        variance = (column - column.mean()).square().sum() / (len(column) - 1)
        total = total + torch.clamp(1 - (variance + 1e-4).sqrt(), min=0)
    return total / z.shape[1]


@pytest.mark.parametrize(("n", "d"), [(12, 5), (6, 11)])  # D x D, and Gram (N < D)
def test_terms_and_their_gradients_are_those_of_the_paper(n: int, d: int) -> None:
    z = (0.6 * embeddings(n, d)[0]).requires_grad_()
    for ours, theirs in ((covariance_term, covariance_by_the_paper), (variance_term, variance_by_the_paper)):
        value, expected = ours(z), theirs(z)
        assert expected.item() > 0.01
        torch.testing.assert_close(value, expected, rtol=1e-11, atol=0)
        (gradient,), (wanted,) = torch.autograd.grad(value, z), torch.autograd.grad(expected, z)
        torch.testing.assert_close(gradient, wanted, rtol=1e-9, atol=1e-13)


def build(**weights: float) -> VICReg:
    torch.manual_seed(0)
    chosen = {"invariance_weight": 25.0, "variance_weight": 25.0, "covariance_weight": 1.0} | weights
    return VICReg(VICReg.Config(**ENCODER, projector=(16, 8), **chosen), inputs()).train()


def test_the_loss_agrees_with_lightly() -> None:
    from lightly.loss import VICRegLoss

    method, batch = build(), batch_of(24)
    torch.manual_seed(1)
    loss, aux = method.loss(batch)
    torch.manual_seed(1)
    z_a, z_b = method.embed_views(batch.images)
    expected = VICRegLoss(lambda_param=25, mu_param=25, nu_param=1)(z_a, z_b)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
    assert set(aux) == {"invariance", "variance", "covariance"}
    weight = method.projector.layers[0].weight
    (ours,), (theirs,) = torch.autograd.grad(loss, weight), torch.autograd.grad(expected, weight)  # type: ignore[arg-type]
    assert float((ours - theirs).norm() / theirs.norm()) < 1e-5  # type: ignore[operator]


def test_each_weight_weighs_its_term() -> None:
    batch = batch_of(24)
    for term in ("invariance", "variance", "covariance"):
        off = {f"{name}_weight": 0.0 for name in ("invariance", "variance", "covariance")}
        method = build(**off | {f"{term}_weight": 3.0})
        torch.manual_seed(1)
        loss, aux = method.loss(batch)
        torch.testing.assert_close(loss, 3 * aux[term])


def test_perfect_embeddings_have_no_loss() -> None:
    columns = torch.linalg.qr(torch.randn(64, 9, generator=torch.Generator().manual_seed(0)).double()).Q
    centred = 10 * torch.linalg.qr(columns - columns.mean(0)).Q
    assert float(covariance_term(centred)) == pytest.approx(0, abs=1e-20)
    assert float(variance_term(centred)) == 0


def test_panels_show_covariance_and_spread() -> None:
    method, batch = build().eval(), batch_of(40)
    torch.manual_seed(3)
    with torch.no_grad():
        covariance, deviations, views = method.panels(batch)
    torch.manual_seed(3)
    with torch.no_grad():
        z = method.embed(method.random_views(batch.images)[0])
    torch.testing.assert_close(torch.from_numpy(covariance.array), torch.cov(z.T), rtol=1e-4, atol=1e-7)
    assert deviations.array[0].tolist() == sorted(z.std(0).tolist(), reverse=True)
    assert views.array.shape == (48, 3, 16, 16)
