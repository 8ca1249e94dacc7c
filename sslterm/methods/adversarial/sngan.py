"""Spectral Normalization for Generative Adversarial Networks.
Takeru Miyato, Toshiki Kataoka, Masanori Koyama & Yuichi Yoshida, ICLR 2018, arXiv:1802.05957.

Idea:
    A discriminator whose every layer divides its weights by their largest singular value is 1-Lipschitz, at next
    to no cost: one step of the power method an update follows the singular value while the weights change.

Objective:
    W_SN = W / sigma(W) in every layer of the discriminator f                                     (§2.1)
    hinge: discriminator E_x[max(0, 1 - f(x))] + E_z[max(0, 1 + f(G(z)))],
        generator -E_z[f(G(z))]
    non-saturating: D = sigmoid(f); discriminator -E_x[log D(x)] - E_z[log(1 - D(G(z)))],
        generator -E_z[log D(G(z))]

Departures:
    The power method also takes a step before the generator's update (in the authors' code one goes with every
    pass through the discriminator in training), and several before training. The strided networks are those of
    DCGAN, in place of the paper's "standard CNN".

Watch for:
    discriminator/margin, the mean f of real images over that of generated ones: near 2 a hinge discriminator is
    right about all of them and learns nothing more; near 0 it cannot tell them apart: raise
    method.discriminator_updates or its widths. test/sample_spread far below 1: mode collapse.

Shapes:
    B batch, Z code; images [B, C, H, W] in [0, 1] outside, in [-1, 1] inside; z [B, Z]; f [B].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from sslterm.config.schema import Count
from sslterm.data.batch import Batch
from sslterm.methods.adversarial.implicit import Implicit
from sslterm.methods.adversarial.pair import PairConfig, make_pair
from sslterm.methods.base import Inputs, Stream, Update
from sslterm.nn.gan_losses import cross_entropy, hinge, non_saturating, standing
from sslterm.nn.spectral import iterate_power

FIRST_ITERATIONS = 10
"""Of the power method, before training: so that already the first update sees nearly normalized weights."""


class SNGAN(Implicit):
    @dataclass(frozen=True, kw_only=True)
    class Config(PairConfig):
        objective: Literal["hinge", "non-saturating"]
        """What both minimise."""
        discriminator_updates: Count
        """n_dis: updates of the discriminator for each of the generator."""
        discriminator_widths: tuple[Count, ...]
        """Channels of the discriminator's feature maps, from the image inwards."""

    couples_batch: ClassVar[bool] = True  # through the generator's BatchNorm

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__()
        self.config = config
        self.latent_dim = config.latent_dim
        widths = config.discriminator_widths
        self.generator, self.discriminator = make_pair(
            config, inputs, widths, field="discriminator_widths", spectral=True, pooling="sum"
        )
        iterate_power(self.discriminator, FIRST_ITERATIONS)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return {
            "discriminator": list(self.discriminator.parameters()),
            "generator": list(self.generator.parameters()),
        }

    def step(self, data: Stream, update: Update) -> None:
        for _ in range(self.config.discriminator_updates):
            batch = next(data)
            iterate_power(self.discriminator)  # Alg. 1
            update("discriminator", self.discriminator_loss, batch)
        iterate_power(self.discriminator)
        update("generator", self.generator_loss, batch)  # of which it sees the size alone

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.no_grad():
            generated = self.generate(batch)
        real, fake = self.discriminator(2 * batch.images - 1), self.discriminator(generated)  # f, [B]
        if self.config.objective == "hinge":
            loss = hinge(real, fake)
        else:
            loss = cross_entropy(real, 1.0) + cross_entropy(fake, 0.0)
        return loss, standing(real, fake)

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        fake = self.discriminator(self.generate(batch, self.config.generator_batches))
        return (-fake.mean() if self.config.objective == "hinge" else non_saturating(fake)), {}
