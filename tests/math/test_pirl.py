"""PIRL: Eq. 3 to 5 of the paper, the jigsaw and the rotation, and the memory bank."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.errors import UsageError
from sslterm.methods.joint_embedding.pirl import PIRL, nce
from sslterm.nn.tiles import cut, pick
from tests.embedding_parts import ENCODER, STILL, Recorder, batch_of, inputs, stream_of, unit

TEMPERATURE = 0.2


def nce_by_the_paper(w: Tensor, bank: Tensor, index: Tensor, drawn: Tensor) -> Tensor:
    """Eq. 3 and 4, entry by entry, noise without the image itself."""
    total = torch.zeros((), dtype=w.dtype)
    for i in range(len(w)):
        noise = [bank[j] for j in drawn if j != index[i]]

        def h(row: Tensor, i: int = i, noise: list[Tensor] = noise) -> Tensor:
            score = (row.dot(w[i]) / TEMPERATURE).exp()
            return score / (score + sum((other.dot(w[i]) / TEMPERATURE).exp() for other in noise))

        total = total - h(bank[index[i]]).log() - sum((1 - h(row)).log() for row in noise)
    return total / len(w)


def test_value_and_gradient_are_those_of_the_paper() -> None:
    w, bank = unit(5, 4, 0).requires_grad_(), unit(32, 4, 1)
    index, drawn = torch.tensor([3, 0, 31, 7, 8]), torch.tensor([1, 3, 30, 30, 7, 9, 15])
    loss = nce(w, bank[index], bank[drawn], index[:, None] == drawn, TEMPERATURE)
    expected = nce_by_the_paper(w, bank, index, drawn)
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=0)
    torch.testing.assert_close(
        *(torch.autograd.grad(value, w) for value in (loss, expected)), rtol=1e-9, atol=1e-12
    )


def build(transform: str = "jigsaw", side: int = 18, **changes: object) -> PIRL:
    fields = {
        "transform": transform, "dimensions": 6, "temperature": TEMPERATURE, "negatives": 10,
        "transformed_weight": 0.25, "bank_momentum": 0.5,
    }  # fmt: skip
    views = changes.pop(
        "views", {"a": STILL, "b": STILL, **({"tile": STILL} if transform == "jigsaw" else {})}
    )
    torch.manual_seed(0)
    config = PIRL.Config(**ENCODER, **{**fields, **changes})  # type: ignore[arg-type]
    return PIRL(config, inputs(side=side, **views))  # type: ignore[arg-type]


@pytest.mark.parametrize("side", [18, 20])
def test_tiles_are_cut_in_order_of_reading(side: int) -> None:
    images = batch_of(2, side=side).images
    tiles = cut(images, 3)
    assert tiles.shape == (2, 9, 3, 6, 6)
    rest = (side - 18) // 2
    for number in range(9):
        top, left = rest + 6 * (number // 3), rest + 6 * (number % 3)
        assert torch.equal(tiles[:, number], images[:, :, top : top + 6, left : left + 6])


def test_the_jigsaw_shuffles_every_image_in_its_own_way() -> None:
    images = batch_of(8, side=18).images
    tiles, shuffled = cut(images, 3), build().transform(images)
    orders = set()
    for before, after in zip(tiles, shuffled, strict=True):
        order = [next(i for i in range(9) if torch.equal(before[i], tile)) for tile in after]
        assert sorted(order) == list(range(9))
        orders.add(tuple(order))
    assert len(orders) == 8


def test_every_tile_has_a_view_of_its_own() -> None:
    tile = replace(STILL, size=4, crop=(4 / 9, 4 / 9))  # 4 of 6 pixels, anywhere: jitter and gap
    method = build(views={"a": STILL, "b": STILL, "tile": tile})
    image = torch.arange(18 * 18).view(1, 1, 18, 18).expand(32, 3, -1, -1) / 324
    corners = (method.transform(image)[:, :, 0, 0, 0] * 324).round().long()  # [B, 9]
    places = torch.stack((corners // 18 % 6, corners % 18 % 6), dim=-1).flatten(0, 1)
    assert places.max() == 2
    assert places.min() == 0
    assert len(places.unique(dim=0)) == 9
    assert any(len(one.unique(dim=0)) > 1 for one in places.view(32, 9, 2))


def test_the_rotation_turns_by_quarters() -> None:
    images = batch_of(32, side=18).images
    turned = build("rotation").transform(images)
    seen = [
        next(k for k in range(4) if torch.equal(image.rot90(k, (1, 2)), result))
        for image, result in zip(images, turned, strict=True)
    ]
    assert set(seen) == {0, 1, 2, 3}


def test_pick_takes_rows_of_each() -> None:
    choices = torch.arange(12).view(3, 4)
    assert pick(choices, torch.tensor([1, 0, 3])).tolist() == [1, 4, 11]
    assert pick(choices, torch.tensor([[1, 0], [2, 2], [3, 0]])).tolist() == [[1, 0], [6, 6], [11, 8]]


def test_g_concatenates_what_a_shared_network_sees_in_the_tiles() -> None:
    method = build().eval()
    tiles = method.transform(batch_of(4, side=18).images)
    heads = [method.transformed_head(method.encoder(tiles[:, i])) for i in range(9)]  # [B, D] each
    expected = F.normalize(method.joint_head(torch.cat(heads, dim=1)), dim=1)
    torch.testing.assert_close(method.embed_transformed(tiles), expected)


@pytest.mark.parametrize("transform", ["jigsaw", "rotation"])
def test_the_loss_weighs_two_terms_against_the_bank(transform: str) -> None:
    method, batch = build(transform).train(), batch_of(8, side=18, first=4)
    torch.manual_seed(1)
    loss, aux = method.loss(batch)
    torch.manual_seed(1)
    a, b = method.random_views(batch.images)
    transformed = method.transform(b)
    drawn = method.bank.draw(10)
    f, g = method.embed(a), method.embed_transformed(transformed)
    terms = [nce_by_the_paper(w, method.bank.values, batch.index, drawn) for w in (g, f)]
    torch.testing.assert_close(aux["transformed"], terms[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(loss, 0.25 * terms[0] + 0.75 * terms[1], rtol=1e-4, atol=1e-5)  # Eq. 5
    torch.testing.assert_close(aux["f"], f)


def test_the_bank_keeps_what_f_says_after_the_update() -> None:
    method, batch = build().train(), batch_of(8, side=18, first=4)
    before = method.bank.values.clone()
    method.step(stream_of(batch), Recorder(images=640))
    f = method.embed(batch.images).detach()
    torch.testing.assert_close(method.bank.values[4:12], F.normalize((before[4:12] + f) / 2, dim=1))
    assert torch.equal(method.bank.values[12:], before[12:])
    assert method.bank.updated_at[4:12].tolist() == [640] * 8


def test_both_heads_are_trained() -> None:
    for transform in ("jigsaw", "rotation"):
        method = build(transform).train()
        method.loss(batch_of(8, side=18))[0].backward()
        assert all(parameter.grad is not None and parameter.grad.any() for parameter in method.parameters())


def test_views_are_those_of_the_transformation() -> None:
    with pytest.raises(
        UsageError, match=r"\[augment.a\] and \[augment.b\] and \[augment.tile\], and the preset has"
    ):
        build(views={"a": STILL, "b": STILL})
    with pytest.raises(UsageError, match=r"takes its views from \[augment.a\] and \[augment.b\], and"):
        build("rotation", views={"a": STILL, "b": STILL, "tile": STILL})


@pytest.mark.parametrize(("transform", "columns"), [("jigsaw", 18), ("rotation", 18)])
def test_panels_show_the_image_beside_its_transformation(transform: str, columns: int) -> None:
    method = build(transform).eval()
    batch = batch_of(8, side=18)
    with torch.no_grad():
        panels = {panel.name: panel for panel in method.panels(batch)}
    assert set(panels) == {"similarity", "logits", "bank-age", "transformed"}
    shown = panels["transformed"].array
    assert shown.shape == (16, 3, 18, columns)
    torch.testing.assert_close(torch.from_numpy(shown[0::2].copy()), batch.images)
    assert math.isfinite(float(panels["similarity"].array.sum()))
