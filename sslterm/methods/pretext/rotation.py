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
    B batch; views [B, C, S, S]; turned [4, B, C, S, S]; logits [4 * B, 4].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.methods.joint_embedding.embedder import EncoderConfig
from sslterm.methods.pretext.confusion import confusion_panel
from sslterm.methods.pretext.puzzle import Puzzle
from sslterm.run.panels import Panel

ANGLES = ("0°", "90°", "180°", "270°")
"""Counter-clockwise."""
SHOWN = 12
"""Images in the panel of rotations."""


class Rotation(Puzzle):
    @dataclass(frozen=True, kw_only=True)
    class Config(EncoderConfig):
        """The encoder; there is nothing else to set."""

    solved: ClassVar[dict[str, str]] = {"accuracy": "share of turns named (chance 0.25)"}

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(config, inputs)
        if self.height != self.width:
            raise UsageError(
                f"images of {self.height} x {self.width} pixels cannot be turned by 90 degrees",
                f"set augment.a.size={min(self.height, self.width)}, or data.size",
            )
        self.head = nn.Linear(self.encoder.features, len(ANGLES))

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        turned = turn(self.view(batch.images))
        logits, right = self.angles(turned), which(turned)
        return F.cross_entropy(logits, right), {"accuracy": (logits.argmax(1) == right).float().mean()}

    def angles(self, turned: Tensor) -> Tensor:
        """[4, B, C, S, S] -> logits [4 * B, 4], float32."""
        logits: Tensor = self.head(self.encoder(turned.flatten(0, 1)))
        return logits.float()

    # -- what can be asked of a trained network

    def solve(self, images: Tensor) -> dict[str, Tensor]:
        turned = turn(self.whole(images))
        right = self.angles(turned).argmax(1) == which(turned)
        return {"accuracy": right.view(len(ANGLES), -1).float().mean(0)}

    def panels(self, batch: Batch) -> Iterator[Panel]:
        turned = turn(self.whole(batch.images))
        given, right = self.angles(turned).argmax(1), which(turned)
        of = f"{len(batch)} held-out images, each turned four ways"
        yield confusion_panel(given, right, ANGLES, of=of)
        yield rotations_panel(turned[:, :SHOWN], given.view(len(ANGLES), -1)[:, :SHOWN])


def turn(images: Tensor) -> Tensor:
    """Every image by 0, 90, 180 and 270 degrees counter-clockwise: [B, C, S, S] -> [4, B, C, S, S]."""
    return torch.stack([images.rot90(quarters, (2, 3)) for quarters in range(len(ANGLES))])


def which(turned: Tensor) -> Tensor:
    """By how many quarters each of [4, B, ...] was turned, [4 * B]."""
    return torch.arange(len(turned), device=turned.device).repeat_interleave(turned.shape[1])


def rotations_panel(turned: Tensor, given: Tensor) -> Panel:
    """Rows of an image turned four ways, and of the same turned back by what the network says.

    Args:
        turned: [4, N, C, S, S].
        given: [4, N] quarters.
    """
    back = [
        torch.stack([image.rot90(-int(quarters), (1, 2)) for image, quarters in zip(*pair, strict=True)])
        for pair in zip(turned, given, strict=True)
    ]
    rows = torch.cat((turned, torch.stack(back))).transpose(0, 1).flatten(0, 1)  # [N * 8, C, S, S]
    upright = (given == torch.arange(len(given), device=given.device)[:, None]).float().mean()
    return Panel(
        name="rotations",
        kind="images",
        array=rows.float().cpu().numpy(),
        caption=(
            f"{turned.shape[1]} held-out images turned by {', '.join(ANGLES)}, and the same four turned back by the "
            f"angle that the network names: {100 * float(upright):.0f} % are upright again"
        ),
        columns=8,
        low=0.0,
        high=1.0,
        labels=(*ANGLES, *("turned back" for _ in ANGLES)),
    )
