"""Encoders and decoders between images and vectors, dense or convolutional, without batch normalization.

Shapes: images [B, C, H, W]; vectors [B, D]. Outputs are float32 whatever the arithmetic inside.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from sslterm.errors import UsageError

Network = Literal["dense", "convolutional"]
Activation = Literal["relu", "tanh", "silu"]

_ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "silu": nn.SiLU}


class Encoder(nn.Module):
    """Images to `features` numbers each.

    Args:
        network: "dense" flattens; "convolutional" halves the side with every 4x4 convolution of stride 2.
        shape: (C, H, W).
        widths: units of the hidden layers, or channels of the convolutions, from the image inwards.
        features: size of the output.
        activation: after every hidden layer.
    """

    def __init__(
        self,
        network: Network,
        shape: tuple[int, int, int],
        *,
        widths: tuple[int, ...],
        features: int,
        activation: Activation,
    ) -> None:
        super().__init__()
        channels, height, width = shape
        act = _ACTIVATIONS[activation]
        self.stages = nn.ModuleList()
        if network == "dense":
            size = channels * height * width
            for units in widths:
                self.stages.append(nn.Sequential(nn.Flatten(), nn.Linear(size, units), act()))
                size = units
        else:
            for planes in widths:
                self.stages.append(nn.Sequential(nn.Conv2d(channels, planes, 4, stride=2, padding=1), act()))
                channels, height, width = planes, height // 2, width // 2
            size = channels * height * width
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(size, features))

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
        x = images
        for stage in self.stages:
            x = stage(x)
        output: Tensor = self.head(x)
        return output.float()


class Decoder(nn.Module):
    """The mirror of `Encoder`: vectors of `features` numbers to images of `shape`, without an output activation."""

    def __init__(
        self,
        network: Network,
        shape: tuple[int, int, int],
        *,
        widths: tuple[int, ...],
        features: int,
        activation: Activation,
    ) -> None:
        super().__init__()
        self.shape = shape
        channels, height, width = shape
        act = _ACTIVATIONS[activation]
        stages: list[nn.Module] = []
        if network == "dense":
            size = features
            for units in reversed(widths):
                stages += [nn.Linear(size, units), act()]
                size = units
            stages += [nn.Linear(size, channels * height * width), nn.Unflatten(1, shape)]
        else:
            halvings = 2 ** len(widths)
            small = (widths[-1], height // halvings, width // halvings)
            stages += [nn.Linear(features, small[0] * small[1] * small[2]), act(), nn.Unflatten(1, small)]
            outward = [*reversed(widths[:-1]), channels]
            planes_in = widths[-1]
            for number, planes in enumerate(outward, start=1):
                stages.append(nn.ConvTranspose2d(planes_in, planes, 4, stride=2, padding=1))
                if number < len(outward):
                    stages.append(act())
                planes_in = planes
        self.stages = nn.Sequential(*stages)

    def forward(self, z: Tensor) -> Tensor:
        output: Tensor = self.stages(z)
        return output.float()


def encoder_and_decoder(
    network: Network,
    shape: tuple[int, int, int],
    *,
    widths: tuple[int, ...],
    activation: Activation,
    code: int,
    numbers_a_code: int = 1,
) -> tuple[Encoder, Decoder]:
    """An encoder to `numbers_a_code * code` numbers, and its mirror from `code` numbers.

    Raises:
        UsageError: a side cannot be halved as often as there are convolutions.
    """
    _, height, width = shape
    halvings = 2 ** len(widths)
    if network == "convolutional" and (height % halvings or width % halvings):
        raise UsageError(
            f"method.widths: a side of {height}x{width} pixels cannot be halved {len(widths)} times",
            "set data.size, or give fewer widths",
        )
    encoder = Encoder(network, shape, widths=widths, features=numbers_a_code * code, activation=activation)
    return encoder, Decoder(network, shape, widths=widths, features=code, activation=activation)
