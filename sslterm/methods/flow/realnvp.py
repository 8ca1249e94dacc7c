"""Density Estimation Using Real NVP.
Laurent Dinh, Jascha Sohl-Dickstein & Samy Bengio, ICLR 2017, arXiv:1605.08803.

Idea:
    NICE with couplings that scale as well as shift, so that volume can change everywhere and differently for every
    image. Masks keep the structure of images: a checkerboard of pixels, or half of the channels after 2x2 pixels
    were squeezed into channels. At every scale half of the variables is done and leaves, so that fine detail is
    coded first and what remains is coarse.

Objective:
    log p(x) = log N(f(x); 0, I) + log |det df/dx|                                                         (Eq. 2)
    coupling: y = b x + (1 - b) (x exp(s(b x)) + t(b x)),  log |det| = sum (1 - b) s                       (Eq. 9)
    s = c tanh(.) with learned c; s and t are a residual network with BatchNorm and weight normalization   (§4.1)
    scale: 3 checkerboard couplings, squeeze, 3 channel-wise, half leaves; last: 4 checkerboard            (§3.6)
    x enters as logit(alpha + (1 - 2 alpha) x)                                                             (§4.1)
    The loss is -log p in bits per value of the 8-bit image, plus scale_penalty times the sum of squared gains of
    the weight-normalized convolutions.

Departures:
    1 - 2 alpha as in the authors' code, where the paper has 1 - alpha, which lets white pixels reach infinity. The
    squeeze sorts each 2x2 block by its diagonals, as that code does. Images are not flipped. "actnorm" puts the
    normalization of Kingma & Dhariwal 2018 in the place of BatchNorm between couplings, and is not the paper's.

Watch for:
    Test bits/dim far above the training's: the running averages of BatchNorm lag behind (lower norm_momentum, or
    train longer at a small rate). The scales panel shows what each scale holds: with the finest drawn anew an image
    should keep its meaning. Samples that burst into white: a log-scale has run away; lower the rate.

Shapes:
    B batch, D values of an image; images and y [B, C, H, W]; masks b [H, W] or half of the channels; codes [B, D].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from sslterm.config.schema import Count, Momentum, NonNegative, Positive
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.methods.flow.flow import MultiScaleFlow, check_halvings, from_logits, to_logits
from sslterm.nn.coupling import CheckerboardCoupling, ResidualNet, Scale, SplitCoupling, WeightNormConv
from sslterm.nn.invertible import ActNorm, Invertible, MovingBatchNorm, Squeeze, Steps
from sslterm.nn.multiscale import MultiScale, code_shapes


class RealNVP(MultiScaleFlow):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        downscalings: Count
        """How often the side is halved; one scale more than that."""
        width: Count
        """Feature maps of s and t at full size; doubled with every halving."""
        blocks: Count
        """Residual blocks of s and t."""
        norm: Literal["batch", "actnorm"]
        """What follows every coupling."""
        norm_momentum: Momentum
        """rho: share of the past in the running averages of "batch" (App. E); 0 for "actnorm"."""
        logit_alpha: Positive
        scale_penalty: NonNegative
        """Of the gains of weight normalization; 5e-5 in §4.1."""

        def __post_init__(self) -> None:
            if self.logit_alpha >= 0.5:
                raise UsageError(
                    f"method.logit_alpha = {self.logit_alpha} leaves no room for pixels between alpha and 1 - alpha",
                    "set it below 0.5; the paper's is 0.05",
                )
            if self.norm == "actnorm" and self.norm_momentum:
                raise UsageError(
                    f"method.norm_momentum = {self.norm_momentum} does nothing: actnorm keeps no running averages",
                    "set method.norm_momentum=0, or method.norm=batch",
                )

    couples_batch: ClassVar[bool] = True  # through BatchNorm

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(inputs)
        check_halvings(inputs, config.downscalings, "downscalings")
        self.config = config
        scales, channels, width = [], inputs.channels, config.width
        for _ in range(config.downscalings):
            layers = self._couplings(channels, width, checkerboards=3)
            layers += [Squeeze(), *self._couplings(4 * channels, 2 * width, channelwise=3)]
            scales.append(Steps(layers))
            channels, width = 2 * channels, 2 * width  # half of 4 C stays
        scales.append(Steps(self._couplings(channels, width, checkerboards=4)))
        self.flow = MultiScale(scales)
        self.code_shapes = code_shapes(inputs.shape, len(scales), last_squeezes=False)

    def _couplings(
        self, channels: int, width: int, *, checkerboards: int = 0, channelwise: int = 0
    ) -> list[Invertible]:
        """Couplings whose masks alternate (§3.5), each followed by a normalization."""
        layers: list[Invertible] = []
        for number in range(checkerboards + channelwise):
            changed = channels // 2 if channelwise else channels
            scale = Scale("tanh", changed)
            network = ResidualNet(changed, width, scale.outputs, blocks=self.config.blocks)
            even = number % 2 == 0
            if channelwise:
                layers.append(SplitCoupling(network, scale, first=even))
            else:
                layers.append(CheckerboardCoupling(network, scale, black=even))
            if self.config.norm == "batch":
                layers.append(MovingBatchNorm(channels, momentum=self.config.norm_momentum))
            else:
                layers.append(ActNorm(channels))
        return layers

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        bits, aux = super().loss(batch)
        gains = [part.gain.square().sum() for part in self.modules() if isinstance(part, WeightNormConv)]
        return bits + self.config.scale_penalty * torch.stack(gains).sum(), aux

    def enter(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return to_logits(x, self.config.logit_alpha)

    def leave(self, y: Tensor) -> Tensor:
        return from_logits(y, self.config.logit_alpha)
