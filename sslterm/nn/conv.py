"""A small convolutional encoder for images of 16 to 64 pixels."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from sslterm.nn.norm import BatchNorm


class ConvNet(nn.Module):
    """3x3 convolutions of stride 2, each with BatchNorm and ReLU, and a global average.

    Args:
        channels: of the images.
        widths: channels of the stages; each halves the side.
    """

    def __init__(self, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        for width in widths:
            convolution = nn.Conv2d(channels, width, 3, stride=2, padding=1, bias=False)
            nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
            self.stages.append(nn.Sequential(convolution, BatchNorm(width), nn.ReLU(inplace=True)))
            channels = width
        self.features = channels
        """Width of what `forward` gives."""

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        """[B, C, H, W] -> the output of every stage [B, c, h, w], and their pooled end [B, features]."""
        outputs = {}
        x = images
        for number, stage in enumerate(self.stages, start=1):
            x = stage(x)
            outputs[f"stage{number}"] = x.float()
        outputs["pooled"] = x.float().mean((2, 3))
        return outputs

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, features], float32."""
        x = images
        for stage in self.stages:
            x = stage(x)
        return x.float().mean((2, 3))
