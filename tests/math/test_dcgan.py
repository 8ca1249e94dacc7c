"""DCGAN: its two losses, the paper's rules of architecture, and what each update leaves alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sslterm.errors import UsageError
from sslterm.methods.adversarial.dcgan import DCGAN
from sslterm.methods.adversarial.implicit import slerp
from sslterm.methods.base import Inputs
from sslterm.nn.gan_losses import cross_entropy
from sslterm.nn.norm import BatchNorm
from sslterm.nn.strided import StridedDiscriminator, StridedGenerator
from tests.game import Recorder, real_batch, stream_of

CONFIG = DCGAN.Config(
    latent_dim=6,
    generator_widths=(8, 12),
    discriminator_widths=(5, 7),
    leak=0.2,
    init_std=0.02,
    real_label=0.9,
)
INPUTS = Inputs(channels=1, height=16, width=16, train_images=100)


def build(config: DCGAN.Config = CONFIG, inputs: Inputs = INPUTS) -> DCGAN:
    torch.manual_seed(0)
    return DCGAN(config, inputs)


@pytest.mark.parametrize("label", [0.0, 0.9, 1.0])
def test_cross_entropy_is_that_of_the_probabilities(label: float) -> None:
    logits = torch.linspace(-6, 6, 25, dtype=torch.float64)
    d = 1 / (1 + (-logits).exp())
    expected = -(label * d.log() + (1 - label) * (1 - d).log()).mean()
    torch.testing.assert_close(cross_entropy(logits, label), expected)


def test_losses_are_those_of_the_objective() -> None:
    method, batch = build(), real_batch(INPUTS)
    torch.manual_seed(5)
    loss, aux = method.discriminator_loss(batch)
    torch.manual_seed(5)
    fake = method.generator(torch.randn(10, 6)).detach()
    d_real = method.discriminator(batch.images * 2 - 1).double().sigmoid()
    d_fake = method.discriminator(fake).double().sigmoid()
    expected = -(0.9 * d_real.log() + 0.1 * (1 - d_real).log()).mean() - (1 - d_fake).log().mean()
    torch.testing.assert_close(loss.double(), expected)
    torch.testing.assert_close(aux["real"].double(), d_real.mean())
    torch.testing.assert_close(aux["fake"].double(), d_fake.mean())
    torch.manual_seed(5)
    generator_loss, _ = method.generator_loss(batch)
    torch.testing.assert_close(generator_loss.double(), -d_fake.log().mean())  # not log(1 - D)


def test_a_step_is_one_update_of_each_on_one_batch_and_touches_no_other_weights() -> None:
    method = build().train()
    recorder = Recorder(method)
    before = {name: value.clone() for name, value in method.named_parameters()}
    method.step(stream_of(INPUTS), recorder)
    assert [call.name for call in recorder.calls] == ["discriminator", "generator"]
    for name, graded, _ in recorder.calls:
        assert graded == {key for key in before if key.startswith(name)}
    assert all(not torch.equal(value, before[name]) for name, value in method.named_parameters())
    groups = method.parameter_groups()
    assert sum(map(len, groups.values())) == len(before)


def test_gradients_are_strongest_where_the_discriminator_is_sure() -> None:
    logits = torch.tensor([-8.0, 0.0, 8.0], requires_grad=True)
    cross_entropy(logits, 1.0).backward()
    assert logits.grad is not None
    torch.testing.assert_close(3 * logits.grad, torch.tensor([-1.0, -0.5, 0.0]), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("side", "widths"), [(16, (4, 8)), (32, (4, 6, 8)), (64, (4, 5, 6, 8))])
def test_the_rules_of_architecture(side: int, widths: tuple[int, ...]) -> None:
    inputs = Inputs(channels=3, height=side, width=side, train_images=10)
    method = build(replace(CONFIG, generator_widths=widths, discriminator_widths=widths), inputs)
    images = method.decode(torch.randn(2, 6))
    assert images.shape == (2, 3, side, side)
    assert images.min() >= 0
    assert images.max() <= 1
    assert method.discriminator(images).shape == (2,)

    banned = (nn.Linear, nn.MaxPool2d, nn.AvgPool2d)
    assert not [part for part in method.modules() if isinstance(part, banned)]
    generator = list(method.generator.layers)
    norms = sum(isinstance(part, BatchNorm) for part in generator)
    convolutions = sum(isinstance(part, nn.ConvTranspose2d) for part in generator)
    assert norms == convolutions - 1  # none at the output
    assert isinstance(generator[-1], nn.Tanh)
    assert isinstance(generator[-2], nn.ConvTranspose2d)
    normed = [isinstance(norm, BatchNorm) for norm in method.discriminator.norms]
    assert normed == [False] + [True] * (len(widths) - 1)  # none at the input


def test_first_weights_have_the_papers_deviation() -> None:
    widths = (64, 128)
    method = build(replace(CONFIG, generator_widths=widths, discriminator_widths=widths, init_std=0.02))
    for part in method.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d) and part.weight.numel() > 5000:
            assert abs(part.weight.std().item() - 0.02) < 0.001
            assert abs(part.weight.mean().item()) < 0.001


@pytest.mark.parametrize("field", ["generator_widths", "discriminator_widths"])
def test_widths_that_do_not_fit_the_images_are_a_usage_error(field: str) -> None:
    with pytest.raises(UsageError, match=rf"{field}: 3 widths are for images of 32x32 pixels, not 16x16"):
        build(replace(CONFIG, **{field: (4, 6, 8)}))


def test_running_statistics_of_the_discriminator_are_those_of_real_images() -> None:
    method, alone = build().train(), build().train()
    for _ in range(3):
        method.discriminator_loss(real_batch(INPUTS))
        method.generator_loss(real_batch(INPUTS))
        alone.discriminator(2 * real_batch(INPUTS).images - 1)
    for name, statistic in alone.discriminator.named_buffers():
        torch.testing.assert_close(method.discriminator.get_buffer(name), statistic)
    for name, statistic in method.generator.named_buffers():
        assert not torch.equal(statistic, build().generator.get_buffer(name)), name


def test_a_sample_does_not_depend_on_those_beside_it() -> None:
    method = build().train()
    for _ in range(20):
        method.generator_loss(real_batch(INPUTS))
    method.eval()
    (many,) = method.sample(8, torch.Generator().manual_seed(3))
    z = torch.randn(8, 6, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(method.decode(z[2:3]), many[2:3])


def test_features_are_all_layers_max_pooled_to_4x4() -> None:
    method = build(
        replace(CONFIG, generator_widths=(4, 5, 6), discriminator_widths=(3, 5, 7)),
        Inputs(channels=1, height=32, width=32, train_images=10),
    ).eval()
    images = torch.rand(2, 1, 32, 32)
    x = 2 * images - 1
    expected = []
    for convolution, norm in zip(method.discriminator.convolutions, method.discriminator.norms, strict=True):
        x = F.leaky_relu(norm(convolution(x)), 0.2)
        expected.append(F.max_pool2d(x, x.shape[-1] // 4).flatten(1) if x.shape[-1] > 4 else x.flatten(1))
    features = method.encode(images)
    assert features.shape == (2, 16 * (3 + 5 + 7))
    torch.testing.assert_close(features, torch.cat(expected, 1))
    layers = method.layers(images)
    assert list(layers) == ["conv1", "conv2", "conv3", "pooled"]
    assert torch.equal(layers["pooled"], features)
    assert torch.equal(layers["conv3"].flatten(1), features[:, -16 * 7 :])


def test_the_papers_networks_have_the_papers_features() -> None:
    """Fig. 1: the generator of 64-pixel images. §5.1: 28672 features = 16 (256 + 512 + 1024) channels."""
    discriminator = StridedDiscriminator(3, (256, 512, 1024), leak=0.2)
    assert sum(16 * part.shape[1] for part in discriminator.feature_maps(torch.zeros(2, 3, 32, 32))) == 28672
    generator = StridedGenerator(100, 3, (128, 256, 512, 1024))
    shapes = [tuple(part.weight.shape) for part in generator.layers if isinstance(part, nn.ConvTranspose2d)]
    assert shapes == [
        (100, 1024, 4, 4),
        (1024, 512, 4, 4),
        (512, 256, 4, 4),
        (256, 128, 4, 4),
        (128, 3, 4, 4),
    ]


def test_slerp_keeps_its_ends_and_the_length_between_them() -> None:
    start, end = F.normalize(torch.randn(2, 5, 40, generator=torch.Generator().manual_seed(0)), dim=-1)
    share = torch.linspace(0, 1, 7).view(-1, 1, 1)
    path = slerp(start, end, share)
    torch.testing.assert_close(path[0], start)
    torch.testing.assert_close(path[-1], end)
    torch.testing.assert_close(path.norm(dim=-1), torch.ones(7, 5))
