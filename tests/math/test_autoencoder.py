"""The autoencoder: its objectives, its variants, and the map of its codes."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from torch import nn

from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.methods.pretext.autoencoder import Autoencoder, lay_out

DENSE = Autoencoder.Config(
    network="dense", widths=(20, 12), activation="relu", latent_dim=4, objective="squared"
)
CONVOLUTIONAL = replace(DENSE, network="convolutional", widths=(4, 6))
INPUTS = Inputs(channels=3, height=8, width=8, train_images=100)


def build(config: Autoencoder.Config) -> Autoencoder:
    torch.manual_seed(0)
    return Autoencoder(config, INPUTS)


def batch_of(images: torch.Tensor) -> Batch:
    return Batch(images, torch.arange(len(images)), torch.full((len(images),), -1))


def example(n: int = 16) -> Batch:
    return batch_of(torch.rand(n, *INPUTS.shape, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("config", [DENSE, CONVOLUTIONAL])
def test_objectives_are_those_of_the_reconstruction(config: Autoencoder.Config) -> None:
    batch, method = example(), build(config)
    x, y = batch.images.double(), method.reconstruct(batch.images).double()
    squared, aux = method.loss(batch)
    torch.testing.assert_close(squared.double(), (x - y).square().mean())
    assert torch.equal(aux["mse"], squared)
    entropy, aux = build(replace(config, objective="cross-entropy")).loss(batch)
    torch.testing.assert_close(entropy.double(), -(x * y.log() + (1 - x) * (1 - y).log()).mean())
    torch.testing.assert_close(aux["mse"], squared)


@pytest.mark.parametrize("config", [DENSE, CONVOLUTIONAL])
def test_all_goes_through_the_code(config: Autoencoder.Config) -> None:
    method, images = build(config), example().images
    code = method.encode(images)
    assert code.shape == (16, 4)
    assert torch.equal(method.decode(code), method.reconstruct(images))
    assert method.reconstruct(images).shape == images.shape
    layers = method.layers(images)
    assert list(layers) == ["stage1", "stage2", "code"]
    assert torch.equal(layers["code"], code)


def test_without_hidden_layers_it_contains_principal_components() -> None:
    """Near 1/2, where the logistic output has slope 1/4, PCA's error is reached with PCA's axes."""
    generator = torch.Generator().manual_seed(0)
    basis = torch.linalg.qr(torch.randn(192, 6, generator=generator)).Q
    scales = torch.tensor([0.5, 0.4, 0.3, 0.2, 0.1, 0.1])
    images = 0.5 + (torch.randn(256, 6, generator=generator) * scales) @ basis.T * 0.1
    mean = images.mean(0)
    _, sigma, vectors = torch.linalg.svd(images - mean, full_matrices=False)
    method = build(replace(DENSE, widths=()))
    (encode,) = [part for part in method.encoder.modules() if isinstance(part, nn.Linear)]
    (decode,) = [part for part in method.decoder.modules() if isinstance(part, nn.Linear)]
    with torch.no_grad():
        encode.weight.copy_(vectors[:4])
        encode.bias.copy_(-vectors[:4] @ mean)
        decode.weight.copy_(4 * vectors[:4].T)
        decode.bias.copy_(mean.logit())
        loss, _ = method.loss(batch_of(images.view(-1, 3, 8, 8)))
    torch.testing.assert_close(loss, sigma[4:].square().sum() / images.numel(), rtol=0.01, atol=0)


def test_images_that_cannot_be_halved_are_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"method\.widths: a side of 8x8 pixels cannot be halved 4 times"):
        build(replace(CONVOLUTIONAL, widths=(2, 2, 2, 2)))


def test_the_code_map_puts_similar_codes_side_by_side() -> None:
    places = torch.tensor(
        list(itertools.product(range(4), range(3))), dtype=torch.float32
    )  # x in 0..3, y in 0..2
    embedding = torch.linalg.qr(torch.randn(5, 2, generator=torch.Generator().manual_seed(0))).Q
    shuffled = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    codes = (places * torch.tensor([2.0, 1.0])) @ embedding.T + 7
    order = lay_out(codes[shuffled], columns=4)
    grid = places[shuffled][order].view(3, 4, 2)
    if grid[0, 0, 0] > grid[0, -1, 0]:  # the sign of a component is a convention
        grid = grid.flip(1)
    if grid[0, 0, 1] < grid[-1, 0, 1]:
        grid = grid.flip(0)
    expected = torch.stack(
        torch.meshgrid(torch.arange(2.0, -1, -1), torch.arange(4.0), indexing="ij")[::-1], -1
    )
    assert torch.equal(grid, expected)


@pytest.mark.parametrize("latent_dim", [1, 4])
def test_the_panel_holds_every_image_once(latent_dim: int) -> None:
    method, batch = build(replace(DENSE, latent_dim=latent_dim)), example(19)
    with torch.no_grad():
        (panel,) = method.panels(batch)
    assert panel.name == "code-map"
    assert panel.array.shape == (16, 3, 8, 8)
    shown = torch.from_numpy(panel.array).flatten(1)
    distance = torch.cdist(shown, batch.images[:16].flatten(1))
    assert sorted(distance.argmin(1).tolist()) == list(range(16))
