"""Context encoders: masks, the weighted error and the game, and that nothing hidden is seen."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs, LossFn
from sslterm.methods.pretext.context_encoder import ContextEncoder, context_error
from sslterm.nn.inpainting import ChannelwiseLinear
from sslterm.nn.masks import (
    NOISE_SIDE,
    MaskKind,
    border_mean,
    dilate,
    fill_with_border,
    hidden_error,
    make_masks,
)

CONFIG = ContextEncoder.Config(
    masks=("center", "random", "bottom"),
    widths=(6, 8),
    discriminator_widths=(5, 7),
    leak=0.2,
    init_std=0.02,
    overlap_pixels=1,
    overlap_weight=10.0,
    adversarial_weight=0.001,
)
INPUTS = Inputs(channels=3, height=16, width=16, train_images=100)


def build(config: ContextEncoder.Config = CONFIG) -> ContextEncoder:
    torch.manual_seed(0)
    return ContextEncoder(config, INPUTS)


def pictures(n: int = 8) -> Tensor:
    return torch.rand(n, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def batch_of(images: Tensor) -> Batch:
    return Batch(images, torch.arange(len(images)), torch.full((len(images),), -1))


def masks_of(kind: MaskKind, n: int = 8, side: int = 16) -> Tensor:
    noise = torch.randn(n, 1, NOISE_SIDE, NOISE_SIDE, generator=torch.Generator().manual_seed(2))
    return make_masks(kind, noise, side, side)


# -- masks


def test_a_quarter_or_a_half_is_hidden() -> None:
    center, random, bottom = (masks_of(kind, side=32) for kind in ("center", "random", "bottom"))
    assert torch.equal(center[0, 0].nonzero().amin(0), torch.tensor([8, 8]))
    assert torch.equal(center[0, 0].nonzero().amax(0), torch.tensor([23, 23]))
    assert (center.sum((1, 2, 3)) == 256).all()
    assert (bottom[:, :, 16:] == 1).all()
    assert (bottom[:, :, :16] == 0).all()
    assert (random.sum((1, 2, 3)) == 256).all()
    assert not torch.equal(random[0], random[1])
    edges = random.diff(dim=2).abs().sum() + random.diff(dim=3).abs().sum()
    assert edges / len(random) < 160, "pieces, where specks would have 768 edges"
    assert make_masks("center", torch.zeros(1, 1, 5, 5), 6, 10).sum() == 15
    assert set(random.unique().tolist()) == {0.0, 1.0}


def test_dilation_and_the_colour_of_the_border() -> None:
    masks, images = masks_of("random"), pictures()
    grown = dilate(masks, 2)
    for n, y, x in itertools.product(range(3), range(16), range(16)):
        near = masks[n, 0, max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
        assert grown[n, 0, y, x] == near.max()
    ring = (dilate(masks, 1) > 0) & (masks == 0)
    for n in range(8):
        mean = images[n][:, ring[n, 0]].mean(1)
        torch.testing.assert_close(border_mean(images, masks)[n, :, 0, 0], mean)
    filled = fill_with_border(images, masks)
    assert torch.equal(filled * (1 - masks), images * (1 - masks))
    torch.testing.assert_close(filled[0][:, masks[0, 0] > 0][:, 0], border_mean(images, masks)[0, :, 0, 0])
    hidden = (masks > 0).expand_as(images)
    expected = torch.stack([(filled - images)[n][hidden[n]].square().mean() for n in range(8)])
    torch.testing.assert_close(hidden_error(filled, images, masks), expected)


# -- the losses


def test_the_error_counts_hidden_pixels_and_the_band_more() -> None:
    generator = torch.Generator().manual_seed(0)
    answers, images = torch.randn(2, 8, 3, 16, 16, generator=generator, dtype=torch.float64)
    masks = masks_of("random").double()
    band = dilate(masks, 2) - masks
    total = torch.zeros((), dtype=torch.float64)
    for n in range(8):
        weighted, places = 0.0, 0
        for y, x in itertools.product(range(16), range(16)):
            weight = 1.0 if masks[n, 0, y, x] else 10.0 if band[n, 0, y, x] else 0.0
            places += weight > 0
            weighted += weight * float((answers - images)[n, :, y, x].square().mean())
        total += weighted / places / 8
    torch.testing.assert_close(context_error(answers, images, masks, band=band, weight=10.0), total)
    outside = (masks + band == 0).expand_as(images)
    changed = torch.where(outside, answers + 5, answers)
    torch.testing.assert_close(context_error(changed, images, masks, band=band, weight=10.0), total)


def test_losses_are_those_of_the_objective() -> None:
    method, batch = build(replace(CONFIG, adversarial_weight=0.25)), batch_of(pictures())
    x = 2 * batch.images - 1
    torch.manual_seed(5)
    loss, aux = method.loss(batch)
    torch.manual_seed(5)
    masks = method.draw_masks(batch.images)
    answers = method.answer(x, masks)
    whole = dilate(masks, 1)
    d = method.discriminator(answers * whole).double().sigmoid()
    reconstruction = context_error(answers, x, masks, band=whole - masks, weight=10.0).double()
    torch.testing.assert_close(aux["reconstruction"].double(), reconstruction)
    torch.testing.assert_close(loss.double(), 0.75 * reconstruction - 0.25 * d.log().mean())
    torch.manual_seed(5)
    loss, aux = method.discriminator_loss(batch)
    real = method.discriminator(x * whole).double().sigmoid()
    torch.testing.assert_close(loss.double(), -real.log().mean() - (1 - d).log().mean())
    torch.testing.assert_close(aux["real"].double(), real.mean())
    torch.testing.assert_close(aux["fake"].double(), d.mean())


def test_a_step_is_one_update_of_each() -> None:
    method = build().train()
    groups = method.parameter_groups()
    assert sum(map(len, groups.values())) == len(list(method.parameters()))
    calls: list[str] = []

    def update(name: str, loss_fn: LossFn, batch: Batch) -> dict[str, Tensor]:
        loss, _ = loss_fn(batch)
        loss.backward(inputs=groups[name])
        graded = {id(parameter) for parameter in method.parameters() if parameter.grad is not None}
        assert graded == {id(parameter) for parameter in groups[name]}
        method.zero_grad(set_to_none=True)
        calls.append(name)
        return {}

    method.step(itertools.repeat(batch_of(pictures())), update)  # type: ignore[arg-type]
    assert calls == ["discriminator", "main"]


def test_each_picture_draws_its_kind() -> None:
    method = build()
    torch.manual_seed(0)
    masks = method.draw_masks(pictures().repeat(50, 1, 1, 1))
    center, bottom = masks_of("center", 1), masks_of("bottom", 1)
    shares = [(masks == kind).all(3).all(2).all(1).float().mean() for kind in (center, bottom)]
    assert all(abs(share - 1 / 3) < 0.08 for share in shares)
    alone = build(replace(CONFIG, masks=("bottom",))).draw_masks(pictures())
    assert torch.equal(alone, bottom.expand_as(alone))


# -- the network


def test_the_channelwise_layer_mixes_places_and_not_maps() -> None:
    torch.manual_seed(0)
    layer = ChannelwiseLinear(3, 2, 4)
    x = torch.randn(5, 3, 2, 4, requires_grad=True)
    expected = torch.stack([x[:, m].flatten(1) @ layer.weight[m] + layer.bias[m] for m in range(3)], 1)
    torch.testing.assert_close(layer(x), expected.view(5, 3, 2, 4))
    assert layer.weight.numel() == 3 * 8**2  # m n^4
    (gradient,) = torch.autograd.grad(layer(x)[0, 1].sum(), x)
    assert gradient[0, 1].abs().min() > 0
    assert gradient[0, [0, 2]].abs().max() == 0


def test_nothing_hidden_is_seen_and_nothing_seen_is_changed() -> None:
    method, images = build().eval(), pictures()
    masks = masks_of("random")
    other = torch.where(masks > 0, torch.rand_like(images), images)
    (filled,) = method.complete(images, masks, torch.Generator())
    (again,) = method.complete(other, masks, torch.Generator())
    assert torch.equal(filled, again)
    seen = (masks == 0).expand_as(images)
    assert torch.equal(filled[seen], images[seen])
    assert not torch.equal(filled[~seen], images[~seen])
    assert filled.min() >= 0
    assert filled.max() <= 1


def test_answers_depend_on_all_that_is_seen() -> None:
    method, images = build().eval(), pictures(1).requires_grad_()
    mask = masks_of("center", 1)
    answer = method.answer(images, mask)
    (gradient,) = torch.autograd.grad(answer[0, :, 8, 8].sum(), images)
    seen = mask[0, 0] == 0
    assert (gradient[0].abs().sum(0)[seen] > 0).all()
    assert gradient[0].abs().sum(0)[~seen].max() == 0


def test_figures_of_the_task() -> None:
    method, images = build().eval(), pictures()
    torch.manual_seed(3)
    figures = method.solve(images)
    torch.manual_seed(3)
    masks = method.draw_masks(images)
    (filled,) = method.complete(images, masks, torch.Generator())
    torch.testing.assert_close(figures["mse_masked"], hidden_error(filled, images, masks))
    torch.testing.assert_close(
        figures["mse_masked_border"], hidden_error(fill_with_border(images, masks), images, masks)
    )
    layers = method.layers(images)
    assert list(layers) == ["conv1", "conv2", "pooled", "exchange"]
    assert torch.equal(layers["pooled"], F.adaptive_avg_pool2d(layers["conv2"], 1).flatten(1))


def test_a_small_network_learns_to_continue_stripes() -> None:
    """Pictures of horizontal stripes are known wherever their left side is: the mean of the border is not enough."""
    torch.manual_seed(0)
    method = build(replace(CONFIG, masks=("center",), widths=(16, 24))).train()
    optimizer = torch.optim.Adam(method.network.parameters(), 5e-3, betas=(0.5, 0.999))
    for _ in range(150):
        stripes = torch.rand(32, 3, 8, 1).repeat_interleave(2, 2).expand(-1, -1, -1, 16)
        loss, _ = method.loss(batch_of(stripes))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    method.eval()
    figures = method.solve(torch.rand(64, 3, 8, 1).repeat_interleave(2, 2).expand(-1, -1, -1, 16))
    assert figures["mse_masked"].mean() < 0.7 * figures["mse_masked_border"].mean()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"masks": ()}, r"method\.masks = \[\]"),
        ({"masks": ("center", "center")}, "each once"),
        ({"widths": (2, 2, 2, 2, 2)}, r"method\.widths: a side of 16x16 pixels cannot be halved 5 times"),
        ({"discriminator_widths": (2, 2, 2)}, r"method\.discriminator_widths: 3 widths are for images of 32x32"),
        ({"overlap_pixels": 4}, r"method\.overlap_pixels = 4"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(replace(CONFIG, **changes))  # type: ignore[arg-type]


def test_the_discriminator_is_shown_what_was_hidden_and_no_more() -> None:
    method = build(replace(CONFIG, masks=("center",)))
    seen: list[Tensor] = []

    class Spy(nn.Module):
        def forward(self, images: Tensor, *, remember: bool = True) -> Tensor:
            seen.append(images)
            return images.flatten(1).sum(1)

    method.discriminator = Spy()  # type: ignore[assignment]
    method.discriminator_loss(batch_of(pictures()))
    method.loss(batch_of(pictures()))
    whole = dilate(masks_of("center"), 1).expand(-1, 3, -1, -1) > 0
    for images in seen:
        assert images[~whole].abs().max() == 0
        assert images[whole].abs().min() > 0
    assert len(seen) == 3
