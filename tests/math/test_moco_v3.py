"""MoCo v3: Algorithm 1 of the paper, the frozen patch projection, and two ranks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from sslterm.errors import UsageError
from sslterm.methods.joint_embedding.moco_v3 import MoCoV3, contrast
from sslterm.nn.norm import BatchNorm
from tests.embedding_parts import ENCODER, Recorder, batch_of, inputs, stream_of, unit

TEMPERATURE = 0.3


def by_the_paper(q: Tensor, k: Tensor, first: int) -> Tensor:
    """`ctr` of Alg. 1, entry by entry."""
    total = torch.zeros((), dtype=q.dtype)
    for i in range(len(q)):
        terms = [(q[i].dot(key) / (q[i].norm() * key.norm() * TEMPERATURE)).exp() for key in k]
        total = total - (terms[first + i] / sum(terms)).log()
    return 2 * TEMPERATURE * total / len(q)


@pytest.mark.parametrize("first", [0, 3])
def test_value_and_gradient_are_those_of_the_paper(first: int) -> None:
    q, k = (2 * unit(4, 5, 0)).requires_grad_(), 3 * unit(8, 5, 1)
    loss, recognised = contrast(q, k, first, TEMPERATURE)
    expected = by_the_paper(q, k, first)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(
        *(torch.autograd.grad(value, q) for value in (loss, expected)), rtol=1e-10, atol=1e-14
    )
    cosines = unit(4, 5, 0) @ unit(8, 5, 1).T
    own = torch.arange(4) + first
    assert float(recognised) == (cosines.argmax(1) == own).double().mean()


def test_two_halves_have_the_mean_of_the_whole() -> None:
    q, k = unit(8, 5, 0), unit(8, 5, 1)
    halves = [contrast(q[at : at + 4], k, at, TEMPERATURE)[0] for at in (0, 4)]
    torch.testing.assert_close(sum(halves) / 2, contrast(q, k, 0, TEMPERATURE)[0], rtol=1e-12, atol=0)


def build(**changes: object) -> MoCoV3:
    fields = {
        "projector": (16, 6),
        "predictor": (12,),
        "predictor_batch_norm": True,
        "temperature": TEMPERATURE,
        "key_momentum": 0.9,
        "freeze_patches": False,
    }
    torch.manual_seed(0)
    return MoCoV3(MoCoV3.Config(**{**ENCODER, **fields, **changes}), inputs())  # type: ignore[arg-type]


def test_the_loss_is_symmetric_and_predicts_the_other_views_key() -> None:
    method, batch = build().train(), batch_of(8)
    torch.manual_seed(1)
    loss, aux = method.loss(batch)
    torch.manual_seed(1)
    a, b = method.random_views(batch.images)
    terms = [
        contrast(method.predictor(method.embed(one)), method.key_encoder(other), 0, TEMPERATURE)[0]
        for one, other in ((a, b), (b, a))
    ]
    torch.testing.assert_close(loss, terms[0] + terms[1])
    assert set(aux) == {"recognised"}


@pytest.mark.parametrize(("progress", "momentum"), [(0.0, 0.9), (0.5, 0.95), (1.0, 1.0)])
def test_the_key_encoder_follows_after_the_update_ever_more_slowly(progress: float, momentum: float) -> None:
    method = build().train()
    before = [p.clone() for p in method.key_encoder.parameters()]

    class Trains(Recorder):
        def __call__(self, name, loss_fn, batch):  # type: ignore[no-untyped-def]
            handed = super().__call__(name, loss_fn, batch)
            with torch.no_grad():
                for parameter in method.query_encoder().parameters():
                    parameter += 1
            return handed

    method.step(stream_of(batch_of(8)), Trains(progress=progress))
    for key, old, query in zip(
        method.key_encoder.parameters(), before, method.query_encoder().parameters(), strict=True
    ):
        torch.testing.assert_close(key, momentum * old + (1 - momentum) * query)


@pytest.mark.parametrize("predictor_batch_norm", [True, False])
def test_heads_are_normalised_the_prediction_of_a_resnet_is_not(predictor_batch_norm: bool) -> None:
    """`_build_mlp(2, dim, mlp_dim, dim, False)` in MoCo_ResNet, with True in MoCo_ViT, of the authors' code."""
    method = build(predictor_batch_norm=predictor_batch_norm)
    ends = ((method.projector, [False, True]), (method.predictor, [False, True][: 1 + predictor_batch_norm]))
    for head, without_scale in ends:
        norms = [part for part in head.modules() if isinstance(part, BatchNorm)]
        assert [norm.weight is None for norm in norms] == without_scale  # the last has no scale
    z = method.train().embed(batch_of(8).images)
    torch.testing.assert_close(z.mean(0), torch.zeros(6), atol=1e-5, rtol=0)


def test_neither_the_key_encoder_nor_frozen_patches_are_trained() -> None:
    vit = {"backbone": "vit-tiny", "widths": (), "patch": 8}
    for frozen in (False, True):
        method = build(**vit, freeze_patches=frozen)
        patches = {id(parameter) for parameter in method.encoder.net.embed.parameters()}
        trained = {id(parameter) for parameter in method.parameter_groups()["main"]}
        assert trained.isdisjoint(map(id, method.key_encoder.parameters()))
        assert trained.isdisjoint(patches) if frozen else patches <= trained
        assert {id(parameter) for parameter in method.predictor.parameters()} <= trained
    assert torch.equal(method.key_encoder[0].net.embed.weight, method.encoder.net.embed.weight)
    assert torch.isfinite(method.train().loss(batch_of(4))[0])


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(UsageError, match="conv has no patch projection"):
        build(freeze_patches=True)
    with pytest.raises(UsageError, match=r"method.projector has no layers"):
        build(projector=())


def test_the_logits_panel_compares_with_the_other_images() -> None:
    method = build().eval()
    with torch.no_grad():
        panels = {panel.name: panel for panel in method.panels(replace(batch_of(8)))}
    assert set(panels) == {"logits", "similarity", "views"}
    assert "8 held-out queries" in panels["logits"].caption
    assert panels["logits"].array.shape == (2, 64)
    assert panels["logits"].array.sum() == pytest.approx(200, abs=1e-3)
