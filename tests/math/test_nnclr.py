"""NNCLR: Eq. 3 and 4 and Algorithm 1 of the paper, and the support set beside lightly's."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.errors import UsageError
from sslterm.methods.joint_embedding.nnclr import NNCLR, contrast, nearest
from sslterm.nn.norm import BatchNorm
from tests.embedding_parts import ENCODER, Recorder, batch_of, inputs, stream_of, unit, view

TEMPERATURE = 0.15


def by_the_paper(neighbours: Tensor, predictions: Tensor) -> Tensor:
    """Eq. 3, entry by entry, of unit vectors."""
    total = torch.zeros((), dtype=predictions.dtype)
    for i in range(len(neighbours)):
        terms = [(neighbours[i].dot(p / p.norm()) / TEMPERATURE).exp() for p in predictions]
        total = total - (terms[i] / sum(terms)).log()
    return total / len(neighbours)


def test_value_and_gradient_are_those_of_the_paper() -> None:
    neighbours, p = unit(6, 5, 0), (2 * unit(6, 5, 1)).requires_grad_()
    loss, recognised = contrast(neighbours, p, TEMPERATURE)
    expected = by_the_paper(neighbours, p)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(
        *(torch.autograd.grad(value, p) for value in (loss, expected)), rtol=1e-10, atol=1e-14
    )
    cosines = neighbours @ unit(6, 5, 1).T
    assert float(recognised) == (cosines.argmax(1) == torch.arange(6)).double().mean()


def test_the_nearest_is_that_of_a_search_over_distances() -> None:
    z, queue = unit(7, 5, 0), unit(30, 5, 1)
    expected = [min(queue, key=lambda row: float((row - one).norm())) for one in z]
    assert torch.equal(nearest(z, queue), torch.stack(expected))


def test_the_nearest_is_lightlys() -> None:
    module = pytest.importorskip("lightly.models.modules").NNMemoryBankModule(size=(30, 5))
    module(unit(30, 5, 1, torch.float32), update=True)
    bank = module.bank if module.bank.shape[0] == 30 else module.bank.T
    z = unit(7, 5, 0, torch.float32)
    torch.testing.assert_close(nearest(z, bank), module(z, update=False))


def build(**changes: object) -> NNCLR:
    fields = {"projector": (16, 6), "predictor": (12,), "temperature": TEMPERATURE, "queue": 20}
    given = changes.pop("inputs", inputs())
    torch.manual_seed(0)
    return NNCLR(NNCLR.Config(**ENCODER, **{**fields, **changes}), given)  # type: ignore[arg-type]


def test_a_step_is_algorithm_1() -> None:
    method, batch, update = build().train(), batch_of(8), Recorder(images=640)
    queue = method.queue.values.clone()
    torch.manual_seed(1)
    method.step(stream_of(batch), update)
    torch.manual_seed(1)
    z_a, z_b = method.embed_views(batch.images)
    p_a, p_b = method.predictor(z_a), method.predictor(z_b)
    near_a, near_b = (nearest(F.normalize(z, dim=1), queue) for z in (z_a, z_b))
    expected = contrast(near_a, p_b, TEMPERATURE)[0] / 2 + contrast(near_b, p_a, TEMPERATURE)[0] / 2
    torch.testing.assert_close(update.losses[0], expected)
    torch.testing.assert_close(method.queue.values[:8], F.normalize(z_a, dim=1))  # of the first view alone
    assert torch.equal(method.queue.values[8:], queue[8:])
    assert method.queue.pushed_at.tolist() == [640] * 8 + [-1] * 12


def test_the_gradient_reaches_the_network_through_predictions_alone() -> None:
    method = build().train()
    with torch.no_grad():
        for parameter in method.predictor.parameters():
            parameter.zero_()  # a constant prediction: what reaches z would come through the neighbours
    method.loss(batch_of(8))[0].backward()
    assert all(not parameter.grad.any() for parameter in method.encoder.parameters())


def test_heads_are_normalised_as_the_paper_says() -> None:
    method = build()
    assert [part.features for part in method.projector.modules() if isinstance(part, BatchNorm)] == [16, 6]
    assert [part.features for part in method.predictor.modules() if isinstance(part, BatchNorm)] == [12]


def test_a_queue_smaller_than_a_batch_is_refused() -> None:
    with pytest.raises(UsageError, match=r"method.queue = 7 is smaller than a batch of 8"):
        build(queue=7)


@pytest.mark.parametrize(("side", "kept"), [(16, 20), (64, 20), (16, 5)])
def test_neighbours_are_shown_as_pictures_of_what_is_in_the_queue(
    side: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sslterm.methods.joint_embedding.nnclr.PICTURES", kept)
    method = build(inputs=inputs(side=side, a=view(), b=view())).train()
    batches = [batch_of(8, side=side, first=first) for first in (0, 8, 16)]
    for number, batch in enumerate(batches):
        method.step(stream_of(batch), Recorder(images=8 * number))
    images = F.adaptive_avg_pool2d(torch.cat([batch.images for batch in batches])[-kept:], min(side, 32))
    order = method.pictured.next - 1 - torch.arange(len(method.pictured))  # newest first
    torch.testing.assert_close(
        method.pictures[order % len(method.pictured)] / 255, images.flip(0), atol=0.5 / 255 + 1e-6, rtol=0
    )
    newest = (method.queue.next - 1 - torch.arange(len(method.pictured))) % len(method.queue)
    assert torch.equal(method.pictured.values[order % len(method.pictured)], method.queue.values[newest])
    with torch.no_grad():
        panel = next(iter(method.eval().panels(batches[0])))
        z = F.normalize(method.embed(batches[0].images[:8]), dim=1)
    best = (z @ method.pictured.values.T).argmax(1)
    rows = panel.array.reshape(8, panel.columns, 3, min(side, 32), min(side, 32))
    torch.testing.assert_close(torch.from_numpy(rows[:, 1]), method.pictures[best] / 255)
    assert ("all 20" if kept == 20 else "the newest 5 of the 20") in panel.caption
