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

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.config.schema import Count, NonNegative
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs, Method
from sslterm.nn.coders import Activation, Network, encoder_and_decoder
from sslterm.rows import bernoulli, rand, randn
from sslterm.run.panels import Panel

DRAWS_AT_ONCE = 64
"""Importance samples decoded together."""


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) of every dimension, in nats, [B, D] (App. B)."""
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1.0)


def normal_log_density(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log N(x; mean, variance), elementwise."""
    return -0.5 * (math.log(2 * math.pi) + log_variance + (x - mean).square() * (-log_variance).exp())


class VAE(Method):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        network: Network
        widths: tuple[Count, ...]
        """Hidden units, or channels of the convolutions, from the image inwards; the decoder mirrors them."""
        activation: Activation
        latent_dim: Count
        decoder: Literal["bernoulli", "gaussian"]
        binarization: Literal["dynamic", "threshold", "none"]
        """How greys become the bits of a Bernoulli decoder; "none" for the Gaussian one."""
        beta: NonNegative
        """Weight of the KL term; 1 is the bound."""

        def __post_init__(self) -> None:
            if (self.decoder == "bernoulli") == (self.binarization == "none"):
                raise UsageError(
                    f"method.decoder = {self.decoder!r} does not go with method.binarization = {self.binarization!r}",
                    "a bernoulli decoder needs dynamic or threshold, a gaussian one none",
                )

    latent_prior: ClassVar[Literal["normal"]] = "normal"
    likelihood_kind: ClassVar[Literal["bound"]] = "bound"

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__()
        self.config = config
        self.latent_dim = config.latent_dim
        self.values = inputs.values
        self.encoder, self.decoder = encoder_and_decoder(
            config.network,
            inputs.shape,
            widths=config.widths,
            activation=config.activation,
            code=config.latent_dim,
            numbers_a_code=2,  # mean and log variance
        )
        if config.decoder == "gaussian":
            self.log_deviation = nn.Parameter(torch.full((), -1.0))  # of a pixel in [0, 1]

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        x = self.observe(batch.images)
        mean, log_variance = self.posterior(x)
        z = mean + (0.5 * log_variance).exp() * randn(
            len(x), self.latent_dim, like=mean
        )  # reparameterization, §2.4
        reconstruction = -self.log_conditional(x, z).mean()
        kl = kl_to_standard_normal(mean, log_variance).sum(1).mean()
        aux = {"neg_elbo_nats": reconstruction + kl, "reconstruction_nats": reconstruction, "kl_nats": kl}
        return reconstruction + self.config.beta * kl, aux

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """q(z|x): mean and log variance, [B, D] each."""
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        return mean, log_variance

    def log_conditional(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) of whole images, in nats, [B]."""
        output = self.decoder(z)
        if self.config.decoder == "bernoulli":
            return -F.binary_cross_entropy_with_logits(output, x, reduction="none").flatten(1).sum(1)
        # Of the 8-bit image: a density over [0, 1] loses log 256 nats a value (Theis et al. 2016, §3.1).
        density = normal_log_density(x, output.sigmoid(), 2 * self.log_deviation)
        return density.flatten(1).sum(1) - self.values * math.log(256)

    def observe(self, images: Tensor, draw: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """What the decoder's distribution is over: bits, or dequantized pixels in [0, 1].

        Args:
            images: greys or colours in [0, 1].
            draw: uniform noise in [0, 1) of the shape of its argument; by default the training's.
        """
        uniform = draw or (lambda like: rand(len(like), *like.shape[1:], like=like))
        match self.config.binarization:
            case "dynamic":
                return bernoulli(images) if draw is None else (uniform(images) < images).float()
            case "threshold":
                return (images > 0.5).float()
            case "none":
                return (images * 255 + uniform(images)) / 256

    # -- what can be asked of a trained VAE

    def encode(self, images: Tensor) -> Tensor:
        """The posterior mean, [B, D]."""
        return self.posterior(images)[0]

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        outputs = self.encoder.layers(images)
        outputs["mean"] = outputs.pop("head").chunk(2, dim=1)[0]
        return outputs

    def decode(self, z: Tensor) -> Tensor:
        """The mean of p(x|z)."""
        output: Tensor = self.decoder(z)
        return output.sigmoid()

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))

    def sample(self, n: int, generator: torch.Generator, label: Tensor | None = None) -> Iterator[Tensor]:
        """The means of p(x|z) for n draws of z from the prior."""
        yield self.decode(torch.randn(n, self.latent_dim, generator=generator, device=generator.device))

    @property
    def likelihood_protocol(self) -> str:
        """What the nats are nats of."""
        return {
            "dynamic": "dynamic binarization",
            "threshold": "binarized at 0.5",
            "none": "8-bit pixels, uniform dequantization",
        }[self.config.binarization]

    def log_prob(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """The ELBO of every image, in nats, with one draw of z and the KL in closed form."""
        x = self.observe(images, _uniform(generator))
        mean, log_variance = self.posterior(x)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        z = mean + (0.5 * log_variance).exp() * noise
        return self.log_conditional(x, z) - kl_to_standard_normal(mean, log_variance).sum(1)

    def importance_log_prob(self, images: Tensor, k: int, generator: torch.Generator) -> Tensor:
        """The importance-weighted bound with k draws, in nats, [B] (Burda et al. 2016, arXiv:1509.00519, Eq. 8)."""
        x = self.observe(images, _uniform(generator))
        mean, log_variance = self.posterior(x)
        weights = []
        for done in range(0, k, DRAWS_AT_ONCE):
            draws = min(DRAWS_AT_ONCE, k - done)
            noise = torch.randn(draws, *mean.shape, generator=generator, device=mean.device)
            z = mean + (0.5 * log_variance).exp() * noise  # [K, B, D]
            repeated = x.expand(draws, *x.shape).flatten(0, 1)
            log_joint = self.log_conditional(repeated, z.flatten(0, 1)).view(draws, -1)
            log_joint = log_joint + normal_log_density(z, torch.zeros_like(z), torch.zeros_like(z)).sum(-1)
            weights.append(log_joint - normal_log_density(z, mean, log_variance).sum(-1))
        return torch.cat(weights).logsumexp(0) - math.log(k)

    def panels(self, batch: Batch) -> Iterator[Panel]:
        mean, log_variance = self.posterior(self.observe(batch.images))
        kl = kl_to_standard_normal(mean, log_variance).mean(0)
        active = int((mean.var(0) > 0.01).sum())  # Burda et al. 2016, §5.1
        yield Panel(
            name="kl-per-dimension",
            kind="bars",
            array=kl.float().cpu().numpy(),
            caption=f"KL of every latent dimension, nats, {len(mean)} held-out images; {active} of {len(kl)} active",
            labels=tuple(f"z{number}" for number in range(1, len(kl) + 1)),
            low=0.0,
            y_label="nats",
        )


def _uniform(generator: torch.Generator) -> Callable[[Tensor], Tensor]:
    return lambda like: torch.rand(like.shape, generator=generator, device=like.device)
