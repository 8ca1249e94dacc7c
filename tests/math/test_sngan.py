"""SNGAN: spectral normalization against singular values, when its vectors move, and the losses."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from sslterm.methods.adversarial.sngan import SNGAN
from sslterm.methods.base import Inputs
from sslterm.nn.spectral import (
    SpectralConv2d,
    SpectralEmbedding,
    SpectralLinear,
    iterate_power,
    spectral_layers,
)
from tests.game import Recorder, real_batch, stream_of

CONFIG = SNGAN.Config(
    network="residual",
    latent_dim=6,
    generator_widths=(8, 12),
    generator_batches=2,
    halvings=2,
    leak=0.0,
    objective="hinge",
    discriminator_updates=2,
    discriminator_widths=(5, 7, 7),
)
INPUTS = Inputs(channels=1, height=16, width=16, train_images=100)


def build(**changes: object) -> SNGAN:
    torch.manual_seed(0)
    return SNGAN(replace(CONFIG, **changes), INPUTS)  # type: ignore[arg-type]


def largest(layer: nn.Module) -> Tensor:
    weight = layer.get_parameter("weight").detach()
    return torch.linalg.svdvals(weight.flatten(1))[0]


@pytest.mark.parametrize(
    "layer", [SpectralLinear(9, 5), SpectralConv2d(3, 6, 3, padding=1), SpectralEmbedding(4, 7)], ids=str
)
def test_power_iterations_find_the_largest_singular_value(layer: nn.Module) -> None:
    iterate_power(layer, 200)
    torch.testing.assert_close(layer.sigma().detach(), largest(layer), rtol=1e-4, atol=0)
    norm = torch.linalg.matrix_norm(layer.normalized().detach().flatten(1), 2)
    assert float(norm) == pytest.approx(1, rel=1e-4)


def test_one_iteration_is_that_of_the_power_method() -> None:
    """Alg. 1: v <- W'u / |W'u|, then u <- Wv / |Wv|."""
    torch.manual_seed(0)
    layer = SpectralLinear(9, 5)
    w, u = layer.weight.detach().double(), layer.u.double()
    v = w.T @ u / (w.T @ u).norm()
    iterate_power(layer)
    torch.testing.assert_close(layer.v.double(), v, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(layer.u.double(), w @ v / (w @ v).norm(), rtol=1e-5, atol=1e-6)


def test_the_gradient_is_that_of_the_quotient() -> None:
    """§3: where u and v are constants, d(W / sigma) = (dW - u v' <dW, W / sigma>) / sigma."""
    torch.manual_seed(0)
    layer = SpectralLinear(4, 3).double()
    iterate_power(layer, 100)
    g = torch.randn(3, 4, dtype=torch.float64)
    (layer.normalized() * g).sum().backward()
    sigma, w = layer.sigma().detach(), layer.weight.detach()
    expected = (g - (g * w / sigma).sum() * torch.outer(layer.u, layer.v)) / sigma
    torch.testing.assert_close(layer.weight.grad, expected)


def test_layers_compute_with_the_normalized_weight() -> None:
    torch.manual_seed(0)
    linear, convolution, table = (
        SpectralLinear(4, 3),
        SpectralConv2d(2, 3, 3, stride=2, padding=1),
        SpectralEmbedding(5, 4),
    )
    x, images, index = torch.randn(6, 4), torch.randn(2, 2, 8, 8), torch.tensor([4, 0])
    torch.testing.assert_close(linear(x), x @ (linear.weight / linear.sigma()).T + linear.bias)
    plain = nn.functional.conv2d(images, convolution.weight / convolution.sigma(), convolution.bias, 2, 1)
    torch.testing.assert_close(convolution(images), plain)
    torch.testing.assert_close(table(index), (table.weight / table.sigma())[index])
    linear.weight.data.zero_()
    assert torch.equal(linear(x), linear.bias.expand(6, 3))  # no quotient of zeros


@pytest.mark.parametrize("network", ["strided", "residual"])
def test_every_layer_of_the_discriminator_is_normalized_and_none_of_the_generator(network: str) -> None:
    method = build(network=network, discriminator_widths=(5, 7))
    kinds = (nn.Linear, nn.Conv2d)
    layers = [part for part in method.discriminator.modules() if isinstance(part, kinds)]
    assert layers == spectral_layers(method.discriminator)
    assert spectral_layers(method.generator) == []
    for layer in spectral_layers(method.discriminator):
        torch.testing.assert_close(layer.sigma().detach(), largest(layer), rtol=0.15, atol=0)


def test_a_discriminator_is_no_steeper_than_its_layers_allow() -> None:
    """A residual block of 1-Lipschitz layers is at most 2-Lipschitz, up to the reach of its kernels."""
    method = build().eval()
    iterate_power(method.discriminator, 100)
    x, step = torch.rand(2, 50, 1, 16, 16, generator=torch.Generator().manual_seed(3))
    before = method.discriminator(x)
    assert (method.discriminator(x + 0.01 * step) - before).abs().max() < 0.5
    for layer in spectral_layers(
        method.discriminator
    ):  # a scale changes nothing, once the vectors have followed
        layer.weight.data *= 30
    iterate_power(method.discriminator, 5)
    torch.testing.assert_close(method.discriminator(x), before, rtol=1e-3, atol=1e-4)


def test_losses_read_the_vectors_and_a_step_moves_them_before_every_update() -> None:
    method, batch = build().train(), real_batch(INPUTS)
    vectors = {name: value.clone() for name, value in method.discriminator.named_buffers()}
    assert {name.rpartition(".")[2] for name in vectors} == {"u", "v"}
    method.discriminator_loss(batch)
    method.generator_loss(batch)
    assert all(torch.equal(value, vectors[name]) for name, value in method.discriminator.named_buffers())

    seen: list[Tensor] = []

    class Watching(Recorder):
        def __call__(self, name: str, loss_fn: object, batch: object) -> dict[str, Tensor]:
            seen.append(method.discriminator.blocks[0].conv1.u.clone())
            return super().__call__(name, loss_fn, batch)  # type: ignore[arg-type]

    recorder = Watching(method)
    method.step(stream_of(INPUTS), recorder)
    assert [call.name for call in recorder.calls] == ["discriminator", "discriminator", "generator"]
    moments = [vectors["blocks.0.conv1.u"], *seen]
    assert all(not torch.equal(one, other) for one, other in itertools.pairwise(moments))


@pytest.mark.parametrize("objective", ["hinge", "non-saturating"])
def test_losses_are_those_of_the_objective(objective: str) -> None:
    method, batch = build(objective=objective).eval(), real_batch(INPUTS)
    torch.manual_seed(5)
    loss, aux = method.discriminator_loss(batch)
    torch.manual_seed(5)
    fake = method.discriminator(method.generator(torch.randn(10, 6))).double()
    real = method.discriminator(2 * batch.images - 1).double()
    torch.manual_seed(5)
    told = method.generator_loss(batch)[0].double()
    torch.manual_seed(5)
    twice = torch.cat([torch.randn(10, 6), torch.randn(10, 6)])
    of_generator = method.discriminator(method.generator(twice)).double()
    if objective == "hinge":
        expected = (1 - real).clamp_min(0).mean() + (1 + fake).clamp_min(0).mean()
        torch.testing.assert_close(told, -of_generator.mean())
    else:
        expected = -real.sigmoid().log().mean() - (1 - fake.sigmoid()).log().mean()
        torch.testing.assert_close(told, -of_generator.sigmoid().log().mean())
    torch.testing.assert_close(loss.double(), expected)
    torch.testing.assert_close(aux["margin"].double(), real.mean() - fake.mean())
