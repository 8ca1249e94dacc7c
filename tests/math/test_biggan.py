"""BigGAN: its blocks, losses, truncation and standing statistics against what the papers write down."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from torch import Tensor, nn

from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.adversarial.biggan import STANDING_BATCH, BigGAN
from sslterm.methods.base import Inputs, LossFn
from sslterm.nn.class_conditional import ConditionalGenerator, ProjectionDiscriminator
from sslterm.nn.noise import truncated_normal
from sslterm.nn.orthogonal import between_rows, init_orthogonal, matrices
from sslterm.nn.self_attention import SelfAttention
from sslterm.nn.spectral import SpectralLinear, iterate_power, spectral_layers
from sslterm.nn.standing import ConditionalBatchNorm, StandingBatchNorm, stand

CONFIG = BigGAN.Config(
    latent_part=4, embedding_dim=5, generator_widths=(6, 8), discriminator_widths=(6, 8, 8),
    discriminator_halvings=2, attention_side=8, discriminator_updates=3, orthogonal=1e-2, ema=0.9,
    ema_start_images=0, standing_passes=3,
)  # fmt: skip
INPUTS = Inputs(channels=1, height=16, width=16, train_images=100, batch=4, classes=3)


def make(**changes: object) -> BigGAN:
    torch.manual_seed(0)
    return BigGAN(dataclasses.replace(CONFIG, **changes), INPUTS)


def batch_of(n: int = 4) -> Batch:
    g = torch.Generator().manual_seed(5)
    images, label = torch.rand(n, 1, 16, 16, generator=g), torch.randint(3, (n,), generator=g)
    return Batch(images, torch.arange(n), label)


class Optimizers:
    """Stands in for the engine: a step of Adam for each update."""

    def __init__(self, method: BigGAN, *, fused: bool | None = None) -> None:
        self.step, self.images, self.progress = 0, 0, 0.0
        self.seen: list[tuple[str, Batch]] = []
        self.groups = {
            name: torch.optim.Adam(group, lr=0.01, fused=fused)
            for name, group in method.parameter_groups().items()
        }

    def __call__(self, name: str, loss_fn: LossFn, batch: Batch) -> dict[str, Tensor]:
        self.seen.append((name, batch))
        optimizer = self.groups[name]
        optimizer.zero_grad()
        loss, _ = loss_fn(batch)
        loss.backward(inputs=[p for group in optimizer.param_groups for p in group["params"]])
        optimizer.step()
        return {}


def train(method: BigGAN, update: Optimizers | None = None) -> Optimizers:
    update = update or Optimizers(method)

    def stream() -> Iterator[Batch]:
        while True:
            yield batch_of()

    method.train().step(stream(), update)  # type: ignore[arg-type]
    method.eval()
    return update


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(method: BigGAN, n: int = 4, seed: int = 0, label: Tensor | None = None) -> Tensor:
    with torch.no_grad():
        (images,) = method.sample(n, seeded(seed), label)
    return images


# noise


@pytest.mark.parametrize("threshold", [0.04, 0.5, 1.0, 2.0, math.inf])
def test_codes_are_normal_with_what_lies_beyond_the_threshold_drawn_anew(threshold: float) -> None:
    z = truncated_normal(200, 100, seeded(), threshold)
    assert z.isfinite().all()
    assert z.abs().max() <= threshold
    truth = stats.truncnorm(-threshold, threshold) if threshold < math.inf else stats.norm()
    assert stats.kstest(z.flatten().double().numpy(), truth.cdf).pvalue > 0.01


def test_a_sweep_over_thresholds_moves_single_codes_towards_0() -> None:
    wide, middle, narrow = (truncated_normal(20, 10, seeded(), t) for t in (math.inf, 1.0, 0.1))
    assert torch.equal(wide.sign(), narrow.sign())
    assert torch.equal(wide.flatten().argsort(), narrow.flatten().argsort())
    assert bool(((wide.abs() >= middle.abs()) & (middle.abs() >= narrow.abs())).all())


# orthogonal weights


def test_the_penalty_is_on_the_angles_between_rows_alone() -> None:
    weight = torch.randn(4, 3, 2, 2, dtype=torch.float64)
    rows = weight.flatten(1)
    expected = sum(float(rows[i] @ rows[j]) ** 2 for i in range(4) for j in range(4) if i != j)
    assert between_rows([weight]).item() == pytest.approx(expected)
    assert between_rows([weight, weight]).item() == pytest.approx(2 * expected)
    right = torch.diag(torch.tensor([3.0, 0.1, 7.0]))  # of any length
    assert between_rows([right]).item() == 0


def test_the_gradient_of_the_penalty_is_that_of_its_definition() -> None:
    weight = torch.randn(5, 7, dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(between_rows([weight]), weight)
    off = 1 - torch.eye(5, dtype=torch.float64)
    torch.testing.assert_close(found, 4 * (weight @ weight.T * off) @ weight)


def test_the_generator_is_penalised_but_for_its_embedding() -> None:
    method = make()
    penalised = {id(weight) for weight in matrices(method.generator, besides=[method.generator.embed])}
    for name, parameter in method.generator.named_parameters():
        assert (id(parameter) in penalised) == (parameter.ndim > 1 and name != "embed.weight"), name


def test_networks_begin_orthogonal_with_known_singular_values() -> None:
    method = make()
    for layer in spectral_layers(method):
        values = torch.linalg.svdvals(layer.weight.flatten(1))
        torch.testing.assert_close(values, torch.ones_like(values), rtol=1e-4, atol=0)
        assert layer.sigma().item() == pytest.approx(1.0, rel=1e-4)


# blocks


def test_conditional_batchnorm_scales_and_shifts_by_the_condition() -> None:
    norm = ConditionalBatchNorm(4, 3, SpectralLinear).train()
    x, condition = torch.randn(6, 4, 5, 5), torch.randn(6, 3)
    expected = F.batch_norm(x, None, None, training=True)
    for i in range(6):
        scale = 1 + norm.scale.normalized() @ condition[i]
        shift = norm.shift.normalized() @ condition[i]
        expected[i] = expected[i] * scale[:, None, None] + shift[:, None, None]
    torch.testing.assert_close(norm(x, condition), expected)


def test_attention_is_over_all_places_with_pooled_keys_and_values() -> None:
    layer, x = SelfAttention(16), torch.randn(2, 16, 4, 6)
    assert torch.equal(layer(x), x)  # at the start
    layer.gamma.data.fill_(0.7)
    q, k, v = (part(x) for part in (layer.query, layer.key, layer.value))
    k, v = F.max_pool2d(k, 2), F.max_pool2d(v, 2)
    q, k, v = (part.flatten(2).transpose(1, 2) for part in (q, k, v))  # [B, places, c]
    seen = F.scaled_dot_product_attention(q, k, v, scale=1.0).transpose(1, 2).unflatten(2, (4, 6))
    torch.testing.assert_close(layer(x), x + 0.7 * layer.output(seen))
    assert (q.shape[2], v.shape[2]) == (2, 8)


def test_the_discriminator_adds_the_product_with_the_class() -> None:
    network = ProjectionDiscriminator(1, 3, 16, (6, 8, 8), halvings=2, attention_side=8)
    images = torch.randn(4, 1, 16, 16)
    x = images
    for block, attention in zip(network.blocks, network.attentions, strict=True):
        x = attention(block(x))
    assert x.shape == (4, 8, 4, 4)
    features = F.relu(x).sum((2, 3))
    table = network.embed.weight / network.embed.sigma()
    for label in range(3):
        expected = network.judge(features).flatten() + features @ table[label]
        torch.testing.assert_close(network(images, torch.full((4,), label)), expected)


def test_every_block_gets_its_own_part_of_the_code() -> None:
    torch.manual_seed(0)
    network = ConditionalGenerator(4, 3, 5, 1, 16, (6, 8), attention_side=0).train()
    iterate_power(network, 20)
    z, label = torch.randn(4, 12), torch.tensor([0, 1, 2, 0])
    inputs: list[Tensor] = []
    for block in network.blocks:
        block.register_forward_pre_hook(lambda module, given: inputs.append(given[1]))
    network(z, label)
    for number, condition in enumerate(inputs):
        start = 4 * (number + 1)
        assert torch.equal(condition, torch.cat([network.embed(label), z[:, start : start + 4]], 1))
    torch.testing.assert_close(network(z, label), network.draw(z, network.embed.weight[label]))


def test_the_papers_networks_have_the_papers_widths() -> None:
    """App. B, 128x128, ch = 96: the generator from 16 ch down to ch, attention at 64; z in parts of 20."""
    with torch.device("meta"):
        ch = 96
        generator = ConditionalGenerator(
            20, 1000, 128, 3, 128, (ch, 2 * ch, 4 * ch, 8 * ch, 16 * ch), attention_side=64
        )
    assert generator.parts * 20 == 120
    assert generator.dense.weight.shape == (4 * 4 * 16 * ch, 20)
    outputs = [block.conv2.weight.shape[0] // ch for block in generator.blocks]
    assert outputs == [16, 8, 4, 2, 1]
    assert [isinstance(part, SelfAttention) for part in generator.attentions] == [False] * 3 + [True, False]
    assert generator.blocks[0].norm1.scale.weight.shape == (16 * ch, 128 + 20)


# losses and steps


def test_the_discriminator_minimises_the_hinge_loss() -> None:
    method, batch = make().train(), batch_of()
    torch.manual_seed(3)
    loss, aux = method.discriminator_loss(batch)
    torch.manual_seed(3)
    fake = method.generator(torch.randn(4, 12), batch.label)
    on_real = method.discriminator(2 * batch.images - 1, batch.label)
    on_fake = method.discriminator(fake, batch.label)
    torch.testing.assert_close(loss, (1 - on_real).clamp_min(0).mean() + (1 + on_fake).clamp_min(0).mean())
    torch.testing.assert_close(aux["margin"], on_real.mean() - on_fake.mean())


def test_the_generator_minimises_the_hinge_loss_and_the_penalty() -> None:
    method, batch = make().train(), batch_of()
    torch.manual_seed(3)
    loss, aux = method.generator_loss(batch)
    torch.manual_seed(3)
    on_fake = method.discriminator(method.generator(torch.randn(4, 12), batch.label), batch.label)
    torch.testing.assert_close(loss, -on_fake.mean() + 1e-2 * aux["orthogonal"])


def test_a_step_is_several_updates_of_the_discriminator_then_one_of_the_generator() -> None:
    method = make()
    update = train(method)
    assert [name for name, _ in update.seen] == ["discriminator"] * 3 + ["generator"]
    assert (
        len({id(batch) for _, batch in update.seen}) == 3
    )  # the generator takes the classes of the last one
    assert method.seen.tolist() == (3 * torch.bincount(batch_of().label, minlength=3)).tolist()


def test_the_average_is_the_generator_until_it_starts() -> None:
    method = make(ema_start_images=10)
    update = train(method)
    for average, raw in zip(method.average.parameters(), method.generator.parameters(), strict=True):
        assert torch.equal(average, raw)
    before = [parameter.clone() for parameter in method.average.parameters()]
    update.images = 10
    train(method, update)
    for average, old, raw in zip(
        method.average.parameters(), before, method.generator.parameters(), strict=True
    ):
        torch.testing.assert_close(average, 0.9 * old + 0.1 * raw)


# samples


def test_standing_statistics_are_means_over_passes() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(3, 4), StandingBatchNorm(4)).eval()
    batches = [(torch.randn(8, 3),) for _ in range(5)]
    outputs = [network[0](x).detach() for (x,) in batches]
    stand(network, batches)
    mean = torch.stack([x.mean(0) for x in outputs]).mean(0)
    var = torch.stack([x.var(0) for x in outputs]).mean(0)
    torch.testing.assert_close(network[1].running_mean, mean)
    torch.testing.assert_close(network[1].running_var, var)
    assert not network[1].training
    stand(network, batches[:1])  # anew, not on top
    torch.testing.assert_close(network[1].running_mean, outputs[0].mean(0))
    network.train()
    network(torch.randn(8, 3) + 9)
    torch.testing.assert_close(network[1].running_mean, outputs[0].mean(0))  # training leaves them


def test_a_sample_does_not_depend_on_those_beside_it_and_the_state_not_on_samples() -> None:
    method = make()
    train(method)
    before = {name: value.clone() for name, value in method.state_dict().items()}
    z, label = torch.randn(6, 12), torch.tensor([0, 1, 2, 0, 1, 2])
    with torch.no_grad():
        together, alone = method.decode_class(z, label), method.decode_class(z[2:3], label[2:3])
    torch.testing.assert_close(together[2:3], alone)
    assert not any("running" in name for name in before)
    for name, value in method.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize("fused", [None, True])
@pytest.mark.parametrize("weights", ["ema", "raw"])
def test_statistics_are_of_the_weights_at_hand(weights: str, fused: bool | None) -> None:
    method, fresh = make(), make()
    update = Optimizers(method, fused=fused)
    method.sampling = fresh.sampling = BigGAN.Sampling(weights=weights)  # type: ignore[arg-type]
    train(method, update)
    first = draw(method)
    assert torch.equal(draw(method), first)
    train(method, update)  # the optimizer and the average change weights in place
    fresh.load_state_dict(method.state_dict())
    second = draw(method)
    assert not torch.equal(second, first)
    assert torch.equal(draw(fresh.eval()), second)
    other = make().eval()
    draw(other)
    other.sampling = method.sampling
    other.load_state_dict(method.state_dict())
    assert torch.equal(draw(other), second)


def test_statistics_are_of_the_truncation_at_hand() -> None:
    method = make().eval()
    whole = draw(method)
    method.sampling = BigGAN.Sampling(truncation=0.05)
    z = truncated_normal(STANDING_BATCH, 12, seeded(), 0.05)
    near = draw(method, n=64)
    assert method.average.norm.running_var.isfinite().all()
    assert z.abs().max() <= 0.05
    assert not torch.equal(draw(method), whole)
    alike = draw(method, n=64, label=torch.zeros(64, dtype=torch.int64))
    assert alike.std(0).mean() < near.std(0).mean()  # of one class and nearly one code
    method.sampling = BigGAN.Sampling()
    assert torch.equal(draw(method), whole)


def test_classes_are_drawn_as_often_as_they_were_seen() -> None:
    method = make().eval()
    assert torch.bincount(method._draw_labels(3000, seeded()), minlength=3).min() > 900
    method.seen.copy_(torch.tensor([0, 10, 30]))
    shares = torch.bincount(method._draw_labels(4000, seeded()), minlength=3) / 4000
    torch.testing.assert_close(shares, torch.tensor([0.0, 0.25, 0.75]), atol=0.03, rtol=0)


def test_a_class_that_is_asked_for_is_drawn_from_the_same_noise() -> None:
    method = make().eval()
    label = torch.tensor([2, 2, 2])
    z = truncated_normal(3, 12, seeded(4))
    with torch.no_grad():
        assert torch.equal(draw(method, n=3, seed=4, label=label), method.decode_class(z, label))


# bad input


@pytest.mark.parametrize(
    ("inputs", "changes", "message", "hint"),
    [
        ({"classes": 0}, {}, "these images have no labels", "a folder of images for each class"),
        ({"unlabelled": 7}, {}, "7 of 100 training images have none", "leave those out"),
        ({"height": 32, "width": 32}, {}, "2 widths are for images of 16 pixels, not 32x32", "3 or 4 widths"),
        (
            {},
            {"discriminator_halvings": 4},
            "3 blocks cannot halve 16 pixels so often",
            "set it to 2 or less",
        ),
        ({}, {"attention_side": 5}, "no feature maps of that side in both networks", "set it to 0, 8"),
    ],
)
def test_what_does_not_fit_is_refused(
    inputs: dict[str, int], changes: dict[str, int], message: str, hint: str
) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        BigGAN(dataclasses.replace(CONFIG, **changes), dataclasses.replace(INPUTS, **inputs))
    assert hint in refused.value.hint


def test_what_is_offered_instead_fits() -> None:
    for side in (0, 8):
        assert make(attention_side=side).classes == 3
    init_orthogonal(make())


def test_walks_lead_from_class_to_class() -> None:
    method = make().eval()
    torch.manual_seed(1)
    with torch.no_grad():
        panels = {panel.name: panel for panel in method.panels(batch_of())}
    torch.manual_seed(1)
    codes = torch.randn(10, 12)
    walks, classes = (torch.from_numpy(panels[name].array) for name in ("class-walks", "classes"))
    assert walks.shape == classes.shape == (3 * 10, 1, 16, 16)
    with torch.no_grad():
        for start in range(3):
            ends = walks[[10 * start, 10 * start + 9]]
            label = torch.tensor([start, (start + 1) % 3])
            torch.testing.assert_close(ends, method.decode_class(codes[[start, start]], label))
            row = classes[10 * start : 10 * start + 10]
            torch.testing.assert_close(row, method.decode_class(codes, torch.full((10,), start)))
