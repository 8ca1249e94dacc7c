"""What latent-variable models with an amortized posterior have in common.

p(x) = integral of p(x|z) N(z; 0, I) dz; a decoder gives p(x|z), an encoder q(z|x), a normal distribution with its own
mean and variance in every dimension. Subclasses define the loss.

Shapes: B batch, K draws, D latent dimensions; images and x [B, C, H, W]; z, mean, log_variance [B, D].
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from sslterm.config.schema import Count
from sslterm.data.batch import Batch
from sslterm.methods.base import Inputs, Method
from sslterm.nn.coders import Activation, Network, encoder_and_decoder
from sslterm.nn.observation import Binarized, DecoderKind, Observation, check_observation, normal_log_density
from sslterm.run.panels import Panel

DRAWS_AT_ONCE = 64
"""Importance samples decoded together."""


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) of every dimension, in nats, [B, D] (Kingma & Welling 2014, App. B)."""
    return 0.5 * (mean.square() + log_variance.exp() - log_variance - 1.0)


@dataclass(frozen=True, kw_only=True)
class LatentConfig:
    """The fields of `[method]` that say what the model is."""

    network: Network
    widths: tuple[Count, ...]
    """Hidden units, or channels of the convolutions, from the image inwards; the decoder mirrors them."""
    activation: Activation
    latent_dim: Count
    decoder: DecoderKind
    binarization: Binarized
    """How greys become the bits of a Bernoulli decoder; "none" for the Gaussian one."""

    def __post_init__(self) -> None:
        check_observation(self.decoder, self.binarization)


class LatentModel(Method):
    latent_prior: ClassVar[Literal["normal"]] = "normal"
    likelihood_kind: ClassVar[Literal["bound"]] = "bound"

    def __init__(self, config: LatentConfig, inputs: Inputs) -> None:
        super().__init__()
        self.latent_dim = config.latent_dim
        self.observation = Observation(config.decoder, config.binarization, inputs.channels)
        self.encoder, self.decoder = encoder_and_decoder(
            config.network,
            inputs.shape,
            widths=config.widths,
            activation=config.activation,
            code=config.latent_dim,
            numbers_a_code=2,  # mean and log variance
        )

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """q(z|x): mean and log variance, [B, D] each."""
        mean, log_variance = self.encoder(x).chunk(2, dim=1)
        return mean, log_variance

    def log_conditional(self, x: Tensor, z: Tensor) -> Tensor:
        """log p(x|z) of whole images, in nats, [B]."""
        return self.observation.log_prob(x, self.decoder(z))

    def observe(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Bits, or dequantized pixels in [0, 1); without a generator, as the training draws them."""
        return self.observation.observe(images, generator)

    # -- what can be asked of a trained model

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
        return self.observation.protocol

    def log_prob(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """The ELBO of every image, in nats, with one draw of z and the KL in closed form."""
        x = self.observe(images, generator)
        mean, log_variance = self.posterior(x)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device)
        z = mean + (0.5 * log_variance).exp() * noise
        return self.log_conditional(x, z) - kl_to_standard_normal(mean, log_variance).sum(1)

    def log_weights(self, x: Tensor, mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
        """log p(x, z) - log q(z|x) of draws z = mean + deviation * noise: noise [K, B, D] -> [K, B] nats."""
        z = mean + (0.5 * log_variance).exp() * noise
        repeated = x.expand(len(z), *x.shape).flatten(0, 1)
        log_conditional = self.log_conditional(repeated, z.flatten(0, 1)).view(len(z), -1)
        log_prior = normal_log_density(z, torch.zeros_like(z), torch.zeros_like(z)).sum(-1)
        return log_conditional + log_prior - normal_log_density(z, mean, log_variance).sum(-1)

    def importance_log_prob(self, images: Tensor, k: int, generator: torch.Generator) -> Tensor:
        """The importance-weighted bound with k draws, in nats, [B] (Burda et al. 2016, arXiv:1509.00519, Eq. 8)."""
        x = self.observe(images, generator)
        mean, log_variance = self.posterior(x)
        weights = []
        for done in range(0, k, DRAWS_AT_ONCE):
            draws = min(DRAWS_AT_ONCE, k - done)
            noise = torch.randn(draws, *mean.shape, generator=generator, device=mean.device)
            weights.append(self.log_weights(x, mean, log_variance, noise))
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
