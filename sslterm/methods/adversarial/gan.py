"""Generative Adversarial Networks.
Ian J. Goodfellow, Jean Pouget-Abadie, Mehdi Mirza, Bing Xu, David Warde-Farley, Sherjil Ozair, Aaron Courville
& Yoshua Bengio, NIPS 2014, arXiv:1406.2661.

Idea:
    A generator turns random codes into images; a discriminator says how probable it is that an image is real.
    Each learns against the other. Where the discriminator is at its best, the generator minimises the
    Jensen-Shannon divergence between data and samples; it is 0 where the discriminator can only guess.

Objective:
    min_G max_D  E_x[log D(x)] + E_z[log(1 - D(G(z)))]                                          (Eq. 1)
    discriminator: -E_x[log D(x)] - E_z[log(1 - D(G(z)))]
    generator: E_z[log(1 - D(G(z)))] (minimax), or -E_z[log D(G(z))] (non-saturating, §3: the same fixed point,
    and gradients that do not vanish while the discriminator is sure)

Departures:
    z is standard normal. Dropout is that of the discriminator alone, and its kept numbers are scaled up, so
    that nothing changes in evaluation. Presets but the paper's train with Adam.

Watch for:
    Near balance discriminator/accuracy_real and accuracy_fake are well below 1, and `margin`, the mean logit of
    real images over that of generated ones, stays small. Both at 1: the discriminator has won, and under
    minimax the generator then learns nothing (generator/grad_norm falls to 0); lower optim.discriminator.lr or
    raise method.dropout. test/sample_spread far below 1: mode collapse. The losses do not measure quality.

Shapes:
    B batch, Z code; images [B, C, H, W] in [0, 1] outside, in [-1, 1] inside; z [B, Z]; logits [B].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from sslterm.config.schema import Count, Momentum
from sslterm.data.batch import Batch
from sslterm.methods.adversarial.implicit import Implicit
from sslterm.methods.base import Inputs, Stream, Update
from sslterm.nn.gan_losses import cross_entropy, minimax, non_saturating, standing
from sslterm.nn.maxout import DenseGenerator, MaxoutDiscriminator


class GAN(Implicit):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        objective: Literal["minimax", "non-saturating"]
        """What the generator minimises."""
        discriminator_updates: Count
        """k of Alg. 1: updates of the discriminator for each of the generator."""
        latent_dim: Count
        """Numbers in a code."""
        generator_widths: tuple[Count, ...]
        """Rectifiers of the hidden layers, from the image inwards."""
        discriminator_widths: tuple[Count, ...]
        """Maxout units of the hidden layers."""
        pieces: Count
        """Linear functions of which a maxout unit gives the largest."""
        input_dropout: Momentum
        """Share of the image's values that the discriminator does not see."""
        dropout: Momentum
        """Share of its hidden units that are left out."""

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__()
        self.config = config
        self.latent_dim = config.latent_dim
        self.generator = DenseGenerator(config.latent_dim, inputs.shape, config.generator_widths)
        self.discriminator = MaxoutDiscriminator(
            inputs.values,
            config.discriminator_widths,
            pieces=config.pieces,
            input_dropout=config.input_dropout,
            dropout=config.dropout,
        )

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return {
            "discriminator": list(self.discriminator.parameters()),
            "generator": list(self.generator.parameters()),
        }

    def step(self, data: Stream, update: Update) -> None:
        for _ in range(self.config.discriminator_updates):  # Alg. 1
            batch = next(data)
            update("discriminator", self.discriminator_loss, batch)
        update("generator", self.generator_loss, batch)  # of which it sees the size alone

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.no_grad():
            generated = self.generate(batch)
        real = self.discriminator(2 * batch.images - 1)  # logits, [B]
        fake = self.discriminator(generated)
        loss = cross_entropy(real, 1.0) + cross_entropy(fake, 0.0)
        return loss, {
            "real": real.sigmoid().mean(),
            "fake": fake.sigmoid().mean(),
            **standing(real, fake),
        }

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        fake = self.discriminator(self.generate(batch))
        return (minimax(fake) if self.config.objective == "minimax" else non_saturating(fake)), {}
