"""Flows against autograd's Jacobians, torch.distributions, quadrature, and their own inverses."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, SigmoidTransform, TransformedDistribution, Uniform

from sslterm.data.batch import Batch
from sslterm.data.source import Split
from sslterm.data.store import Store
from sslterm.errors import UsageError
from sslterm.evaluate.latent import codes_of
from sslterm.evaluate.online import online_metrics
from sslterm.methods.base import Inputs, Stream, Update
from sslterm.methods.flow.flow import Flow, from_logits, to_logits
from sslterm.methods.flow.glow import Glow
from sslterm.methods.flow.nice import NICE
from sslterm.methods.flow.realnvp import RealNVP
from sslterm.nn.bits import dequantize
from sslterm.nn.coupling import CheckerboardCoupling, Scale, WeightNormConv
from sslterm.nn.invertible import (
    ActNorm,
    Convolution1x1,
    MovingBatchNorm,
    adopting,
    squeeze,
    unsqueeze,
)

IMAGES = Inputs(channels=2, height=4, width=4, train_images=10)
ODD = Inputs(channels=1, height=3, width=3, train_images=10)


def nice(inputs: Inputs = IMAGES, *, prior: str = "logistic", couplings: int = 4) -> NICE:
    return NICE(NICE.Config(couplings=couplings, widths=(16, 16), prior=prior), inputs)  # type: ignore[arg-type]


def realnvp(
    inputs: Inputs = IMAGES, *, norm: str = "batch", downscalings: int = 1, alpha: float = 0.05
) -> RealNVP:
    config = RealNVP.Config(
        downscalings=downscalings, width=8, blocks=1, norm=norm, norm_momentum=0.9 if norm == "batch" else 0.0,  # type: ignore[arg-type]
        logit_alpha=alpha, scale_penalty=5e-5,
    )  # fmt: skip
    return RealNVP(config, inputs)


def glow(inputs: Inputs = IMAGES, *, coupling: str = "affine", levels: int = 2) -> Glow:
    return Glow(Glow.Config(levels=levels, steps=2, width=8, coupling=coupling), inputs)  # type: ignore[arg-type]


FLOWS: dict[str, Callable[[], Flow]] = {
    "nice logistic": nice,
    "nice normal": lambda: nice(prior="normal"),
    "nice of nine pixels": lambda: nice(ODD),
    "realnvp": realnvp,
    "realnvp actnorm, three scales": lambda: realnvp(norm="actnorm", downscalings=2),
    "glow": glow,
    "glow additive, one level": lambda: glow(coupling="additive", levels=1),
}
every_flow = pytest.mark.parametrize("make", FLOWS.values(), ids=FLOWS)


def moved(flow: Flow, *, by: float = 0.1) -> Flow:
    """The flow with every weight and statistic off its first value, in evaluation mode."""
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(by * torch.randn_like(parameter))
        for name, value in flow.named_buffers():
            if name.endswith("mean"):
                value.normal_(0, 0.2)
            elif name.endswith(("variance", "running_var")):
                value.uniform_(0.5, 2.0)
    return flow.eval()


def into_codes(flow: Flow, x: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels -> latents [B, D], and log |det| of the way there."""
    y, entered = flow.enter(x)
    latents, log_det = flow.push(y)
    return torch.cat([latent.flatten(1) for latent in latents], 1), entered + log_det


@every_flow
def test_log_determinant_is_that_of_autograds_jacobian(make: Callable[[], Flow]) -> None:
    torch.manual_seed(0)
    flow = moved(make())
    x = torch.rand(3, *flow.shape)
    _, log_det = into_codes(flow, x)
    for image, ours in zip(x, log_det, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda one: into_codes(flow, one[None])[0][0], image)
        theirs = torch.linalg.slogdet(jacobian.flatten(1).double()).logabsdet
        assert ours.item() == pytest.approx(theirs.item(), abs=1e-4)


@every_flow
def test_the_inverse_undoes_the_flow_both_ways(make: Callable[[], Flow]) -> None:
    torch.manual_seed(1)
    flow = moved(make())
    x = torch.rand(5, *flow.shape) * 0.98 + 0.01
    with torch.no_grad():
        y, _ = flow.enter(x)
        torch.testing.assert_close(flow.leave(flow.pull(flow.push(y)[0])), x, atol=1e-4, rtol=0)
        images = (x * 255).round() / 255
        middle = dequantize(images, torch.full_like(images, 0.5))
        torch.testing.assert_close(flow.decode(flow.encode(images)), middle, atol=1e-4, rtol=0)
        assert codes_of(flow, images) is not None  # so that one can walk from image to image
        z = 0.5 * torch.randn(5, flow.latent_dim)
        latents = flow.push(flow.pull(flow.from_normal(flow.split(z))))[0]
        back = torch.cat([code.flatten(1) for code in flow.to_normal(latents)], 1)
    torch.testing.assert_close(back, z, atol=1e-3, rtol=1e-3)


@every_flow
def test_log_density_is_the_prior_at_the_code_and_the_volume(make: Callable[[], Flow]) -> None:
    """Through the normal codes of every flow: log N(z; 0, I) + log |dz/dx| is what the flow computes its own way."""
    torch.manual_seed(2)
    flow = moved(make())
    x = torch.rand(2, *flow.shape)

    def normal_codes(one: Tensor) -> Tensor:
        latents = flow.push(flow.enter(one[None])[0])[0]
        return torch.cat([code.flatten(1) for code in flow.to_normal(latents)], 1)[0]

    ours = flow.log_density(x)
    for image, nats in zip(x, ours, strict=True):
        volume = torch.linalg.slogdet(
            torch.autograd.functional.jacobian(normal_codes, image).flatten(1).double()
        ).logabsdet
        prior = Normal(0.0, 1.0).log_prob(normal_codes(image).double()).sum()
        expected = prior + volume - flow.latent_dim * math.log(256)
        assert nats.item() == pytest.approx(expected.item(), abs=2e-3)


@every_flow
def test_the_ladder_ends_in_the_code_and_keeps_every_variable(make: Callable[[], Flow]) -> None:
    torch.manual_seed(3)
    flow = moved(make())
    images = torch.rand(2, *flow.shape)
    with torch.no_grad():
        rungs = list(flow.ladder(flow.enter(dequantize(images, torch.full_like(images, 0.5)))[0]))
        assert {rung.shape for _, rung in rungs} == {images.shape}
        ours, theirs = rungs[-1][1].flatten(1).sort().values, flow.encode(images).sort().values
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_density_of_two_values_integrates_to_one() -> None:
    """Over the square of pixel values, and for a flow with an unbounded start over a large part of the plane."""
    torch.manual_seed(4)
    two = Inputs(channels=1, height=1, width=2, train_images=10)
    flow = moved(nice(two, couplings=3), by=0.3)
    axis = torch.linspace(-60, 60, 1201)
    grid = torch.cartesian_prod(axis, axis).view(-1, 1, 1, 2)
    with torch.no_grad():
        nats = torch.cat([flow.log_density(part) for part in grid.split(100_000)]).double()
    volume = math.log(float(axis[1] - axis[0])) * 2 + 2 * math.log(256)
    assert (nats + volume).logsumexp(0).exp().item() == pytest.approx(1.0, abs=2e-3)


def test_density_of_four_pixels_integrates_to_one_over_their_cube() -> None:
    """A Real NVP of 2x2 pixels, whose logits make its density live on [0, 1] alone (up to alpha), by Monte Carlo."""
    torch.manual_seed(5)
    flow = moved(realnvp(Inputs(channels=1, height=2, width=2, train_images=10), alpha=1e-6), by=0.05)
    with torch.no_grad():
        # Importance sampling with logistic noise in the logits.
        y = TransformedDistribution(Uniform(0.0, 1.0), [SigmoidTransform().inv]).sample((60_000, 1, 2, 2))
        x = y.sigmoid().clamp(1e-6, 1 - 1e-6)  # uniform over the cube
        weights = (flow.log_density(x).double() + 4 * math.log(256)).exp()
    error = weights.std() / len(weights) ** 0.5
    assert error < 0.03
    assert weights.mean().item() == pytest.approx(1.0, abs=4 * error.item())


@every_flow
def test_nothing_beats_eight_bits_on_uniform_noise(make: Callable[[], Flow]) -> None:
    """Cross-entropy is never below entropy: a volume counted wrongly, or a bin of the wrong width, would be."""
    torch.manual_seed(6)
    flow = moved(make())
    images = torch.randint(256, (2000, *flow.shape)) / 255
    with torch.no_grad():
        bits = -flow.log_prob(images, torch.Generator().manual_seed(0)) / (flow.latent_dim * math.log(2))
    assert bits.mean() > 8.0 - 3 * bits.std() / 2000**0.5


def test_bits_per_dim_are_shown_while_it_trains() -> None:
    flow = moved(nice())
    images = torch.randint(256, (30, *flow.shape), dtype=torch.uint8)
    store = Store(Split(images, torch.full((30,), -1)), torch.device("cpu"))
    found = dict(online_metrics(flow, store, store, seed=0))
    assert found["test/nll_bits_per_dim"] == pytest.approx(found["test/nll_nats"] / (32 * math.log(2)))


def test_prior_of_nice_is_logistic_in_closed_form() -> None:
    flow = nice()
    h = torch.linspace(-9, 9, 64).view(2, 32)
    standard = TransformedDistribution(
        Uniform(0.0, 1.0), [SigmoidTransform().inv]
    )  # the logistic distribution
    torch.testing.assert_close(flow.log_prior([h]), standard.log_prob(h).sum(1), atol=1e-3, rtol=1e-4)
    (z,) = flow.to_normal([h])
    torch.testing.assert_close(Normal(0.0, 1.0).cdf(z.double()), h.double().sigmoid(), atol=1e-6, rtol=1e-3)
    far = torch.tensor([[-5e4, -300.0, -80.0, -10.5, 9.5, 11.0, 88.0, 120.0, 1e4]])
    torch.testing.assert_close(flow.from_normal(flow.to_normal([far]))[0], far, atol=1e-2, rtol=1e-4)


def test_nice_couples_odd_and_even_components_in_turn() -> None:
    torch.manual_seed(6)
    flow = moved(nice())
    x = torch.rand(1, *flow.shape)
    before = x.flatten(1)
    for number, (_, rung) in enumerate(itertools.islice(flow.ladder(x), 4)):
        now = rung.flatten(1)
        stays = slice(number % 2, None, 2)  # the first layer keeps components 1, 3, ...
        assert torch.equal(now[:, stays], before[:, stays])
        assert not torch.isclose(now, before)[:, 1 - number % 2 :: 2].any()
        before = now


def test_logit_is_torch_s() -> None:
    x = torch.rand(3, 2, 2, 2, dtype=torch.float64)
    y, log_det = to_logits(x, 0.05)
    transform = SigmoidTransform().inv
    p = 0.05 + 0.9 * x
    torch.testing.assert_close(y, transform(p))
    expected = transform.log_abs_det_jacobian(p, y).flatten(1).sum(1) + 8 * math.log(0.9)
    torch.testing.assert_close(log_det, expected)
    torch.testing.assert_close(from_logits(y, 0.05), x)


def test_dequantization_fills_each_of_256_bins_evenly() -> None:
    levels = torch.arange(256).view(-1, 1, 1, 1) / 255
    for noise in (0.0, 0.5, 0.999):
        x = dequantize(levels, torch.full_like(levels, noise))
        assert torch.equal((x * 256).floor().long().flatten(), torch.arange(256))
    assert dequantize(levels, torch.full_like(levels, 1.0)).max() <= 1


# -- layers


@pytest.mark.parametrize("black", [True, False])
def test_a_checkerboard_coupling_changes_its_colour_alone(black: bool) -> None:
    torch.manual_seed(7)
    scale = Scale("tanh", 2)
    torch.nn.init.normal_(scale.reach)
    layer = CheckerboardCoupling(WeightNormConv(2, scale.outputs, 3), scale, black=black)
    x = torch.randn(2, 2, 4, 5)
    y, log_det = layer(x)
    even = (torch.arange(4)[:, None] + torch.arange(5)) % 2 == 0
    assert torch.equal(torch.isclose(x, y).all(0).all(0), even if not black else ~even)
    jacobian = (
        torch.autograd.functional.jacobian(lambda one: layer(one[None])[0][0], x[0]).flatten(3).flatten(0, 2)
    )
    expected = torch.linalg.slogdet(jacobian).logabsdet
    assert log_det[0].item() == pytest.approx(expected.item(), abs=1e-4)


def test_squeezing_keeps_pixels_together_and_halves_are_diagonals() -> None:
    x = torch.arange(2 * 4 * 4.0).view(1, 2, 4, 4)
    y = squeeze(x)
    assert torch.equal(unsqueeze(y), x)
    assert y[0, :, 0, 0].tolist() == [
        0,
        16,
        5,
        21,
        1,
        17,
        4,
        20,
    ]  # (0, 0), (1, 1), (0, 1), (1, 0), both channels


def test_actnorm_adopts_the_statistics_of_the_first_batch_and_no_other() -> None:
    torch.manual_seed(8)
    norm = ActNorm(3)
    x = torch.randn(64, 3, 4, 4) * torch.tensor([0.1, 1.0, 5.0]).view(1, 3, 1, 1) + 2
    with adopting(norm):
        y, log_det = norm(x)
    torch.testing.assert_close(y.mean((0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(y.var((0, 2, 3), correction=0), torch.ones(3), atol=1e-4, rtol=0)
    expected = -16 * x.std((0, 2, 3), correction=0).log().sum()
    torch.testing.assert_close(log_det, expected.expand(64), atol=1e-2, rtol=0)
    scale = norm.log_scale.clone()
    norm(torch.randn(8, 3, 4, 4))
    assert torch.equal(scale, norm.log_scale)


class _Clock:
    """An update that only counts."""

    step, images, progress = 0, 0, 0.0

    def __call__(self, name: str, loss_fn: object, batch: Batch) -> dict[str, Tensor]:
        self.step += 1
        return {}


def test_glow_initializes_itself_at_the_first_step_alone() -> None:
    torch.manual_seed(9)
    flow = glow()
    images = torch.randint(256, (64, *flow.shape)) / 255
    batch = Batch(images, torch.arange(64), torch.full((64,), -1))
    update: Update = _Clock()  # type: ignore[assignment]
    stream: Stream = iter([batch, batch])  # type: ignore[assignment]
    flow.step(stream, update)
    outputs: list[Tensor] = []
    for part in flow.modules():
        if isinstance(part, ActNorm):
            part.register_forward_hook(lambda module, inputs, output: outputs.append(output[0].detach()))
    with torch.no_grad():
        flow.log_density(dequantize(images, torch.rand(images.shape)))
    for y in outputs:
        assert y.mean((0, 2, 3)).abs().max() < 0.1
        assert (y.var((0, 2, 3)) - 1).abs().max() < 0.2
    before = {name: value.clone() for name, value in flow.state_dict().items()}
    flow.step(stream, update)
    assert all(torch.equal(value, before[name]) for name, value in flow.state_dict().items())


def test_a_running_average_norm_mixes_the_past_into_the_present() -> None:
    torch.manual_seed(10)
    norm = MovingBatchNorm(2, momentum=0.75)
    norm.mean.copy_(torch.tensor([1.0, -1.0]))
    norm.variance.copy_(torch.tensor([4.0, 0.25]))
    x = torch.randn(16, 2, 3, 3, requires_grad=True)
    mean = 0.75 * torch.tensor([1.0, -1.0]) + 0.25 * x.mean((0, 2, 3))
    variance = 0.75 * torch.tensor([4.0, 0.25]) + 0.25 * x.var((0, 2, 3), correction=0)
    shape = (1, 2, 1, 1)
    expected = (x - mean.view(shape)) / (variance.view(shape) + 1e-5).sqrt()
    y, log_det = norm(x)
    torch.testing.assert_close(y, expected)
    assert log_det[0].item() == pytest.approx(-0.5 * 9 * (variance + 1e-5).log().sum().item(), abs=1e-4)
    torch.testing.assert_close(norm.mean, mean.detach())
    torch.testing.assert_close(norm.variance, variance.detach())
    (ours,) = torch.autograd.grad(y.pow(3).sum(), x)
    (theirs,) = torch.autograd.grad(expected.pow(3).sum(), x)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
    kept = norm.mean.clone()
    norm.eval()(x)
    assert torch.equal(kept, norm.mean)


def test_a_mixing_convolution_starts_as_a_rotation_and_counts_its_determinant() -> None:
    torch.manual_seed(11)
    layer = Convolution1x1(5)
    x = torch.randn(3, 5, 2, 3)
    y, log_det = layer(x)
    torch.testing.assert_close(y.square().sum(1), x.square().sum(1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(log_det, torch.zeros(3), atol=1e-4, rtol=0)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    lower, upper = layer.factors()
    weight = layer.permutation @ lower @ upper
    y, log_det = layer(x)
    torch.testing.assert_close(y, torch.einsum("oc,bchw->bohw", weight, x), atol=1e-4, rtol=1e-4)
    assert log_det[0].item() == pytest.approx(6 * torch.linalg.slogdet(weight).logabsdet.item(), abs=1e-3)
    torch.testing.assert_close(layer.inverse(y), x, atol=1e-3, rtol=1e-3)


def test_affine_couplings_are_never_narrower_than_their_bounds() -> None:
    """A tanh scale stays within its learned reach; a sigmoid is at most 1 and starts near it."""
    said = torch.randn(2, 8, 3, 3) * 50
    tanh = Scale("tanh", 4)
    torch.nn.init.constant_(tanh.reach, 0.7)
    assert tanh(said)[0].abs().max() <= 0.7
    sigmoid = Scale("sigmoid", 4)
    assert sigmoid(said)[0].max() <= 0
    assert sigmoid(torch.zeros(1, 8, 1, 1))[0].exp().allclose(torch.tensor(2.0).sigmoid())
    assert not Scale("none", 4)(said[:, :4])[0].any()


def test_an_untrained_realnvp_moves_no_volume_but_the_logits() -> None:
    torch.manual_seed(12)
    flow = realnvp(norm="actnorm")
    x = torch.rand(3, *flow.shape)
    _, log_det = into_codes(flow, x)
    torch.testing.assert_close(log_det, to_logits(x, 0.05)[1])


def test_the_loss_of_realnvp_is_bits_and_the_penalty_of_its_gains() -> None:
    torch.manual_seed(13)
    flow = realnvp()
    images = torch.randint(256, (8, *flow.shape)) / 255
    loss, aux = flow.loss(Batch(images, torch.arange(8), torch.full((8,), -1)))
    gains = sum(
        float(p.detach().square().sum()) for name, p in flow.named_parameters() if name.endswith(".gain")
    )
    assert gains > 1
    assert loss.item() == pytest.approx(aux["nll_bits_per_dim"].item() + 5e-5 * gains, rel=1e-5)
    assert aux["nll_nats"].item() == pytest.approx(
        aux["nll_bits_per_dim"].item() * 32 * math.log(2), rel=1e-5
    )


def test_a_flow_reaches_the_entropy_of_what_it_can_represent() -> None:
    """Two values that are equal but for noise; as independent ones they would cost log 5 nats more."""
    torch.manual_seed(14)
    flow = nice(Inputs(channels=1, height=1, width=2, train_images=10), prior="normal", couplings=2)
    optimizer = torch.optim.Adam(flow.parameters(), lr=2e-2)
    rates = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 300)

    def draw(n: int) -> Tensor:
        first = 0.5 * torch.randn(n)
        return torch.stack((first, first + 0.1 * torch.randn(n)), 1).view(-1, 1, 1, 2)

    for _ in range(300):
        optimizer.zero_grad()
        (-flow.log_density(draw(256)).mean()).backward()
        optimizer.step()
        rates.step()
    entropy = sum(0.5 * math.log(2 * math.pi * math.e * std**2) + math.log(256) for std in (0.5, 0.1))
    with torch.no_grad():
        assert -flow.log_density(draw(20_000)).mean().item() == pytest.approx(entropy, abs=0.1)


# -- refused


@pytest.mark.parametrize(
    ("make", "message", "hint"),
    [
        (lambda: glow(Inputs(channels=1, height=28, width=28, train_images=9), levels=3),
         r"28x28 pixels cannot be halved 3 times", "data.size=24 or 32, or method.levels=2"),
        (lambda: realnvp(Inputs(channels=3, height=30, width=30, train_images=9), downscalings=2),
         r"30x30 pixels cannot be halved 2 times", "data.size=28 or 32, or method.downscalings=1"),
        (lambda: realnvp(ODD), r"3x3 pixels cannot be halved 1 time\n", "data.size=2 or 4"),
    ],
)  # fmt: skip
def test_sides_that_cannot_be_halved_are_refused_with_sizes_that_can(
    make: Callable[[], Flow], message: str, hint: str
) -> None:
    with pytest.raises(UsageError, match=message) as refused:
        make()
    assert refused.value.hint == f"set {hint}"


def test_a_momentum_that_would_do_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="norm_momentum"):
        RealNVP.Config(
            downscalings=1, width=8, blocks=1, norm="actnorm", norm_momentum=0.9, logit_alpha=0.05, scale_penalty=0.0
        )  # fmt: skip


def test_an_alpha_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(UsageError, match="no room"):
        realnvp(alpha=0.5)
