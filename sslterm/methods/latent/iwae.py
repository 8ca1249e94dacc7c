"""Importance Weighted Autoencoders (IWAE).
Yuri Burda, Roger Grosse & Ruslan Salakhutdinov, ICLR 2016, arXiv:1509.00519.

Idea:
    The VAE's bound punishes every draw of z that explains the image badly, so that the posterior is kept simple. The
    average of several importance weights is a better estimate of p(x), and its logarithm a tighter bound: it is
    enough that one of k draws explains the image. Networks and draws are the VAE's.

Objective:
    w_i = p(x, z_i) / q(z_i | x),  z_i = mean + deviation * noise_i                                        (Eq. 13)
    loss = -L_k = -E[log 1/k sum_i w_i]                                                                    (Eq. 8)
    L_1 is the ELBO; L_1 <= L_2 <= ... <= log p(x), and L_k approaches it                            (Theorem 1)
    Its gradient weighs the draws by w_i / sum_j w_j                                                       (Eq. 14)

Departures:
    A cosine schedule in place of eight rates over 3280 epochs, except in `mnist-paper`. One stochastic layer; the
    paper also has two. Decoders are those of the VAE here; the paper's is Bernoulli.

Watch for:
    effective_draws, 1 / sum of squared normalised weights: near 1 a single draw has all the weight, so that larger k
    gains little; near k the posterior is as good as exact. The gap between the ELBO and the bound is what the
    posterior misses. Active units: more of them than in a VAE of the same network is the paper's second claim.

Shapes:
    B batch, K = k draws, D latent dimensions; images and x [B, C, H, W]; z [K, B, D]; log w [K, B].
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from sslterm.config.schema import Count
from sslterm.data.batch import Batch
from sslterm.methods.base import Inputs
from sslterm.methods.latent.latent_model import LatentConfig, LatentModel
from sslterm.nn.precision import in_float32
from sslterm.rows import randn


@in_float32
def importance_weighted_bound(log_weights: Tensor) -> Tensor:
    """log of the mean weight, [K, B] -> [B] (Eq. 8)."""
    return log_weights.logsumexp(0) - math.log(len(log_weights))


@in_float32
def effective_draws(log_weights: Tensor) -> Tensor:
    """1 / sum_i (w_i / sum_j w_j)^2, between 1 and K: [K, B] -> [B]."""
    return log_weights.softmax(0).square().sum(0).reciprocal()


class IWAE(LatentModel):
    @dataclass(frozen=True, kw_only=True)
    class Config(LatentConfig):
        draws: Count
        """k, of z for an image."""

    likelihood_name: ClassVar[str] = "iw_nll_nats"

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(config, inputs)
        self.draws = config.draws

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        x = self.observe(batch.images)
        mean, log_variance = self.posterior(x)
        noise = randn(len(x), self.draws, self.latent_dim, like=mean).transpose(0, 1)
        log_weights = self.log_weights(x, mean, log_variance, noise)  # [K, B]
        loss = -importance_weighted_bound(log_weights).mean()
        aux = {
            "iw_nll_nats": loss,
            "neg_elbo_nats": -log_weights.mean(),
            "effective_draws": effective_draws(log_weights).mean(),
        }
        return loss, aux

    @property
    def likelihood_protocol(self) -> str:
        return f"{super().likelihood_protocol}; bound of {self.draws} draws"

    def log_prob(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """L_k of every image, in nats, with the k of the training."""
        return self.importance_log_prob(images, self.draws, generator)
