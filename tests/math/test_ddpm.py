"""Denoising diffusion: its bound against closed forms, its loss and state against what the papers write."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.methods.diffusion.ddpm import DDPM, stretches
from sslterm.methods.diffusion.samplers import Guess
from sslterm.nn.variational import discretized_normal, normal_kl

N_DRAWS = 300
NETWORK: dict[str, Any] = {
    "width": 8, "multipliers": (1, 2), "blocks": 1, "attention": (), "heads": 1, "dropout": 0.0, "ema": 0.9,
    "conditional": False, "label_dropout": 0.0, "guidance": 0.0,
}  # fmt: skip


def make(channels: int = 1, classes: int = 0, side: int = 4, **changes: Any) -> DDPM:
    torch.manual_seed(0)
    chain = {
        "steps": 50, "schedule": "linear", "variance": "small", "sampler": "ddim", "sampling_steps": 5,
        "bound_steps": 50,
    }  # fmt: skip
    inputs = Inputs(channels=channels, height=side, width=side, train_images=10, batch=4, classes=classes)
    return DDPM(DDPM.Config(**{**NETWORK, **chain, **changes}), inputs).eval()


def stir(method: DDPM) -> None:
    """Take the network out of its start, at which its blocks say nothing."""
    for network in (method.network, method.average):
        for parameter in network.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.1)


def levels(n: int, *shape: int, seed: int = 0) -> Tensor:
    """8-bit images."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (n, *shape), generator=generator) / 255


# -- the bound


def test_terms_of_the_bound_are_torch_s() -> None:
    mean, log_variance = torch.randn(2, 5, 2, 1, 2, dtype=torch.float64)
    other = Normal(torch.zeros_like(mean), 1.3)
    ours = normal_kl(mean, log_variance, other.mean, (1.3 * torch.ones_like(mean)).log() * 2)
    expected = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), other).flatten(1).sum(1)
    torch.testing.assert_close(ours, expected)


def test_levels_under_a_normal_have_its_mass_and_sum_to_one() -> None:
    every = (torch.arange(256).double() / 127.5 - 1).view(-1, 1, 1, 1)
    for mean, log_variance in ((0.1, -4.0), (-0.99, -9.0), (1.3, -2.0), (0.0, 3.0)):
        parts = [torch.tensor(value).double() for value in (mean, log_variance)]
        log_p = discretized_normal(every, *parts)
        assert log_p.exp().sum().item() == pytest.approx(1.0, abs=1e-9)
        normal = Normal(mean, math.exp(0.5 * log_variance))
        edges = normal.cdf(every.flatten()[:-1] + 1 / 255)
        torch.testing.assert_close(log_p.exp()[1:-1], edges.diff(), atol=1e-12, rtol=1e-6)
    far = discretized_normal(torch.ones(1, 1, 1, 1) * 0.5, torch.tensor(-1.0), torch.tensor(-9.0))
    z = 1.5 * math.exp(4.5)  # no float has its probability, and the logarithm is known
    assert far.item() == pytest.approx(-0.5 * z**2, rel=0.02)


def gap_of_a_normal(variance: str) -> float:
    """Bound less -log p of greys of a normal, with the exact denoiser of that normal, in nats a value."""
    method, width = make(steps=100, bound_steps=100, side=8, sampling_steps=5, variance=variance), 0.25

    def exact_noise(x: Tensor, t: Tensor, label: None) -> Tensor:
        signal, noise = method.schedule.levels(t)
        return x * noise / (signal**2 * width**2 + noise**2)

    method.output = exact_noise  # type: ignore[assignment, method-assign]
    draws = (width * torch.randn(400, 1, 8, 8, generator=torch.Generator().manual_seed(0))).clamp(-1, 1)
    images = ((draws + 1) * 127.5).round() / 255
    nats = -discretized_normal(2 * images - 1, torch.tensor(0.0), torch.tensor(2 * math.log(width)))
    bound = -method.log_prob(images, torch.Generator().manual_seed(1))
    return (bound.mean() - nats.mean()).item() / 64


def test_the_bound_of_a_normal_is_above_its_nats_and_close() -> None:
    """Where the data are smooth the large variances are right, and the small ones cost (2102.09672, §3.1)."""
    assert 0 < gap_of_a_normal("large") < 0.08
    assert gap_of_a_normal("small") > 0.5


def test_the_decoder_has_the_small_variance_where_the_rest_has_the_large() -> None:
    """`posterior_variance[1]` in front of the betas, in the authors' code and Nichol & Dhariwal's."""
    images = 2 * levels(2, 1, 4, 4) - 1
    noisy = images + 0.01 * torch.randn(2, 1, 4, 4)
    for t, alike in ((1, True), (2, False)):
        small, large = (
            method.bound_term(
                images, noisy, torch.full((2,), t), Guess(torch.zeros_like(images), share), clip=False
            )
            for method, share in ((make(variance="small"), 0.0), (make(variance="large"), 1.0))
        )
        assert torch.equal(small, large) == alike


@pytest.mark.parametrize("variance", ["small", "large", "learned"])
def test_few_terms_estimate_the_bound_of_all(variance: str) -> None:
    """On average over draws, with a network that is not trained."""
    method = make(variance=variance, steps=40, bound_steps=40)
    stir(method)
    images = levels(1, 1, 4, 4).expand(N_DRAWS, 1, 4, 4)
    whole = method.log_prob(images, torch.Generator().manual_seed(0)).double()
    method.config = DDPM.Config(**{**vars(method.config), "bound_steps": 8})
    part = method.log_prob(images, torch.Generator().manual_seed(1)).double()
    assert part.std() > whole.std()
    error = math.hypot(float(part.std()), float(whole.std())) / N_DRAWS**0.5
    assert abs(float(part.mean() - whole.mean())) < 4 * error


def test_stretches_cover_the_chain() -> None:
    for steps, parts in ((1000, 16), (1000, 1000), (50, 1), (40, 39)):
        covered = [t for first, last in stretches(steps, parts) for t in range(first, last + 1)]
        assert covered == list(range(1, steps + 1))
        assert len(stretches(steps, parts)) <= parts
    assert stretches(5, 5) == [(t, t) for t in range(1, 6)]


# -- the loss


def test_the_loss_is_the_error_in_the_noise() -> None:
    method, images = make(), levels(32, 1, 4, 4)
    stir(method)
    batch = Batch(images, torch.arange(32), torch.full((32,), -1))
    torch.manual_seed(3)
    loss, _ = method.loss(batch)
    torch.manual_seed(3)
    t = 1 + torch.randint(50, (32,))
    noise = torch.randn(32, 1, 4, 4)
    alpha_bar = torch.tensor(method.schedule.alpha_bar)[t].view(-1, 1, 1, 1)
    x_t = alpha_bar.sqrt() * (2 * images - 1) + (1 - alpha_bar).sqrt() * noise
    expected = (method.network(x_t, t) - noise).square().mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_bound_trains_the_variance_alone() -> None:
    """L_hybrid: the noise output gets the gradient of L_simple, the other that of L_vlb."""
    method, batch = (
        make(variance="learned"),
        Batch(levels(16, 1, 4, 4), torch.arange(16), torch.full((16,), -1)),
    )
    last = method.network.leave[-1]

    def gradient(of: str) -> Tensor:
        torch.manual_seed(0)
        loss, aux = method.loss(batch)
        chosen = {"loss": loss, "mse": aux["noise_mse"], "bound": aux["bound_bits_per_dim"]}[of]
        (slope,) = torch.autograd.grad(chosen, last.bias)
        return slope

    of_loss, of_mse, of_bound = map(gradient, ("loss", "mse", "bound"))
    assert of_mse[1] == of_bound[0] == 0
    assert of_mse[0] != 0
    assert of_bound[1] != 0
    torch.testing.assert_close(of_loss, of_mse + 0.001 * of_bound)


def test_the_right_variance_minimises_the_learned_bound() -> None:
    """Where x_0 is standard normal the step's variance is beta (Ho et al. §3.2), where it is a point, beta-tilde."""
    method = make(steps=60, variance="learned")
    t = torch.full((8_000,), 30)
    level = method.schedule.levels(t)
    noise = torch.randn(8_000, 1, 2, 2)

    def best_share(clean: Tensor, width: float) -> float:
        x_t = level.signal * clean + level.noise * noise
        estimate = x_t * level.noise / (level.signal**2 * width**2 + level.noise**2)
        terms = [
            method.bound_term(clean, x_t, t, Guess(estimate, share / 20), clip=False).mean().item()
            for share in range(21)
        ]
        return terms.index(min(terms)) / 20

    assert best_share(torch.zeros_like(noise), 0.0) == 0.0
    assert best_share(torch.randn_like(noise), 1.0) >= 0.95


# -- classes


def test_guidance_extrapolates_from_none_to_the_class() -> None:
    method = make(classes=3, conditional=True, label_dropout=0.2, guidance=1.5)
    stir(method)
    x, t, label = torch.randn(4, 1, 4, 4), torch.full((4,), 9), torch.tensor([0, 1, 2, 2])
    of_class = method.average(x, t, label)
    of_none = method.average(x, t, torch.full((4,), 3))
    assert not torch.allclose(of_class, of_none)
    torch.testing.assert_close(method.output(x, t, label), of_none + 2.5 * (of_class - of_none))
    torch.testing.assert_close(method.output(x, t, None), of_none)


def test_labels_are_withheld_as_often_as_said_and_where_unknown() -> None:
    method = make(classes=3, conditional=True, label_dropout=0.3, guidance=1.0)
    label = torch.arange(10_000) % 3
    label[:1000] = -1
    told = method.seen_labels(Batch(torch.zeros(10_000, 1, 4, 4), label, label))
    assert told is not None
    assert (told[:1000] == 3).all()
    assert (told[1000:] == 3).float().mean().item() == pytest.approx(0.3, abs=0.02)
    kept = told[1000:] != 3
    assert torch.equal(told[1000:][kept], label[1000:][kept])


# -- state, and bad input


def test_the_average_follows_and_starts_short() -> None:
    class Clock:
        step = 0

        def __call__(self, name: str, loss: object, batch: object) -> dict[str, Tensor]:
            return {}

    method = make(ema=0.99)
    before = method.average.enter.weight.clone()
    with torch.no_grad():
        method.network.enter.weight.add_(1.0)
    clock = Clock()
    for clock.step, momentum in ((0, 0.1), (2, 0.25), (10_000, 0.99)):
        method.average.enter.weight.data.copy_(before)
        method.step(iter([None]), clock)  # type: ignore[arg-type]
        torch.testing.assert_close(method.average.enter.weight, before + (1 - momentum))


def test_raw_weights_and_their_average_can_both_be_sampled() -> None:
    method = make()
    stir(method)

    def draw(weights: str) -> Tensor:
        method.sampling = type(method.sampling)(**{**vars(method.sampling), "weights": weights})
        return [*method.sample(2, torch.Generator().manual_seed(0))][-1]

    assert not torch.equal(draw("raw"), draw("ema"))
    method.average.load_state_dict(method.network.state_dict())
    assert torch.equal(draw("raw"), draw("ema"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": 10, "sampling_steps": 5, "bound_steps": 5}, "cannot end in noise"),
        ({"sampling_steps": 51}, "the chain has 50 steps"),
        ({"bound_steps": 51}, "the chain has 50 steps"),
        ({"multipliers": (1, 2, 2, 2)}, "cannot be halved 3 times"),
        ({"attention": (3,)}, "no maps of side 3"),
        ({"width": 7}, "is odd"),
        ({"guidance": 1.0}, "method.conditional = false"),
        ({"conditional": True, "label_dropout": 0.1}, "have no classes"),
        ({"conditional": True}, "with the class and without"),
    ],
)
def test_what_cannot_work_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make(**changes)


def test_a_class_is_not_sampled_by_a_network_without() -> None:
    with pytest.raises(UsageError, match="without classes"):
        next(iter(make().sample(1, torch.Generator(), torch.zeros(1, dtype=torch.int64))))
