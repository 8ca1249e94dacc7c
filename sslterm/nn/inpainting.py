"""An encoder and a decoder joined by a channel-wise fully connected layer: pictures with holes to whole ones.

The architecture of Pathak et al. 2016, arXiv:1604.07379, §3.1. Shapes: images [B, C, H, W]; outputs are float32.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sslterm.nn.norm import BatchNorm


class ChannelwiseLinear(nn.Module):
    """Every output of a map sees every place of the same map, and no other: m n^4 weights for m maps of n x n.

    Args:
        maps: m.
        height, width: of a map.
    """

    def __init__(self, maps: int, height: int, width: int) -> None:
        super().__init__()
        places = height * width
        bound = places**-0.5
        self.weight = nn.Parameter(torch.empty(maps, places, places).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(maps, 1, places))

    def forward(self, x: Tensor) -> Tensor:
        """[B, m, h, w] -> [B, m, h, w]."""
        by_map = x.flatten(2).transpose(0, 1)  # [m, B, places]
        mixed = torch.baddbmm(self.bias.to(by_map.dtype), by_map, self.weight.to(by_map.dtype))
        return mixed.transpose(0, 1).reshape(x.shape)


class ContextNet(nn.Module):
    """[B, C, H, W] and a mask -> [B, C, H, W] in [-1, 1].

    Args:
        channels: of the images.
        height, width: of the images; multiples of 2^len(widths).
        widths: channels of the feature maps, from the image inwards; the decoder mirrors them.
        leak: slope of the encoder's leaky ReLU below 0.
    """

    def __init__(self, channels: int, height: int, width: int, *, widths: Sequence[int], leak: float) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        planes_in = channels + 1  # and the mask
        for number, planes in enumerate(widths):
            layers: list[nn.Module] = [nn.Conv2d(planes_in, planes, 4, stride=2, padding=1, bias=number == 0)]
            layers += [BatchNorm(planes)] if number else []
            self.stages.append(nn.Sequential(*layers, nn.LeakyReLU(leak, inplace=True)))
            planes_in = planes
        halvings = 2 ** len(widths)
        self.exchange = nn.Sequential(
            ChannelwiseLinear(planes_in, height // halvings, width // halvings),
            nn.ReLU(inplace=True),
            nn.Conv2d(planes_in, planes_in, 1, bias=False),  # across maps
            BatchNorm(planes_in),
            nn.ReLU(inplace=True),
        )
        decoder: list[nn.Module] = []
        for planes in reversed(widths[:-1]):
            decoder += [
                nn.ConvTranspose2d(planes_in, planes, 4, stride=2, padding=1, bias=False),
                BatchNorm(planes),
                nn.ReLU(inplace=True),
            ]
            planes_in = planes
        self.decoder = nn.Sequential(
            *decoder, nn.ConvTranspose2d(planes_in, channels, 4, stride=2, padding=1), nn.Tanh()
        )

    def layers(self, images: Tensor, masks: Tensor) -> dict[str, Tensor]:
        """The output of every stage of the encoder, [B, c, h, w], and of the exchange behind it."""
        outputs = {}
        x = torch.cat((images, masks), dim=1)
        for number, stage in enumerate(self.stages, start=1):
            x = stage(x)
            outputs[f"conv{number}"] = x.float()
        outputs["exchange"] = self.exchange(x).float()
        return outputs

    def forward(self, images: Tensor, masks: Tensor) -> Tensor:
        """Whole pictures, from images in [-1, 1] whose hidden pixels (mask 1) are 0."""
        x = torch.cat((images, masks), dim=1)
        for stage in self.stages:
            x = stage(x)
        output: Tensor = self.decoder(self.exchange(x))
        return output.float()
