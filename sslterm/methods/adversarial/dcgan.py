"""Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks.
Alec Radford, Luke Metz & Soumith Chintala, ICLR 2016, arXiv:1511.06434.

Idea:
    A generator turns random codes into images; a discriminator learns to tell them from real ones; the
    generator learns to be taken for real. What makes the two train stably is their architecture: strided
    convolutions all the way, BatchNorm, no hidden dense layers. The discriminator has then learned features
    that serve to classify.

Objective:
    discriminator: -E_x[t log D(x) + (1 - t) log(1 - D(x))] - E_z[log(1 - D(G(z)))],  t = real_label
    generator: -E_z[log D(G(z))]              (non-saturating: Goodfellow et al. 2014, arXiv:1406.2661, §3)

Departures:
    z is standard normal, where the paper's is uniform on [-1, 1]. t < 1 is one-sided label smoothing
    (Salimans et al. 2016, arXiv:1606.03498, §3.4); the paper's preset has t = 1. Real and generated images
    pass the discriminator as separate batches, and its running statistics, which `encode` uses, are taken
    over real images alone. Samples come from the generator in evaluation mode: its running statistics are
    those of its latest batches, so that a sample does not depend on those drawn beside it.

Watch for:
    Near balance discriminator/real and discriminator/fake (the mean D of real and of generated images) stay
    apart, but off 1 and 0, and so do the accuracies. A discriminator loss near 0: it has won and the generator
    learns nothing more; smooth its labels, lower its rate. Samples that look alike: mode collapse, seldom visible
    in the losses; look at the samples, at test/sample_spread (near 0), and at the class histogram of `evaluate`.
    The losses do not measure quality.

Shapes:
    B batch, Z code; images [B, C, H, W] in [0, 1] outside, in [-1, 1] inside; z [B, Z]; logits [B].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.config.schema import Count, Fraction, NonNegative, Positive
from sslterm.data.batch import Batch
from sslterm.methods.adversarial.implicit import Implicit, check_widths
from sslterm.methods.base import Inputs, Stream, Update
from sslterm.nn.gan_losses import cross_entropy, non_saturating, standing
from sslterm.nn.strided import CORE, StridedDiscriminator, StridedGenerator, init_normal


class DCGAN(Implicit):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        latent_dim: Count
        generator_widths: tuple[Count, ...]
        """Channels of the feature maps, from the image inwards: 2 for 16 pixels, 3 for 32, 4 for 64."""
        discriminator_widths: tuple[Count, ...]
        leak: NonNegative
        """Slope of the leaky ReLU below 0."""
        init_std: Positive
        """Of the first weights."""
        real_label: Fraction
        """What the discriminator is to say of real images; below 1 it is smoothed."""

    couples_batch: ClassVar[bool] = True  # through BatchNorm

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__()
        check_widths(
            inputs, generator_widths=config.generator_widths, discriminator_widths=config.discriminator_widths
        )
        self.config = config
        self.latent_dim = config.latent_dim
        self.generator = StridedGenerator(config.latent_dim, inputs.channels, config.generator_widths)
        self.discriminator = StridedDiscriminator(
            inputs.channels, config.discriminator_widths, leak=config.leak
        )
        init_normal(self, config.init_std)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return {
            "discriminator": list(self.discriminator.parameters()),
            "generator": list(self.generator.parameters()),
        }

    def step(self, data: Stream, update: Update) -> None:
        batch = next(data)  # Goodfellow et al. 2014, Alg. 1 with k = 1; each update draws its own noise
        update("discriminator", self.discriminator_loss, batch)
        update("generator", self.generator_loss, batch)

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.no_grad():
            generated = self.generate(batch)
        real = self.discriminator(2 * batch.images - 1)  # logits, [B]
        fake = self.discriminator(generated, remember=False)
        loss = cross_entropy(real, self.config.real_label) + cross_entropy(fake, 0.0)
        return loss, {
            "real": real.sigmoid().mean(),
            "fake": fake.sigmoid().mean(),
            **standing(real, fake),
        }

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        fake = self.discriminator(self.generate(batch), remember=False)
        return non_saturating(fake), {}

    # -- what can be asked of a trained pair

    def encode(self, images: Tensor) -> Tensor:
        """The discriminator's layers, max-pooled to a 4x4 grid and flattened (§5.1), [B, 16 sum c]."""
        maps = self.discriminator.feature_maps(2 * images - 1)
        return torch.cat([F.adaptive_max_pool2d(part.float(), CORE).flatten(1) for part in maps], dim=1)

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        maps = self.discriminator.feature_maps(2 * images - 1)
        outputs = {f"conv{number}": part.float() for number, part in enumerate(maps, start=1)}
        outputs["pooled"] = self.encode(images)
        return outputs
