"""MoCo: Eq. 1 and 2 and Algorithm 1 of the paper, shuffled BatchNorm, and the loss beside lightly's."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.errors import UsageError
from sslterm.methods.joint_embedding.moco import MoCo, info_nce
from sslterm.nn.norm import BatchNorm, SplitBatchNorm
from tests.embedding_parts import ENCODER, STILL, Recorder, batch_of, inputs, stream_of, unit, view

TEMPERATURE = 0.2


def by_the_paper(q: Tensor, k: Tensor, queue: Tensor) -> Tensor:
    """Eq. 1, entry by entry."""
    total = torch.zeros((), dtype=q.dtype)
    for i in range(len(q)):
        positive = (q[i].dot(k[i]) / TEMPERATURE).exp()
        negatives = sum((q[i].dot(key) / TEMPERATURE).exp() for key in queue)
        total = total - (positive / (positive + negatives)).log()
    return total / len(q)


def test_value_and_gradient_are_those_of_the_paper() -> None:
    q, k, queue = unit(6, 5, 0).requires_grad_(), unit(6, 5, 1), unit(17, 5, 2)
    loss, recognised = info_nce(q, k, queue, TEMPERATURE)
    expected = by_the_paper(q, k, queue)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(
        *(torch.autograd.grad(value, q) for value in (loss, expected)), rtol=1e-10, atol=1e-14
    )
    nearest = [bool((q[i] @ queue.T).max() < q[i] @ k[i]) for i in range(6)]
    assert float(recognised) == pytest.approx(sum(nearest) / 6)


def test_agrees_with_lightly() -> None:
    loss_of = pytest.importorskip("lightly.loss").NTXentLoss(
        temperature=TEMPERATURE, memory_bank_size=(32, 5)
    )
    first, second = unit(16, 5, 0, torch.float32), unit(16, 5, 1, torch.float32)
    for keys in (first, second):  # fills lightly's own queue
        loss_of(keys.clone().requires_grad_(), keys.clone())
    bank = loss_of.memory_bank.bank.clone()
    queue = bank if bank.shape[1] == 5 else bank.T
    q, k = unit(16, 5, 2, torch.float32), unit(16, 5, 3, torch.float32)
    ours, theirs = q.clone().requires_grad_(), q.clone().requires_grad_()
    loss, _ = info_nce(F.normalize(ours, dim=1), k, queue, TEMPERATURE)
    expected = loss_of(theirs, k.clone())  # which normalises inside
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(
        torch.autograd.grad(loss, ours), torch.autograd.grad(expected, theirs), rtol=1e-4, atol=1e-6
    )


def build(**changes: object) -> MoCo:
    fields = {
        "projector": (16, 6),
        "temperature": TEMPERATURE,
        "queue": 20,
        "key_momentum": 0.9,
        "batch_norm_portions": 4,
    }
    given = changes.pop("inputs", inputs())
    torch.manual_seed(0)
    return MoCo(MoCo.Config(**ENCODER, **{**fields, **changes}), given)  # type: ignore[arg-type]


def test_a_step_is_algorithm_1() -> None:
    method = build().train()
    with torch.no_grad():
        for parameter in method.query_encoder().parameters():
            parameter.add_(torch.randn_like(parameter))  # as if trained on: the two encoders differ
    before = [p.clone() for p in method.key_encoder.parameters()]
    queue, update = method.queue.values.clone(), Recorder(images=640)
    torch.manual_seed(1)
    method.step(stream_of(batch_of(8)), update)
    # Eq. 2, and before the keys are made
    pairs = zip(method.key_encoder.parameters(), before, method.query_encoder().parameters(), strict=True)
    for key, old, query in pairs:
        torch.testing.assert_close(key, 0.9 * old + 0.1 * query)
    # the loss compares with the queue as it was, and the keys go into it afterwards
    torch.manual_seed(1)
    a, b = method.random_views(batch_of(8).images)
    q, k = F.normalize(method.embed(a), dim=1), F.normalize(method.encode_keys(b), dim=1)
    torch.testing.assert_close(update.losses[0], info_nce(q, k, queue, TEMPERATURE)[0])
    torch.testing.assert_close(method.queue.values[:8], k)
    assert torch.equal(method.queue.values[8:], queue[8:])
    assert method.queue.pushed_at.tolist() == [640] * 8 + [-1] * 12


def test_the_key_encoder_is_never_trained() -> None:
    method = build()
    trained = {id(parameter) for parameter in method.parameter_groups()["main"]}
    assert trained == {id(parameter) for parameter in method.query_encoder().parameters()}
    method.train().loss(batch_of(8))[0].backward()
    assert all(parameter.grad is None for parameter in method.key_encoder.parameters())
    assert all(parameter.grad is not None for parameter in method.query_encoder().parameters())


def test_keys_are_dealt_to_portions_at_random_and_come_back_in_order() -> None:
    method, images = build().train(), batch_of(8).images
    torch.manual_seed(3)
    order = torch.randperm(8)
    expected = torch.empty(8, 6)
    for portion in order.split(2):  # each with statistics of its own
        alone = build(batch_norm_portions=1).train()
        expected[portion] = alone.key_encoder(images[portion])
    torch.manual_seed(3)
    torch.testing.assert_close(method.encode_keys(images), expected)
    assert not torch.allclose(method.key_encoder(images), expected, atol=1e-3)


def test_one_portion_is_the_whole_batch_and_draws_nothing() -> None:
    method = build(batch_norm_portions=1).train()
    assert not [part for part in method.modules() if isinstance(part, SplitBatchNorm)]
    state = torch.get_rng_state()
    keys = method.encode_keys(batch_of(8).images)
    assert torch.equal(torch.get_rng_state(), state)
    torch.testing.assert_close(keys, method.key_encoder(batch_of(8).images))


def test_heads_are_those_of_v1_and_v2() -> None:
    v1, v2 = build(projector=(6,)).projector.layers, build(projector=(16, 6)).projector.layers
    assert [type(layer) for layer in v1] == [nn.Linear]
    assert [type(layer) for layer in v2] == [nn.Linear, nn.ReLU, nn.Linear]
    assert all(layer.bias is not None for layer in (*v1, v2[0], v2[2]))
    assert not [part for part in build().projector.modules() if isinstance(part, BatchNorm)]


@pytest.mark.parametrize(
    ("changes", "what", "remedy"),
    [
        ({"queue": 7}, "method.queue = 7 is smaller than a batch of 8", "method.queue=8 or more"),
        (
            {"batch_norm_portions": 3},
            "a batch of 8 images on 1 rank cannot be cut",
            "method.batch_norm_portions=2",
        ),
        ({"batch_norm_portions": 8}, "two or more", "method.batch_norm_portions=4"),
        ({"projector": ()}, "method.projector has no layers", "give widths"),
    ],
)
def test_what_cannot_work_is_refused(changes: dict[str, object], what: str, remedy: str) -> None:
    with pytest.raises(UsageError, match=what) as error:
        build(**changes)
    assert remedy in error.value.hint


def test_a_method_that_only_encodes_needs_no_batch() -> None:
    assert build(inputs=inputs(batch=0, a=view(), b=view()), batch_norm_portions=7).queue.values.shape == (
        20,
        6,
    )


def test_panels_show_logits_and_ages() -> None:
    method = build(inputs=inputs(a=STILL, b=STILL)).eval()
    update = Recorder()
    with torch.no_grad():
        begun = {panel.name: panel for panel in method.panels(batch_of(8))}
        assert "0 % have been computed" in begun["queue-age"].caption
        for number in range(3):
            method.train().step(stream_of(batch_of(8)), update)
            update.images = 8 * (number + 1)
        shown = {panel.name: panel for panel in method.eval().panels(batch_of(8))}
    positive, negative = shown["logits"].array
    assert positive.sum() == pytest.approx(100, abs=1e-3)
    assert negative.sum() == pytest.approx(100, abs=1e-3)
    age = shown["queue-age"].array[0]
    assert (age[0], age[-1]) == (0, 16)
    assert (age[1:] >= age[:-1]).all()
    assert "100 % have been computed" in shown["queue-age"].caption
