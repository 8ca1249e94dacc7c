"""Improved Training of Wasserstein GANs.
Ishaan Gulrajani, Faruk Ahmed, Martin Arjovsky, Vincent Dumoulin & Aaron Courville, NIPS 2017, arXiv:1704.00028.

Idea:
    Clipped weights make a critic too simple. The best 1-Lipschitz critic has gradients of norm 1 on the straight
    lines between coupled points of data and samples; a penalty asks for this, on lines between random pairs.

Objective:
    critic: E_z[f(G(z))] - E_x[f(x)] + lambda E[(|grad f(x')| - 1)^2],
        x' = e x + (1 - e) G(z), e uniform in [0, 1] for each pair                                 (Eq. 3)
    generator: -E_z[f(G(z))]

Departures:
    Residual generators upsample before a block's first convolution, as in the authors' code. The strided
    networks are those of DCGAN, with kernels of 4 pixels.

Watch for:
    critic/gap, the estimate of the distance between data and samples: it rises at once and then falls slowly as
    the samples improve. critic/gradient_norm near 1 and a critic/penalty near 0; a penalty that stays high:
    raise method.penalty or lower optim.critic.lr. A gap that falls to 0: the critic cannot follow; raise
    method.critic_updates.

Shapes:
    B batch, Z code; images [B, C, H, W] in [0, 1] outside, in [-1, 1] inside; z [B, Z]; f, norms [B].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from sslterm.config.schema import Count, Positive
from sslterm.data.batch import Batch
from sslterm.methods.adversarial.implicit import Implicit
from sslterm.methods.adversarial.pair import PairConfig, make_pair
from sslterm.methods.base import Inputs, Stream, Update, eager
from sslterm.nn.gan_losses import critic_gap
from sslterm.nn.gradient_penalty import gradient_norms, interpolate, two_sided
from sslterm.rows import rand


class WGANGP(Implicit):
    @dataclass(frozen=True, kw_only=True)
    class Config(PairConfig):
        critic_updates: Count
        """n_critic: updates of the critic for each of the generator."""
        penalty: Positive
        """lambda: weight of the gradient penalty."""
        critic_widths: tuple[Count, ...]
        """Channels of the critic's feature maps, from the image inwards."""

    couples_batch: ClassVar[bool] = True  # through the generator's BatchNorm; the critic has none (§4)

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__()
        self.config = config
        self.latent_dim = config.latent_dim
        self.generator, self.critic = make_pair(
            config, inputs, config.critic_widths, field="critic_widths", spectral=False, pooling="mean"
        )

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return {"critic": list(self.critic.parameters()), "generator": list(self.generator.parameters())}

    def step(self, data: Stream, update: Update) -> None:
        for _ in range(self.config.critic_updates):  # Alg. 1
            batch = next(data)
            update("critic", self.critic_loss, batch)
        update("generator", self.generator_loss, batch)  # of which it sees the size alone

    @eager  # differentiates twice
    def critic_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        x = 2 * batch.images - 1
        with torch.no_grad():
            generated = self.generate(batch)
        between = interpolate(x, generated, rand(len(batch), like=x))
        norms = gradient_norms(self.critic, between)  # [B]
        gap, penalty = critic_gap(self.critic(x), self.critic(generated)), two_sided(norms)
        loss = -gap + self.config.penalty * penalty
        return loss, {"gap": gap, "penalty": penalty, "gradient_norm": norms.mean()}

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        return -self.critic(self.generate(batch, self.config.generator_batches)).mean(), {}
