"""What puzzles are made of: an encoder that is asked something about an image, or about tiles of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from sslterm.augment import Table, View
from sslterm.augment.table import view_shape
from sslterm.config.schema import Count
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs, Method
from sslterm.methods.encoder import EncoderConfig, build_encoder
from sslterm.nn.heads import Projector
from sslterm.nn.norm import BatchNorm


class Puzzle(Method):
    """Sees images through [augment.a]. Subclasses define `Config(EncoderConfig)`, `loss` and `solve`."""

    couples_batch: ClassVar[bool] = True  # through batch normalization

    def __init__(self, config: EncoderConfig, inputs: Inputs) -> None:
        super().__init__()
        if set(inputs.views) != {"a"}:
            given = " and ".join(f"[augment.{name}]" for name in sorted(inputs.views)) or "none"
            raise UsageError(f"this method sees its images through [augment.a], and the preset has {given}")
        self.view = View(inputs.views["a"])
        self.height, self.width = view_shape(inputs.views["a"], inputs.height, inputs.width)
        """Of what the puzzle is made from, in pixels."""
        self.encoder = build_encoder(config, inputs)

    def seen(self, images: Tensor) -> Tensor:
        """Images or tiles [N, C, h, w] as the encoder is to have them."""
        return images

    def whole(self, images: Tensor) -> Tensor:
        """Held-out images as large as the views, and not changed otherwise."""
        if tuple(images.shape[2:]) == (self.height, self.width):
            return images
        neutral = Table.neutral(len(images), *images.shape[2:], device=images.device)
        return self.view.apply(images, neutral)

    # -- what can be asked of a trained network

    def encode(self, images: Tensor) -> Tensor:
        """The representation of whole images, before any head."""
        features: Tensor = self.encoder(self.seen(images))
        return features

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        return self.encoder.layers(self.seen(images))


@dataclass(frozen=True, kw_only=True)
class TilesConfig(EncoderConfig):
    tile: Count
    """Side of a tile in pixels."""
    tile_features: Count
    """What a tile is reduced to before tiles meet (fc6)."""
    head: tuple[Count, ...]
    """Hidden units of the layers that see all tiles together (fc7); [] for none."""


class TilePuzzle(Puzzle):
    """One network for every tile, and a head on all of them together.

    Args:
        tiles: how many make a puzzle.
        answers: how many there are to choose from.
    """

    def __init__(self, config: TilesConfig, inputs: Inputs, *, tiles: int, answers: int) -> None:
        super().__init__(config, inputs)
        if config.patch and config.tile % config.patch:
            raise UsageError(
                f"method.patch = {config.patch} does not divide tiles of {config.tile} pixels",
                f"set method.tile to a multiple of {config.patch}",
            )
        with torch.no_grad():
            blank = torch.zeros(1, inputs.channels, config.tile, config.tile)
            size = self._map(self.encoder.eval(), blank).shape[1]
        self.encoder.train()
        self.tower = nn.Sequential(
            nn.Linear(size, config.tile_features, bias=False), BatchNorm(config.tile_features), nn.ReLU()
        )
        self.head = Projector(tiles * config.tile_features, (*config.head, answers))

    def answer(self, tiles: Tensor) -> Tensor:
        """Tiles [B, n, C, h, w] -> logits of the answers [B, answers], float32."""
        maps = self._map(self.encoder, self.seen(tiles.flatten(0, 1)))  # [B * n, c * h' * w']
        logits: Tensor = self.head(self.tower(maps).view(len(tiles), -1))
        return logits

    @staticmethod
    def _map(encoder: nn.Module, tiles: Tensor) -> Tensor:
        """The encoder's last layer that still has places, flattened: where things are in a tile matters."""
        *_, places, _ = encoder.layers(tiles).values()  # type: ignore[operator]
        return places.flatten(1)  # type: ignore[no-any-return]
