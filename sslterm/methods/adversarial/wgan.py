"""Wasserstein GAN.
Martin Arjovsky, Soumith Chintala & Leon Bottou, ICML 2017, arXiv:1701.07875.

Idea:
    Divergences such as Jensen-Shannon's are constant where samples and data do not overlap, and teach the
    generator nothing; the Wasserstein distance still says how far to move. A critic that may not be steep
    estimates it, so that it can, and should, be trained until it is at its best.

Objective:
    W(data, samples) = max over 1-Lipschitz f of E_x[f(x)] - E_z[f(G(z))]                          (Eq. 2)
    critic: -(E_x[f(x)] - E_z[f(G(z))]), its weights then clipped to [-c, c]
    generator: -E_z[f(G(z))]

Departures:
    The last batch of the critic also counts the images of the generator's update, which sees none of it.
    Real and generated images pass the critic as separate batches, as in the authors' code.

Watch for:
    critic/gap, the critic's estimate of the distance in units that clipping sets: it should rise in the first,
    long phases, and then fall as the samples improve; unlike other GANs' losses it goes with their quality. A gap
    that stays near 0 from the beginning: the critic is too weak; raise method.clip or optim.critic.lr. A gap
    that grows and swings: lower the rates. Momentum (Adam with a high first beta) destabilises it (§4).

Shapes:
    B batch, Z code; images [B, C, H, W] in [0, 1] outside, in [-1, 1] inside; z [B, Z]; f [B].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from sslterm.config.schema import Count, Natural, NonNegative, Positive
from sslterm.data.batch import Batch
from sslterm.methods.adversarial.implicit import Implicit, check_widths
from sslterm.methods.base import Inputs, Stream, Update
from sslterm.nn.gan_losses import critic_gap
from sslterm.nn.strided import StridedDiscriminator, StridedGenerator, init_normal


class WGAN(Implicit):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        critic_updates: Count
        """n_critic: updates of the critic for each of the generator."""
        long_critic_updates: Count
        """The same in a long phase, which brings the critic to its best."""
        long_phases_first: Natural
        """The first so many phases are long."""
        long_phase_every: Natural
        """Later one in so many is long; 0: none."""
        clip: Positive
        """c: largest weight of the critic, in size."""
        latent_dim: Count
        """Numbers in a code."""
        generator_widths: tuple[Count, ...]
        """Channels of the feature maps, from the image inwards: 2 for 16 pixels, 3 for 32, 4 for 64."""
        critic_widths: tuple[Count, ...]
        """Channels of the critic's feature maps, likewise."""
        critic_norm: Literal["batch", "none"]
        """What normalizes the critic's activations: BatchNorm as in DCGAN, or nothing."""
        leak: NonNegative
        """Slope of the critic's leaky ReLU below 0."""
        init_std: Positive
        """Of the first weights."""

    couples_batch: ClassVar[bool] = True  # through BatchNorm

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__()
        check_widths(inputs, generator_widths=config.generator_widths, critic_widths=config.critic_widths)
        self.config = config
        self.latent_dim = config.latent_dim
        self.generator = StridedGenerator(config.latent_dim, inputs.channels, config.generator_widths)
        self.critic = StridedDiscriminator(
            inputs.channels, config.critic_widths, leak=config.leak, norm=config.critic_norm
        )
        init_normal(self, config.init_std)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return {"critic": list(self.critic.parameters()), "generator": list(self.generator.parameters())}

    def step(self, data: Stream, update: Update) -> None:
        for _ in range(self.updates_of_phase(update.step)):  # Alg. 1
            batch = next(data)
            update("critic", self.critic_loss, batch)
            clip_weights(self.critic, self.config.clip)
        update("generator", self.generator_loss, batch)

    def updates_of_phase(self, number: int) -> int:
        """How often the critic learns before the generator's update `number`, counted from 0."""
        first, every = self.config.long_phases_first, self.config.long_phase_every
        long = number < first or (every > 0 and number % every == 0)
        return self.config.long_critic_updates if long else self.config.critic_updates

    def critic_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.no_grad():
            generated = self.generate(batch)
        gap = critic_gap(self.critic(2 * batch.images - 1), self.critic(generated))
        return -gap, {"gap": gap}

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        return -self.critic(self.generate(batch)).mean(), {}


@torch.no_grad()
def clip_weights(module: nn.Module, most: float) -> None:
    """Cut every parameter to [-most, most]."""
    for parameter in module.parameters():
        parameter.clamp_(-most, most)
