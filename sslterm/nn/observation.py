"""p(x|z) of a decoder over images: independent bits, or dequantized pixels under a normal distribution.

Shapes: B batch; images, x and output of the decoder [B, C, H, W].
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.errors import UsageError
from sslterm.nn.bits import PROTOCOLS, binarize, dequantize, dequantize_at_random

DecoderKind = Literal["bernoulli", "gaussian"]
Binarized = Literal["dynamic", "fixed", "threshold", "none"]


def check_observation(decoder: DecoderKind, binarization: Binarized) -> None:
    """Refuse bits without a way to make them, and one for what is no bit.

    Raises:
        UsageError: the two do not go together.
    """
    if (decoder == "bernoulli") == (binarization == "none"):
        raise UsageError(
            f"method.decoder = {decoder!r} does not go with method.binarization = {binarization!r}",
            "a bernoulli decoder needs dynamic, fixed or threshold, a gaussian one none",
        )


def normal_log_density(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log N(x; mean, variance), elementwise."""
    return -0.5 * (math.log(2 * math.pi) + log_variance + (x - mean).square() * (-log_variance).exp())


class Observation(nn.Module):
    """What is observed of an image, and how probable it is under the output of a decoder.

    Args:
        channels: C; bits are those of grey images.

    Raises:
        UsageError: bits of colour images.
    """

    def __init__(self, decoder: DecoderKind, binarization: Binarized, channels: int) -> None:
        super().__init__()
        if decoder == "bernoulli" and channels != 1:
            raise UsageError(
                f"method.decoder = 'bernoulli' is for binary pixels, and these images have {channels} channels",
                "set method.decoder=gaussian and method.binarization=none, or train on grey images",
            )
        self.decoder, self.binarization = decoder, binarization
        self.protocol = (
            "8-bit pixels, uniform dequantization" if binarization == "none" else PROTOCOLS[binarization]
        )
        if decoder == "gaussian":
            self.log_deviation = nn.Parameter(torch.full((), -1.0))  # of a pixel in [0, 1]

    def observe(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What the decoder's distribution is over: bits, or dequantized pixels in [0, 1).

        Args:
            images: greys or colours in [0, 1].
            generator: of what is drawn; by default the training's.
        """
        if self.binarization == "none":
            return dequantize_at_random(images, generator)
        return binarize(images, self.binarization, generator)

    def still(self, images: Tensor) -> Tensor:
        """The same without noise: greys above a half become 1, pixels lie in the middle of their level."""
        if self.binarization == "none":
            return dequantize(images, torch.full_like(images, 0.5))
        return binarize(images, "threshold")

    def log_prob(self, x: Tensor, output: Tensor) -> Tensor:
        """log p of whole images, in nats, [B]."""
        if self.decoder == "bernoulli":
            return -F.binary_cross_entropy_with_logits(output, x, reduction="none").flatten(1).sum(1)
        # Of the 8-bit image: a density over [0, 1] loses log 256 nats a value (Theis et al. 2016, §3.1).
        density = normal_log_density(x, output.sigmoid(), 2 * self.log_deviation)
        return density.flatten(1).sum(1) - x[0].numel() * math.log(256)
