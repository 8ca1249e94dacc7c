"""Denoising autoencoders: the three distortions, the loss against the clean image, and what is reported."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import Tensor

from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.methods.pretext.denoising import Denoising, Distortion, distort
from sslterm.rows import rows

CONFIG = Denoising.Config(
    network="dense",
    widths=(20,),
    activation="relu",
    latent_dim=12,
    objective="squared",
    distortion="masking",
    amount=0.25,
)
INPUTS = Inputs(channels=3, height=8, width=8, train_images=100)


def build(config: Denoising.Config) -> Denoising:
    torch.manual_seed(0)
    return Denoising(config, INPUTS)


def images(n: int = 16, seed: int = 0) -> Tensor:
    """Away from 0 and 1, so that what was distorted can be told."""
    return 0.2 + 0.6 * torch.rand(n, *INPUTS.shape, generator=torch.Generator().manual_seed(seed))


def batch_of(images: Tensor) -> Batch:
    return Batch(images, torch.arange(len(images)), torch.full((len(images),), -1))


@pytest.mark.parametrize("amount", [0.0, 0.25, 1.0])
def test_masking_blackens_the_same_number_of_whole_pixels_in_every_image(amount: float) -> None:
    x = images()
    distorted = distort(x, "masking", amount)
    black = (distorted == 0).all(1)
    assert black.flatten(1).sum(1).tolist() == [round(64 * amount)] * 16
    assert torch.equal(distorted.movedim(1, 3)[~black], x.movedim(1, 3)[~black])
    if 0 < amount < 1:
        assert len({tuple(image.flatten().tolist()) for image in black}) == 16  # each image has its own
        places = distort(images(2000), "masking", amount).eq(0).all(1).float().mean(0)
        torch.testing.assert_close(places, torch.full((8, 8), amount), rtol=0, atol=0.05)


def test_salt_and_pepper_is_a_fair_coin_on_a_share_of_the_pixels() -> None:
    x = images(500)
    distorted = distort(x, "salt-and-pepper", 0.5)
    pepper, salt = ((distorted == value).all(1) for value in (0.0, 1.0))
    assert (pepper | salt).flatten(1).sum(1).tolist() == [32] * 500
    assert torch.equal(distorted.movedim(1, 3)[~(pepper | salt)], x.movedim(1, 3)[~(pepper | salt)])
    heads = float(salt.float().mean() / 0.5)
    assert heads == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(500 * 32))


def test_gaussian_noise_has_its_deviation_and_is_not_cut_off() -> None:
    noise = distort(images(500), "gaussian", 0.3) - images(500)
    assert float(noise.std()) == pytest.approx(0.3, rel=0.01)
    assert float(noise.mean()) == pytest.approx(0.0, abs=4 * 0.3 / math.sqrt(noise.numel()))
    kurtosis = float(noise.pow(4).mean() / noise.var().square())
    assert kurtosis == pytest.approx(3.0, abs=0.1)  # clipping would take its tails


@pytest.mark.parametrize("distortion", ["gaussian", "masking", "salt-and-pepper"])
def test_an_image_is_distorted_alike_however_its_batch_is_cut(distortion: Distortion) -> None:
    x = images(8)
    torch.manual_seed(3)
    whole = distort(x, distortion, 0.3)
    for start, stop in ((0, 3), (3, 8)):
        torch.manual_seed(3)
        with rows(start, stop, 8):
            assert torch.equal(distort(x[start:stop], distortion, 0.3), whole[start:stop])


@pytest.mark.parametrize("objective", ["squared", "cross-entropy"])
def test_the_loss_compares_what_is_made_of_the_distorted_image_with_the_clean_one(
    objective: Literal["squared", "cross-entropy"],
) -> None:
    method, x = build(replace(CONFIG, objective=objective)), images()
    torch.manual_seed(5)
    loss, aux = method.loss(batch_of(x))
    torch.manual_seed(5)
    distorted = distort(x, "masking", 0.25)
    y = method.decode(method.encode(distorted)).double()
    clean = x.double()
    squared = (clean - y).square().mean()
    entropy = -(clean * y.log() + (1 - clean) * (1 - y).log()).mean()
    torch.testing.assert_close(loss.double(), squared if objective == "squared" else entropy)
    torch.testing.assert_close(aux["mse"].double(), squared)


def test_what_is_solved_is_beside_the_distorted_image_cut_to_its_range() -> None:
    method, x = build(replace(CONFIG, distortion="gaussian", amount=0.5)), images()
    torch.manual_seed(7)
    figures = method.solve(x)
    torch.manual_seed(7)
    distorted = distort(x, "gaussian", 0.5)
    assert float(distorted.max()) > 1
    expected = (distorted.clamp(0, 1) - x).square().flatten(1).mean(1)
    torch.testing.assert_close(figures["mse_distorted"], expected)
    restored = (method.reconstruct(distorted) - x).square().flatten(1).mean(1)
    torch.testing.assert_close(figures["mse_restored"], restored)


def test_reconstruction_takes_the_image_as_it_is() -> None:
    method, x = build(CONFIG), images()
    assert torch.equal(method.reconstruct(x), method.decode(method.encode(x)))
    assert torch.equal(method.reconstruct(x), method.reconstruct(x))


def test_it_learns_to_fill_in_what_the_rest_tells() -> None:
    """Images of one grey each: from three quarters of the pixels all are known."""
    method = build(replace(CONFIG, widths=(64,)))
    optimizer = torch.optim.Adam(method.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    for _ in range(400):
        flat = torch.rand(64, 1, 1, 1, generator=generator).expand(-1, *INPUTS.shape)
        optimizer.zero_grad()
        method.loss(batch_of(flat))[0].backward()
        optimizer.step()
    with torch.no_grad():
        figures = method.solve(torch.rand(200, 1, 1, 1, generator=generator).expand(-1, *INPUTS.shape))
    assert float(figures["mse_distorted"].mean()) == pytest.approx(0.25 / 3, rel=0.2)
    assert float(figures["mse_restored"].mean()) < 0.05 * float(figures["mse_distorted"].mean())


def test_panels_show_triples_and_filters() -> None:
    method, x = build(CONFIG), images(5)
    with torch.no_grad():
        torch.manual_seed(0)
        restored, filters = method.panels(batch_of(x))
        torch.manual_seed(0)
        distorted = distort(x, "masking", 0.25)
    shown = torch.from_numpy(restored.array).unflatten(0, (5, 3))
    assert torch.equal(shown[:, 0], x)
    assert torch.equal(shown[:, 1], distorted)
    torch.testing.assert_close(shown[:, 2], method.reconstruct(distorted))
    error = float((distorted - x).square().mean())
    assert f"{error:.4f} distorted" in restored.caption
    assert "25 % of the pixels black" in restored.caption
    assert filters.array.shape == (20, 3, 8, 8)
    weight = next(p for p in method.encoder.parameters() if p.ndim == 2)
    longest = weight[weight.norm(dim=1).argmax()]
    first = torch.from_numpy(filters.array[0]).flatten() * 2 - 1
    torch.testing.assert_close(first, longest / longest.abs().max(), rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        convolutional = build(replace(CONFIG, network="convolutional", widths=(4, 6)))
        assert [panel.name for panel in convolutional.panels(batch_of(x))] == ["restored"]


def test_a_share_above_one_is_refused_and_a_deviation_is_not() -> None:
    with pytest.raises(UsageError, match=r"method\.amount = 1\.5: masking distorts a share"):
        replace(CONFIG, amount=1.5)
    assert replace(CONFIG, distortion="gaussian", amount=1.5).amount == 1.5
