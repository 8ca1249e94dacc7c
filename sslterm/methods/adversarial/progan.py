"""Progressive Growing of GANs for Improved Quality, Stability, and Variation.
Tero Karras, Timo Aila, Samuli Laine & Jaakko Lehtinen, ICLR 2018, arXiv:1710.10196.

Idea:
    Start with images of 4x4 pixels, where there is little to learn. Once those are good, fade in layers for 8x8 in
    generator and critic alike, then for 16x16, and so on: at any time only the next detail is new. The critic is
    shown how much the images of a batch differ, so that a generator without variety is found out.

Objective:
    critic: E_z[f(G(z))] - E_x[f(x)] + penalty E[(|grad f(x^)| - 1)^2] + drift E_x[f(x)^2]
    generator: -E_z[f(G(z))]                           (WGAN-GP, arXiv:1704.00028; App. A.1)
    x^ lies on the line between a real and a generated image. One update of each on every batch;
    then average <- ema * average + (1 - ema) * generator. Samples come from the average.

    Level 0 is trained for `stable_images`; each next one is faded in over `fade_images`, then
    trained for `stable_images`. While a rises from 0 to 1,
    G(z) = (1 - a) double(G_below(z)) + a G_level(z);  f and real images are blended likewise.

Departures:
    z is standard normal and normalized by the generator: uniform on the hypersphere, as in the paper. The
    standard deviation over a batch is one of groups of it, as in the authors' code; the paper takes the batch
    whole. The scale of the first layer counts the numbers of a code, where the authors' code counts 16 times as
    many. The batch is the same at all levels. Adam keeps what it knows when new layers come, where the authors'
    code begins it anew. The averaged generator is kept as it stood at the end of each level, so that all
    resolutions can be sampled.

Watch for:
    critic/side and critic/fade say where the growth stands; a training shorter than the growth ends at a lower
    resolution, and samples are then enlarged. critic/gap falls within a level and jumps when the next one begins;
    it is not comparable over levels. The panel "resolutions" shows the same codes as every level drew them.
    Samples that are pale or empty where those of `sample --weights raw` are not: the average reaches too far back;
    lower method.ema.

Shapes:
    B batch, Z code; images [B, C, S, S] in [0, 1] outside, in [-1, 1] inside, S = 4 * 2^(levels - 1);
    z [B, Z]; critic outputs [B].
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from sslterm.config.schema import Count, Momentum, Natural, NonNegative
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.adversarial.implicit import Implicit
from sslterm.methods.base import Inputs, Stream, Update, eager
from sslterm.nn.ema import follow
from sslterm.nn.gan_losses import critic_gap
from sslterm.nn.gradient_penalty import gradient_norms, interpolate, two_sided
from sslterm.nn.progressive import (
    CORE,
    GrowingDiscriminator,
    GrowingGenerator,
    at_level,
    double,
    growth,
    levels_of,
)
from sslterm.rows import rand
from sslterm.run.panels import Panel

CODES = 8
"""Columns of the panel of resolutions."""


class ProGAN(Implicit):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        latent_dim: Count
        widths: tuple[Count, ...]
        """Features of generator and critic at 4, 8, 16, ... pixels; as many as the images' side takes."""
        leak: NonNegative
        """Slope of the leaky ReLU below 0."""
        stable_images: Natural
        """Training images of every level, besides those over which it is faded in."""
        fade_images: Count
        """Training images over which a level is faded in."""
        std_group: Count
        """Images whose standard deviation the critic is shown; the batch is a multiple of it."""
        penalty: NonNegative
        """Weight of the gradient penalty."""
        drift: NonNegative
        """Weight of the term that keeps the critic's outputs near 0."""
        ema: Momentum
        """Of the averaged generator, per step."""

    @dataclass(frozen=True, kw_only=True)
    class Sampling:
        weights: Literal["ema", "raw"] = "ema"
        """The averaged generator, or the one that is trained."""
        resolution: Natural = 0
        """Side in pixels; 0 takes what has been reached."""

    couples_batch: ClassVar[bool] = True  # through the standard deviation over images

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__()
        _check(config, inputs)
        self.config = config
        self.sampling = self.Sampling()
        self.latent_dim = config.latent_dim
        self.side = inputs.height
        self.levels = len(config.widths)
        self.generator = self._make_generator(inputs.channels, self.levels)
        self.critic = GrowingDiscriminator(
            inputs.channels, config.widths, leak=config.leak, group=config.std_group
        )
        self.average = deepcopy(self.generator).requires_grad_(False)
        self.earlier = nn.ModuleList(  # the average, at the end of each level but the last
            self._make_generator(inputs.channels, level + 1) for level in range(self.levels - 1)
        ).requires_grad_(False)
        self.level, self.fading = 0, False
        """What the losses run through: a function of the images seen, set before every update."""
        self.register_buffer("reached", torch.zeros((), dtype=torch.int64))
        self.register_buffer("fade", torch.ones(()))
        """The same for samples, which come from a checkpoint: the newest level, and its share."""

    reached: Tensor
    fade: Tensor

    def _make_generator(self, channels: int, levels: int) -> GrowingGenerator:
        config = self.config
        return GrowingGenerator(config.latent_dim, channels, config.widths[:levels], leak=config.leak)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return {"critic": list(self.critic.parameters()), "generator": list(self.generator.parameters())}

    def step(self, data: Stream, update: Update) -> None:
        self._grow(update.images)
        batch = next(data)
        update("critic", self.critic_loss, batch)
        update("generator", self.generator_loss, batch)
        follow(self.average, self.generator, self.config.ema)

    def _grow(self, images: int) -> None:
        level, fade = growth(
            images, self.levels, stable_images=self.config.stable_images, fade_images=self.config.fade_images
        )
        if level != self.level:
            weights = self.average.state_dict()
            for earlier in self.earlier[int(self.reached) : level]:
                earlier.load_state_dict({name: weights[name] for name in earlier.state_dict()})
        self.level, self.fading = level, fade < 1
        self.reached.fill_(level)
        self.fade.fill_(fade)

    @eager  # the penalty differentiates twice
    def critic_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        fade = self.fade if self.fading else None
        real = at_level(2 * batch.images - 1, self.level, fade)
        with torch.no_grad():
            fake = self.generate(batch)
        on_real, on_fake = self.critic(real, self.level, fade), self.critic(fake, self.level, fade)
        between = interpolate(real, fake, rand(len(batch), like=real))
        norms = gradient_norms(lambda images: self.critic(images, self.level, fade), between)
        gap, penalty, drift = critic_gap(on_real, on_fake), two_sided(norms), on_real.square().mean()
        loss = -gap + self.config.penalty * penalty + self.config.drift * drift
        return loss, {
            "gap": gap,
            "penalty": penalty,
            "drift": drift,
            "side": torch.full_like(gap, CORE * 2.0**self.level),
            "fade": self.fade.clone(),
        }

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        fade = self.fade if self.fading else None
        return -self.critic(self.generate(batch), self.level, fade).mean(), {}

    def generate(self, batch: Batch, times: int = 1) -> Tensor:
        """`times` as many images as there are in `batch`, of new noise, at the side and fade of now."""
        fade = self.fade if self.fading else None
        generated: Tensor = self.generator(self.codes(batch, times), self.level, fade)
        return generated

    # -- what can be asked of a trained generator

    @property
    def resolutions(self) -> tuple[int, ...]:
        """Sides that can be sampled: those that the growth has reached."""
        return tuple(CORE * 2**level for level in range(int(self.reached) + 1))

    def decode(self, z: Tensor) -> Tensor:
        return self._enlarge(self._draw(z, self.sampling.resolution or self.resolutions[-1]))

    def _draw(self, z: Tensor, side: int) -> Tensor:
        """Images [B, C, side, side] in [0, 1]."""
        if side not in self.resolutions:
            raise UsageError(
                f"there is no resolution of {side} pixels in this run",
                f"it has reached: {', '.join(map(str, self.resolutions))}",
            )
        level = levels_of(side) - 1
        if side < self.resolutions[-1]:
            if self.sampling.weights == "raw":
                raise UsageError(
                    f"of {side} pixels only the averaged generator was kept",
                    "leave --weights raw out, or take an earlier --checkpoint",
                )
            images = self.earlier[level](z, level)
        else:
            network = self.average if self.sampling.weights == "ema" else self.generator
            share = float(self.fade)  # a number also where it is exported
            images = network(z, level, torch.tensor(share, device=z.device) if share < 1 else None)
        shown: Tensor = ((images + 1) / 2).clamp(0, 1)
        return shown

    def _enlarge(self, images: Tensor) -> Tensor:
        while images.shape[-1] < self.side:
            images = double(images)
        return images

    def panels(self, batch: Batch) -> Iterator[Panel]:
        yield from super().panels(batch)
        z = torch.randn(CODES, self.latent_dim, device=batch.images.device)
        rows = [self._enlarge(self._draw(z, side)) for side in self.resolutions]
        faded = f", the newest faded in by {float(self.fade):.0%}" if float(self.fade) < 1 else ""
        yield Panel(
            name="resolutions",
            kind="images",
            array=torch.cat(rows).cpu().numpy(),
            caption=(
                f"the same {CODES} codes; rows of {', '.join(map(str, self.resolutions))} pixels{faded}, "
                "each as its level drew them in the end"
            ),
            columns=CODES,
            low=0.0,
            high=1.0,
        )


def _check(config: ProGAN.Config, inputs: Inputs) -> None:
    """Refuse what cannot grow.

    Raises:
        UsageError: images that are not squares of 4 times a power of two, widths that do not go with them, or a
            batch that does not divide into groups.
    """
    side = inputs.height
    try:
        levels = levels_of(side)
    except ValueError as error:
        raise UsageError(
            f"progan doubles the side from 4 pixels on: {error}", "set data.size to 16, 32 or 64"
        ) from error
    if inputs.width != side:
        raise UsageError(
            f"progan draws squares, not {inputs.width}x{side} pixels", "set data.size to 16, 32 or 64"
        )
    if len(config.widths) != levels:
        fitting = CORE * 2 ** (len(config.widths) - 1)
        raise UsageError(
            f"method.widths: {len(config.widths)} widths are for images of {fitting} pixels, not {side}",
            f"give {levels} widths, or set data.size={fitting}",
        )
    if inputs.batch % config.std_group:
        raise UsageError(
            f"train.batch = {inputs.batch} does not divide into groups of method.std_group = {config.std_group}",
            f"set train.batch={max(1, inputs.batch // config.std_group) * config.std_group}",
        )
