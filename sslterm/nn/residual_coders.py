"""Convolutional encoders and decoders between images and maps of vectors, with residual blocks and without
normalization (van den Oord et al. 2017, arXiv:1711.00937, §4.1).

Shapes: images [B, C, H, W]; maps [B, D, h, w], h = H / 2^halvings. Outputs are float32 whatever the arithmetic inside.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """x + 1x1(ReLU(3x3(ReLU(x))))."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.inside = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, inner, 3, padding=1), nn.ReLU(), nn.Conv2d(inner, width, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = x + self.inside(x)
        return changed


class MapEncoder(nn.Module):
    """4x4 convolutions of stride 2, residual blocks, and a 1x1 convolution.

    Args:
        channels: of the images.
        width: of the maps inside.
        inner: channels inside a residual block.
        blocks: residual blocks.
        halvings: of the side.
        features: D.
    """

    def __init__(
        self, channels: int, *, width: int, inner: int, blocks: int, halvings: int, features: int
    ) -> None:
        super().__init__()
        planes = [channels] + [width] * halvings
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv2d(below, above, 4, stride=2, padding=1), nn.ReLU())
            for below, above in pairwise(planes)
        )
        self.stages.extend(ResidualBlock(width, inner) for _ in range(blocks))
        self.head = nn.Sequential(nn.ReLU(), nn.Conv2d(width, features, 1))

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        """The output of every stage, in order of depth, and of the head."""
        outputs = {}
        x = images
        for number, stage in enumerate(self.stages, start=1):
            x = stage(x)
            outputs[f"stage{number}"] = x.float()
        outputs["head"] = self.head(x).float()
        return outputs

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)["head"]


class MapDecoder(nn.Module):
    """A 3x3 convolution, residual blocks, and transposed 4x4 convolutions of stride 2, without an activation last.

    Args: as of `MapEncoder`.
    """

    def __init__(
        self, channels: int, *, width: int, inner: int, blocks: int, halvings: int, features: int
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(features, width, 3, padding=1)]
        layers += [ResidualBlock(width, inner) for _ in range(blocks)]
        for number in range(halvings, 0, -1):
            out = channels if number == 1 else width
            layers += [nn.ReLU(), nn.ConvTranspose2d(width, out, 4, stride=2, padding=1)]
        self.stages = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        output: Tensor = self.stages(z)
        return output.float()
