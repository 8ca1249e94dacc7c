"""What autoencoders are made of: an encoder to a code, its mirror, and what can be asked of the two."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor

from sslterm.config.schema import Count
from sslterm.methods.base import Inputs, Method
from sslterm.nn.coders import Activation, Network, encoder_and_decoder
from sslterm.nn.precision import in_float32


@dataclass(frozen=True, kw_only=True)
class CoderConfig:
    """The fields of `[method]` that say what the networks are, and what their outputs are compared by."""

    network: Network
    widths: tuple[Count, ...]
    """Hidden units, or channels of the convolutions, from the image inwards; the decoder mirrors them."""
    activation: Activation
    latent_dim: Count
    """Width of the code."""
    objective: Literal["squared", "cross-entropy"]


class Coder(Method):
    """Image -> code -> image. Subclasses define `Config(CoderConfig)` and `loss`."""

    latent_prior: ClassVar[Literal["none"]] = "none"

    def __init__(self, config: CoderConfig, inputs: Inputs) -> None:
        super().__init__()
        self.latent_dim = config.latent_dim
        self.encoder, self.decoder = encoder_and_decoder(
            config.network,
            inputs.shape,
            widths=config.widths,
            activation=config.activation,
            code=config.latent_dim,
        )

    # -- what can be asked of a trained coder

    def encode(self, images: Tensor) -> Tensor:
        """The code, [B, D]."""
        code: Tensor = self.encoder(images)
        return code

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        outputs = self.encoder.layers(images)
        outputs["code"] = outputs.pop("head")
        return outputs

    def decode(self, z: Tensor) -> Tensor:
        logits: Tensor = self.decoder(z)
        return logits.sigmoid()

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))


@in_float32
def compare(
    logits: Tensor, images: Tensor, objective: Literal["squared", "cross-entropy"]
) -> tuple[Tensor, Tensor]:
    """The objective and the squared error of logistic outputs, means over all values (0-d both).

    Args:
        logits: [B, C, H, W], of what the decoder gives.
        images: [B, C, H, W] in [0, 1], what they should be.
    """
    mse = F.mse_loss(logits.sigmoid(), images)
    return (mse if objective == "squared" else F.binary_cross_entropy_with_logits(logits, images)), mse
