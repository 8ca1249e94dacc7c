"""Masked autoencoders: what is kept and masked, the target, the loss, and pictures in pixels."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.config.resolve import resolve
from sslterm.config.schema import ViewConfig
from sslterm.data.batch import Batch
from sslterm.engine.optim import make_optimizer
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.methods.pretext.mae import MAE, patch_error, statistics
from sslterm.nn.patches import PatchDecoder, cut, join
from sslterm.nn.vit import positions
from sslterm.rows import rows

CONFIG = MAE.Config(
    backbone="vit-micro",
    patch=4,
    pixel_mean=(0.5,),
    pixel_std=(0.25,),
    mask_ratio=0.75,
    norm_pix=True,
    decoder_width=16,
    decoder_depth=1,
    decoder_heads=2,
    encoding="mean",
)
VIEW = replace(resolve("mae", "patterns").augment["a"], flip=0.0)
INPUTS = Inputs(channels=3, height=16, width=16, train_images=100, views={"a": VIEW})


def build(config: MAE.Config = CONFIG, inputs: Inputs = INPUTS) -> MAE:
    torch.manual_seed(0)
    return MAE(config, inputs)


def images(n: int = 6, *, height: int = 16, width: int = 16) -> Tensor:
    return torch.rand(n, 3, height, width, generator=torch.Generator().manual_seed(0))


def batch_of(images: Tensor) -> Batch:
    return Batch(images, torch.arange(len(images)), torch.full((len(images),), -1))


class Counter:
    """How many tokens pass through the blocks of a transformer."""

    def __init__(self, blocks: nn.ModuleList) -> None:
        self.seen: list[int] = []
        for block in blocks:
            block.register_forward_hook(lambda block, given, made: self.seen.append(given[0].shape[1]))


def test_only_kept_tokens_pass_through_the_encoder() -> None:
    method = build()
    encoder, decoder = Counter(method.vit.blocks), Counter(method.decoder.blocks)
    method.loss(batch_of(images()))
    assert encoder.seen == [1 + 4] * 4  # the class token and a quarter of 16 patches, in each of four blocks
    assert decoder.seen == [1 + 16]
    method.encode(images())
    assert encoder.seen[4:] == [1 + 16] * 4  # nothing is hidden when an image is encoded


def test_what_is_masked_does_not_reach_the_prediction_and_what_is_kept_does() -> None:
    method, x = build(), images(2).requires_grad_()
    kept = torch.tensor([[0, 5, 6, 15], [3, 4, 9, 10]])
    prediction, read = method.restore(x, kept)
    (gradient,) = torch.autograd.grad(prediction.square().sum() + read.square().sum(), x)
    reaches = cut(gradient, 4).abs().amax(2) > 0  # [2, 16]
    assert torch.equal(reaches, torch.zeros(2, 16, dtype=torch.bool).scatter(1, kept, True))


def test_cutting_is_in_the_order_of_reading_and_joining_undoes_it() -> None:
    x = images(2, height=8, width=12)
    patches = cut(x, 4)
    assert patches.shape == (2, 6, 48)
    assert torch.equal(patches[1, 4].view(3, 4, 4), x[1, :, 4:8, 4:8])
    assert torch.equal(join(patches, 4, 8, 12), x)


def test_masking_is_random_for_each_image_and_equal_however_the_batch_is_cut() -> None:
    method, x = build(), images(500)
    torch.manual_seed(2)
    kept, masked = method.random_masking(x)
    assert (kept.shape, masked.shape) == ((500, 4), (500, 12))
    assert torch.equal(torch.cat((kept, masked), 1).sort(1).values, torch.arange(16).expand(500, -1))
    share = torch.bincount(kept.flatten(), minlength=16) / 500
    torch.testing.assert_close(share, torch.full((16,), 0.25), rtol=0, atol=4 * 0.0194)
    torch.manual_seed(2)
    with rows(100, 300, 500):
        assert torch.equal(method.random_masking(x[100:300])[0], kept[100:300])


def brute_force_error(prediction: Tensor, patches: Tensor, *, norm_pix: bool) -> float:
    """One patch at a time, in float64."""
    errors = []
    for guess, patch in zip(prediction.double().flatten(0, 1), patches.double().flatten(0, 1), strict=True):
        mean = patch.sum() / len(patch)
        variance = (patch - mean).square().sum() / (len(patch) - 1)
        target = (patch - mean) / (variance + 1e-6) ** 0.5 if norm_pix else patch
        errors.append(float((guess - target).square().sum() / len(patch)))
    return sum(errors) / len(errors)


@pytest.mark.parametrize("norm_pix", [True, False])
def test_the_error_is_that_of_the_masked_patches_normalised_or_not(norm_pix: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    prediction = torch.randn(3, 5, 48, generator=generator)
    patches = torch.rand(3, 5, 48, generator=generator)
    patches[0, 0] = 0.3  # a patch of one colour
    expected = brute_force_error(prediction, patches, norm_pix=norm_pix)
    assert float(patch_error(prediction, patches, norm_pix=norm_pix)) == pytest.approx(expected, rel=1e-5)

    method, x = build(replace(CONFIG, norm_pix=norm_pix)), images()
    with torch.no_grad():
        torch.manual_seed(4)
        loss, aux = method.loss(batch_of(x))
        torch.manual_seed(4)
        assert torch.equal(method.view(x), x)
        kept, masked = method.random_masking(x)
        guesses, read = method.restore(x, kept)
    rows_ = torch.arange(len(x))[:, None]
    truth = cut(x, 4)[rows_, masked]
    expected = brute_force_error(guesses[rows_, masked], truth, norm_pix=norm_pix)
    if norm_pix:
        assert float(aux["patch_error"]) == pytest.approx(expected, rel=1e-5)
        reading = (read[rows_, masked] - torch.stack((truth.mean(2), truth.std(2)), 2)).square().mean()
        assert float(aux["statistics_error"]) == pytest.approx(float(reading), rel=1e-3)
        expected += float(reading)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_reading_off_means_and_deviations_leaves_the_rest_as_in_the_paper() -> None:
    """The gradient of the whole loss is that of the error of patches alone, but for the layer that reads."""
    method, x = build(), images()
    gradients = []
    for part in ("loss", "patch_error"):
        torch.manual_seed(4)
        loss, aux = method.loss(batch_of(x))
        method.zero_grad()
        (loss if part == "loss" else aux[part]).backward()
        found = {name: p.grad.clone() for name, p in method.named_parameters() if p.grad is not None}
        gradients.append(found)
    both, alone = gradients
    assert both.keys() - alone.keys() == {
        f"decoder.statistics.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")
    }
    for name, gradient in alone.items():
        assert torch.equal(gradient, both[name]), name


def test_the_decoder_fills_mask_tokens_in_at_their_places() -> None:
    torch.manual_seed(0)
    decoder = PatchDecoder(12, width=8, depth=0, heads=1, values=5)
    tokens, kept = torch.randn(2, 1 + 2, 12), torch.tensor([[3, 1], [0, 2]])
    prediction, _ = decoder(tokens, kept, (2, 2))
    for row in range(2):
        for place in range(4):
            if place in kept[row]:
                x = decoder.embed(tokens[row, 1 + kept[row].tolist().index(place)])
            else:
                x = decoder.mask_token[0, 0]
            x = F.layer_norm(x + positions(2, 2, 8)[place], (8,), eps=1e-6)
            torch.testing.assert_close(prediction[row, place], decoder.pixels(x))


class Told(PatchDecoder):
    """Knows the image: says its normalised patches, means and deviations."""

    def __init__(self, truth: Tensor) -> None:
        super().__init__(96, width=16, depth=1, heads=2, values=48)
        self.truth = truth

    def forward(self, tokens: Tensor, kept: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        read = statistics(self.truth)
        return (self.truth - read[..., :1]) / read[..., 1:], read


def test_what_is_shown_and_measured_is_in_pixels_again() -> None:
    """Where the decoder is right about normalised patches, the picture is the image, not grey noise."""
    method, x = build(), images()
    assert float(patch_error(torch.zeros(6, 16, 48), cut(x, 4), norm_pix=True)) == pytest.approx(
        47 / 48, rel=1e-3
    )
    method.decoder = Told(cut(x, 4))
    kept, _ = method.random_masking(x)
    torch.testing.assert_close(method.predict(x, kept), x, rtol=1e-4, atol=1e-5)
    torch.manual_seed(0)
    assert float(method.solve(x)["mse_masked"].max()) < 1e-9
    (panel,) = method.panels(batch_of(x))
    shown = torch.from_numpy(panel.array).unflatten(0, (6, 3))
    torch.testing.assert_close(shown[:, 1], x, rtol=1e-4, atol=1e-5)
    assert torch.equal(shown[:, 2], x)
    hidden = (cut(shown[:, 0], 4) == 0.5).all(2)
    assert hidden.sum(1).tolist() == [12] * 6


def test_the_truth_is_not_looked_at_to_show_what_is_predicted() -> None:
    method, x = build(), images(2)
    kept = torch.tensor([[0, 5, 6, 15], [3, 4, 9, 10]])
    hidden = torch.ones(2, 16, 48).scatter(1, kept[..., None].expand(-1, -1, 48), 0.0)
    other = torch.where(join(hidden, 4, 16, 16) > 0, 1 - x, x)
    with torch.no_grad():
        torch.testing.assert_close(method.predict(x, kept), method.predict(other, kept), rtol=1e-5, atol=1e-6)


def test_the_naive_answer_is_the_mean_colour_of_what_is_visible() -> None:
    method, x = build(), images()
    torch.manual_seed(0)
    figures = method.solve(x)
    torch.manual_seed(0)
    kept, masked = method.random_masking(x)
    for row in range(len(x)):
        patches = cut(x, 4)[row].view(16, 3, 16)
        colour = patches[kept[row]].mean((0, 2))  # [3]
        expected = (patches[masked[row]] - colour[:, None]).square().mean()
        torch.testing.assert_close(figures["mse_visible_mean"][row], expected)


@pytest.mark.parametrize("norm_pix", [True, False])
def test_completion_hides_touched_patches_and_changes_masked_pixels_only(norm_pix: bool) -> None:
    """Masks of any form, of different sizes in one batch, of all and of nothing."""
    method, x = build(replace(CONFIG, norm_pix=norm_pix)), images(5)
    mask = torch.zeros(5, 1, 16, 16)
    mask[0, :, 5:7, 2:6] = 1  # touches patches 4 and 5
    mask[1, :, 15, 15] = 1  # one pixel
    mask[2, :, 8:] = 1
    mask[3] = 1
    with torch.no_grad():
        *_, filled = method.complete(x, mask, torch.Generator())
        assert torch.equal(filled * (1 - mask), x * (1 - mask))
        for row, kept in enumerate(([*range(4), *range(6, 16)], list(range(15)), list(range(8)), [])):
            alone = method.predict(x[row : row + 1], torch.tensor([kept], dtype=torch.long))
            there = mask[row].expand(3, -1, -1) > 0
            torch.testing.assert_close(filled[row][there], alone[0][there], rtol=1e-4, atol=1e-5)
        assert torch.equal(filled[4], x[4])
        other = torch.where(mask > 0, 0.9, x)
        *_, again = method.complete(other, mask, torch.Generator())
    torch.testing.assert_close(again, filled, rtol=1e-4, atol=1e-5)  # what is hidden is not looked at


def test_layers_are_the_blocks_and_lead_to_the_encoding() -> None:
    method, x = build(), images()
    layers = method.layers(x)
    assert list(layers) == ["block1", "block2", "block3", "block4", "encoding"]
    assert layers["block1"].shape == (6, 16, 96)
    tokens = method.vit.norm(layers["block4"])
    torch.testing.assert_close(layers["encoding"], tokens.mean(1))
    assert torch.equal(layers["encoding"], method.encode(x))
    by_class = build(replace(CONFIG, encoding="class-token"))
    torch.testing.assert_close(by_class.encode(x), by_class.vit((x - 0.5) / 0.25))


def test_weight_decay_spares_biases_and_norms() -> None:
    for preset in ("patterns", "cifar10", "imagenet"):
        optim = resolve("mae", preset).optim["main"]
        assert (optim.name, optim.betas, optim.weight_decay) == ("adamw", (0.9, 0.95), 0.05)  # type: ignore[union-attr]
        method = build()
        decayed, spared = make_optimizer(optim, list(method.parameters()), torch.device("cpu")).param_groups
        assert (decayed["weight_decay"], spared["weight_decay"]) == (0.05, 0.0)
        norms = {
            id(p) for part in method.modules() if isinstance(part, nn.LayerNorm) for p in part.parameters()
        }
        biases = {id(p) for name, p in method.named_parameters() if name.endswith("bias")}
        assert {id(p) for p in spared["params"]} == norms | biases


def changed(**fields: Any) -> MAE.Config:
    return MAE.Config(**{**asdict(CONFIG), **fields})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"patch": 5}, r"method\.patch = 5 does not divide images or views of 16 pixels"),
        ({"mask_ratio": 0.0}, r"method\.mask_ratio = 0 of 16 patches leaves 16"),
        ({"mask_ratio": 0.97}, r"method\.mask_ratio = 0\.97 of 16 patches leaves 0"),
        ({"decoder_width": 18, "decoder_heads": 3}, r"decoder_width = 18 does not divide into 3 heads"),
        ({"pixel_mean": (0.5, 0.5)}, r"method\.pixel_mean needs 1 number, or 3"),
    ],
)
def test_what_cannot_work_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(changed(**fields))


def test_views_must_divide_into_patches_and_be_one() -> None:
    wrong: ViewConfig = replace(VIEW, size=10)
    with pytest.raises(UsageError, match="does not divide images or views of 10 pixels"):
        build(CONFIG, replace(INPUTS, views={"a": wrong}))
    with pytest.raises(UsageError, match="patches of a single value have no deviation"):
        build(replace(CONFIG, patch=1), replace(INPUTS, channels=1))
    with pytest.raises(UsageError, match=r"its one view from \[augment\.a\]"):
        build(CONFIG, replace(INPUTS, views={}))
