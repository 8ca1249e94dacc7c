"""Rotation: what is turned, the loss over all turns, and what the panels show."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.methods.pretext.rotation import Rotation, rotations_panel, turn, which
from tests.embedding_parts import ENCODER, STILL, batch_of, images_of, inputs, view


def build(turns: int = 4, given: Inputs | None = None) -> Rotation:
    torch.manual_seed(0)
    config = Rotation.Config(**ENCODER, turns=turns)  # type: ignore[arg-type]
    return Rotation(config, given or inputs(a=STILL))


def rotated(image: Tensor, degrees: int) -> Tensor:
    """Counter-clockwise as seen, pixel by pixel: a quarter turn takes column x, from the left, to row S - 1 - x."""
    for _ in range(degrees // 90):
        side = image.shape[1]
        result = torch.empty_like(image)
        for row in range(side):
            for column in range(side):
                result[:, side - 1 - column, row] = image[:, row, column]
        image = result
    return image


@pytest.mark.parametrize("turns", [2, 4])
def test_turns_are_counter_clockwise(turns: int) -> None:
    images = images_of(3, side=5)
    turned = turn(images, turns)
    assert turned.shape == (turns, 3, 3, 5, 5)
    for number in range(turns):
        for image, result in zip(images, turned[number], strict=True):
            assert torch.equal(result, rotated(image, 360 // turns * number))
    assert which(turned).tolist() == [number for number in range(turns) for _ in range(3)]


def test_the_loss_is_the_mean_over_images_and_turns() -> None:
    method, batch = build().eval(), batch_of(5)
    loss, aux = method.loss(batch)
    terms, hits = [], 0
    for image in batch.images:
        for y in range(4):
            logits = method.head(method.encoder(rotated(image, 90 * y)[None]))[0].double()
            terms.append(-(logits[y] - logits.exp().sum().log()))  # -log F_y(g(x, y)), Eq. 3
            hits += int(logits.argmax()) == y
    torch.testing.assert_close(loss.double(), torch.stack(terms).mean(), rtol=1e-5, atol=1e-6)
    assert aux["accuracy"].item() == pytest.approx(hits / 20)


def test_all_turns_of_an_image_are_of_one_view() -> None:
    method = build(given=inputs(a=view(crop=(0.2, 0.6))))
    torch.manual_seed(3)
    seen = []
    method.encoder.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    method.loss(batch_of(6))
    first, *others = seen[0].unflatten(0, (4, 6))
    assert first.shape == (6, 3, 16, 16)
    for quarters, other in enumerate(others, start=1):
        assert torch.equal(other, first.rot90(quarters, (2, 3)))
    assert not torch.equal(first, batch_of(6).images)


def test_accuracy_is_the_share_of_turns_of_each_image() -> None:
    method, images = build().eval(), images_of(7)
    with torch.no_grad():
        (accuracy,) = method.solve(images).values()
        answers = torch.stack(
            [method.head(method.encoder(images.rot90(y, (2, 3)))).argmax(1) for y in range(4)]
        )
    torch.testing.assert_close(accuracy, (answers == torch.arange(4)[:, None]).float().mean(0))
    assert method.solved["accuracy"].endswith("(chance 0.25)")


def test_a_network_that_sees_where_the_bright_corner_is_names_every_turn() -> None:
    """The mean over the upper left quarter, over the lower left, ...: a corner moves counter-clockwise."""
    method = build().eval()
    images = torch.zeros(4, 3, 16, 16)
    images[:, :, :8, :8] = 1

    def corners(x: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(x.mean(1, keepdim=True), 2).flatten(1)[:, [0, 2, 3, 1]]

    method.encoder = torch.nn.Identity()  # type: ignore[assignment]
    method.encoder.forward = corners  # type: ignore[method-assign]
    method.head = torch.nn.Linear(4, 4, bias=False)
    torch.nn.init.eye_(method.head.weight)
    assert method.solve(images)["accuracy"].tolist() == [1.0] * 4


def test_images_that_are_not_square_turn_by_halves_alone() -> None:
    wide = replace(inputs(a=STILL), width=24)
    with pytest.raises(UsageError, match="16 x 24 pixels cannot be turned by 90 degrees") as caught:
        build(given=wide)
    assert "augment.a.size=16" in caught.value.hint
    assert "method.turns=2" in caught.value.hint
    method = build(2, wide).eval()
    figures = method.solve(torch.rand(3, 3, 16, 24))
    assert set(figures["accuracy"].tolist()) <= {0.0, 0.5, 1.0}
    assert method.angles == ("0°", "180°")
    square = replace(inputs(a=view(size=12)), width=24)
    assert build(given=square).solve(torch.rand(3, 3, 16, 24))["accuracy"].shape == (3,)


def test_views_are_those_it_needs() -> None:
    with pytest.raises(
        UsageError, match=r"\[augment\.a\], and the preset has \[augment\.a\] and \[augment\.b\]"
    ):
        build(given=inputs("a", "b"))


def test_layers_are_those_of_the_encoder_and_the_last_is_the_encoding() -> None:
    method, images = build().eval(), images_of(3)
    layers = method.layers(images)
    assert list(layers) == ["stage1", "stage2", "pooled"]
    assert torch.equal(layers["pooled"], method.encode(images))


def test_the_panel_turns_back_by_what_was_said() -> None:
    turned = turn(images_of(2, side=6), 4)
    given = torch.tensor([[0, 0], [1, 3], [2, 2], [3, 1]])
    panel = rotations_panel(turned, given, ("0°", "90°", "180°", "270°"))
    rows = torch.from_numpy(panel.array).unflatten(0, (2, 8))
    assert torch.equal(rows[:, :4], turned.transpose(0, 1))
    for column in range(4):
        assert torch.equal(rows[0, 4 + column], turned[0, 0]), "upright again"
    assert torch.equal(rows[1, 5], turned[2, 1]), "turned by 90, and back by 270"
    assert "75 % are upright" in panel.caption
