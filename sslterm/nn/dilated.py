"""A network that says something of every place of an image: strided, then dilated, then enlarged again.

The architecture of Zhang et al. 2016, arXiv:1603.08511, Tab. 4, of any depth and width. Shapes: images
[B, C, H, W]; outputs are float32.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from sslterm.nn.norm import BatchNorm

DILATIONS = (1, 2, 2, 1)
"""Of the blocks at the smallest resolution (conv4 to conv7 of the paper)."""


class DilatedNet(nn.Module):
    """[B, C, H, W] -> [B, outputs, h, w], h = H / 2^(halvings - doublings).

    Args:
        channels: of the images.
        widths: channels of the blocks that end in a convolution of stride 2.
        trunk: channels of the four blocks behind them.
        enlarging: channels of the blocks that begin with a transposed convolution of stride 2.
        convolutions: in a block; but two in each of the first two, and two at least where the side is halved.
        outputs: numbers at a place.
    """

    def __init__(
        self,
        channels: int,
        *,
        widths: Sequence[int],
        trunk: int,
        enlarging: Sequence[int],
        convolutions: int,
        outputs: int,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList()
        for number, planes in enumerate(widths):
            layers: list[nn.Module] = []
            for _ in range(1 if number < 2 else max(1, convolutions - 1)):
                layers += _convolve(channels, planes)
                channels = planes
            self.blocks.append(
                nn.Sequential(*layers, *_convolve(planes, planes, stride=2), BatchNorm(planes))
            )
        for dilation in DILATIONS:
            layers = []
            for _ in range(convolutions):
                layers += _convolve(channels, trunk, dilation=dilation)
                channels = trunk
            self.blocks.append(nn.Sequential(*layers, BatchNorm(trunk)))
        self.features = trunk
        """Channels of the last block."""
        larger: list[nn.Module] = []
        for planes in enlarging:
            transposed = nn.ConvTranspose2d(channels, planes, 4, stride=2, padding=1)
            nn.init.kaiming_normal_(transposed.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(transposed.bias)  # type: ignore[arg-type]
            larger += [transposed, nn.ReLU(inplace=True)]
            for _ in range(convolutions - 1):
                larger += _convolve(planes, planes)
            channels = planes
        self.head = nn.Sequential(*larger, nn.Conv2d(channels, outputs, 1))

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        """The output of every block, [B, c, h, w], in order of depth."""
        outputs = {}
        x = images
        for number, block in enumerate(self.blocks, start=1):
            x = block(x)
            outputs[f"conv{number}"] = x.float()
        return outputs

    def forward(self, images: Tensor) -> Tensor:
        x = images
        for block in self.blocks:
            x = block(x)
        output: Tensor = self.head(x)
        return output.float()


def _convolve(planes_in: int, planes: int, *, stride: int = 1, dilation: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(planes_in, planes, 3, stride=stride, padding=dilation, dilation=dilation)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]
    return [convolution, nn.ReLU(inplace=True)]
