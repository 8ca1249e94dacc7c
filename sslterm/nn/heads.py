"""Heads: what stands between an encoder's features and a loss."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from sslterm.nn.norm import BatchNorm


class Projector(nn.Module):
    """Linear - BatchNorm - ReLU for every width but the last, which is linear alone; no biases.

    Args:
        features: width of what comes in.
        widths: of the layers; the last is that of the embedding.
        batch_norm: False leaves BatchNorm out, and gives the linear layers biases.
    """

    def __init__(self, features: int, widths: Sequence[int], *, batch_norm: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        *hidden, last = widths
        for width in hidden:
            layers.append(nn.Linear(features, width, bias=not batch_norm))
            layers += [BatchNorm(width), nn.ReLU()] if batch_norm else [nn.ReLU()]
            features = width
        self.layers = nn.Sequential(*layers, nn.Linear(features, last, bias=not batch_norm))

    def forward(self, features: Tensor) -> Tensor:
        """[B, features] -> [B, widths[-1]], float32."""
        output: Tensor = self.layers(features)
        return output.float()
