"""Denoising Diffusion Probabilistic Models, with the improvements of Nichol & Dhariwal, and implicit sampling.
Jonathan Ho, Ajay Jain & Pieter Abbeel, NeurIPS 2020, arXiv:2006.11239; Alex Nichol & Prafulla Dhariwal, ICML 2021,
arXiv:2102.09672; Jiaming Song, Chenlin Meng & Stefano Ermon (DDIM), ICLR 2021, arXiv:2010.02502.

Idea:
    An image is drowned in Gaussian noise by a fixed chain of many small steps. A network that is shown any state of the
    chain learns to say what noise there is in it; that is all it takes to undo each step. A sample starts as pure noise
    and has it removed step by step, along the whole chain or a few of its steps.

Objective:
    x_t = sqrt(a_t) x_0 + sqrt(1 - a_t) epsilon,  t uniform in 1 ... T                                        (Eq. 4)
    L_simple = E |epsilon - epsilon_theta(x_t, t)|^2, a mean over values                                     (Eq. 14)
    variance = small or large: that of p(x_t-1 | x_t) is beta-tilde_t or beta_t                               (§3.2)
    variance = learned: log variance v log beta_t + (1 - v) log beta-tilde_t, v an output of the network; the loss is
    L_simple + 0.001 L_vlb, in which the mean has no gradient                             (2102.09672, Eq. 15-16)
    -log p(x_0) <= L_T + sum_t L_t-1 + L_0, L_0 that of the 8-bit pixel under a normal cut into levels     (Eq. 5, 13)

Departures:
    The network has attention in the middle at any size, and betas are scaled to T, as in the code of 2102.09672. The
    running average starts short. The bound of an image is estimated from `bound_steps` of its T terms, each drawn from
    a stretch of the chain and counted for all of it: exact on average, and exact where bound_steps = T. Filling in is
    that of RePaint (Lugmayr et al. 2022, arXiv:2201.09865). Classes with guidance are those of Ho & Salimans 2022
    (arXiv:2207.12598); the bound and completion of such a model are those without a class.

Watch for:
    ladder: images should appear in the second half of the way; grey or saturated ends mean too few steps, or a network
    that is still learning. raw-and-ema: the average is smoother, and behind at first. bound-terms: the first steps of
    the chain, which nobody sees, take most of the bits: samples get better long after the bound has stopped falling.

Shapes:
    B batch, T steps; images [B, C, H, W] in [0, 1]; x the same in [-1, 1]; t [B] int64; label [B]; nats [B].
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from torch import Tensor

from sslterm.config.schema import Count, NonNegative
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.methods.diffusion.generator import Generator, GeneratorConfig, Weights, to_images
from sslterm.methods.diffusion.samplers import Denoiser, Guess, Sampler, ancestral, ddim, inpaint
from sslterm.nn.diffusion_schedule import LEAST_STEPS, Course, Number, Schedule
from sslterm.nn.variational import discretized_normal, normal_kl
from sslterm.rows import randint, randn
from sslterm.run.panels import Panel

VLB_WEIGHT = 0.001
"""lambda of L_hybrid (2102.09672, Eq. 16)."""
BOUND_POINTS, BOUND_IMAGES = 16, 32
"""Steps of the bound's panel, and images that it is a mean over."""


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """What can be set about samples, also afterwards."""

    sampler: Sampler
    steps: Count
    guidance: NonNegative
    weights: Weights


class DDPM(Generator):
    @dataclass(frozen=True, kw_only=True)
    class Config(GeneratorConfig):
        steps: Count
        """T, the length of the chain; 1,000 in the first paper, 4,000 in the second."""
        schedule: Course
        variance: Literal["small", "large", "learned"]
        sampler: Sampler
        """How samples are drawn: ancestral, step by step with noise; ddim, without."""
        sampling_steps: Count
        """In how many steps, at most T."""
        bound_steps: Count
        """Terms that the bound of an image is estimated from, at most T."""

        def __post_init__(self) -> None:
            super().__post_init__()
            if self.steps < LEAST_STEPS:
                raise UsageError(
                    f"method.steps = {self.steps}: a chain of so few steps cannot end in noise",
                    f"set method.steps={LEAST_STEPS} or more; 1000 in the paper",
                )
            for name in ("sampling_steps", "bound_steps"):
                if getattr(self, name) > self.steps:
                    raise UsageError(
                        f"method.{name} = {getattr(self, name)}, and the chain has {self.steps} steps",
                        f"set method.{name}={self.steps} or less",
                    )

    likelihood_kind: ClassVar[Literal["bound"]] = "bound"
    likelihood_protocol: ClassVar[str] = "8-bit pixels"

    def __init__(self, config: Config, inputs: Inputs) -> None:
        learned = config.variance == "learned"
        super().__init__(config, inputs, outputs=inputs.channels * (1 + learned))
        self.config = config
        self.schedule = Schedule(config.schedule, config.steps)
        self.likelihood_passes = config.bound_steps
        self.sampling = Sampling(
            sampler=config.sampler, steps=config.sampling_steps, guidance=config.guidance, weights="ema"
        )

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        x = 2 * batch.images - 1
        t = 1 + randint(self.config.steps, len(x), like=x)  # Alg. 1
        noise = randn(len(x), *self.shape, like=x)
        x_t = self.schedule.diffuse(x, t, noise)
        guess = self.read(self.network(x_t, t, self.seen_labels(batch)))
        simple = (guess.noise - noise).square().mean()
        if self.config.variance != "learned":
            return simple, {"noise_mse": simple}
        fixed = Guess(guess.noise.detach(), guess.share)  # L_vlb trains the variance alone
        term = self.bound_term(x, x_t, t, fixed, clip=False).mean() / (self.latent_dim * math.log(2))
        bound = self.config.steps * term
        return simple + VLB_WEIGHT * bound, {"noise_mse": simple, "bound_bits_per_dim": bound}

    def read(self, output: Tensor) -> Guess:
        """What the network says: the noise, and where the log variance lies."""
        if self.config.variance != "learned":
            return Guess(output, 1.0 if self.config.variance == "large" else 0.0)
        noise, v = output.chunk(2, dim=1)
        return Guess(noise, (v + 1) / 2)  # the network's -1 ... 1, 0 at first, is 0 ... 1 here

    def denoiser(self, label: Tensor | None) -> Denoiser:
        """Of images of `label`, as samplers ask it."""

        def denoise(x: Tensor, t: int) -> Guess:
            return self.read(self.output(x, torch.full((len(x),), t, device=x.device), label))

        return denoise

    def draw(self, x: Tensor, generator: torch.Generator | None, label: Tensor | None) -> Iterator[Tensor]:
        steps = self.sampling.steps
        if steps > self.config.steps:
            raise UsageError(
                f"{steps} steps, and the chain that this network was trained on has {self.config.steps}",
                f"give --steps {self.config.steps} or less",
            )
        denoise = self.denoiser(label)
        if self.sampling.sampler == "ancestral" and generator is not None:
            return ancestral(denoise, self.schedule, x, steps=steps, generator=generator)
        return ddim(denoise, self.schedule, x, steps=steps)

    # -- what can be asked of a trained network

    def log_prob(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """The bound, in nats, [B]."""
        x, total = 2 * images - 1, self.prior_term(2 * images - 1)
        for first, last in stretches(self.config.steps, self.config.bound_steps):
            uniform = torch.rand(len(x), generator=generator, device=x.device)
            t = first + (uniform * (last + 1 - first)).long().clamp_max(last - first)
            total = total + (last + 1 - first) * self.drawn_term(x, t, generator)
        return -total

    def drawn_term(self, x: Tensor, t: Tensor, generator: torch.Generator) -> Tensor:
        """L_t-1 of one draw of x_t, [B]."""
        noise = torch.randn(x.shape, generator=generator, device=x.device)
        x_t = self.schedule.diffuse(x, t, noise)
        return self.bound_term(x, x_t, t, self.read(self.output(x_t, t, None)), clip=True)

    def bound_term(self, x: Tensor, x_t: Tensor, t: Tensor, guess: Guess, *, clip: bool) -> Tensor:
        """KL(q(x_t-1 | x_t, x_0) || p(x_t-1 | x_t)), and -log p(x_0 | x_1) where t = 1, in nats, [B] (Eq. 5).

        Args:
            clip: keep the network's x_0 within what images can be, as samplers do.
        """
        level, transition = self.schedule.levels(t), self.schedule.transitions(t)
        clean = (x_t - level.noise * guess.noise) / level.signal
        mean = transition.mean(clean.clamp(-1, 1) if clip else clean, x_t)
        log_variance = _expanded(transition.log_variance(guess.share), x)
        if (
            self.config.variance == "large"
        ):  # but of the first step, as in the authors' code: it is the decoder's
            first = (t == 1).view(-1, 1, 1, 1)
            log_variance = torch.where(first, _expanded(transition.log_small, x), log_variance)
        divergence = normal_kl(
            transition.mean(x, x_t), _expanded(transition.log_small, x), mean, log_variance
        )
        return torch.where(t == 1, -discretized_normal(x, mean, log_variance), divergence)

    def prior_term(self, x: Tensor) -> Tensor:
        """L_T = KL(q(x_T | x_0) || N(0, I)), in nats, [B]."""
        last = self.schedule.level(self.config.steps)
        log_variance = torch.full_like(x, 2 * math.log(last.noise))
        return normal_kl(last.signal * x, log_variance, torch.zeros_like(x), torch.zeros_like(x))

    def complete(self, images: Tensor, mask: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
        """Noise where `mask` is 1, turned into what goes with the rest."""
        hidden = mask > 0.5
        steps = min(self.sampling.steps, self.config.steps)
        known = 2 * images - 1
        for x in inpaint(self.denoiser(None), self.schedule, known, hidden, steps=steps, generator=generator):
            yield torch.where(hidden, to_images(x), images)

    def panels(self, batch: Batch) -> Iterator[Panel]:
        yield from super().panels(batch)
        yield self.bound_panel(2 * batch.images[:BOUND_IMAGES] - 1)

    def bound_panel(self, x: Tensor) -> Panel:
        """Where along the chain the bits of the bound are (2102.09672, Fig. 2)."""
        far = math.log10(self.config.steps)
        chosen = [round(10 ** (far * number / (BOUND_POINTS - 1))) for number in range(BOUND_POINTS)]
        generator = torch.Generator(x.device).manual_seed(0)
        terms = [
            self.drawn_term(x, torch.full((len(x),), t, device=x.device), generator).mean() for t in chosen
        ]
        bits = torch.stack(terms).clamp_min(1e-12) / (self.latent_dim * math.log(2))
        return Panel(
            name="bound-terms",
            kind="curve",
            array=bits.log10()[None].cpu().numpy(),
            caption=f"terms of the bound along the chain, from its clean end; mean of {len(x)} held-out images",
            labels=("log10 of bits/dim",),
            x_label="log10 of the step",
            y_label="log10 of bits/dim",
            x_range=(0.0, far),
        )


def stretches(steps: int, parts: int) -> list[tuple[int, int]]:
    """1 ... T cut into at most `parts` stretches, (first, last), shortest where the bound's terms are largest."""
    ends = sorted({max(part, round(steps * (part / parts) ** 2)) for part in range(1, parts + 1)})
    return [(before + 1, end) for before, end in pairwise([0, *ends])]


def _expanded(value: Number, x: Tensor) -> Tensor:
    return torch.as_tensor(value, device=x.device, dtype=x.dtype).expand_as(x)
