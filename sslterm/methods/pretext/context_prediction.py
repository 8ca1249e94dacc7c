"""Unsupervised Visual Representation Learning by Context Prediction.
Carl Doersch, Abhinav Gupta & Alexei A. Efros, ICCV 2015, arXiv:1505.05192.

Idea:
    Given two patches of a picture, say in which of eight directions the second lies from the first. Whoever
    recognises the parts of a thing knows: the wheel is below the window. The same network looks at each patch,
    and only its results are compared.

Objective:
    loss = mean over pairs of -log p(y | patch, neighbour),   y uniform among the 8 places around a patch

Departures:
    The encoder is the preset's, the paper's is like AlexNet; fc6 and fc7 have BatchNorm with a scale and shift.
    The first patch is uniform among the places where both fit, for every pair anew, instead of a grid of
    patches of which all pairs are taken. Against shortcuts (§3), as there: a gap between patches and jitter of
    each (continued edges and lines), colours projected or dropped (chromatic aberration), and some patches
    brought down to few pixels and up again. Pixelation is for training alone.

Watch for:
    Training stays at log 8 = 2.08 nats for a while, then falls. Right at once means a shortcut, and the paper's
    favourite is the lens: nearest neighbours of plain patches come from the same corner of their pictures.
    Left and right are often a matter of taste: in the confusion, mirror images.

Shapes:
    B batch, n pairs of an image, t side of a patch; views [B, C, H, W]; patches [B, n, 2, C, t, t];
    logits [B * n, 8].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.augment.aberration import drop, project
from sslterm.config.schema import Count, Natural
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.methods.pretext.confusion import confusion_panel
from sslterm.methods.pretext.puzzle import TilePuzzle, TilesConfig
from sslterm.nn.tiles import sheet, windows
from sslterm.rows import rand, randint
from sslterm.run.panels import Panel

PLACES = ("upper left", "above", "upper right", "left", "right", "lower left", "below", "lower right")
STEPS = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
"""From the first patch to the second, in patches down and to the right; in the order of `PLACES`."""
SHOWN = 24
"""Pairs in the panel of them."""
FRAMES = {"right": (0.2, 0.9, 0.3), "wrong": (0.95, 0.25, 0.2), "truth": (1.0, 1.0, 1.0)}
"""Colours around patches in that panel."""


class ContextPrediction(TilePuzzle):
    @dataclass(frozen=True, kw_only=True)
    class Config(TilesConfig):
        gap: Natural
        """Between the patches of a pair, in pixels."""
        jitter: Natural
        """Most that each patch is moved, in pixels, in either direction and both axes."""
        pairs: Count
        """n: pairs of each image."""
        colour: Literal["keep", "project", "drop"]
        """project takes out the green-magenta axis; drop leaves each patch one channel, and noise."""
        least_side: Natural
        """Some patches of a training image are brought down to as little as this side, and up again; 0: none."""

    solved: ClassVar[dict[str, str]] = {"accuracy": "share of pairs placed (chance 0.125)"}
    steps: Tensor

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(config, inputs, tiles=2, answers=len(PLACES))
        self.config = config
        self._check(inputs.channels)
        self.register_buffer("steps", torch.tensor(STEPS), persistent=False)  # [8, 2]

    def _check(self, channels: int) -> None:
        """Raises UsageError: two patches do not fit, may overlap, or lack colours."""
        config = self.config
        if 2 * config.jitter > config.gap:
            raise UsageError(
                f"method.jitter = {config.jitter} lets patches overlap that are {config.gap} pixels apart",
                f"set method.jitter={config.gap // 2}, or method.gap={2 * config.jitter} or more",
            )
        side, needed = min(self.height, self.width), 2 * config.tile + config.gap + 2 * config.jitter
        if side < needed:
            most = (side - config.gap - 2 * config.jitter) // 2
            tile = f"method.tile={most} or less" if most >= 1 else "a smaller method.gap and method.jitter"
            raise UsageError(
                f"images of {self.height} x {self.width} pixels are too small for pairs: two patches of "
                f"{config.tile}, a gap of {config.gap} and jitter of {config.jitter} need {needed}",
                f"set {tile}, or augment.a.size={needed} or more",
            )
        if channels != 3 and config.colour != "keep":
            raise UsageError(
                f"method.colour = {config.colour} needs images of 3 channels, and these have {channels}",
                'set method.colour="keep"',
            )
        if config.least_side >= config.tile:
            raise UsageError(
                f"method.least_side = {config.least_side} is no reduction of patches of {config.tile} pixels",
                f"set method.least_side={config.tile // 2} or less, or 0 to reduce none",
            )

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        patches, right = self.pairs(self.view(batch.images))
        logits = self.place(self.guarded(patches))
        return F.cross_entropy(logits, right), {"accuracy": (logits.argmax(1) == right).float().mean()}

    def pairs(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Pairs of patches [B, n, 2, C, t, t], and where the second lies, [B * n]."""
        config, count = self.config, len(images)
        right = randint(len(PLACES), count, config.pairs, like=images)  # y, [B, n]
        share = rand(count, config.pairs, 2, like=images)
        shift = randint(2 * config.jitter + 1, count, config.pairs, 2, 2, like=images) - config.jitter
        corner = []  # of each patch, from the top and from the left, [B, n, 2]
        for axis, length in enumerate(images.shape[2:]):
            step = (config.tile + config.gap) * self.steps[right, axis]  # [B, n]
            low = config.jitter + (-step).clamp_min(0)
            high = length - config.tile - config.jitter - step.clamp_min(0)
            first = low + (share[..., axis] * (high - low + 1)).long().clamp_max(high - low)
            corner.append(torch.stack((first, first + step), dim=2) + shift[..., axis])
        top, left = (place.flatten(1).unsqueeze(2) for place in corner)  # [B, n * 2, 1]
        return windows(images, top, left, config.tile).unflatten(1, (config.pairs, 2)), right.flatten()

    def guarded(self, patches: Tensor) -> Tensor:
        """Patches [B, n, 2, C, t, t] without what would give their place away, of the same shape."""
        flat = patches.flatten(1, 2)
        if self.config.least_side and self.training:
            flat = pixelate(flat, self.config.least_side)
        if self.config.colour == "drop":
            flat = drop(flat, self.encoder.pixel_mean.view(-1, 1, 1))
        return flat.view_as(patches)

    def seen(self, images: Tensor) -> Tensor:
        return project(images) if self.config.colour == "project" else images

    def place(self, patches: Tensor) -> Tensor:
        """Pairs [B, n, 2, C, t, t] -> logits of the eight places [B * n, 8], float32."""
        return self.answer(patches.flatten(0, 1))

    # -- what can be asked of a trained network

    def solve(self, images: Tensor) -> dict[str, Tensor]:
        patches, right = self.pairs(self.whole(images))
        hits = self.place(self.guarded(patches)).argmax(1) == right
        return {"accuracy": hits.view(len(images), -1).float().mean(1)}

    def panels(self, batch: Batch) -> Iterator[Panel]:
        patches, right = self.pairs(self.whole(batch.images))
        given = self.place(self.guarded(patches)).argmax(1)
        yield pairs_panel(patches.flatten(0, 1)[:SHOWN], right[:SHOWN], given[:SHOWN])
        yield confusion_panel(given, right, PLACES, of=f"{len(right)} pairs of {len(batch)} held-out images")


def pixelate(patches: Tensor, least_side: int) -> Tensor:
    """Bring random patches [B, n, C, t, t] down to half their side, the least, or between, and up again."""
    size = patches.shape[-1]
    sides = sorted(
        {max(least_side, size // 2), round((least_side * max(size // 2, least_side)) ** 0.5), least_side}
    )
    flat, versions = patches.flatten(0, 1), [patches]
    for side in sides:
        small = F.interpolate(flat, (side, side), mode="bilinear", antialias=True)
        versions.append(F.interpolate(small, (size, size), mode="bilinear").view_as(patches))
    chosen = randint(len(versions), *patches.shape[:2], like=patches)[:, :, None, None, None]
    return sum(
        (version * (chosen == number) for number, version in enumerate(versions)), torch.zeros_like(patches)
    )


def pairs_panel(patches: Tensor, right: Tensor, given: Tensor) -> Panel:
    """Pairs [N, 2, C, t, t]: the first patch in the middle, the second where the network says it lies."""
    count, _, channels, size, _ = patches.shape
    colours = patches.expand(-1, -1, 3, -1, -1) if channels == 1 else patches[:, :, :3]
    board = colours.new_full((count, 9, 3, size + 2, size + 2), 0.12)
    middle = len(PLACES) // 2
    board[:, middle] = F.pad(colours[:, 0], (1, 1, 1, 1), value=0.5)
    for row, (truth, said) in enumerate(zip(right.tolist(), given.tolist(), strict=True)):
        for place, frame in ((truth, "truth"), (said, "right" if said == truth else "wrong")):
            cell = place + (place >= middle)  # the middle is none of the eight
            board[row, cell] = board.new_tensor(FRAMES[frame])[:, None, None]
            board[row, cell, :, 1:-1, 1:-1] = colours[row, 1] if place == said else 0.12
    hits = int((given == right).sum())
    return Panel(
        name="pairs",
        kind="images",
        array=sheet(board, 3).float().cpu().numpy(),
        caption=(
            f"{count} pairs of patches of held-out images: the first in the middle, the second where the network "
            f"says it lies; framed green where that is right ({hits}), else red, and white where it belongs"
        ),
        columns=8,
        low=0.0,
        high=1.0,
    )
