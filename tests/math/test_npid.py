"""NPID: Eq. 2 to 10 of the paper, the memory bank, and the constant of the first batch."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.methods.joint_embedding.npid import NPID, nce, similarity, softmax
from tests.embedding_parts import ENCODER, STILL, Recorder, batch_of, inputs, stream_of, unit

TEMPERATURE = 0.2
N = 32


def nce_by_the_paper(f: Tensor, bank: Tensor, index: Tensor, noise: Tensor, constant: float) -> Tensor:
    """Eq. 4 to 7, entry by entry."""
    noise_probability, m = 1 / len(bank), len(noise)

    def h(i: int, j: int) -> Tensor:
        p = (bank[j].dot(f[i]) / TEMPERATURE).exp() / constant
        return p / (p + m * noise_probability)

    total = torch.zeros((), dtype=f.dtype)
    for i in range(len(f)):
        total = total - h(i, int(index[i])).log() - sum((1 - h(i, int(j))).log() for j in noise)
    return total / len(f)


def test_nce_and_its_gradient_are_those_of_the_paper() -> None:
    f, bank = unit(5, 4, 0).requires_grad_(), unit(N, 4, 1)
    index, noise = torch.tensor([3, 0, 31, 7, 8]), torch.tensor([1, 3, 30, 30, 2, 9, 15])
    own = (f * bank[index]).sum(1) / TEMPERATURE
    loss = nce(own, similarity(f, bank[noise], TEMPERATURE), torch.tensor(100.0).log().double(), N)
    expected = nce_by_the_paper(f, bank, index, noise, 100.0)
    torch.testing.assert_close(loss, expected, rtol=1e-7, atol=0)
    torch.testing.assert_close(
        *(torch.autograd.grad(value, f) for value in (loss, expected)), rtol=1e-6, atol=1e-9
    )


def test_the_full_softmax_is_that_of_the_paper() -> None:
    f, bank = unit(5, 4, 0).requires_grad_(), unit(N, 4, 1)
    index = torch.tensor([3, 0, 31, 7, 8])
    loss = softmax(similarity(f, bank, TEMPERATURE), index)
    terms = [[(row.dot(one) / TEMPERATURE).exp() for row in bank] for one in f]
    expected = -sum((terms[i][int(index[i])] / sum(terms[i])).log() for i in range(5)) / 5
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=0)
    torch.testing.assert_close(
        *(torch.autograd.grad(value, f) for value in (loss, expected)), rtol=1e-9, atol=1e-12
    )


def build(**changes: object) -> NPID:
    fields = {
        "projector": (6,), "temperature": TEMPERATURE, "negatives": 10, "proximal_weight": 0.0, "bank_momentum": 0.5,
    }  # fmt: skip
    torch.manual_seed(0)
    config = NPID.Config(**ENCODER, **{**fields, **changes})  # type: ignore[arg-type]
    return NPID(config, inputs(train_images=N, a=STILL))


def embeddings(method: NPID, images: Tensor) -> Tensor:
    return F.normalize(method.embed(images), dim=1)


@pytest.mark.parametrize("negatives", [0, 10])
def test_the_proximal_term_is_the_squared_way_of_the_embedding(negatives: int) -> None:
    without, with_term = (
        build(negatives=negatives).train(),
        build(negatives=negatives, proximal_weight=30.0).train(),
    )
    batch = batch_of(8, first=4)
    torch.manual_seed(1)
    plain, _ = without.loss(batch)
    torch.manual_seed(1)
    loss, terms = with_term.loss(batch)
    f = embeddings(without, batch.images)
    way = torch.stack([(f[i] - without.bank.values[4 + i]).square().sum() for i in range(8)]).mean()
    torch.testing.assert_close(terms["proximal"], way)
    torch.testing.assert_close(loss, plain + 30 * way)  # Eq. 10


def test_the_constant_is_estimated_from_the_first_batch_and_then_kept() -> None:
    method, batch = build().train(), batch_of(8)
    torch.manual_seed(1)
    random_rows = method.bank.values.clone()
    update = Recorder()
    method.step(stream_of(batch), update)
    constant = method.log_constant.clone()
    torch.manual_seed(1)
    # the views of a still image draw as well: the same calls, so the same noise
    f = embeddings(method, method.views["a"](batch.images))
    noise = random_rows[method.bank.draw(10)]
    expected = N * (f @ noise.T / TEMPERATURE).exp().mean()  # Eq. 8
    torch.testing.assert_close(constant.exp(), expected.detach(), rtol=1e-5, atol=0)
    update.step = 1
    method.step(stream_of(batch_of(8, first=8)), update)
    assert torch.equal(method.log_constant, constant)


def test_the_full_softmax_estimates_nothing_and_compares_with_every_image() -> None:
    method, batch = build(negatives=0).train(), batch_of(8, first=4)
    before = method.bank.values.clone()
    update = Recorder()
    method.step(stream_of(batch), update)
    assert float(method.log_constant) == pytest.approx(math.log(N))
    expected = F.cross_entropy(embeddings(method, batch.images) @ before.T / TEMPERATURE, batch.index)
    torch.testing.assert_close(update.losses[0], expected.detach())


def test_rows_of_the_batch_move_after_the_update() -> None:
    method, batch = build(bank_momentum=0.75).train(), batch_of(8, first=4)
    before = method.bank.values.clone()
    method.step(stream_of(batch), Recorder(step=1, images=640))
    f = embeddings(method, batch.images).detach()
    torch.testing.assert_close(method.bank.values[4:12], F.normalize(0.75 * before[4:12] + 0.25 * f, dim=1))
    assert torch.equal(method.bank.values[:4], before[:4])
    assert torch.equal(method.bank.values[12:], before[12:])
    assert method.bank.updated_at[4:12].tolist() == [640] * 8


def test_panels_show_the_age_of_the_bank() -> None:
    method = build().train()
    for number in range(4):
        method.step(stream_of(batch_of(8, first=8 * number)), Recorder(step=number, images=8 * number))
    with torch.no_grad():
        panels = {panel.name: panel for panel in method.eval().panels(batch_of(8))}
    assert set(panels) == {"logits", "bank-age", "similarity", "views"}
    assert (panels["bank-age"].array[0, 0], panels["bank-age"].array[0, -1]) == (0, 24)
    assert "32 rows of the bank" in panels["bank-age"].caption
