"""SimSiam: Eq. 1 to 4, and the predictor's own rate."""

from __future__ import annotations

import torch

from sslterm.config.resolve import resolve
from sslterm.config.schema import ConstantSchedule
from sslterm.methods.joint_embedding.simsiam import SimSiam, negative_cosine
from tests.embedding_parts import ENCODER, batch_of, embeddings, inputs


def build() -> SimSiam:
    torch.manual_seed(0)
    return SimSiam(SimSiam.Config(**ENCODER, projector=(16, 8), predictor=(4,)), inputs()).train()


def test_negative_cosine_is_the_papers_and_lightlys() -> None:
    from lightly.loss import NegativeCosineSimilarity

    p, z = (part.requires_grad_() for part in embeddings(9, 5))
    loss = negative_cosine(p, z)
    expected = -sum(x @ y / x.norm() / y.norm() for x, y in zip(p, z, strict=True)) / len(p)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(loss, NegativeCosineSimilarity()(p, z.detach()), rtol=1e-9, atol=0)
    (gradient,) = torch.autograd.grad(loss, p, retain_graph=True)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, p)[0], rtol=1e-9, atol=1e-13)
    (stopped,) = torch.autograd.grad(loss, z, allow_unused=True)
    assert stopped is None


def test_the_loss_is_symmetric_and_stops_the_gradient_at_projections() -> None:
    method, batch = build(), batch_of(12)
    torch.manual_seed(1)
    loss, _ = method.loss(batch)
    torch.manual_seed(1)
    z_a, z_b = (method.projector(method.encoder(view)) for view in method.random_views(batch.images))
    p_a, p_b = method.predictor(z_a), method.predictor(z_b)
    expected = (negative_cosine(p_a, z_b) + negative_cosine(p_b, z_a)) / 2
    torch.testing.assert_close(loss, expected)
    weight = method.encoder.net.stages[0][0].weight  # type: ignore[index,union-attr]
    (ours,) = torch.autograd.grad(loss, weight)
    # The same gradient as where the targets are plain numbers.
    numbers = z_a.detach().clone(), z_b.detach().clone()
    alone = (negative_cosine(p_a, numbers[1]) + negative_cosine(p_b, numbers[0])) / 2
    torch.testing.assert_close(ours, torch.autograd.grad(alone, weight)[0])


def test_projections_have_no_mean_and_no_scale() -> None:
    method = build()
    z = method.embed(batch_of(32).images)
    torch.testing.assert_close(z.mean(0), torch.zeros(8), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.std(0, correction=0), torch.ones(8), atol=1e-2, rtol=0)


def test_the_predictor_is_a_group_with_a_constant_rate() -> None:
    method = build()
    groups = method.parameter_groups()
    assert set(groups) == {"main", "predictor"}
    assert {id(p) for p in groups["predictor"]} == {id(p) for p in method.predictor.parameters()}
    assert sum(p.numel() for group in groups.values() for p in group) == sum(
        p.numel() for p in method.parameters()
    )
    assert isinstance(resolve("simsiam", "patterns").optim["predictor"].schedule, ConstantSchedule)
