"""Glow: Generative Flow with Invertible 1x1 Convolutions.
Diederik P. Kingma & Prafulla Dhariwal, NeurIPS 2018, arXiv:1807.03039.

Idea:
    A step of flow normalizes channels by a learned scale and shift (actnorm), mixes them by an invertible matrix (a
    1x1 convolution), and couples their halves. The learned mixing takes the place of fixed masks and permutations,
    and actnorm that of batch normalization, so that a batch can be a single image. Many steps make a level; between
    levels half of the variables leaves.

Objective:
    log p(x) = log p(z) + sum over steps of log |det|                                                      (Eq. 7)
    actnorm: H W sum log |s|;  1x1 convolution: H W log |det W| = H W sum log |s| of its LU;
    coupling: sum log |s|                                                                              (Table 1)
    p(z): Gaussian; mean and deviation of what leaves a level are a convolution of what stays.
    The loss is -log p in bits per value of the 8-bit image.

Departures:
    s of the affine coupling is sigmoid(. + 2), as in the authors' code, where Table 1 has exp. That code shifts first
    and scales then; here as in Table 1. The 1x1 convolution is always in its LU form (§3.2); there it is an option.
    No labels, no 5-bit images, no temperature.

Watch for:
    The first step sets every actnorm from its batch; a batch of a handful of images sets them badly. Bits/dim that
    jump up: the rate is too high at the start; the paper warms it up over ten epochs. The scales panel shows what
    each level holds.

Shapes:
    B batch, D values of an image; images and y [B, C, H, W]; W [c, c]; codes [B, D].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from sslterm.config.schema import Count
from sslterm.methods.base import Inputs
from sslterm.methods.flow.flow import MultiScaleFlow, check_halvings
from sslterm.nn.coupling import Scale, SplitCoupling, glow_net
from sslterm.nn.invertible import ActNorm, Convolution1x1, Invertible, Squeeze, Steps
from sslterm.nn.multiscale import MultiScale, Prior, code_shapes


class Glow(MultiScaleFlow):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        levels: Count
        """L; each halves the side."""
        steps: Count
        """K, steps of flow in a level."""
        width: Count
        """Channels of the two hidden convolutions of a coupling; 512 in §5."""
        coupling: Literal["affine", "additive"]

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(inputs)
        check_halvings(inputs, config.levels, "levels")
        scales, priors, channels = [], [], inputs.channels
        for level in range(config.levels):
            channels *= 4
            steps = [layer for _ in range(config.steps) for layer in step_of_flow(channels, config)]
            last = level + 1 == config.levels
            # The last code's own mean and deviation are one more scale and shift for each channel.
            scales.append(Steps([Squeeze(), *steps, *([ActNorm(channels)] if last else [])]))
            if not last:
                channels //= 2
                priors.append(Prior(channels))
        self.flow = MultiScale(scales, priors)
        self.code_shapes = code_shapes(inputs.shape, config.levels, last_squeezes=True)

    @property
    def onnx_lacks(self) -> str:
        return "images are decoded by solving triangular systems"

    def enter(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x - 0.5, x.new_zeros(x.shape[0])

    def leave(self, y: Tensor) -> Tensor:
        return y + 0.5


def step_of_flow(channels: int, config: Glow.Config) -> list[Invertible]:
    """Actnorm, invertible 1x1 convolution, coupling (Fig. 2a)."""
    scale = Scale("sigmoid" if config.coupling == "affine" else "none", channels // 2)
    network = glow_net(channels // 2, config.width, scale.outputs)
    return [ActNorm(channels), Convolution1x1(channels), SplitCoupling(network, scale, first=True)]
