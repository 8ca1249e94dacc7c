"""Flow Matching for Generative Modeling, with optimal transport between the noise and the images of a batch.
Yaron Lipman, Ricky Chen, Heli Ben-Hamu, Maximilian Nickel & Matt Le, ICLR 2023, arXiv:2210.02747; Alexander Tong
et al., "Improving and Generalizing Flow-Based Generative Models with Minibatch Optimal Transport", TMLR 2024,
arXiv:2302.00482.

Idea:
    Noise flows to images along a field of velocities, and a network learns that field. It need not follow the flow to
    learn it: it is shown a point of the straight way from some noise to some image, and is to say the velocity of that
    way; the mean over all ways through a point is the flow's. Noise paired with the images nearest to it makes the ways
    cross less, and the flow straighter.

Objective:
    x_t = (1 - (1 - s) t) x_0 + t x_1,  u = x_1 - (1 - s) x_0,  t uniform in [0, 1]                     (Eq. 22-23)
    loss = E |v_theta(x_t, t) - u|^2, a mean over values; x_0 noise, x_1 image, s = sigma_min
    pairing = optimal: noise and images of a batch are put in pairs with the least sum of squared distances
                                                                                             (2302.00482, §3.2.2)
    log p(x_1) = log N(x_0; 0, I) - integral over [0, 1] of div v dt along dx/dt = v(x, t)             (Eq. 29-31)

Departures:
    The U-Net is that of Ho et al. 2020 without changes. Images are dequantized in training too, so that there is a
    density to learn. The pairing is over all ranks' images. Classes with guidance as in Ho & Salimans 2022
    (arXiv:2207.12598), on velocities; the density of such a model is the one without a class.

Watch for:
    ladder: with a straight flow images should be there after a few steps. error-by-time: near t = 1 the network has to
    guess the noise in an image that is all but clean, near t = 0 the image in noise. raw-and-ema: the average is
    smoother, and behind at first. If `--sampler euler --steps 5` looks as good as many steps, ways are straight.

Shapes:
    B batch, D = C H W; images [B, C, H, W] in [0, 1]; x the same in [-1, 1], dequantized; t [B]; label [B]; nats [B].
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from sslterm.config.schema import Count, Fraction, NonNegative, Positive
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs, Stream, Update
from sslterm.methods.diffusion.generator import Generator, GeneratorConfig, Weights
from sslterm.methods.flow.flow import normal_log_density
from sslterm.nn.bits import dequantize_at_random
from sslterm.nn.divergence import Trace, field_and_divergence
from sslterm.nn.ode import Solver, integrate
from sslterm.nn.pairing import optimal_pairs
from sslterm.rows import draw, gather, rand, randn, world_size
from sslterm.run.panels import Panel

TIME_SCALE = 1000.0
"""The network's sinusoids are made for times of hundreds."""
TIMES, ERROR_IMAGES = 11, 128
"""Of the error's panel."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """What can be set about samples, also afterwards."""

    sampler: Solver
    steps: Count
    """Of euler and heun."""
    tolerance: Positive
    """Of dopri5."""
    guidance: NonNegative
    weights: Weights


class FlowMatching(Generator):
    @dataclass(frozen=True, kw_only=True)
    class Config(GeneratorConfig):
        sigma_min: Fraction
        """s: how wide the noise still is around an image at the end."""
        pairing: Literal["independent", "optimal"]
        sampler: Solver
        sampling_steps: Count
        """Of samples by euler and heun; heun asks the network twice a step."""
        tolerance: Positive
        """Of dopri5, relative and absolute, for samples that are drawn by it, and for densities."""
        trace: Trace

    noise: Tensor
    """[B over all ranks, C, H, W], of this step, in the order of the images that it is paired with."""

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(config, inputs, outputs=inputs.channels)
        if config.conditional and config.pairing == "optimal":
            raise UsageError(
                'method.pairing = "optimal" knows no classes: the noise of a class would not be that of its samples',
                "set method.pairing=independent, or method.conditional=false with label_dropout and guidance 0",
            )
        self.config = config
        self.sampling = Sampling(
            sampler=config.sampler, steps=config.sampling_steps, tolerance=config.tolerance,
            guidance=config.guidance, weights="ema",
        )  # fmt: skip
        paired = inputs.batch if config.pairing == "optimal" else 0
        self.register_buffer("noise", torch.zeros(paired, *self.shape), persistent=False)

    def step(self, data: Stream, update: Update) -> None:
        batch = next(data)
        if self.config.pairing == "optimal":
            self.pair(batch.images)
        update("main", self.loss, batch)
        self.move_average(update)

    @torch.no_grad()
    def pair(self, images: Tensor) -> None:
        """Draw the batch's noise, on all ranks the same, and put it in the order of its images."""
        noise = torch.randn(world_size() * len(images), *self.shape, device=images.device)
        self.noise.copy_(noise[optimal_pairs(noise, 2 * gather(images) - 1)])

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        x_1 = 2 * dequantize_at_random(batch.images) - 1
        if self.config.pairing == "optimal":
            x_0 = draw(len(batch), lambda total: self.noise)
        else:
            x_0 = randn(len(batch), *self.shape, like=x_1)
        t = rand(len(batch), like=x_1)
        x_t, velocity = straight_way(x_0, x_1, t, self.config.sigma_min)
        error = self.network(x_t, TIME_SCALE * t, self.seen_labels(batch)) - velocity
        return error.square().mean(), {}

    def velocity(self, t: float, x: Tensor, label: Tensor | None = None) -> Tensor:
        """v(x, t), [B, C, H, W]."""
        return self.output(x, torch.full((len(x),), TIME_SCALE * t, device=x.device), label)

    def refuse_idle(self, chosen: Collection[str]) -> None:
        super().refuse_idle(chosen)
        sampler = self.sampling.sampler
        if "steps" in chosen and sampler == "dopri5":
            raise UsageError(
                "--steps is for euler and heun: the sampler dopri5 chooses its steps",
                "use --tolerance, or add --sampler euler",
            )
        if "tolerance" in chosen and sampler != "dopri5":
            raise UsageError(
                f"--tolerance is for dopri5: the sampler {sampler} takes equal steps",
                "use --steps, or add --sampler dopri5",
            )

    def draw(self, x: Tensor, generator: torch.Generator | None, label: Tensor | None) -> Iterator[Tensor]:
        set_ = self.sampling
        way = integrate(
            lambda t, x: self.velocity(t, x, label), x, 0.0, 1.0,
            solver=set_.sampler, steps=set_.steps, tolerance=set_.tolerance,
        )  # fmt: skip
        return (x for _, x in way)

    # -- what can be asked of a trained flow

    likelihood_passes: ClassVar[int] = 100
    """About what dopri5 takes, which chooses its steps, and the gradients for the divergence."""

    @property
    def likelihood_kind(self) -> Literal["exact", "estimate"]:
        """Exact, up to the solver's tolerance, where the trace is computed."""
        return "exact" if self.config.trace == "exact" else "estimate"

    @property
    def likelihood_protocol(self) -> str:
        return (
            "8-bit pixels, uniform dequantization (of the discrete image a bound); ODE by dopri5 to "
            f"{self.config.tolerance:g}, trace {self.config.trace}"
        )

    def log_prob(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """By the change of variables along the flow from the image back to noise, in nats, [B].

        Always with controlled steps: the field is steep near images, and equal steps give them too much density.
        """
        x = 2 * dequantize_at_random(images, generator) - 1
        probe = None
        if self.config.trace == "hutchinson":  # of the signs alone, whose square is 1 (Hutchinson 1989)
            bits = torch.randint(2, x.shape, generator=generator, device=x.device)
            probe = 2.0 * bits - 1

        def field(t: float, state: Tensor) -> Tensor:
            at = state[:, :-1].view_as(x)
            velocity, divergence = field_and_divergence(lambda x: self.velocity(t, x), at, probe)
            return torch.cat((velocity.flatten(1), divergence[:, None]), dim=1)

        start = torch.cat((x.flatten(1), x.new_zeros(len(x), 1)), dim=1)  # [B, D + 1]
        *_, (_, end) = integrate(
            field, start, 1.0, 0.0, solver="dopri5", steps=1, tolerance=self.config.tolerance
        )
        # Of the 8-bit image: 256 levels lie on [-1, 1].
        return normal_log_density(end[:, :-1]) + end[:, -1] - self.latent_dim * math.log(128)

    def panels(self, batch: Batch) -> Iterator[Panel]:
        yield from super().panels(batch)
        yield self.error_panel(2 * batch.images[:ERROR_IMAGES] - 1)

    def error_panel(self, x: Tensor) -> Panel:
        """How far the network is off the velocities of single ways, by time."""
        noise = torch.randn(x.shape, device=x.device, generator=torch.Generator(x.device).manual_seed(0))
        errors = []
        for number in range(TIMES):
            t = number / (TIMES - 1)
            x_t, velocity = straight_way(
                noise, x, torch.full((len(x),), t, device=x.device), self.config.sigma_min
            )
            errors.append((self.velocity(t, x_t) - velocity).square().mean())
        return Panel(
            name="error-by-time",
            kind="curve",
            array=torch.stack(errors)[None].cpu().numpy(),
            caption=(
                f"squared error of the velocity, a value, of {len(x)} held-out images with noise of their own; "
                "0 is out of reach: many ways cross"
            ),
            low=0.0,
            labels=("squared error",),
            x_label="time, 0 noise, 1 image",
            y_label="squared error",
            x_range=(0.0, 1.0),
        )


def straight_way(x_0: Tensor, x_1: Tensor, t: Tensor, sigma_min: float) -> tuple[Tensor, Tensor]:
    """The points at times t [B] of the ways from x_0 to x_1 [B, C, H, W], and the velocities there (Eq. 22-23)."""
    t = t[:, None, None, None]
    return (1 - (1 - sigma_min) * t) * x_0 + t * x_1, x_1 - (1 - sigma_min) * x_0
