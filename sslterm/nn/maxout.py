"""Dense networks of the first adversarial nets: a rectifier generator, a maxout discriminator with dropout.

Goodfellow et al. 2014, arXiv:1406.2661, §5; maxout units are those of Goodfellow et al. 2013, arXiv:1302.4389.

Shapes: images [B, C, H, W] in [-1, 1]; codes [B, Z]; outputs are float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import Tensor, nn

from sslterm.rows import bernoulli


class DenseGenerator(nn.Module):
    """[B, Z] -> [B, C, H, W] in [-1, 1]: rectifiers, and a sigmoid, here stretched to [-1, 1].

    Args:
        latent_dim: Z.
        shape: (C, H, W).
        widths: units of the hidden layers, from the image inwards.
    """

    def __init__(self, latent_dim: int, shape: tuple[int, int, int], widths: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for units in reversed(widths):
            layers += [nn.Linear(latent_dim, units), nn.ReLU()]
            latent_dim = units
        self.layers = nn.Sequential(
            *layers, nn.Linear(latent_dim, prod(shape)), nn.Sigmoid(), nn.Unflatten(1, shape)
        )

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.layers(z)
        return 2 * images.float() - 1


class Maxout(nn.Module):
    """Units that give the largest of `pieces` linear functions of their input: [B, inputs] -> [B, units]."""

    def __init__(self, inputs: int, units: int, pieces: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, units * pieces)
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        values: Tensor = self.linear(x).unflatten(1, (-1, self.pieces)).amax(2)
        return values


class Dropout(nn.Module):
    """Sets a share of each image's numbers to 0 in training, and scales the others up; drawn by row."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.keep = 1 - share

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.keep == 1:
            return x
        return x * bernoulli(x.new_full(x.shape, self.keep)) / self.keep


class MaxoutDiscriminator(nn.Module):
    """[B, C, H, W] in [-1, 1] -> [B] logits.

    Args:
        values: numbers in an image.
        widths: maxout units of the hidden layers.
        pieces: linear functions of each unit.
        input_dropout, dropout: share of the image's, and of the hidden layers' numbers that are left out.
    """

    def __init__(
        self, values: int, widths: Sequence[int], *, pieces: int, input_dropout: float, dropout: float
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten(), Dropout(input_dropout)]
        for units in widths:
            layers += [Maxout(values, units, pieces), Dropout(dropout)]
            values = units
        self.layers = nn.Sequential(*layers, nn.Linear(values, 1))

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.layers(images)
        return logits.flatten().float()
