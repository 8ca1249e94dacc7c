"""ProGAN: growth, fading, layers and losses against what the paper writes down."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.adversarial.progan import ProGAN
from sslterm.methods.base import Inputs, LossFn
from sslterm.nn.equalized import EqualizedConv2d, EqualizedLinear
from sslterm.nn.progressive import (
    GrowingDiscriminator,
    GrowingGenerator,
    append_minibatch_std,
    at_level,
    double,
    growth,
    halve,
    levels_of,
    pixel_norm,
)

CONFIG = ProGAN.Config(
    latent_dim=6, widths=(8, 6, 4), leak=0.2, stable_images=40, fade_images=20, std_group=2, penalty=10.0,
    drift=0.01, ema=0.9,
)  # fmt: skip


def inputs(side: int = 16, batch: int = 4, width: int | None = None) -> Inputs:
    return Inputs(channels=1, height=side, width=width or side, train_images=100, batch=batch)


def make(**changes: object) -> ProGAN:
    torch.manual_seed(0)
    return ProGAN(dataclasses.replace(CONFIG, **changes), inputs())


def batch_of(n: int = 4, side: int = 16) -> Batch:
    images = torch.rand(n, 1, side, side, generator=torch.Generator().manual_seed(5))
    return Batch(images, torch.arange(n), torch.full((n,), -1))


class Optimizers:
    """Stands in for the engine: a step of SGD for each update, at a clock that is set by hand."""

    def __init__(self, method: ProGAN) -> None:
        self.step, self.images, self.progress = 0, 0, 0.0
        self.order: list[str] = []
        self.groups = {
            name: torch.optim.SGD(group, lr=0.01) for name, group in method.parameter_groups().items()
        }

    def __call__(self, name: str, loss_fn: LossFn, batch: Batch) -> dict[str, Tensor]:
        self.order.append(name)
        optimizer = self.groups[name]
        optimizer.zero_grad()
        loss, _ = loss_fn(batch)
        loss.backward(inputs=[p for group in optimizer.param_groups for p in group["params"]])
        optimizer.step()
        return {}


def train_at(method: ProGAN, images: int) -> None:
    update = Optimizers(method)
    update.images = images

    def stream() -> Iterator[Batch]:
        while True:
            yield batch_of()

    method.step(stream(), update)  # type: ignore[arg-type]
    assert update.order == ["critic", "generator"]


# growth


def test_levels_grow_by_images_alone() -> None:
    """40 images at a level, then 20 of fading, ... as a walk from image to image says."""
    expected, level, fade, left = [], 0, 1.0, 40
    for _ in range(200):
        expected.append((level, fade))
        left -= 1
        if level and fade < 1:
            fade = round(fade + 1 / 20, 6)
            left = 40 if fade == 1 else left
        elif left <= 0 and level < 2:
            level, fade = level + 1, 0.0
    for images, (at, share) in enumerate(expected):
        found = growth(images, 3, stable_images=40, fade_images=20)
        assert found == (at, pytest.approx(share, abs=1e-5)), images


def test_no_stable_phase_fades_without_pause() -> None:
    found = [growth(images, 3, stable_images=0, fade_images=10) for images in (0, 5, 10, 15, 20, 99)]
    assert found == [(1, 0.0), (1, 0.5), (2, 0.0), (2, 0.5), (2, 1.0), (2, 1.0)]


@pytest.mark.parametrize(("side", "levels"), [(4, 1), (8, 2), (16, 3), (1024, 9)])
def test_levels_of_a_side(side: int, levels: int) -> None:
    assert levels_of(side) == levels


@pytest.mark.parametrize("side", [0, 1, 2, 3, 5, 12, 24, 28, 100])
def test_other_sides_have_no_levels(side: int) -> None:
    with pytest.raises(ValueError, match="are not 4, 8, 16, 32"):
        levels_of(side)


# fading


@pytest.mark.parametrize("level", [1, 2])
def test_at_0_the_networks_are_the_smaller_and_at_1_the_larger_to_the_bit(level: int) -> None:
    torch.manual_seed(1)
    generator = GrowingGenerator(6, 3, (8, 6, 4), leak=0.2)
    critic = GrowingDiscriminator(3, (8, 6, 4), leak=0.2, group=2)
    z, images = torch.randn(4, 6), torch.randn(4, 3, 4 * 2**level, 4 * 2**level)
    nothing, whole = torch.tensor(0.0), torch.tensor(1.0)
    assert torch.equal(generator(z, level, nothing), double(generator(z, level - 1)))
    assert torch.equal(generator(z, level, whole), generator(z, level))
    assert torch.equal(critic(images, level, nothing), critic(halve(images), level - 1))
    assert torch.equal(critic(images, level, whole), critic(images, level))
    real = torch.rand(2, 3, 16, 16)
    assert torch.equal(at_level(real, level, nothing), double(at_level(real, level - 1)))
    assert torch.equal(at_level(real, level, whole), at_level(real, level))


def test_between_them_pictures_are_blended_and_features_too() -> None:
    torch.manual_seed(1)
    generator, z = GrowingGenerator(6, 1, (8, 6), leak=0.2), torch.randn(4, 6)
    share = torch.tensor(0.3)
    blend = 0.7 * double(generator(z, 0)) + 0.3 * generator(z, 1)
    torch.testing.assert_close(generator(z, 1, share), blend)
    critic, images = GrowingDiscriminator(1, (8, 6), leak=0.2, group=2), torch.randn(4, 1, 8, 8)
    below = F.leaky_relu(critic.from_image[0](halve(images)), 0.2)
    above = F.leaky_relu(critic.from_image[1](images), 0.2)
    above = F.leaky_relu(critic.first[1](above), 0.2)
    above = halve(F.leaky_relu(critic.second[1](above), 0.2))
    x = append_minibatch_std(0.7 * below + 0.3 * above, 2)
    x = F.leaky_relu(critic.first[0](x), 0.2).flatten(1)
    expected = critic.judge(F.leaky_relu(critic.second[0](x), 0.2)).flatten()
    torch.testing.assert_close(critic(images, 1, share), expected)


def test_a_new_level_learns_nothing_before_it_is_seen() -> None:
    generator, z = GrowingGenerator(6, 1, (8, 6), leak=0.2), torch.randn(4, 6)
    generator(z, 1, torch.tensor(0.0)).square().sum().backward()
    assert not generator.first[1].weight.grad.any()
    assert generator.first[0].weight.grad.any()


# layers


def test_the_networks_of_table_2_have_their_layers() -> None:
    widths = (512, 512, 512, 512, 256, 128, 64, 32, 16)
    with torch.device("meta"):
        generator = GrowingGenerator(512, 3, widths, leak=0.2)
        critic = GrowingDiscriminator(3, widths, leak=0.2, group=4)
    shapes = [tuple(part.weight.shape) for part in generator.first]
    assert shapes == [(b, a, 3, 3) for a, b in zip((512, *widths), widths, strict=False)]
    assert [tuple(part.weight.shape) for part in generator.second[1:]] == [(w, w, 3, 3) for w in widths[1:]]
    assert generator.dense.weight.shape == (512 * 16, 512)
    assert critic.first[0].weight.shape == (512, 513, 3, 3)  # one more, of the standard deviation
    assert critic.second[0].weight.shape == (512, 512 * 16)  # 4x4
    shapes = [tuple(part.weight.shape) for part in critic.second[1:]]
    assert shapes == [(a, b, 3, 3) for a, b in pairwise(widths)]


@pytest.mark.parametrize("layer", [EqualizedLinear(300, 50), EqualizedConv2d(40, 30, 3)])
def test_equalized_layers_keep_the_variance_that_a_relu_halves(layer: nn.Module) -> None:
    g = torch.Generator().manual_seed(0)
    layer.weight.data.normal_(generator=g)
    shape = (200, 300) if isinstance(layer, EqualizedLinear) else (20, 40, 16, 16)
    y = layer(torch.randn(*shape, generator=g)).detach()
    y = y if y.ndim == 2 else y[..., 2:-2, 2:-2]  # without the zeros around the picture
    assert float(F.relu(y).square().mean()) == pytest.approx(1.0, rel=0.1)


def test_adam_moves_equalized_weights_at_one_relative_speed() -> None:
    """§4.1: a first step of Adam changes each weight by its rate times the layer's scale, whatever the width."""
    for wide in (10, 1000):
        layer = EqualizedLinear(wide, 4)
        before = (layer.weight * layer.scale).detach().clone()
        optimizer = torch.optim.Adam(layer.parameters(), lr=0.01, eps=1e-12)
        layer(torch.ones(1, wide)).sum().backward()
        optimizer.step()
        change = ((layer.weight * layer.scale) - before).abs() / layer.scale
        torch.testing.assert_close(change, torch.full_like(change, 0.01), rtol=1e-3, atol=0)


def test_pixel_norm_gives_every_pixel_a_mean_square_of_1() -> None:
    x = torch.randn(3, 5, 2, 2)
    normal = pixel_norm(x)
    torch.testing.assert_close(normal.square().mean(1), torch.ones(3, 2, 2))
    torch.testing.assert_close(normal * x.norm(dim=1, keepdim=True) / 5**0.5, x)


def test_the_standard_deviation_is_that_over_groups_of_images() -> None:
    x = torch.randn(6, 3, 2, 2, dtype=torch.float64)
    appended = append_minibatch_std(x, 3)
    assert torch.equal(appended[:, :3], x)
    for group in (0, 1):
        rows = x[3 * group : 3 * group + 3].numpy()
        expected = rows.std(axis=0).mean()
        assert appended[3 * group : 3 * group + 3, 3].numpy() == pytest.approx(expected, rel=1e-6)
    alike = append_minibatch_std(x[:1].expand(4, -1, -1, -1), 4)
    assert float(alike[:, 3].max()) <= 1.1e-4
    with pytest.raises(ValueError, match="6 images do not divide into groups of 4"):
        append_minibatch_std(x, 4)


# losses


def test_the_critic_minimises_what_the_paper_says() -> None:
    method = make(widths=(4, 4, 4), std_group=1)  # alone in its group, every image is judged by itself
    method._grow(60 - 5)  # level 1, three quarters faded in
    assert (method.level, method.fading) == (1, True)
    batch = batch_of()
    torch.manual_seed(3)
    loss, aux = method.critic_loss(batch)
    torch.manual_seed(3)
    fade = torch.tensor(0.75)
    fake = method.generator(torch.randn(4, 6), 1, fade).detach()
    share = torch.rand(4).view(-1, 1, 1, 1)
    real = at_level(2 * batch.images - 1, 1, fade)
    between = (share * real + (1 - share) * fake).double()
    critic = method.critic.double()
    norms = torch.stack(
        [
            torch.autograd.functional.jacobian(lambda x: critic(x, 1, fade).sum(), image[None]).norm()
            for image in between
        ]
    )
    on_real, on_fake = critic(real.double(), 1, fade), critic(fake.double(), 1, fade)
    gap, penalty, drift = on_real.mean() - on_fake.mean(), ((norms - 1) ** 2).mean(), (on_real**2).mean()
    assert loss.item() == pytest.approx((-gap + 10 * penalty + 0.01 * drift).item(), rel=1e-4)
    values = {name: value.item() for name, value in aux.items()}
    expected = {
        "gap": gap.item(),
        "penalty": penalty.item(),
        "drift": drift.item(),
        "side": 8.0,
        "fade": 0.75,
    }
    assert values == pytest.approx(expected, rel=1e-4)


def test_the_generator_climbs_the_critic() -> None:
    method, batch = make(), batch_of()
    torch.manual_seed(3)
    loss, _ = method.generator_loss(batch)
    torch.manual_seed(3)
    expected = -method.critic(method.generator(torch.randn(4, 6), 0), 0).mean()
    torch.testing.assert_close(loss, expected)


# state


def test_the_average_follows_and_is_kept_as_it_stood_at_the_end_of_a_level() -> None:
    method = make()
    before = {name: value.clone() for name, value in method.average.state_dict().items()}
    train_at(method, 0)
    for name, value in method.average.state_dict().items():
        torch.testing.assert_close(value, 0.9 * before[name] + 0.1 * method.generator.state_dict()[name])
    z = torch.randn(4, 6)
    then = method.average(z, 0).clone()
    assert method.resolutions == (4,)
    train_at(method, 41)
    assert method.resolutions == (4, 8)
    assert not torch.equal(method.average(z, 0), then)  # it went on
    assert torch.equal(method.earlier[0](z, 0), then)
    method.sampling = ProGAN.Sampling(resolution=4)
    shown = (double(double(then)) + 1) / 2
    torch.testing.assert_close(method.decode(z), shown.clamp(0, 1))
    kept = method.earlier[0].state_dict()["dense.weight"].clone()
    train_at(method, 70)
    assert torch.equal(method.earlier[0].state_dict()["dense.weight"], kept)


def test_a_checkpoint_tells_where_the_growth_stands() -> None:
    method, other = make(), make()
    train_at(method, 50)
    other.load_state_dict(method.state_dict())
    z = torch.randn(4, 6)
    assert (int(other.reached), float(other.fade)) == (1, 0.5)
    expected = double(method.average(z, 1, torch.tensor(0.5)))
    torch.testing.assert_close(other.decode(z), ((expected + 1) / 2).clamp(0, 1))
    train_at(method, 54)
    train_at(other, 54)  # resumed, it keeps what was kept
    for name, value in method.earlier.state_dict().items():
        assert torch.equal(other.earlier.state_dict()[name], value), name


def test_raw_weights_and_resolutions_can_be_chosen() -> None:
    method = make()
    train_at(method, 0)
    train_at(method, 41)
    z = torch.randn(4, 6)
    method.sampling = ProGAN.Sampling(weights="raw")
    raw = double(method.generator(z, 1, torch.tensor(0.05)))
    torch.testing.assert_close(method.decode(z), ((raw + 1) / 2).clamp(0, 1))
    method.sampling = ProGAN.Sampling(resolution=16)
    with pytest.raises(UsageError, match="no resolution of 16 pixels in this run") as refused:
        method.decode(z)
    assert refused.value.hint == "it has reached: 4, 8"
    method.sampling = ProGAN.Sampling(resolution=4, weights="raw")
    with pytest.raises(UsageError, match="only the averaged generator was kept"):
        method.decode(z)


def test_the_panel_shows_a_row_for_every_resolution() -> None:
    method = make().eval()
    method._grow(1000)
    with torch.no_grad():
        panel = {panel.name: panel for panel in method.panels(batch_of())}["resolutions"]
    assert panel.array.shape == (3 * 8, 1, 16, 16)
    assert "rows of 4, 8, 16 pixels" in panel.caption
    small = torch.from_numpy(panel.array[:8])
    assert torch.equal(small, double(double(small[..., ::4, ::4])))  # 4x4 pixels, enlarged


# bad input


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        (inputs(side=28), "28 pixels are not 4, 8, 16, 32", "set data.size to 16, 32 or 64"),
        (inputs(side=16, width=8), "draws squares, not 8x16 pixels", "set data.size"),
        (
            inputs(side=32),
            "3 widths are for images of 16 pixels, not 32",
            "give 4 widths, or set data.size=16",
        ),
        (inputs(batch=7), "train.batch = 7 does not divide into groups", "set train.batch=6"),
    ],
)
def test_what_cannot_grow_is_refused(given: Inputs, message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        ProGAN(CONFIG, given)
    assert hint in refused.value.hint
