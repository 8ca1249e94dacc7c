"""SwAV: the swapped prediction, codes beside lightly's, the queue, and prototypes that are frozen at first."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.errors import UsageError
from sslterm.methods.base import Clusters
from sslterm.methods.joint_embedding.swav import SwAV, swapped_prediction
from sslterm.nn.sinkhorn import sinkhorn
from tests.embedding_parts import ENCODER, Data, Step, batch_of, images_of, inputs


def build(**changes: Any) -> SwAV:
    fields: dict[str, Any] = {
        **ENCODER,
        "local_crops": 2,
        "projector": (16, 6),
        "prototypes": 5,
        "temperature": 0.1,
        "epsilon": 0.05,
        "sinkhorn_iterations": 3,
        "queue": 16,
        "queue_start_fraction": 0.5,
        "freeze_fraction": 0.25,
    }
    torch.manual_seed(0)
    config = SwAV.Config(**{**fields, **changes})
    return SwAV(config, inputs("a", "b", *(["local"] if config.local_crops else []))).train()


def random_scores(views: int, n: int, k: int) -> Tensor:
    generator = torch.Generator().manual_seed(views * n)
    return torch.rand(views, n, k, generator=generator, dtype=torch.float64) * 2 - 1


def by_the_paper(scores: Tensor, codes: Tensor, temperature: float) -> Tensor:
    """Eq. 1, 2 and 6: the code of either large crop, predicted from each other crop."""
    total, count = torch.zeros((), dtype=scores.dtype), 0
    for t in range(2):
        for s in range(len(scores)):
            if s == t:
                continue
            for image in range(scores.shape[1]):
                weights = (scores[s, image] / temperature).exp()
                total = total - (codes[t, image] * (weights / weights.sum()).log()).sum()
                count += 1
    return total / count


@pytest.mark.parametrize("views", [2, 4])
def test_value_and_gradient_are_those_of_the_paper(views: int) -> None:
    scores = random_scores(views, 6, 5).requires_grad_()
    codes = torch.stack([sinkhorn(part, epsilon=0.05, iterations=3) for part in scores[:2].detach()])
    losses = swapped_prediction(scores, codes, 0.1), by_the_paper(scores, codes, 0.1)
    torch.testing.assert_close(*losses, rtol=1e-12, atol=0)
    gradients = [torch.autograd.grad(loss, scores)[0] for loss in losses]
    torch.testing.assert_close(*gradients, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("with_queue", [False, True])
def test_agrees_with_lightly(with_queue: bool) -> None:
    lightly = pytest.importorskip("lightly.loss")
    method = build(temperature=0.2)
    scores = random_scores(4, 8, 5).float().requires_grad_()
    past = None
    if with_queue:
        method.queue_in_use = True
        past = [queue.values @ method.prototypes.weight.T for queue in (method.queue_a, method.queue_b)]
    ours = swapped_prediction(scores, method.codes(scores[:2].detach()), 0.2)
    theirs = lightly.SwaVLoss(temperature=0.2)(list(scores[:2]), list(scores[2:]), past)
    torch.testing.assert_close(ours, theirs[0], rtol=1e-5, atol=0)
    gradients = [torch.autograd.grad(loss, scores)[0] for loss in (ours, theirs.sum())]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-7)


def test_codes_are_of_the_batch_alone_until_the_queue_is_in_use() -> None:
    method, scores = build(), random_scores(2, 8, 5).float()
    alone = [sinkhorn(part, epsilon=0.05, iterations=3) for part in scores]
    torch.testing.assert_close(method.codes(scores), torch.stack(alone))
    method.queue_in_use = True
    past = method.queue_b.values @ method.prototypes.weight.T
    beside = sinkhorn(torch.cat((scores[1], past)), epsilon=0.05, iterations=3)[:8]
    torch.testing.assert_close(method.codes(scores)[1], beside)
    assert not torch.allclose(beside, alone[1], atol=1e-3)


def test_the_loss_is_made_of_views_projections_and_prototypes() -> None:
    method, batch = build(), batch_of(8)
    torch.manual_seed(3)
    loss, aux = method.loss(batch)
    torch.manual_seed(3)
    crops = method.crops(batch.images)
    features = torch.cat([method.encoder(torch.cat(crops[:2])), method.encoder(torch.cat(crops[2:]))])
    z = F.normalize(method.projector(features), dim=1)
    scores = (z @ method.prototypes.weight.T).view(4, 8, 5)
    codes = torch.stack([sinkhorn(part, epsilon=0.05, iterations=3) for part in scores[:2].detach()])
    torch.testing.assert_close(loss, swapped_prediction(scores, codes, 0.1))
    torch.testing.assert_close(aux["projections"], z.view(4, 8, 6)[:2].transpose(0, 1))
    torch.testing.assert_close(aux["code_entropy"], -(codes * codes.log()).nan_to_num().sum(2).mean())


def test_prototypes_are_unit_vectors_before_a_step_and_frozen_at_first() -> None:
    method, data = build(queue=0), Data(images_of(32), 8)
    with torch.no_grad():
        method.prototypes.weight *= 7
    drawn = F.normalize(method.prototypes.weight.detach(), dim=1)
    update = Step(method, progress=0.2)
    method.step(data, update)
    torch.testing.assert_close(method.prototypes.weight.detach(), drawn)
    update.progress = 0.25
    method.step(data, update)
    moved = method.prototypes.weight.detach().clone()
    assert not torch.allclose(moved, drawn, atol=1e-4)
    method.step(data, Step(method, rate=0.0, progress=0.9))
    torch.testing.assert_close(method.prototypes.weight.detach(), F.normalize(moved, dim=1))


def test_the_queue_holds_the_newest_projections_of_each_view() -> None:
    method, data = build(), Data(images_of(32), 8)
    update = Step(method, rate=0.01)
    pushed = []
    for _ in range(3):
        method.step(data, update)
        pushed.append(update.aux["projections"].detach())
    for view, queue in enumerate((method.queue_a, method.queue_b)):
        expected = torch.cat(
            (pushed[2][:, view], pushed[1][:, view])
        )  # the third took the place of the first
        torch.testing.assert_close(queue.values, expected)


def test_the_queue_is_used_once_it_is_due_and_full() -> None:
    method, data = build(), Data(images_of(32), 8)
    uses = []
    for progress, images in ((0.6, 8), (0.4, 16), (0.5, 16), (0.9, 64)):
        method.step(data, Step(method, progress=progress, images=images))
        uses.append(method.queue_in_use)
    assert uses == [False, False, True, True]
    without = build(queue=0)
    without.step(data, Step(without, progress=0.9, images=64))
    assert not without.queue_in_use


def test_the_loss_compiles_whole_with_the_queue_in_use() -> None:
    method, batch = build(), batch_of(8)
    method.queue_in_use = True
    torch._dynamo.reset()
    loss, _ = torch.compile(method.loss, backend="eager", fullgraph=True)(batch)
    assert torch.isfinite(loss)


def test_an_image_belongs_to_the_prototype_that_is_nearest() -> None:
    method, images = build().eval(), images_of(20)
    with torch.no_grad():
        method.prototypes.weight *= torch.tensor([1.0, 9.0, 1.0, 1.0, 1.0])[:, None]  # lengths do not matter
        z = method.embed(images)
        cosines = F.cosine_similarity(z[:, None], method.prototypes.weight[None], dim=2)
        assert torch.equal(method.assign(images), cosines.argmax(1))
    assert isinstance(method, Clusters)
    assert method.clusters == 5


def test_panels_show_usage_and_codes() -> None:
    method = build().eval()
    with torch.no_grad():
        panels = {panel.name: panel for panel in method.panels(batch_of(12))}
    assert list(panels) == ["prototype-usage", "codes", "similarity", "views"]
    usage = panels["prototype-usage"].array[0]
    assert usage.sum() == pytest.approx(5, rel=1e-5)  # shares of 1 / 5, on average 1
    assert (usage[:-1] >= usage[1:]).all()
    assert panels["codes"].array.shape == (12, 5)
    assert panels["codes"].array.sum(1) == pytest.approx(1, rel=1e-5)


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(UsageError, match="queue = 7 is smaller than a batch of 8"):
        build(queue=7)
    with pytest.raises(UsageError, match="projector has no layers"):
        build(projector=())
