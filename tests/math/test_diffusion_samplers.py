"""The chain of diffusion against closed forms and Bayes' rule by quadrature, and samplers with exact denoisers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from torch import Tensor

from sslterm.methods.diffusion.samplers import Guess, ancestral, ddim, ddim_step, inpaint
from sslterm.nn.diffusion_schedule import Course, Schedule, alpha_bars
from tests.math.mixture import Mixture, N, same_distribution

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
