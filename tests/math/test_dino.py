"""DINO: the distillation beside lightly's, centre, temperature, momentum, and the frozen last layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.errors import UsageError
from sslterm.methods.base import Clusters
from sslterm.methods.joint_embedding.dino import DINO, Head, distillation
from tests.embedding_parts import ENCODER, VIT, Data, Step, batch_of, images_of, inputs


def build(encoder: dict[str, Any] = ENCODER, **changes: Any) -> DINO:
    fields: dict[str, Any] = {
        **encoder,
        "local_crops": 2,
        "head": (16, 6),
        "head_batch_norm": True,
        "outputs": 7,
        "student_temperature": 0.1,
        "teacher_temperature": 0.07,
        "teacher_temperature_start": 0.04,
        "teacher_warmup_fraction": 0.5,
        "teacher_momentum": 0.9,
        "center_momentum": 0.8,
        "freeze_fraction": 0.25,
    }
    torch.manual_seed(0)
    config = DINO.Config(**{**fields, **changes})
    return DINO(config, inputs("a", "b", *(["local"] if config.local_crops else []))).train()


def test_scores_are_divided_by_small_numbers_and_so_not_computed_in_bfloat16() -> None:
    head, features = Head(8, (16, 6), 7, batch_norm=True).eval(), torch.randn(4, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        z, scores = head.bottleneck(features), head(features)
    torch.testing.assert_close(scores, z @ F.normalize(head.last.weight, dim=1).T, atol=1e-6, rtol=1e-6)


def outputs(views: int, n: int, k: int) -> Tensor:
    generator = torch.Generator().manual_seed(views * n)
    return torch.rand(views, n, k, generator=generator, dtype=torch.float64) * 2 - 1


def by_the_paper(
    student: Tensor, teacher: Tensor, center: Tensor, t_s: float, t_t: float
) -> tuple[Tensor, Tensor]:
    """Eq. 1 to 3, and the entropy of Eq. 5's h(P_t)."""
    losses, entropies = [], []
    for image in range(student.shape[1]):
        for t in range(2):
            weights = ((teacher[t, image] - center) / t_t).exp()
            p_t = weights / weights.sum()
            entropies.append(-(p_t * p_t.log()).sum())
            for s in range(len(student)):
                if s != t:
                    weights = (student[s, image] / t_s).exp()
                    losses.append(-(p_t * (weights / weights.sum()).log()).sum())
    return torch.stack(losses).mean(), torch.stack(entropies).mean()


@pytest.mark.parametrize("views", [2, 5])
def test_value_and_gradient_are_those_of_the_paper(views: int) -> None:
    student, teacher = outputs(views, 6, 5).requires_grad_(), outputs(2, 6, 5)
    center = torch.linspace(-0.3, 0.3, 5, dtype=torch.float64)
    options = {"student_temperature": 0.1, "teacher_temperature": torch.tensor(0.05, dtype=torch.float64)}
    loss, entropy = distillation(student, teacher, center, **options)  # type: ignore[arg-type]
    expected, expected_entropy = by_the_paper(student, teacher, center, 0.1, 0.05)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(entropy, expected_entropy, rtol=1e-12, atol=0)
    gradients = [torch.autograd.grad(value, student)[0] for value in (loss, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-14)


def test_a_student_that_is_its_teacher_has_no_divergence() -> None:
    same = outputs(1, 6, 5).expand(2, -1, -1)
    temperature = torch.tensor(0.1, dtype=torch.float64)
    center = torch.zeros(5, dtype=torch.float64)
    loss, entropy = distillation(same, same, center, student_temperature=0.1, teacher_temperature=temperature)
    torch.testing.assert_close(loss, entropy)


def test_agrees_with_lightly_in_loss_and_centre() -> None:
    lightly = pytest.importorskip("lightly.loss")
    student, teacher = outputs(4, 8, 7).float().requires_grad_(), outputs(2, 8, 7).float()
    center = torch.linspace(-0.2, 0.2, 7)
    theirs = lightly.DINOLoss(output_dim=7, student_temp=0.1, teacher_temp=0.06, center_momentum=0.8)
    theirs.center.copy_(center.view(1, 1, 7))
    expected = theirs(list(teacher), list(student), teacher_temp=0.06)
    loss, _ = distillation(
        student, teacher, center, student_temperature=0.1, teacher_temperature=torch.tensor(0.06)
    )
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
    gradients = [torch.autograd.grad(value, student)[0] for value in (loss, expected)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(theirs.center.flatten(), 0.8 * center + 0.2 * teacher.mean((0, 1)))


def test_the_centre_follows_the_teachers_outputs_exactly() -> None:
    method, data = build(), Data(images_of(32), 8)
    update, expected = Step(method), torch.zeros(7)
    for _ in range(3):
        method.step(data, update)
        assert update.aux["outputs"].shape == (8, 7)
        expected = 0.8 * expected + 0.2 * update.aux["outputs"].mean(0)
        torch.testing.assert_close(method.center, expected)
    assert method.center.abs().max() > 1e-3


def test_the_loss_is_of_all_crops_for_the_student_and_of_the_large_ones_for_the_teacher() -> None:
    method, batch = build(), batch_of(8)
    method.center.copy_(torch.linspace(-0.1, 0.1, 7))
    torch.manual_seed(3)
    loss, aux = method.loss(batch)
    torch.manual_seed(3)
    crops = method.crops(batch.images)
    features = torch.cat([method.encoder(torch.cat(crops[:2])), method.encoder(torch.cat(crops[2:]))])
    teacher = method.teacher(torch.cat(crops[:2])).view(2, 8, 7)
    expected, entropy = by_the_paper(
        method.head(features).view(4, 8, 7), teacher, method.center, 0.1, float(method.teacher_temperature)
    )
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(aux["teacher_entropy"], entropy, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(aux["kl"], expected - entropy, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(aux["outputs"], teacher.mean(0))
    loss.backward()
    assert all(parameter.grad is None for parameter in method.teacher.parameters())


def test_the_teachers_temperature_rises_over_its_share_of_the_training() -> None:
    method, data = build(), Data(images_of(32), 8)
    for progress, expected in ((0.0, 0.04), (0.25, 0.055), (0.5, 0.07), (0.9, 0.07)):
        method.step(data, Step(method, progress=progress))
        assert float(method.teacher_temperature) == pytest.approx(expected)
    assert build(teacher_warmup_fraction=0.0).temperature_at(0.0) == 0.07


def test_the_teacher_follows_the_student_with_a_momentum_that_rises_to_one() -> None:
    method, data = build(), Data(images_of(32), 8)
    for progress in (0.0, 0.5, 1.0):
        momentum = 1 - 0.1 * (math.cos(math.pi * progress) + 1) / 2
        before = [parameter.clone() for parameter in method.teacher.parameters()]
        method.step(data, Step(method, progress=progress))
        student = [*method.encoder.parameters(), *method.head.parameters()]
        for old, new, own in zip(before, method.teacher.parameters(), student, strict=True):
            torch.testing.assert_close(new, momentum * old + (1 - momentum) * own.detach())


def test_the_last_layer_is_frozen_at_first() -> None:
    method, data = build(), Data(images_of(32), 8)
    drawn = method.head.last.weight.detach().clone()
    update = Step(method, progress=0.24)
    method.step(data, update)
    assert torch.equal(method.head.last.weight, drawn)
    update.progress = 0.25
    method.step(data, update)
    assert not torch.allclose(method.head.last.weight, drawn, rtol=0, atol=1e-4)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_head_ends_in_cosines(batch_norm: bool) -> None:
    torch.manual_seed(0)
    head = Head(8, (16, 12, 6), 5, batch_norm=batch_norm)
    names = [type(layer).__name__ for layer in head.layers]
    between = ["Linear", *(["BatchNorm"] if batch_norm else []), "GELU"]
    assert names == [*between, *between, "Linear"]
    x = torch.randn(9, 8)
    with torch.no_grad():
        head.last.weight *= 10 * torch.rand(5, 1)  # lengths do not matter
        bottleneck = head.layers(x)
        expected = F.cosine_similarity(bottleneck[:, None], head.last.weight[None], dim=2)
        torch.testing.assert_close(head(x), expected)
        torch.testing.assert_close(head.bottleneck(x).norm(dim=1), torch.ones(9))


def test_it_is_the_teacher_that_is_used() -> None:
    method, images = build().eval(), images_of(6)
    with torch.no_grad():
        for parameter in method.encoder.parameters():
            parameter.add_(1.0)  # the student is elsewhere
        encoder, head = method.teacher
        assert torch.equal(method.encode(images), encoder(images))
        assert torch.equal(method.layers(images)["pooled"], encoder(images))
        assert torch.equal(method.embed(images), head.bottleneck(encoder(images)))
        method.center.copy_(torch.linspace(-1, 1, 7))
        assert torch.equal(method.assign(images), (head(encoder(images)) - method.center).argmax(1))
    assert isinstance(method, Clusters)
    assert method.clusters == 7


def test_a_transformer_shows_where_it_looks() -> None:
    method, batch = build(VIT, head_batch_norm=False).eval(), batch_of(10)
    with torch.no_grad():
        panels = {panel.name: panel for panel in method.panels(batch)}
        looks = method.teacher[0].attention(batch.images[:8])  # [8, 3, 4, 4]
    attention = panels["attention"].array
    assert attention.shape == (8 * 4, 3, 16, 16)  # the image and three heads
    np.testing.assert_array_equal(attention[0::4], batch.images[:8].numpy())
    expected = looks / looks.amax((2, 3), keepdim=True)
    np.testing.assert_allclose(attention[2::4, 0, ::4, ::4], expected[:, 1].numpy(), rtol=1e-6)
    assert "attention" not in {panel.name for panel in build().eval().panels(batch)}


def test_the_loss_compiles_whole_with_a_transformer() -> None:
    method, batch = build(VIT, head_batch_norm=False), batch_of(4)
    torch._dynamo.reset()
    loss, _ = torch.compile(method.loss, backend="eager", fullgraph=True)(batch)
    assert torch.isfinite(loss)


def test_the_panel_of_outputs_says_how_even_they_are() -> None:
    method, batch = build().eval(), batch_of(10)
    with torch.no_grad():
        panels = {panel.name: panel for panel in method.panels(batch)}
    shares = panels["teacher-outputs"].array[0]
    assert shares.sum() == pytest.approx(7, rel=1e-5)
    assert (shares[:-1] >= shares[1:]).all()
    assert f"uniform: {math.log(7):.2f}" in panels["teacher-outputs"].caption


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(UsageError, match="head has no layers"):
        build(head=())
    with pytest.raises(UsageError, match=r"\[augment.local\]"):
        DINO(build().config, inputs("a", "b"))
