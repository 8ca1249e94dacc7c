"""Encoders by the name that a preset gives them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from sslterm.nn.conv import ConvNet
from sslterm.nn.resnet import Depth, ResNet
from sslterm.nn.vit import Size, ViT

BackboneName = Literal[
    "conv", "resnet18", "resnet18-small", "resnet50", "resnet50-small",
    "vit-micro", "vit-tiny", "vit-small", "vit-base",
]  # fmt: skip
"""`-small` is the stem for images of 32 pixels; "conv" is the small net whose widths the preset gives."""


class Backbone(nn.Module):
    """Standardises pixels and encodes them.

    Args:
        name: which network.
        widths: channels of the stages of "conv"; () for others, whose widths are their own.
        patch: side of a ViT's patches in pixels; 0 for others.
        channels: of the images.
        pixel_mean, pixel_std: of the data, one number or one a channel; images are in [0, 1].

    Raises:
        ValueError: widths or patch do not go with the network, or the numbers of pixel_mean and pixel_std not
        with channels.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        name: BackboneName,
        *,
        widths: Sequence[int],
        patch: int,
        channels: int,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
    ) -> None:
        super().__init__()
        if (name == "conv") != bool(widths):
            raise ValueError("widths are for conv, which needs them, and [] for others, which have their own")
        if (name in get_args(Size)) != bool(patch):
            raise ValueError(
                "patch is for a ViT, which needs it (4 for images of 32 pixels), and 0 for others"
            )
        for what, numbers in (("pixel_mean", pixel_mean), ("pixel_std", pixel_std)):
            if len(numbers) not in (1, channels):
                raise ValueError(f"{what} needs 1 number, or {channels} for images of {channels} channels")
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std).view(1, -1, 1, 1), persistent=False)
        self.net: ConvNet | ResNet | ViT
        if name == "conv":
            self.net = ConvNet(channels, widths)
        elif patch:
            self.net = ViT(_size(name), channels=channels, patch=patch)
        else:
            depth, _, stem = name.partition("-")
            self.net = ResNet(_depth(depth), channels=channels, small_images=stem == "small")
        self.features = self.net.features
        """Width of what `forward` gives."""

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        """[B, C, H, W] in [0, 1] -> named features in order of depth; the last is what `forward` gives."""
        return self.net.layers(self.standardised(images))

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] in [0, 1] -> [B, features], float32."""
        output: Tensor = self.net(self.standardised(images))
        return output

    def attention(self, images: Tensor) -> Tensor:
        """Of a ViT: how its class token looks at the patches, [B, heads, H / patch, W / patch]."""
        assert isinstance(self.net, ViT)
        return self.net.attention(self.standardised(images))

    def standardised(self, images: Tensor) -> Tensor:
        """Images as the network sees them: pixel_mean and pixel_std taken off."""
        return (images - self.pixel_mean) / self.pixel_std


def _depth(name: str) -> Depth:
    assert name in get_args(Depth)
    return name  # type: ignore[return-value]


def _size(name: str) -> Size:
    assert name in get_args(Size)
    return name  # type: ignore[return-value]
