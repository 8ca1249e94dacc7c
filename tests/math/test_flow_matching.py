"""Flow matching: solvers against closed forms, the exact velocity of mixtures, densities that are known, pairings."""

from __future__ import annotations

import math
from itertools import permutations
from typing import Any

import pytest
import torch
from torch import Tensor

from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.methods.diffusion.flow_matching import FlowMatching, straight_way
from sslterm.nn.divergence import field_and_divergence
from sslterm.nn.ode import Solver, integrate
from sslterm.nn.pairing import optimal_pairs
from tests.math.mixture import Mixture, N, same_distribution

SOLVERS: list[tuple[Solver, int]] = [("euler", 100), ("heun", 40), ("dopri5", 1)]


def make(channels: int = 1, classes: int = 0, side: int = 4, batch: int = 8, **changes: Any) -> FlowMatching:
    torch.manual_seed(0)
    fields: dict[str, Any] = {
        "width": 8, "multipliers": (1, 2), "blocks": 1, "attention": (), "heads": 1, "dropout": 0.0, "ema": 0.9,
        "conditional": False, "label_dropout": 0.0, "guidance": 0.0, "sigma_min": 0.0, "pairing": "independent",
        "sampler": "heun", "sampling_steps": 5, "tolerance": 1e-5, "trace": "exact",
    }  # fmt: skip
    inputs = Inputs(channels=channels, height=side, width=side, train_images=10, batch=batch, classes=classes)
    return FlowMatching(FlowMatching.Config(**{**fields, **changes}), inputs).eval()


def end_of(
    field: Any,
    x: Tensor,
    start: float,
    end: float,
    *,
    solver: Solver,
    steps: int = 1,
    tolerance: float = 1e-5,
) -> Tensor:
    *_, (time, x) = integrate(field, x, start, end, solver=solver, steps=steps, tolerance=tolerance)
    assert time == end
    return x


# -- solvers


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2)])
def test_solvers_have_the_order_they_should(solver: Solver, order: int) -> None:
    """dx/dt = x cos t from 1 at 0: exp(sin t)."""
    x, truth = torch.ones(1, 1, dtype=torch.float64), math.exp(math.sin(2))
    errors = [
        abs(end_of(lambda t, x: x * math.cos(t), x, 0.0, 2.0, solver=solver, steps=steps).item() - truth)
        for steps in (40, 80)
    ]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.1)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-8])
def test_dopri5_keeps_its_tolerance_both_ways(tolerance: float) -> None:
    x = torch.tensor([[1.0], [-3.0]], dtype=torch.float64)
    calls = 0

    def field(t: float, x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return x * math.cos(t)

    there = end_of(field, x, 0.0, 2.0, solver="dopri5", tolerance=tolerance)
    torch.testing.assert_close(there, x * math.exp(math.sin(2)), rtol=0, atol=30 * tolerance)
    back = end_of(field, there, 2.0, 0.0, solver="dopri5", tolerance=tolerance)
    torch.testing.assert_close(back, x, rtol=0, atol=60 * tolerance)
    assert calls < 3000


def test_dopri5_takes_large_steps_where_it_may_and_does_not_hang() -> None:
    def way(slope: float) -> list[Tensor]:
        start, field = torch.zeros(1, 1), lambda t, x: torch.full_like(x, slope)
        return [x for _, x in integrate(field, start, 0.0, 1.0, solver="dopri5", steps=1, tolerance=1e-6)]

    assert len(way(1.0)) <= 4  # a twentieth, five times as much, the rest
    assert way(1.0)[-1].item() == pytest.approx(1.0)
    assert len(way(math.nan)) <= 1000
    assert way(math.nan)[-1].isnan().all()


# -- the exact velocity


@pytest.mark.parametrize(("solver", "steps"), SOLVERS)
def test_every_solver_returns_the_mixture(solver: Solver, steps: int) -> None:
    """v(x, t) = E[x_1 - x_0 | x_t = x], with E[x_1 | x_t] of the mixture by Bayes' rule."""
    mixture = Mixture()

    def velocity(t: float, x: Tensor) -> Tensor:
        t = min(t, 1 - 1e-6)
        end = mixture.posterior_mean(x, t, 1 - t)
        return (end - x) / (1 - t)

    start = torch.randn(N, 1, 1, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    end = end_of(velocity, start, 0.0, 1.0, solver=solver, steps=steps, tolerance=1e-5)
    same_distribution(end.flatten(1), mixture)


def test_the_mean_velocity_of_ways_is_the_flows() -> None:
    """What the loss regresses on: at x = (0.1), the mean over ways from N(0, 1) to N(1, 0.5^2) that pass there."""
    t, at = 0.6, 0.1
    generator = torch.Generator().manual_seed(0)
    x_0 = torch.randn(4_000_000, 1, 1, 1, generator=generator)
    x_1 = 1 + 0.5 * torch.randn(4_000_000, 1, 1, 1, generator=generator)
    x_t, u = straight_way(x_0, x_1, torch.full((len(x_0),), t), 0.0)
    near = (x_t - at).abs() < 0.01
    variance = (1 - t) ** 2 + t**2 * 0.25
    expected = 1 + (t * 0.25 - (1 - t)) / variance * (at - t)
    assert u[near].mean().item() == pytest.approx(expected, abs=0.02)


def test_ways_start_in_noise_and_end_at_the_image() -> None:
    """Eq. 22-23, and the derivative of the way is its velocity."""
    x_0, x_1 = torch.randn(2, 3, 1, 2, 2, dtype=torch.float64)
    points = [
        straight_way(x_0, x_1, torch.full((3,), t, dtype=torch.float64), 0.1) for t in (0.0, 0.4, 0.4001, 1.0)
    ]
    torch.testing.assert_close(points[0][0], x_0)
    torch.testing.assert_close(points[3][0], x_1 + 0.1 * x_0)
    torch.testing.assert_close((points[2][0] - points[1][0]) / 0.0001, points[1][1])


# -- densities


def test_the_divergence_is_that_of_the_jacobian() -> None:
    torch.manual_seed(0)
    layers = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Tanh(), torch.nn.Linear(16, 4)).double()
    x = torch.randn(5, 1, 2, 2, dtype=torch.float64)

    def field(x: Tensor) -> Tensor:
        return layers(x.flatten(1)).view_as(x)  # type: ignore[no-any-return]

    jacobians = [torch.autograd.functional.jacobian(layers, row) for row in x.flatten(1)]
    expected = torch.stack([jacobian.trace() for jacobian in jacobians])
    value, exact = field_and_divergence(field, x, None)
    torch.testing.assert_close(value, field(x))
    torch.testing.assert_close(exact, expected)
    estimates = [
        field_and_divergence(field, x, torch.randint(2, x.shape).double() * 2 - 1)[1] for _ in range(2000)
    ]
    error = torch.stack(estimates).std(0) / 2000**0.5
    assert ((torch.stack(estimates).mean(0) - expected).abs() < 4 * error + 1e-12).all()


def flow_of_a_normal(width: float, **changes: Any) -> FlowMatching:
    """The exact flow from N(0, I) to N(0, width^2 I)."""
    method = make(**changes)

    def velocity(t: float, x: Tensor, label: Tensor | None = None) -> Tensor:
        return x * (t * width**2 - (1 - t)) / ((1 - t) ** 2 + t**2 * width**2)

    method.velocity = velocity  # type: ignore[method-assign]
    return method


@pytest.mark.parametrize("trace", ["exact", "hutchinson"])
def test_nats_of_a_normal_are_the_closed_form(trace: str) -> None:
    """The field is linear, so that even one probe has its divergence exactly."""
    method, width = flow_of_a_normal(0.3, trace=trace), 0.3
    images = torch.randint(256, (20, 1, 4, 4), generator=torch.Generator().manual_seed(0)) / 255
    ours = method.log_prob(images, torch.Generator().manual_seed(1))
    uniform = torch.rand(images.shape, generator=torch.Generator().manual_seed(1))
    pixels = (images * 255 + uniform).double() / 128 - 1
    density = torch.distributions.Normal(torch.zeros(1).double(), width).log_prob(pixels).flatten(1).sum(1)
    torch.testing.assert_close(ours.double(), density - 16 * math.log(128), rtol=2e-4, atol=0)


def test_the_density_integrates_to_one() -> None:
    """Of one value, carried by an untrained network that is not still: a sum over the whole line."""
    method = make(side=2, tolerance=1e-2)
    for parameter in method.average.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.2)
    network, method.latent_dim = method.velocity, 1

    def velocity(t: float, x: Tensor, label: Tensor | None = None) -> Tensor:
        return network(t, x.expand(-1, 1, 2, 2)).mean((2, 3), keepdim=True)

    method.velocity = velocity  # type: ignore[method-assign]
    images = torch.linspace(-4, 5, 301).view(-1, 1, 1, 1)  # far beyond what pixels can be
    log_p = method.log_prob(images, torch.Generator().manual_seed(0))
    moved = end_of(method.velocity, torch.zeros(1, 1, 1, 1), 0.0, 1.0, solver="heun", steps=20)
    assert abs(moved.item()) > 0.1  # it does carry
    assert (log_p.exp().sum() * 255 * 9 / 300).item() == pytest.approx(1.0, abs=0.02)


def test_the_kind_of_the_number_is_said_honestly() -> None:
    assert make().likelihood_kind == "exact"
    assert make(trace="hutchinson").likelihood_kind == "estimate"
    assert "dopri5 to 1e-05, trace exact" in make().likelihood_protocol


# -- pairing


def test_pairs_are_the_best_of_all_permutations() -> None:
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        start, end = torch.randn(2, 6, 1, 2, 2, generator=generator)
        costs = {order: float((start[list(order)] - end).square().sum()) for order in permutations(range(6))}
        best = min(costs, key=lambda order: costs[order])
        assert tuple(optimal_pairs(start, end).tolist()) == best


def test_paired_noise_lies_closer_and_is_still_noise() -> None:
    method, images = make(pairing="optimal", batch=64), torch.rand(64, 1, 4, 4)
    torch.manual_seed(0)
    method.pair(images)
    torch.manual_seed(0)
    noise = torch.randn(64, 1, 4, 4)
    assert sorted(method.noise.flatten(1)[:, 0].tolist()) == sorted(noise.flatten(1)[:, 0].tolist())
    paired, unpaired = ((part - (2 * images - 1)).square().sum() for part in (method.noise, noise))
    assert paired < unpaired


def test_the_loss_is_the_error_in_the_velocity() -> None:
    method, images = make(pairing="optimal"), torch.rand(8, 1, 4, 4)
    method.pair(images)
    batch = Batch(images, torch.arange(8), torch.full((8,), -1))
    torch.manual_seed(3)
    loss, _ = method.loss(batch)
    torch.manual_seed(3)
    x_1 = 2 * (images * 255 + torch.rand(8, 1, 4, 4)) / 256 - 1
    t = torch.rand(8)
    x_t = (1 - t).view(-1, 1, 1, 1) * method.noise + t.view(-1, 1, 1, 1) * x_1
    expected = (method.network(x_t, 1000 * t) - (x_1 - method.noise)).square().mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_decoding_is_what_sampling_does_with_its_noise() -> None:
    method = make()
    *_, sampled = method.sample(3, torch.Generator().manual_seed(5))
    noise = torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(5))
    assert torch.equal(method.decode(noise.flatten(1)), sampled)


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot be halved"):
        make(side=5)
    with pytest.raises(UsageError, match="have no classes"):
        make(conditional=True, label_dropout=0.1)
    with pytest.raises(UsageError, match="knows no classes"):
        make(classes=3, conditional=True, label_dropout=0.1, pairing="optimal")
