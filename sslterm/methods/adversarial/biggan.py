"""Large Scale GAN Training for High Fidelity Natural Image Synthesis (BigGAN).
Andrew Brock, Jeff Donahue & Karen Simonyan, ICLR 2019, arXiv:1809.11096.

Idea:
    A class-conditional GAN for large batches and many classes. The class, embedded once, and a part of the code set
    the scales and shifts of BatchNorm in every block of the generator; the discriminator adds to its judgement the
    product of its features with an embedding of the class. Codes near 0 give better images of less variety: the
    truncation trick. A penalty keeps the generator's filters at right angles, so that it can be truncated.

Objective:
    discriminator: E_{x,y}[max(0, 1 - f(x, y))] + E_{z,y}[max(0, 1 + f(G(z, y), y))]    (hinge, §3)
    generator: -E_{z,y}[f(G(z, y), y)] + orthogonal sum_W |W W' * (1 - I)|^2            (Eq. 3)
    Weights of both are divided by their largest singular value. `discriminator_updates` updates
    of f, each on a batch of its own; then one of G, and average <- ema * average + (1 - ema) * G.
    Samples come from the average, with standing statistics in BatchNorm; numbers of z beyond the
    truncation are drawn anew.

Departures:
    Classes of generated images are those of the real batch, so that they are as frequent as in the data. Standing
    statistics are made for the truncation at hand.

Watch for:
    discriminator/margin (mean f of real less that of generated images) near 2 and accuracies near 1: the
    discriminator has won; it has learned few images by heart. Rows of the panel "classes" that look alike: the class is
    ignored. Saturated, blotchy images at low truncation: raise `orthogonal`. Losses that were steady and run away
    late are the collapse of §4; take the checkpoint before it.

Shapes:
    B batch, Z code; images [B, C, S, S] in [0, 1] outside, in [-1, 1] inside; z [B, Z]; labels [B];
    discriminator outputs [B].
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from sslterm.config.schema import Count, Momentum, Natural, NonNegative, Range
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs, Method, Stream, Update
from sslterm.nn.class_conditional import ConditionalGenerator, ProjectionDiscriminator
from sslterm.nn.ema import follow
from sslterm.nn.gan_losses import hinge, standing
from sslterm.nn.noise import truncated_normal
from sslterm.nn.orthogonal import between_rows, init_orthogonal, matrices
from sslterm.nn.spectral import iterate_power
from sslterm.nn.standing import stand
from sslterm.rows import gather, randn
from sslterm.run.panels import Panel

STANDING_BATCH = 64
"""Images in each pass that standing statistics are made of."""
ROWS, CODES = 10, 10
"""Most classes, and codes, in the panel of classes."""


class BigGAN(Method):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        latent_part: Count
        """Numbers of a code that the generator's core gets, and so many each of its blocks."""
        embedding_dim: Count
        """Of the class, in the generator."""
        generator_widths: tuple[Count, ...]
        """Channels that the blocks give, from the image inwards; each doubles the side, from 4 pixels on."""
        discriminator_widths: tuple[Count, ...]
        """Channels that the blocks give, from the image inwards."""
        discriminator_halvings: Natural
        """So many of the first blocks halve the side."""
        attention_side: Natural
        """Side of the feature maps that attend to themselves, in both networks; 0 for none."""
        discriminator_updates: Count
        """Updates of the discriminator, each on a batch of its own, before each of the generator."""
        orthogonal: NonNegative
        """Weight of the penalty on angles between the generator's filters."""
        ema: Momentum
        """Of the averaged generator, per step."""
        ema_start_images: Natural
        """Until then the average is the generator itself."""
        standing_passes: Count
        """Batches that standing statistics are made of."""

    @dataclass(frozen=True, kw_only=True)
    class Sampling:
        weights: Literal["ema", "raw"] = "ema"
        """The averaged generator, or the one that is trained."""
        truncation: Annotated[float, Range(above=0, high=5)] = math.inf
        """Largest absolute value in a code, in standard deviations."""

    couples_batch: ClassVar[bool] = True  # through BatchNorm
    latent_prior: ClassVar[Literal["normal"]] = "normal"
    seen: Tensor

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__()
        _check(config, inputs)
        self.config = config
        self.sampling = self.Sampling()
        self.classes = inputs.classes
        self.latent_dim = config.latent_part * (len(config.generator_widths) + 1)
        self.generator = ConditionalGenerator(
            config.latent_part,
            inputs.classes,
            config.embedding_dim,
            inputs.channels,
            inputs.height,
            config.generator_widths,
            attention_side=config.attention_side,
        )
        self.discriminator = ProjectionDiscriminator(
            inputs.channels,
            inputs.classes,
            inputs.height,
            config.discriminator_widths,
            halvings=config.discriminator_halvings,
            attention_side=config.attention_side,
        )
        init_orthogonal(self)  # §3
        iterate_power(self)
        self.average = deepcopy(self.generator).requires_grad_(False)
        self.register_buffer("seen", torch.zeros(inputs.classes, dtype=torch.int64))
        """How many training images of each class there were."""
        self._stood: dict[str, float] = {}
        """By weights: the truncation that their standing statistics are made for, until the weights change."""

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return {
            "discriminator": list(self.discriminator.parameters()),
            "generator": list(self.generator.parameters()),
        }

    def step(self, data: Stream, update: Update) -> None:
        for _ in range(self.config.discriminator_updates):
            batch = next(data)
            self.seen += torch.bincount(gather(batch.label), minlength=self.classes)
            iterate_power(self.discriminator)
            update("discriminator", self.discriminator_loss, batch)
        iterate_power(self.generator)
        update("generator", self.generator_loss, batch)
        follow(self.average, self.generator, self.config.ema if self._averages(update) else 0.0)
        iterate_power(self.average)
        self._stood.clear()

    def load_state_dict(self, *args: Any, **options: Any) -> Any:
        self._stood.clear()
        return super().load_state_dict(*args, **options)

    def _averages(self, update: Update) -> bool:
        return update.images >= self.config.ema_start_images

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.no_grad():
            generated = self.generate(batch)
        images = torch.cat([2 * batch.images - 1, generated])
        real, fake = self.discriminator(images, batch.label.repeat(2)).chunk(2)
        return hinge(real, fake), standing(real, fake)

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        fake = self.discriminator(self.generate(batch), batch.label)
        between = between_rows(matrices(self.generator, besides=[self.generator.embed]))
        return self.config.orthogonal * between - fake.mean(), {"orthogonal": between}

    def generate(self, batch: Batch) -> Tensor:
        """Images of the classes of `batch`, of new noise, in [-1, 1]."""
        z = randn(len(batch), self.latent_dim, like=batch.images)
        generated: Tensor = self.generator(z, batch.label)
        return generated

    # -- what can be asked of a trained generator

    def sample(self, n: int, generator: torch.Generator, label: Tensor | None = None) -> Iterator[Tensor]:
        z = truncated_normal(n, self.latent_dim, generator, self.sampling.truncation)
        yield self.decode_class(z, self._draw_labels(n, generator) if label is None else label)

    def decode_class(self, z: Tensor, label: Tensor) -> Tensor:
        """[B, Z], [B] -> [B, C, S, S] in [0, 1], by the weights and for the truncation that are chosen."""
        generated: Tensor = self._standing()(z, label)
        return (generated + 1) / 2

    def _draw_labels(self, n: int, generator: torch.Generator) -> Tensor:
        """[n] classes, as frequent as in training."""
        shares = self.seen.float() if bool(self.seen.any()) else torch.ones_like(self.seen).float()
        return torch.multinomial(shares, n, replacement=True, generator=generator)

    def _standing(self) -> ConditionalGenerator:
        """The chosen generator, its standing statistics made anew where they are of other weights."""
        chosen = self.sampling
        network = self.average if chosen.weights == "ema" else self.generator
        if self._stood.get(chosen.weights) != chosen.truncation:
            stand(network, (self._noise(seed) for seed in range(self.config.standing_passes)))
            self._stood[chosen.weights] = chosen.truncation
        return network

    def _noise(self, seed: int) -> tuple[Tensor, Tensor]:
        device = self.seen.device
        generator = torch.Generator(device=device).manual_seed(seed)
        z = truncated_normal(STANDING_BATCH, self.latent_dim, generator, self.sampling.truncation)
        return z, self._draw_labels(STANDING_BATCH, generator)

    def panels(self, batch: Batch) -> Iterator[Panel]:
        rows = min(ROWS, self.classes)
        codes = torch.randn(CODES, self.latent_dim, device=batch.images.device)
        label = torch.arange(rows, device=codes.device)
        by_class = self.decode_class(codes.repeat(rows, 1), label.repeat_interleave(CODES))
        yield _grid(
            "classes", by_class, f"rows: classes 0 to {rows - 1}, of {self.classes}; columns: one code each"
        )
        if self.classes > 1:
            caption = f"walks from class to class, {rows} of them, each with one code"
            walks = _grid("class-walks", self._walk(label, codes[:rows]), caption)
            yield replace(walks, x_label="from class to class")

    def _walk(self, label: Tensor, codes: Tensor) -> Tensor:
        """From every class to the next in CODES steps along the line between their embeddings."""
        network = self._standing()
        here, there = network.embed(label), network.embed(label.roll(-1))  # [R, E]
        share = torch.linspace(0, 1, CODES, device=label.device).view(-1, 1)
        between = torch.lerp(here[:, None], there[:, None], share)  # [R, CODES, E]
        images = network.draw(codes.repeat_interleave(CODES, 0), between.flatten(0, 1))
        return (images + 1) / 2


def _grid(name: str, images: Tensor, caption: str) -> Panel:
    array = images.cpu().numpy()
    return Panel(name=name, kind="images", array=array, caption=caption, columns=CODES, low=0.0, high=1.0)


def _check(config: BigGAN.Config, inputs: Inputs) -> None:
    """Refuse what does not fit.

    Raises:
        UsageError: data without classes; images and widths that do not go together.
    """
    if not inputs.classes:
        raise UsageError(
            "biggan draws images of a class, and these images have no labels",
            "give it a folder with a folder of images for each class; sngan needs no labels",
        )
    if inputs.unlabelled:
        raise UsageError(
            f"biggan draws images of a class, and {inputs.unlabelled:,} of {inputs.train_images:,} training images "
            "have none",
            "leave those out, or put each into the folder of its class",
        )
    blocks, side = len(config.generator_widths), inputs.height
    fitting = 4 * 2**blocks
    if (inputs.height, inputs.width) != (fitting, fitting):
        raise UsageError(
            f"method.generator_widths: {blocks} widths are for images of {fitting} pixels, not {inputs.width}x{side}",
            "set data.size to 16, 32 or 64 and give 2, 3 or 4 widths",
        )
    halvings = config.discriminator_halvings
    if halvings > len(config.discriminator_widths) or side % 2**halvings:
        raise UsageError(
            f"method.discriminator_halvings = {halvings}: {len(config.discriminator_widths)} blocks "
            f"cannot halve {side} pixels so often",
            f"set it to {min(len(config.discriminator_widths), blocks)} or less",
        )
    given = {4 * 2**level for level in range(1, blocks + 1)} & {
        side // 2**level for level in range(1, halvings + 1)
    }
    if config.attention_side and config.attention_side not in given:
        raise UsageError(
            f"method.attention_side = {config.attention_side}: there are no feature maps of that side in both networks",
            "set it to " + ", ".join(map(str, sorted(given | {0}))),
        )
