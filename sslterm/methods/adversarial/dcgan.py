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
    apart, but off 1 and 0. A discriminator loss near 0: it has won and the generator learns nothing more;
    smooth its labels, lower its rate. Samples that look alike: mode collapse, seldom visible in the losses;
    look at the samples, and at the class histogram of `evaluate`. The losses do not measure quality.

Shapes:
    B batch, Z code; images [B, C, H, W] in [0, 1] outside, in [-1, 1] inside; z [B, Z]; logits [B].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.config.schema import Count, Fraction, NonNegative, Positive
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs, Method, Stream, Update
from sslterm.nn.strided import CORE, StridedDiscriminator, StridedGenerator, check_side, init_normal
from sslterm.rows import randn
from sslterm.run.panels import Panel

WALKS, WALK_STEPS = 6, 10
"""Rows and columns of the interpolations panel."""


class DCGAN(Method):
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
    latent_prior: ClassVar[Literal["normal"]] = "normal"

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__()
        for name in ("generator_widths", "discriminator_widths"):
            try:
                check_side(inputs.height, inputs.width, getattr(config, name))
            except ValueError as error:
                raise UsageError(
                    f"method.{name}: {error}", "set data.size to 16, 32 or 64 and give 2, 3 or 4 widths"
                ) from error
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
        return loss, {"real": real.sigmoid().mean(), "fake": fake.sigmoid().mean()}

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        fake = self.discriminator(self.generate(batch), remember=False)
        return cross_entropy(fake, 1.0), {}

    def generate(self, batch: Batch) -> Tensor:
        """As many images as there are in `batch`, of new noise, in [-1, 1]."""
        generated: Tensor = self.generator(randn(len(batch), self.latent_dim, like=batch.images))
        return generated

    # -- what can be asked of a trained pair

    def decode(self, z: Tensor) -> Tensor:
        generated: Tensor = self.generator(z)
        return (generated + 1) / 2

    def sample(self, n: int, generator: torch.Generator, label: Tensor | None = None) -> Iterator[Tensor]:
        yield self.decode(torch.randn(n, self.latent_dim, generator=generator, device=generator.device))

    def encode(self, images: Tensor) -> Tensor:
        """The discriminator's layers, max-pooled to a 4x4 grid and flattened (§5.1), [B, 16 sum c]."""
        maps = self.discriminator.feature_maps(2 * images - 1)
        return torch.cat([F.adaptive_max_pool2d(part.float(), CORE).flatten(1) for part in maps], dim=1)

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        maps = self.discriminator.feature_maps(2 * images - 1)
        outputs = {f"conv{number}": part.float() for number, part in enumerate(maps, start=1)}
        outputs["pooled"] = self.encode(images)
        return outputs

    def panels(self, batch: Batch) -> Iterator[Panel]:
        ends = torch.randn(2, WALKS, 1, self.latent_dim, device=batch.images.device)
        share = torch.linspace(0, 1, WALK_STEPS, device=ends.device).view(-1, 1)
        walks = slerp(ends[0], ends[1], share).flatten(0, 1)  # [walks * steps, Z]
        yield Panel(
            name="interpolations",
            kind="images",
            array=self.decode(walks).cpu().numpy(),
            caption=f"{WALKS} walks between two random codes each (§6.1)",
            columns=WALK_STEPS,
            low=0.0,
            high=1.0,
        )


def cross_entropy(logits: Tensor, label: float) -> Tensor:
    """Binary cross-entropy of logits [B] against one label for all, in nats."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def slerp(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """Along the great circle between two codes [..., Z]: on it, codes are as long as those of training."""
    angle = F.cosine_similarity(start, end, dim=-1).unsqueeze(-1).clamp(-1 + 1e-6, 1 - 1e-6).acos()
    return (((1 - share) * angle).sin() * start + (share * angle).sin() * end) / angle.sin()
