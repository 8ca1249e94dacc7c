"""WGAN and WGAN-GP: the critic's gap against known distances, clipping, the penalty, and the order of updates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from scipy.stats import norm, wasserstein_distance
from torch import Tensor, nn

from sslterm.errors import UsageError
from sslterm.methods.adversarial.wgan import WGAN, clip_weights
from sslterm.methods.adversarial.wgan_gp import WGANGP
from sslterm.methods.base import Inputs
from sslterm.nn.gan_losses import critic_gap
from sslterm.nn.gradient_penalty import gradient_norms, interpolate, two_sided
from sslterm.nn.norm import BatchNorm
from sslterm.nn.residual_gan import DownBlock, ResidualDiscriminator, ResidualGenerator, UpBlock
from tests.game import Recorder, real_batch, stream_of

CLIPPED = WGAN.Config(
    critic_updates=2,
    long_critic_updates=4,
    long_phases_first=3,
    long_phase_every=5,
    clip=0.02,
    latent_dim=6,
    generator_widths=(8, 12),
    critic_widths=(5, 7),
    critic_norm="batch",
    leak=0.2,
    init_std=0.02,
)
PENALIZED = WGANGP.Config(
    network="strided",
    latent_dim=6,
    generator_widths=(8, 12),
    generator_batches=1,
    halvings=2,
    leak=0.2,
    critic_updates=3,
    penalty=10.0,
    critic_widths=(5, 7),
)
INPUTS = Inputs(channels=1, height=16, width=16, train_images=100)


def clipped(**changes: object) -> WGAN:
    torch.manual_seed(0)
    return WGAN(replace(CLIPPED, **changes), INPUTS)  # type: ignore[arg-type]


def penalized(**changes: object) -> WGANGP:
    torch.manual_seed(0)
    return WGANGP(replace(PENALIZED, **changes), INPUTS)  # type: ignore[arg-type]


# WGAN


def test_phases_are_long_at_first_and_then_seldom() -> None:
    method = clipped()
    assert [method.updates_of_phase(number) for number in range(12)] == [4, 4, 4, 2, 2, 4, 2, 2, 2, 2, 4, 2]
    never = clipped(long_phases_first=0, long_phase_every=0)
    assert {never.updates_of_phase(number) for number in range(12)} == {2}


@pytest.mark.parametrize(("step", "updates"), [(0, 4), (3, 2)])
def test_a_step_trains_the_critic_on_new_batches_clips_it_and_then_the_generator(
    step: int, updates: int
) -> None:
    method = clipped().train()
    recorder = Recorder(method, step=step, rate=10.0)
    method.step(stream_of(INPUTS), recorder)
    assert [call.name for call in recorder.calls] == ["critic"] * updates + ["generator"]
    assert len({float(call.batch.images[0, 0, 0, 0]) for call in recorder.calls[:updates]}) == updates
    sizes = [float(parameter.detach().abs().max()) for parameter in method.critic.parameters()]
    assert max(sizes) == pytest.approx(0.02)
    assert max(float(parameter.detach().abs().max()) for parameter in method.generator.parameters()) > 0.02


def test_the_critics_loss_is_the_gap_with_the_sign_turned() -> None:
    method, batch = clipped().eval(), real_batch(INPUTS)
    torch.manual_seed(5)
    loss, aux = method.critic_loss(batch)
    torch.manual_seed(5)
    fake = method.critic(method.generator(torch.randn(10, 6)))
    real = method.critic(2 * batch.images - 1)
    torch.testing.assert_close(aux["gap"], real.mean() - fake.mean())
    torch.testing.assert_close(loss, -aux["gap"])
    torch.manual_seed(5)
    torch.testing.assert_close(method.generator_loss(batch)[0], -fake.mean())


def fit(
    critic: nn.Module, loss: Callable[[], Tensor], after: Callable[[], None], *, steps: int, rate: float
) -> None:
    optimizer = torch.optim.RMSprop(critic.parameters(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
        after()


def test_a_clipped_linear_critic_finds_the_distance_that_clipping_measures() -> None:
    """Of weights in [-c, c] the best are c times the sign of the difference of means: a gap of c |m|_1."""
    generator = torch.Generator().manual_seed(0)
    mean = torch.tensor([1.0, -2.0, 0.5, 0.0])
    real, fake = torch.randn(500, 4, generator=generator) + mean, torch.randn(500, 4, generator=generator)
    critic = nn.Linear(4, 1)
    fit(
        critic,
        lambda: -critic_gap(critic(real), critic(fake)),
        lambda: clip_weights(critic, 0.1),
        steps=100,
        rate=0.01,
    )
    expected = 0.1 * float((real.mean(0) - fake.mean(0)).abs().sum())
    assert float(critic_gap(critic(real), critic(fake)).detach()) == pytest.approx(expected, rel=1e-4)


# the penalty


def test_the_penalty_of_a_linear_critic_is_that_of_its_weights() -> None:
    """f = <w, x> has the gradient w everywhere: (|w| - 1)^2, whose gradient is 2 (|w| - 1) w / |w|."""
    w = torch.randn(
        1, 3, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    ).requires_grad_()
    images = torch.rand(6, 3, 4, 4, dtype=torch.float64)
    penalty = two_sided(gradient_norms(lambda x: (w * x).flatten(1).sum(1), images))
    size = w.detach().norm()
    torch.testing.assert_close(penalty.detach(), (size - 1) ** 2)
    penalty.backward()
    torch.testing.assert_close(w.grad, 2 * (size - 1) * w.detach() / size)


def test_gradient_norms_are_those_of_finite_differences_and_of_each_image_alone() -> None:
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 1)).double()
    images = torch.rand(3, 1, 6, 6, dtype=torch.float64)
    norms = gradient_norms(critic, images)
    alone = torch.cat([gradient_norms(critic, image[None]) for image in images])
    torch.testing.assert_close(norms, alone)
    direction = torch.autograd.functional.jacobian(lambda x: critic(x).sum(), images)
    unit = direction / direction.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    slope = (critic(images + 1e-6 * unit) - critic(images - 1e-6 * unit)) / 2e-6
    torch.testing.assert_close(norms, slope.squeeze(1), rtol=1e-6, atol=1e-9)


def test_interpolates_lie_between_an_image_and_its_partner() -> None:
    real, fake = torch.ones(4, 1, 2, 2), torch.zeros(4, 1, 2, 2)
    share = torch.tensor([0.0, 0.25, 0.5, 1.0])
    between = interpolate(real, fake, share)
    assert torch.equal(between, share.view(4, 1, 1, 1).expand(4, 1, 2, 2))


def test_a_critic_between_two_normal_distributions_approaches_their_distance() -> None:
    """The gap of a penalized critic against the Wasserstein-1 distance of N(2, 1/2) and N(0, 1).

    lambda is small at first, so that a critic that begins with the wrong sign can turn, and then 200, so that its
    slope exceeds 1 by about W / 2 lambda alone. The distance is the integral of the difference of quantiles.
    """
    shares = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    quantiles = torch.as_tensor(norm.ppf(shares.numpy())).float()
    real, fake = (2 + 0.5 * quantiles)[:, None], quantiles[:, None]
    distance = wasserstein_distance(real[:, 0], fake[:, 0])
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 1))

    def loss() -> Tensor:
        between = interpolate(real, fake[torch.randperm(1000)], torch.rand(1000))
        weight = 1.0 if len(gaps) < 150 else 200.0
        return weight * two_sided(gradient_norms(critic, between)) - critic_gap(critic(real), critic(fake))

    gaps: list[float] = []
    fit(
        critic,
        loss,
        lambda: gaps.append(float(critic_gap(critic(real), critic(fake)).detach())),
        steps=400,
        rate=0.002,
    )
    assert abs(gaps[0] - distance) > 0.5 * distance
    assert gaps[-1] == pytest.approx(distance, rel=0.05)


def test_the_loss_of_a_penalized_critic_is_that_of_the_objective() -> None:
    method, batch = penalized().eval(), real_batch(INPUTS)
    torch.manual_seed(5)
    loss, aux = method.critic_loss(batch)
    torch.manual_seed(5)
    x, fake = 2 * batch.images - 1, method.generator(torch.randn(10, 6)).detach()
    e = torch.rand(10).view(-1, 1, 1, 1)
    between = (e * x + (1 - e) * fake).requires_grad_()
    (slopes,) = torch.autograd.grad(method.critic(between).sum(), between)
    sizes = slopes.flatten(1).norm(dim=1)
    gap = method.critic(x).mean() - method.critic(fake).mean()
    torch.testing.assert_close(loss, -gap + 10 * (sizes - 1).square().mean())
    torch.testing.assert_close(aux["gradient_norm"], sizes.mean())
    torch.testing.assert_close(aux["gap"], gap)


@pytest.mark.parametrize("network", ["strided", "residual"])
def test_a_penalized_critic_has_no_norm_and_learns_three_times_before_the_generator(network: str) -> None:
    method = penalized(network=network, generator_batches=2).train()
    assert not [part for part in method.critic.modules() if isinstance(part, BatchNorm)]
    assert [part for part in method.generator.modules() if isinstance(part, BatchNorm)]
    recorder = Recorder(method, rate=1e-3)
    names = {name for name, _ in method.named_parameters()}
    method.step(stream_of(INPUTS), recorder)
    assert [call.name for call in recorder.calls] == ["critic"] * 3 + ["generator"]
    for call in recorder.calls:
        assert call.graded == {name for name in names if name.startswith(call.name)}
    assert len(method.generate(real_batch(INPUTS, 4), 2)) == 8


def test_the_last_layer_alone_judges_without_a_bias_in_the_penalty() -> None:
    """The penalty is blind to a constant added to f: no bias of the last layer gets a gradient from it."""
    method = penalized()
    two_sided(gradient_norms(method.critic, real_batch(INPUTS).images)).backward()
    bias = method.critic.judge.bias
    assert bias.grad is None or not bias.grad.any()
    assert method.critic.judge.weight.grad.abs().max() > 0


# residual networks


def test_residual_networks_have_the_papers_layers() -> None:
    """WGAN-GP App. F, CIFAR-10: the generator has 128 channels, the critic halves the side twice in four blocks."""
    generator = ResidualGenerator(128, 3, 32, (128, 128, 128))
    critic = ResidualDiscriminator(3, (128,) * 4, halvings=2, pooling="mean")
    assert generator.dense.out_features == 4 * 4 * 128
    sides = []
    x = torch.zeros(1, 3, 32, 32)
    for block in critic.blocks:
        x = block(x)
        sides.append(tuple(x.shape[1:]))
    assert sides == [(128, 16, 16), (128, 8, 8), (128, 8, 8), (128, 8, 8)]
    assert isinstance(critic.blocks[2].shortcut, nn.Identity)  # of equal channels and sides
    assert generator(torch.randn(2, 128)).shape == (2, 3, 32, 32)


def test_blocks_are_the_sum_of_two_paths() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 8, 8)
    down = DownBlock(3, 5, leak=0.1)
    a = nn.functional.leaky_relu(x, 0.1)
    h = down.conv2(nn.functional.leaky_relu(down.conv1(a), 0.1))
    expected = nn.functional.avg_pool2d(h + down.shortcut(x), 2)  # 1x1 and average commute
    torch.testing.assert_close(down(x), expected)
    up = UpBlock(3, 5).eval()
    large = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    h = up.conv2(up.norm2(up.conv1(up.norm1(large).relu())).relu())  # the norm and ReLU are elementwise
    torch.testing.assert_close(up(x), h + up.shortcut(large))


def test_a_condition_reaches_both_norms() -> None:
    class Shift(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()

        def forward(self, x: Tensor, condition: Tensor) -> Tensor:
            seen.append(condition)
            return x

    seen: list[Tensor] = []
    condition = torch.randn(2, 4)
    UpBlock(3, 5, norm=Shift)(torch.randn(2, 3, 8, 8), condition)
    assert len(seen) == 2
    assert all(torch.equal(one, condition) for one in seen)


# what cannot work


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"critic_widths": (4, 6, 8), "halvings": 3},
            "critic_widths: 3 widths are for images of 32 pixels, not 16",
        ),
        ({"generator_widths": (4,)}, "generator_widths: 1 widths are for images of 8 pixels, not 16"),
        ({"halvings": 1}, "halvings = 1, and method.critic_widths has 2 widths"),
        ({"network": "residual", "halvings": 3}, "halvings = 3, for 2 blocks and images of 16 pixels"),
        ({"network": "residual", "generator_widths": (4,) * 5}, "16 pixels cannot be halved so often"),
    ],
)
def test_numbers_that_do_not_go_together_are_a_usage_error(changes: dict[str, object], text: str) -> None:
    with pytest.raises(UsageError, match=text):
        penalized(**changes)


def test_images_that_are_not_square_are_a_usage_error() -> None:
    with pytest.raises(UsageError, match="16x32 pixels: they must be square"):
        WGANGP(PENALIZED, Inputs(channels=1, height=32, width=16, train_images=10))
    with pytest.raises(UsageError, match="critic_widths: 3 widths are for images of 32x32 pixels, not 16x16"):
        clipped(critic_widths=(4, 6, 8))
