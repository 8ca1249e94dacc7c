"""A generator and a discriminator of strided convolutions alone, without pooling and hidden dense layers.

The architecture of Radford et al. 2016, arXiv:1511.06434, Fig. 1 and the guidelines of §3: strides instead of
pooling; BatchNorm everywhere but at the generator's output and the discriminator's input; ReLU in the
generator with tanh at its end; leaky ReLU in the discriminator.

Shapes: images [B, C, H, W] in [-1, 1] of side 4 * 2^len(widths); codes [B, Z]; outputs are float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from sslterm.nn.norm import BatchNorm
from sslterm.nn.spectral import SpectralConv2d

CORE = 4
"""Side of the innermost feature map, in pixels."""
JudgeNorm = Literal["batch", "none", "spectral"]
"""What is normalized in a discriminator or critic: activations over the batch, nothing, or the weights."""


def check_side(height: int, width: int, widths: Sequence[int]) -> None:
    """Raise ValueError where images of this size do not go with this many widths."""
    side = CORE * 2 ** len(widths)
    if (height, width) != (side, side):
        raise ValueError(f"{len(widths)} widths are for images of {side}x{side} pixels, not {width}x{height}")


def init_normal(module: nn.Module, std: float) -> None:
    """Weights from N(0, std), scales of BatchNorm from N(1, std), shifts 0 (§4)."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(part.weight, 0.0, std)
        elif isinstance(part, BatchNorm) and part.weight is not None:
            nn.init.normal_(part.weight, 1.0, std)


class StridedGenerator(nn.Module):
    """[B, Z] -> [B, C, H, W] in [-1, 1].

    Args:
        latent_dim: Z.
        channels: of the images.
        widths: channels of the feature maps, from the image inwards.
    """

    def __init__(self, latent_dim: int, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        inward = list(widths)
        layers: list[nn.Module] = [
            nn.ConvTranspose2d(latent_dim, inward[-1], CORE, bias=False),  # 1x1 -> 4x4: "project and reshape"
            BatchNorm(inward[-1]),
            nn.ReLU(inplace=True),
        ]
        for planes_in, planes in zip(inward[:0:-1], inward[-2::-1], strict=True):
            layers += [
                nn.ConvTranspose2d(planes_in, planes, 4, stride=2, padding=1, bias=False),
                BatchNorm(planes),
                nn.ReLU(inplace=True),
            ]
        layers += [nn.ConvTranspose2d(inward[0], channels, 4, stride=2, padding=1), nn.Tanh()]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.layers(z[:, :, None, None])
        return images.float()


class StridedDiscriminator(nn.Module):
    """[B, C, H, W] in [-1, 1] -> [B] logits.

    Args:
        channels: of the images.
        widths: channels of the feature maps, from the image inwards.
        leak: slope of the leaky ReLU below 0.
        norm: "batch" as in DCGAN; a critic under a gradient penalty must judge each image by itself.
    """

    def __init__(
        self, channels: int, widths: Sequence[int], *, leak: float, norm: JudgeNorm = "batch"
    ) -> None:
        super().__init__()
        layer = SpectralConv2d if norm == "spectral" else nn.Conv2d
        self.convolutions = nn.ModuleList()
        self.norms = nn.ModuleList()
        for number, planes in enumerate(widths):
            normed = norm == "batch" and number > 0  # whose shift makes a bias needless
            self.convolutions.append(layer(channels, planes, 4, stride=2, padding=1, bias=not normed))
            self.norms.append(BatchNorm(planes) if normed else nn.Identity())
            channels = planes
        self.activation = nn.LeakyReLU(leak, inplace=True)
        self.judge = layer(channels, 1, CORE)  # 4x4 -> 1x1

    def feature_maps(self, images: Tensor, *, remember: bool = True) -> list[Tensor]:
        """The output of every layer, [B, c, h, w], shallow to deep.

        Args:
            remember: whether training moves BatchNorm's running statistics towards those of `images`.
        """
        maps = []
        x = images
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = convolution(x)
            if isinstance(norm, BatchNorm):
                x = norm(x, remember=remember)
            x = self.activation(x)
            maps.append(x)
        return maps

    def forward(self, images: Tensor, *, remember: bool = True) -> Tensor:
        logits: Tensor = self.judge(self.feature_maps(images, remember=remember)[-1])
        return logits.flatten().float()
