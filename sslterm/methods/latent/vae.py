"""Auto-Encoding Variational Bayes.
Diederik P. Kingma & Max Welling, ICLR 2014, arXiv:1312.6114.

Idea:
    A decoder turns a code z with a standard normal prior into a distribution over images; an encoder guesses which
    codes could have made an image. Both are trained together on a lower bound of the log-likelihood. The draw of z is
    written as mean + deviation * noise, so that gradients reach the encoder through it.

Objective:
    -ELBO = E_q(z|x)[-log p(x|z)] + beta * KL(q(z|x) || N(0, I))        (Eq. 3, with one draw of z an image; Eq. 7)
    KL = 1/2 sum_d (mean_d^2 + variance_d - log variance_d - 1)         (App. B)
    beta = 1 is the paper; other values (Higgins et al. 2017) are not a bound of the likelihood, and the logged
    neg_elbo_nats is always the one with beta = 1.

Departures:
    Adam instead of Adagrad. The Bernoulli decoder sees binary images (drawn anew every time, or thresholded), never
    greys, so that its nats are a likelihood. The Gaussian decoder has one learned deviation for all pixels
    (Rybkin et al. 2021, arXiv:2006.13202) and sees dequantized 8-bit pixels; its nats are those of the 8-bit image.

Watch for:
    KL per dimension: a bar at 0 is a dimension the decoder ignores; all at 0 is posterior collapse (lower beta, or a
    weaker decoder). A latent plane with holes: beta too small. Blurred reconstructions are what a bound under a
    factorized decoder pays for uncertainty, more codes sharpen them.

Shapes:
    B batch, K draws, D latent dimensions; images [B, C, H, W]; z, mean, log_variance [B, D].
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sslterm.config.schema import NonNegative
from sslterm.data.batch import Batch
from sslterm.methods.base import Inputs
from sslterm.methods.latent.latent_model import LatentConfig, LatentModel, kl_to_standard_normal
from sslterm.rows import randn


class VAE(LatentModel):
    @dataclass(frozen=True, kw_only=True)
    class Config(LatentConfig):
        beta: NonNegative
        """Weight of the KL term; 1 is the bound."""

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(config, inputs)
        self.beta = config.beta

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        x = self.observe(batch.images)
        mean, log_variance = self.posterior(x)
        z = mean + (0.5 * log_variance).exp() * randn(
            len(x), self.latent_dim, like=mean
        )  # reparameterization, §2.4
        reconstruction = -self.log_conditional(x, z).mean()
        kl = kl_to_standard_normal(mean, log_variance).sum(1).mean()
        aux = {"neg_elbo_nats": reconstruction + kl, "reconstruction_nats": reconstruction, "kl_nats": kl}
        return reconstruction + self.beta * kl, aux
