"""Unsupervised Learning of Visual Representations by Solving Jigsaw Puzzles.
Mehdi Noroozi & Paolo Favaro, ECCV 2016, arXiv:1603.09246.

Idea:
    To put shuffled tiles of a picture in order again, one has to know what its parts are and how they lie to one
    another. One network looks at every tile on its own, and only then are all of them seen together (the
    context-free network), so that it must learn what is on a tile and cannot merely continue edges.

Objective:
    loss = mean over images of -log p(y | tiles in order s_y),   y uniform among the P orders of a fixed set
    The set is grown so that orders differ in as many places as can be; similar ones would be ambiguous.

Departures:
    The encoder is the preset's, the paper's is AlexNet; fc6 and fc7 have BatchNorm and no dropout.
    Algorithm 1 adds the order with the largest sum of distances; here the distance to the nearest order counts
    first, and the sum decides between equal ones. Of 100 orders the nearest then differ in 6 places, not 2, and
    the mean distance is the same (8.08). The first order is that of the picture itself rather than a random
    one, so that all runs share one set.
    One puzzle an image and batch. Against shortcuts (§4.2), as there: a tile is taken from anywhere within its
    larger cell (continued edges), each has its own mean and deviation taken out (brightness of neighbours),
    some images lose their colours ([augment.a] grey) and channels are shifted against each other (chromatic
    aberration). On held-out images colours stay as they are.

Watch for:
    Accuracy on few orders can come from a single tile; the share of tiles in place says more where there are
    many. Held-out accuracy that leaps to 100 % is a shortcut: look for gaps that are too small. The places panel
    shows which tiles are told apart; neighbours in a row of sky need not be.

Shapes:
    B batch, T tiles (4 or 9), P orders; views [B, C, H, W]; tiles [B, T, C, t, t]; logits [B, P].
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.config.schema import Count, Natural
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.methods.pretext.confusion import confusion_panel
from sslterm.methods.pretext.puzzle import TilePuzzle, TilesConfig
from sslterm.nn.orders import distances, far_orders
from sslterm.nn.tiles import corners, normalized, pick, sheet, windows
from sslterm.rows import randint
from sslterm.run.panels import Panel

SHOWN = 8
"""Puzzles in the panel of them."""
PLACES = {
    2: ("upper left", "upper right", "lower left", "lower right"),
    3: (
        "upper left", "top", "upper right", "left", "centre", "right", "lower left", "bottom", "lower right",
    ),
}  # fmt: skip
"""Names of the cells in order of reading."""


class Jigsaw(TilePuzzle):
    @dataclass(frozen=True, kw_only=True)
    class Config(TilesConfig):
        grid: Literal[2, 3]
        """Cells along a side; a tile is smaller than its cell and lies anywhere within it, so that there are gaps."""
        permutations: Count
        """P: orders to choose from, of 24 (grid 2) or 362,880 (grid 3)."""
        normalize: bool
        """Take out the mean and deviation of every channel of every tile."""
        channel_shift: Natural
        """Most that a channel of a tile is shifted in training, in pixels, in either direction and both axes."""

    orders: Tensor

    def __init__(self, config: Config, inputs: Inputs) -> None:
        tiles = config.grid**2
        if not 2 <= config.permutations <= math.factorial(tiles):
            raise UsageError(
                f"method.permutations = {config.permutations}: {tiles} tiles have {math.factorial(tiles):,} orders",
                f"set method.permutations to a number from 2 to {math.factorial(tiles)}",
            )
        super().__init__(config, inputs, tiles=tiles, answers=config.permutations)
        self.config = config
        cell = min(self.height, self.width) // config.grid
        if cell < config.tile:
            raise UsageError(
                f"images of {self.height} x {self.width} pixels have cells of {cell}, and method.tile = {config.tile} "
                "does not fit in",
                f"set method.tile={max(cell - 1, 1)} or less, or augment.a.size={config.grid * (config.tile + 1)} "
                "or more; a tile that fills its cell leaves no gap",
            )
        if inputs.channels == 1 and config.channel_shift:
            raise UsageError(
                "method.channel_shift needs colours, and these images are grey", "set method.channel_shift=0"
            )
        self.register_buffer("orders", far_orders(tiles, config.permutations))  # [P, T]
        apart = distances(self.orders)
        in_place = 1 - float(apart.double().mean()) / tiles
        self.solved = {
            "accuracy": f"share of puzzles solved (chance {1 / config.permutations:.3g})",
            "tiles_in_place": f"share of tiles (chance {in_place:.3g})",
        }

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        tiles = self.tiles(self.view(batch.images))
        right = randint(len(self.orders), len(tiles), like=tiles)  # y, [B]
        logits = self.answer(pick(tiles, self.orders[right]))
        return F.cross_entropy(logits, right), {"accuracy": (logits.argmax(1) == right).float().mean()}

    def tiles(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> a tile out of every cell, in order of reading, [B, T, C, t, t]."""
        config, (count, channels, height, width) = self.config, images.shape
        place = []
        for length, across in ((height, False), (width, True)):
            starts = torch.tensor(corners(length, config.grid), device=images.device)
            cells = starts.repeat(config.grid) if across else starts.repeat_interleave(config.grid)
            room = length // config.grid - config.tile + 1
            place.append((cells + randint(room, count, len(cells), like=images)).unsqueeze(2))  # [B, T, 1]
        top, left = place
        if config.channel_shift and self.training:
            most = config.channel_shift
            shift = randint(2 * most + 1, count, config.grid**2, channels, 2, like=images) - most
            top, left = top + shift[..., 0], left + shift[..., 1]  # [B, T, C]
        return windows(images, top, left, config.tile)

    def seen(self, images: Tensor) -> Tensor:
        return normalized(images) if self.config.normalize else images

    # -- what can be asked of a trained network

    def _puzzles(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Shuffled tiles [B, T, C, t, t], the right orders and those that the network gives, [B, T] each."""
        tiles = self.tiles(self.whole(images))
        right = self.orders[randint(len(self.orders), len(tiles), like=tiles)]
        shuffled = pick(tiles, right)
        return shuffled, right, self.orders[self.answer(shuffled).argmax(1)]

    def solve(self, images: Tensor) -> dict[str, Tensor]:
        _, right, given = self._puzzles(images)
        in_place = (given == right).float()
        return {"accuracy": in_place.amin(1), "tiles_in_place": in_place.mean(1)}

    def panels(self, batch: Batch) -> Iterator[Panel]:
        shuffled, right, given = self._puzzles(batch.images)
        yield puzzles_panel(shuffled[:SHOWN], right[:SHOWN], given[:SHOWN], self.config.grid)
        names = PLACES[self.config.grid]
        of = f"where the tiles of {len(given)} held-out puzzles were put"
        yield confusion_panel(given.flatten(), right.flatten(), names, of=of, name="places")


def in_order(shuffled: Tensor, order: Tensor) -> Tensor:
    """Undo an order: tile i of [B, T, ...] belongs where order [B, T] says."""
    return pick(shuffled, order.argsort(1))


def puzzles_panel(shuffled: Tensor, right: Tensor, given: Tensor, grid: int) -> Panel:
    """Triples: the tiles as they are shown, as the network puts them, and as they were."""
    shown = [sheet(tiles, grid) for tiles in (shuffled, in_order(shuffled, given), in_order(shuffled, right))]
    solved = int((given == right).all(1).sum())
    return Panel(
        name="puzzles",
        kind="images",
        array=torch.stack(shown, dim=1).flatten(0, 1).float().cpu().numpy(),
        caption=(
            f"{len(shuffled)} held-out puzzles: tiles as they are shown, as the network puts them in order, and as "
            f"they were; {solved} solved"
        ),
        columns=6,
        low=0.0,
        high=1.0,
        labels=("shown", "put in order", "truth") * 2,
    )
