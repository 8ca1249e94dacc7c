"""Residual blocks and networks of generators and discriminators.

The pre-activation blocks of Gulrajani et al. 2017, arXiv:1704.00028, App. F, and Miyato et al. 2018,
arXiv:1802.05957, App. B.4; with a norm that takes a condition they are those of class-conditional
generators. Upsampling stands before a block's first convolution, downsampling after its last.

Shapes: images [B, C, H, W] in [-1, 1]; codes [B, Z]; outputs are float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.nn.norm import BatchNorm
from sslterm.nn.spectral import SpectralConv2d, SpectralLinear

Pooling = Literal["mean", "sum"]


def init_glorot(module: nn.Module) -> None:
    """Glorot uniform weights, in 3x3 convolutions, most of them before a ReLU, with gain sqrt(2); biases 0."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            wide = isinstance(part, nn.Conv2d) and part.kernel_size == (3, 3)
            nn.init.xavier_uniform_(part.weight, math.sqrt(2) if wide else 1.0)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


class UpBlock(nn.Module):
    """norm, ReLU, twice the side, 3x3, norm, ReLU, 3x3; and beside it twice the side and 1x1.

    Args:
        inputs, outputs: channels.
        norm: makes the norm for so many channels; where `forward` is given a condition, so is the norm.
        spectral: normalize the convolutions.
        upsample: double the side.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        norm: Callable[[int], nn.Module] = BatchNorm,
        spectral: bool = False,
        upsample: bool = True,
    ) -> None:
        super().__init__()
        convolution = SpectralConv2d if spectral else nn.Conv2d
        self.scale = 2 if upsample else 1
        self.norm1, self.norm2 = norm(inputs), norm(outputs)
        self.conv1 = convolution(inputs, outputs, 3, padding=1)
        self.conv2 = convolution(outputs, outputs, 3, padding=1)
        straight = inputs == outputs and not upsample
        self.shortcut = nn.Identity() if straight else convolution(inputs, outputs, 1)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """[B, inputs, h, w] -> [B, outputs, 2h, 2w]; `condition` [B, D] is for the norms."""
        given = () if condition is None else (condition,)
        h = self._enlarge(F.relu(self.norm1(x, *given)))
        h = F.relu(self.norm2(self.conv1(h), *given))
        output: Tensor = self.conv2(h) + self.shortcut(self._enlarge(x))
        return output

    def _enlarge(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=self.scale, mode="nearest") if self.scale > 1 else x


class DownBlock(nn.Module):
    """ReLU, 3x3, ReLU, 3x3, half the side by averages; and beside it 1x1 and half the side.

    Args:
        inputs, outputs: channels.
        spectral: normalize the convolutions.
        first: `x` is an image, of which a ReLU would cut half: there is none before the first convolution.
        downsample: halve the side.
        leak: slope below 0 of what is then a leaky ReLU.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        spectral: bool = False,
        first: bool = False,
        downsample: bool = True,
        leak: float = 0.0,
    ) -> None:
        super().__init__()
        convolution = SpectralConv2d if spectral else nn.Conv2d
        self.first, self.downsample, self.leak = first, downsample, leak
        self.conv1 = convolution(inputs, outputs, 3, padding=1)
        self.conv2 = convolution(outputs, outputs, 3, padding=1)
        straight = inputs == outputs and not downsample
        self.shortcut = nn.Identity() if straight else convolution(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, h, w] -> [B, outputs, h/2, w/2]."""
        h = self.conv1(x if self.first else F.leaky_relu(x, self.leak))
        h = self.conv2(F.leaky_relu(h, self.leak))
        beside = self.shortcut(self._shrink(x))  # 1x1 and average commute; this order is cheaper
        output: Tensor = self._shrink(h) + beside
        return output

    def _shrink(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2) if self.downsample else x


class ResidualGenerator(nn.Module):
    """[B, Z] -> [B, C, H, W] in [-1, 1]: a dense layer, blocks that double the side, BatchNorm, ReLU, 3x3, tanh.

    Args:
        latent_dim: Z.
        channels: of the images.
        side: of the images; a multiple of 2^len(widths).
        widths: channels that the blocks give, from the image inwards.
    """

    def __init__(self, latent_dim: int, channels: int, side: int, widths: Sequence[int]) -> None:
        super().__init__()
        inward = list(widths)
        self.core = side // 2 ** len(inward)
        self.dense = nn.Linear(latent_dim, inward[-1] * self.core**2)
        self.blocks = nn.ModuleList(
            UpBlock(inputs, outputs)
            for inputs, outputs in zip([inward[-1], *inward[:0:-1]], inward[::-1], strict=True)
        )
        self.norm = BatchNorm(inward[0])
        self.paint = nn.Conv2d(inward[0], channels, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.dense(z).unflatten(1, (-1, self.core, self.core))
        for block in self.blocks:
            x = block(x)
        images: Tensor = F.tanh(self.paint(F.relu(self.norm(x))))
        return images.float()


class ResidualDiscriminator(nn.Module):
    """[B, C, H, W] in [-1, 1] -> [B]: blocks without any norm of activations, ReLU, pooling, a dense layer.

    Args:
        channels: of the images.
        widths: channels that the blocks give, from the image inwards.
        halvings: so many of the first blocks halve the side.
        pooling: over places: "mean" as in WGAN-GP, "sum" as in SNGAN.
        spectral: normalize all weights spectrally.
        leak: slope below 0 of what is then a leaky ReLU.
    """

    def __init__(
        self,
        channels: int,
        widths: Sequence[int],
        *,
        halvings: int,
        pooling: Pooling,
        spectral: bool = False,
        leak: float = 0.0,
    ) -> None:
        super().__init__()
        self.pooling, self.leak = pooling, leak
        self.blocks = nn.ModuleList()
        for number, planes in enumerate(widths):
            first, downsample = number == 0, number < halvings
            self.blocks.append(
                DownBlock(channels, planes, spectral=spectral, first=first, downsample=downsample, leak=leak)
            )
            channels = planes
        self.judge = (SpectralLinear if spectral else nn.Linear)(channels, 1)

    def forward(self, images: Tensor) -> Tensor:
        x = images
        for block in self.blocks:
            x = block(x)
        x = F.leaky_relu(x, self.leak)
        pooled = x.mean((2, 3)) if self.pooling == "mean" else x.sum((2, 3))
        output: Tensor = self.judge(pooled)
        return output.flatten().float()
