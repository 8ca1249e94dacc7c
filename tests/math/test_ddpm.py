"""Diffusion against closed forms, Bayes' rule by quadrature, and the exact denoiser of mixtures of normals."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.methods.diffusion.ddpm import DDPM, stretches
from sslterm.methods.diffusion.samplers import Guess, ancestral, ddim, ddim_step, inpaint
from sslterm.nn.diffusion_schedule import Course, Schedule, alpha_bars
from sslterm.nn.variational import discretized_normal, normal_kl
from tests.math.mixture import Mixture, N, same_distribution

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


# -- the chain


@pytest.mark.parametrize("course", ["linear", "cosine"])
def test_the_chain_is_the_papers(course: Course) -> None:
    """Betas of Ho et al. §4, and of Nichol & Dhariwal Eq. 17, as they are written there."""
    alpha_bar, t = torch.tensor(alpha_bars(course, 1000), dtype=torch.float64), torch.arange(1001).double()
    if course == "linear":
        expected = torch.cat(
            (torch.ones(1), (1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)).cumprod(0))
        )
        torch.testing.assert_close(alpha_bar, expected, rtol=1e-12, atol=0)
        return
    f = torch.cos((t / 1000 + 0.008) / 1.008 * math.pi / 2).square()
    torch.testing.assert_close(alpha_bar[:999], (f / f[0])[:999], rtol=1e-9, atol=0)
    assert (1 - alpha_bar[1:] / alpha_bar[:-1]).max().item() == pytest.approx(
        0.999, abs=1e-9
    )  # the last is cut


@pytest.mark.parametrize("course", ["linear", "cosine"])
def test_many_steps_of_noise_are_one(course: Course) -> None:
    """q(x_t | x_0) in closed form is what t single steps N(sqrt(1 - beta) x, beta) make."""
    schedule, mean, variance = Schedule(course, 60), 1.0, 0.0
    for t in range(1, 61):
        beta = math.exp(schedule.transition(t, t - 1).log_large)
        mean, variance = math.sqrt(1 - beta) * mean, (1 - beta) * variance + beta
        level = schedule.level(t)
        assert level.signal == pytest.approx(mean, rel=1e-9)
        assert level.noise**2 == pytest.approx(variance, rel=1e-9)


@pytest.mark.parametrize(("t", "s"), [(7, 6), (40, 39), (40, 11), (60, 3)])
def test_the_way_back_is_bayes_rule(t: int, s: int) -> None:
    """q(x_s | x_t, x_0) on a fine grid: q(x_t | x_s) q(x_s | x_0), normalised."""
    schedule, clean, noisy = Schedule("linear", 60), 0.3, -0.7
    x_s = torch.linspace(-8, 8, 400_001, dtype=torch.float64)
    now, then = schedule.level(t), schedule.level(s)
    alpha = schedule.alpha_bar[t] / schedule.alpha_bar[s]
    log_p = -(x_s - then.signal * clean).square() / (2 * then.noise**2)
    log_p = log_p - (noisy - alpha**0.5 * x_s).square() / (2 * (1 - alpha))
    share = log_p.softmax(0)
    mean = (share * x_s).sum()
    variance = (share * (x_s - mean).square()).sum()
    transition = schedule.transition(t, s)
    assert transition.of_clean * clean + transition.of_noisy * noisy == pytest.approx(mean.item(), rel=1e-9)
    assert transition.variance == pytest.approx(variance.item(), rel=1e-7)
    assert transition.log_small == pytest.approx(math.log(variance), abs=1e-7)
    assert now.noise > then.noise


def test_losses_and_samplers_have_the_same_chain() -> None:
    schedule, t = Schedule("cosine", 60), torch.tensor([1, 2, 30, 60])
    for row, step in enumerate(t.tolist()):
        for tensors, numbers in (
            (schedule.levels(t), schedule.level(step)),
            (schedule.transitions(t), schedule.transition(step, step - 1)),
        ):
            for ours, theirs in zip(tensors, numbers, strict=True):
                assert ours[row].item() == pytest.approx(theirs, rel=1e-6)


def test_fewer_steps_are_evenly_spaced() -> None:
    assert Schedule("linear", 100).subsequence(4) == [100, 67, 34, 1, 0]
    assert Schedule("linear", 100).subsequence(1) == [100, 0]
    assert Schedule("linear", 30).subsequence(30) == list(range(30, -1, -1))


# -- samplers with the exact denoiser


def exactly(mixture: Mixture, schedule: Schedule, share: float = 0.0) -> Callable[[Tensor, int], Guess]:
    """E[epsilon | x_t] of the mixture."""

    def denoise(x: Tensor, t: int) -> Guess:
        level = schedule.level(t)
        clean = mixture.posterior_mean(x, level.signal, level.noise)
        return Guess((x - level.signal * clean) / level.noise, share)

    return denoise


SAMPLERS: dict[str, Callable[..., Iterator[Tensor]]] = {
    "ancestral": ancestral, "ddim": ddim, "ddim-half": partial(ddim, eta=0.5), "ddim-full": partial(ddim, eta=1.0),
}  # fmt: skip


@pytest.mark.parametrize("course", ["linear", "cosine"])
@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_returns_the_mixture(name: str, course: Course) -> None:
    schedule, mixture = Schedule(course, 500), Mixture()
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(N, 1, 1, 2, generator=generator, dtype=torch.float64)
    denoise = exactly(mixture, schedule)
    *_, end = SAMPLERS[name](denoise, schedule, start, steps=500, generator=generator, clip=False)
    same_distribution(end.flatten(1), mixture)


def test_too_few_steps_do_not_return_it() -> None:
    """That the test above can tell."""
    schedule, mixture = Schedule("linear", 200), Mixture()
    start = torch.randn(N, 1, 1, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    *_, end = ddim(exactly(mixture, schedule), schedule, start, steps=2, clip=False)
    with pytest.raises(AssertionError):
        same_distribution(end.flatten(1), mixture)


@pytest.mark.parametrize(("t", "s"), [(200, 199), (80, 40), (2, 1)])
def test_ddim_with_full_noise_is_ancestral_with_the_small_variance(t: int, s: int) -> None:
    """Mean and variance of a step, eta = 1 (2010.02502, §4.1)."""
    schedule, mixture = Schedule("linear", 200), Mixture()
    x = torch.tensor([0.4, -1.1]).double().view(1, 1, 1, 2).expand(100_000, 1, 1, 2)
    denoise = exactly(mixture, schedule)
    drawn = ddim_step(denoise, schedule, x, t, s, torch.Generator().manual_seed(0), clip=False, eta=1.0)
    transition, level = schedule.transition(t, s), schedule.level(t)
    clean = mixture.posterior_mean(x[:1], level.signal, level.noise)
    std = transition.variance**0.5
    torch.testing.assert_close(
        drawn.mean(0), transition.mean(clean, x[:1])[0], rtol=0, atol=4 * std / 100_000**0.5
    )
    torch.testing.assert_close(drawn.std(0), torch.full_like(drawn[0], std), rtol=0.01, atol=0)


def test_filling_in_draws_from_the_conditional() -> None:
    """The second value of a correlated normal given the first."""
    schedule, rho = Schedule("cosine", 100), 0.8
    covariance = torch.tensor([[1.0, rho], [rho, 1.0]], dtype=torch.float64) * 0.09

    def denoise(x: Tensor, t: int) -> Guess:
        signal, noise = schedule.level(t)
        matrix = noise * torch.linalg.inv(
            signal**2 * covariance + noise**2 * torch.eye(2, dtype=torch.float64)
        )
        return Guess(torch.einsum("ij,bchj->bchi", matrix, x), 0.0)

    known = torch.tensor([0.35, 0.0]).double().view(1, 1, 1, 2).expand(3000, 1, 1, 2)
    hidden = torch.tensor([False, True]).view(1, 1, 1, 2).expand(3000, 1, 1, 2)
    *_, filled = inpaint(
        denoise, schedule, known, hidden, steps=100, generator=torch.Generator().manual_seed(0)
    )
    assert torch.equal(filled[..., 0], known[..., 0])
    second = filled[..., 1].flatten()
    assert second.mean().item() == pytest.approx(rho * 0.35, abs=0.03)  # without the repetitions 0.2
    assert second.std().item() == pytest.approx(0.3 * (1 - rho**2) ** 0.5, rel=0.12)


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
