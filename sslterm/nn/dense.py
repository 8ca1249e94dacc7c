"""Encoders that give every place of a frame an embedding of its own, for frames of any size.

Shapes: frames [B, C, H, W]; maps [B, D, h, w], h = H / stride rounded up; outputs are float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Literal

import torch
from torch import Tensor, nn

from sslterm.nn.norm import BatchNorm
from sslterm.nn.resnet import ResNet

DenseName = Literal["conv", "resnet18"]
"""`resnet18` has a stride of 8: its last two stages keep the resolution of the second."""
RESNET_STRIDE = 8


class DenseEncoder(nn.Module):
    """Convolutions, and a 1x1 convolution to the embedding.

    Args:
        name: which network.
        channels: of the frames.
        widths, strides: of the 3x3 convolutions of "conv", each with BatchNorm and ReLU; () for others.
        dimensions: D of the embedding.
        coordinates: the embedding also sees where it is: x and y in [-1, 1].

    Raises:
        ValueError: widths and strides do not go with the network, or not with each other.
    """

    def __init__(
        self,
        name: DenseName,
        *,
        channels: int,
        widths: Sequence[int],
        strides: Sequence[int],
        dimensions: int,
        coordinates: bool,
    ) -> None:
        super().__init__()
        if (name == "conv") != bool(widths) or len(widths) != len(strides):
            raise ValueError("conv needs widths and as many strides, and others have their own: [] and []")
        self.coordinates = coordinates
        self.trunk: nn.ModuleList | ResNet
        if name == "conv":
            self.trunk = nn.ModuleList()
            for width, stride in zip(widths, strides, strict=True):
                convolution = nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)
                nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
                self.trunk.append(nn.Sequential(convolution, BatchNorm(width), nn.ReLU(inplace=True)))
                channels = width
            self.stride = prod(strides)
        else:
            self.trunk = ResNet("resnet18", channels=channels, small_images=False)
            for stage in (self.trunk.net.layer3, self.trunk.net.layer4):
                stage[0].conv1.stride = stage[0].downsample[0].stride = (1, 1)  # type: ignore[index, union-attr]
            self.stride, channels = RESNET_STRIDE, self.trunk.features
        self.features = channels
        """Width of the last stage."""
        self.head = nn.Conv2d(channels + 2 * coordinates, dimensions, 1)

    def stages(self, frames: Tensor) -> dict[str, Tensor]:
        """The output of every stage, [B, c, h, w], in order of depth."""
        if isinstance(self.trunk, ResNet):
            outputs = self.trunk.layers(frames)
            outputs.pop("pooled")
            return outputs
        outputs, x = {}, frames
        for number, stage in enumerate(self.trunk, start=1):
            x = stage(x)
            outputs[f"stage{number}"] = x.float()
        return outputs

    def forward(self, frames: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, D, h, w]."""
        *_, x = self.stages(frames).values()
        if self.coordinates:
            x = torch.cat((x, places(x)), dim=1)
        embedding: Tensor = self.head(x)
        return embedding.float()


def places(maps: Tensor) -> Tensor:
    """x and y in [-1, 1] of every place of [B, C, h, w]: [B, 2, h, w]."""
    height, width = maps.shape[2:]
    y = torch.linspace(-1, 1, height, device=maps.device, dtype=maps.dtype)
    x = torch.linspace(-1, 1, width, device=maps.device, dtype=maps.dtype)
    grid = torch.stack((x.expand(height, width), y[:, None].expand(height, width)))
    return grid.expand(len(maps), -1, -1, -1)
