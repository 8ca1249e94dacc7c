"""Unsupervised Representation Learning by Predicting Image Rotations (RotNet).
Spyros Gidaris, Praveer Singh & Nikos Komodakis, ICLR 2018, arXiv:1803.07728.

Idea:
    To say by which of four quarter turns a picture was rotated, one has to know what is seen in it and how it
    usually stands. Turning by multiples of 90 degrees only transposes and flips, so that no trace of
    resampling gives the answer away.

Objective:
    loss = mean over images and y = 0, 1, 2, 3 of -log F_y(g(x, y)),    g(x, y): x turned by y * 90 degrees
    (Eq. 2, 3). All four rotations of an image are in one batch, which the paper found better than one or two.

Departures:
    The encoder is the preset's; the paper's are Network in Network and AlexNet. The head is one linear layer on
    pooled features, as there.

Watch for:
    Features of a middle layer serve other tasks better than the last one's, which has specialised in turns:
    probe all layers. What has no upright pose (things seen from above, round things, textures) has no answer, so
    that 100 % is neither to be expected nor wanted; a network that is right at once has found a shortcut, such
    as a frame, a logo, or a sky that is always bright and on top.

Shapes:
    B batch, K turns (4, or 2); views [B, C, S, S]; turned [K, B, C, S, S]; logits [K * B, K].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.methods.encoder import EncoderConfig
from sslterm.methods.pretext.confusion import confusion_panel
from sslterm.methods.pretext.puzzle import Puzzle
from sslterm.run.panels import Panel

SHOWN = 12
"""Images in the panel of rotations."""


class Rotation(Puzzle):
    @dataclass(frozen=True, kw_only=True)
    class Config(EncoderConfig):
        turns: Literal[2, 4]
        """K: by quarters, or by halves (0 and 180 degrees), which images that are not square allow too."""

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(config, inputs)
        self.config = config
        if self.height != self.width and config.turns == 4:
            raise UsageError(
                f"images of {self.height} x {self.width} pixels cannot be turned by 90 degrees",
                f"set augment.a.size={min(self.height, self.width)}, or method.turns=2",
            )
        self.angles = tuple(f"{360 * turn // config.turns}°" for turn in range(config.turns))
        """Of the turns, counter-clockwise."""
        self.solved = {"accuracy": f"share of turns named (chance {1 / config.turns:g})"}
        self.head = nn.Linear(self.encoder.features, config.turns)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        turned = turn(self.view(batch.images), self.config.turns)
        logits, right = self.name_turns(turned), which(turned)
        return F.cross_entropy(logits, right), {"accuracy": (logits.argmax(1) == right).float().mean()}

    def name_turns(self, turned: Tensor) -> Tensor:
        """[K, B, C, H, W] -> logits [K * B, K], float32."""
        logits: Tensor = self.head(self.encoder(turned.flatten(0, 1)))
        return logits.float()

    # -- what can be asked of a trained network

    def solve(self, images: Tensor) -> dict[str, Tensor]:
        turned = turn(self.whole(images), self.config.turns)
        right = self.name_turns(turned).argmax(1) == which(turned)
        return {"accuracy": right.view(len(turned), -1).float().mean(0)}

    def panels(self, batch: Batch) -> Iterator[Panel]:
        turned = turn(self.whole(batch.images), self.config.turns)
        given, right = self.name_turns(turned).argmax(1), which(turned)
        of = f"{len(batch)} held-out images, each turned {len(turned)} ways"
        yield confusion_panel(given, right, self.angles, of=of)
        yield rotations_panel(turned[:, :SHOWN], given.view(len(turned), -1)[:, :SHOWN], self.angles)


def turn(images: Tensor, turns: int) -> Tensor:
    """Every image by 0, 1, ... of `turns` equal turns, counter-clockwise: [B, C, H, W] -> [K, B, C, H, W]."""
    return torch.stack([images.rot90(4 // turns * number, (2, 3)) for number in range(turns)])


def which(turned: Tensor) -> Tensor:
    """By how many turns each of [K, B, ...] was turned, [K * B]."""
    return torch.arange(len(turned), device=turned.device).repeat_interleave(turned.shape[1])


def rotations_panel(turned: Tensor, given: Tensor, angles: Sequence[str]) -> Panel:
    """Rows of an image turned in all ways, and of the same turned back by what the network says.

    Args:
        turned: [K, N, C, H, W].
        given: [K, N] turns.
    """
    turns = len(angles)
    back = [
        torch.stack(
            [image.rot90(-4 // turns * int(by), (1, 2)) for image, by in zip(images, said, strict=True)]
        )
        for images, said in zip(turned, given, strict=True)
    ]
    rows = torch.cat((turned, torch.stack(back))).transpose(0, 1).flatten(0, 1)  # [N * 2 K, C, H, W]
    upright = (given == torch.arange(turns, device=given.device)[:, None]).float().mean()
    return Panel(
        name="rotations",
        kind="images",
        array=rows.float().cpu().numpy(),
        caption=(
            f"{turned.shape[1]} held-out images turned by {', '.join(angles)}, and the same turned back by the "
            f"angle that the network names: {100 * float(upright):.0f} % are upright again"
        ),
        columns=2 * turns,
        low=0.0,
        high=1.0,
        labels=(*angles, *("back" for _ in angles)),
    )
