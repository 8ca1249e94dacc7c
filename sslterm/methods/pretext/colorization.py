"""Colorful Image Colorization.
Richard Zhang, Phillip Isola & Alexei A. Efros, ECCV 2016, arXiv:1603.08511.

Idea:
    A network sees how light the pixels of a picture are, and says of what colour: grass is green, a sky blue,
    and to know it one has to recognise them. Things can have several colours, whose mean is grey; so it
    answers with a distribution over the cells of the colour plane. Most pixels of most pictures are nearly
    grey, so that rare colours count for more.

Objective:
    Z: a pixel's colour (a, b) as shares of its 5 nearest cells by a Gaussian of deviation 5           (§2.1)
    loss = -mean over pixels of v sum_q Z_q log Y_q, Y the answer, v = w of the cell nearest           (Eq. 2)
    w_q = 1 / ((1 - lambda) p_q + lambda / Q), scaled to sum_q p_q w_q = 1, p the smoothed prior       (Eq. 4)
    The colour given is the mean of Y^(1/T), normalised: between the mode (T -> 0) and the mean.       (Eq. 5)

Departures:
    The cells are the 261 of the grid of 10 that 8-bit sRGB colours fall into; the authors' list has 313, into
    some of which none does. The prior is counted in this training set (up to 5,000 images), at its beginning,
    where the authors' is that of ImageNet. The mean over pixels stands for their sum. The networks of small
    images have fewer and narrower layers, and answer at half the side instead of a quarter. Grey photographs
    stay in training, where the authors leave them out (the colour that they teach is grey).

Watch for:
    Pictures in brown and grey: the network does not know; chroma beside chroma_real says how colourful they are
    and should be. Gaudy ones: raise T or lambda. accuracy beside accuracy_grey and accuracy_most_frequent, which one
    colour for all gets; on photographs, most of which is nearly grey, it stays below them, for the balanced
    loss gives grey away for rare colours. The ab-histogram shows which colours are never given.

Shapes:
    B batch, Q cells, D features; images [B, 3, H, W]; L [B, 1, H, W]; answers [B, Q, h, w]; ab [B, h, w, 2].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.config.schema import Count, Fraction, Positive
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs, Method, Sweep, Update
from sslterm.nn.colour_cells import ColourCells, annealed_mean, rebalancing_weights
from sslterm.nn.dilated import DilatedNet
from sslterm.nn.lab import CELL, grey_of, lab_to_rgb, rgb_to_lab
from sslterm.nn.precision import in_float32
from sslterm.run.panels import Panel

COUNTED = 5_000
"""Most training images whose colours are counted."""
GREY_SHARE = 0.999
"""Training images with more of their pixels in the grey cell have no colour to learn."""
SHOWN = 16
"""Triples in a panel."""
HISTOGRAM_LIGHTNESS = 65.0
FAINTEST = 1e-4
"""Share of pixels that is black in the histogram."""


@in_float32
def colour_cross_entropy(logits: Tensor, numbers: Tensor, shares: Tensor, weights: Tensor) -> Tensor:
    """-mean over pixels of v sum_q Z_q log Y_q (Eq. 2), 0-d.

    Args:
        logits: of Y, [B, Q, h, w].
        numbers, shares: the nearest cells of each pixel, nearest first, and its shares of them, [B, h, w, 5].
        weights: of the cells, [Q].
    """
    chosen = logits.gather(1, numbers.movedim(-1, 1))  # [B, 5, h, w]
    entropy = logits.logsumexp(1) - (shares.movedim(-1, 1) * chosen).sum(1)  # shares add up to 1
    return (weights[numbers[..., 0]] * entropy).mean()


class Colorization(Method):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        widths: tuple[Count, ...]
        """Channels of the blocks that halve the side."""
        trunk: Count
        """Channels of the four blocks at the smallest size, two of them dilated."""
        enlarging: tuple[Count, ...]
        """Channels of the blocks that double the side again."""
        convolutions: Count
        """In a block; but two in each of the first two."""
        uniform_share: Fraction
        """lambda: of the uniform distribution in what the loss is balanced by; 1 leaves it unbalanced."""
        temperature: Positive
        """T of the colour that is given."""

    couples_batch: ClassVar[bool] = True  # through BatchNorm
    solved: ClassVar[Mapping[str, str]] = {
        "accuracy": "share of pixels in the right cell of 10 x 10",
        "accuracy_grey": "the same, all grey",
        "accuracy_most_frequent": "the same, all in the training set's most frequent cell",
        "chroma": "mean distance of (a, b) of Lab from grey",
        "chroma_real": "the same of the pictures as they are",
    }
    prior: Tensor
    weights: Tensor
    counted: Tensor

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__()
        if inputs.channels != 3:
            raise UsageError(
                "colorization learns from colour pictures, and these are grey",
                "give it pictures in colour: --data painted, cifar10, or a folder of photographs",
            )
        smallest = 2 ** len(config.widths)
        if inputs.height % smallest or inputs.width % smallest or len(config.enlarging) > len(config.widths):
            raise UsageError(
                f"method.widths: a side of {inputs.width}x{inputs.height} pixels cannot be halved {len(config.widths)} "
                f"times and doubled {len(config.enlarging)} times",
                "set data.size to a multiple of 8, and give 1 to 3 widths and fewer enlarging",
            )
        self.config = config
        self.train_images = inputs.train_images
        self.scale = 2 ** (len(config.widths) - len(config.enlarging))
        """Side of the pixels of an answer, in pixels."""
        self.cells = ColourCells()
        self.network = DilatedNet(
            1,
            widths=config.widths,
            trunk=config.trunk,
            enlarging=config.enlarging,
            convolutions=config.convolutions,
            outputs=len(self.cells),
        )
        grey = self.cells.nearest(torch.zeros(2))[0][0]
        self.register_buffer("counted", torch.zeros((), dtype=torch.int64))  # images that the prior is of
        self.register_buffer("prior", F.one_hot(grey, len(self.cells)).float())
        self.register_buffer("weights", torch.ones(len(self.cells)))

    @torch.no_grad()
    def begin_epoch(self, sweep: Sweep, update: Update) -> None:
        if self.counted > 0:
            return
        last = self.train_images - 1
        index = torch.linspace(0, last, min(self.train_images, COUNTED)).round().long()
        shares = sweep(self.histograms, index).mean(0)
        grey = float(shares[self.prior.argmax()])
        if grey > GREY_SHARE:
            raise UsageError(
                f"the training pictures are grey, and there is no colour to learn: {100 * grey:.1f} % of their "
                "pixels have none",
                "give it pictures in colour: --data painted, cifar10, or a folder of photographs",
            )
        self.prior.copy_(shares)
        self.weights.copy_(rebalancing_weights(self.cells.smoothed(shares), self.config.uniform_share))
        self.counted.fill_(len(index))

    def histograms(self, images: Tensor) -> Tensor:
        """Shares of the cells among the pixels of each image, [B, Q]."""
        numbers = self.cells.nearest(self.colours(rgb_to_lab(images)))[0][..., 0].flatten(1)
        counts = torch.zeros(len(images), len(self.cells), device=images.device)
        return (
            counts.scatter_add_(1, numbers, torch.ones_like(numbers, dtype=counts.dtype)) / numbers.shape[1]
        )

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        lab = rgb_to_lab(batch.images)
        numbers, shares = self.cells.spread(self.colours(lab))
        return colour_cross_entropy(self.answer(lab[:, :1]), numbers, shares, self.weights), {}

    def colours(self, lab: Tensor) -> Tensor:
        """a and b at the resolution of the answers, [B, h, w, 2]."""
        return F.avg_pool2d(lab[:, 1:], self.scale).movedim(1, -1)

    def answer(self, lightness: Tensor) -> Tensor:
        """L -> logits of the cells."""
        logits: Tensor = self.network(lightness / 50 - 1)
        return logits

    # -- what can be asked of a trained network

    def colorize(self, images: Tensor) -> Tensor:
        lightness = rgb_to_lab(images.expand(-1, 3, -1, -1))[:, :1]
        ab = annealed_mean(self.answer(lightness), self.cells.centres, self.config.temperature)
        ab = F.interpolate(ab, size=images.shape[2:], mode="bilinear", align_corners=False)
        return lab_to_rgb(torch.cat((lightness, ab), 1))

    def encode(self, images: Tensor) -> Tensor:
        """The trunk's last maps, averaged over places, [B, D]; of the colours it sees nothing."""
        return self.layers(images)["pooled"]

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        outputs = self.network.layers(rgb_to_lab(images)[:, :1] / 50 - 1)
        *_, last = outputs.values()
        return {**outputs, "pooled": last.mean((2, 3))}

    def solve(self, images: Tensor) -> dict[str, Tensor]:
        """Colour the lightness of each image, and compare with its colours."""
        true = rgb_to_lab(images)
        given = rgb_to_lab(self.colorize(grey_of(true)))
        frequent = self.cells.centres[self.prior.argmax()].view(1, 2, 1, 1)

        def right(ab: Tensor) -> Tensor:
            same = (ab / CELL).round() == (true[:, 1:] / CELL).round()
            return same.all(1).float().mean((1, 2))

        return {
            "accuracy": right(given[:, 1:]),
            "accuracy_grey": right(torch.zeros_like(frequent)),
            "accuracy_most_frequent": right(frequent),
            "chroma": given[:, 1:].norm(dim=1).mean((1, 2)),
            "chroma_real": true[:, 1:].norm(dim=1).mean((1, 2)),
        }

    def panels(self, batch: Batch) -> Iterator[Panel]:
        grey = grey_of(rgb_to_lab(batch.images))
        coloured = self.colorize(grey)
        triples = torch.stack((grey.expand_as(coloured), coloured, batch.images), 1)[:SHOWN]
        yield Panel(
            name="coloured",
            kind="images",
            array=triples.flatten(0, 1).float().cpu().numpy(),
            caption=f"{len(triples)} held-out pictures: their lightness, coloured, the truth",
            columns=12,
            low=0.0,
            high=1.0,
        )
        histograms = [self.picture_of(self.histograms(images).mean(0)) for images in (batch.images, coloured)]
        yield Panel(
            name="ab-histogram",
            kind="images",
            array=torch.stack(histograms).float().cpu().numpy(),
            caption=(
                f"colours of the pixels of {len(coloured)} held-out pictures, true and given: each cell in its colour, "
                f"brightness by the logarithm of its share, black at {FAINTEST:g}"
            ),
            columns=2,
            low=0.0,
            high=1.0,
            labels=("true", "given"),
            x_label="a: green to red",
            y_label="b: blue to yellow",
        )

    def picture_of(self, shares: Tensor) -> Tensor:
        """Shares of the cells [Q] as a picture [3, rows of b from above, columns of a]."""
        centres = self.cells.centres
        ab = centres.T.unsqueeze(-1)  # [2, Q, 1]
        colour = lab_to_rgb(torch.cat((torch.full_like(ab[:1], HISTOGRAM_LIGHTNESS), ab)))[:, :, 0]  # [3, Q]
        brightness = (1 - shares.clamp_min(FAINTEST).log() / torch.tensor(FAINTEST).log()).clamp(0, 1)
        column, row = ((centres - self.cells.corner) / CELL).round().long().T
        columns, rows = self.cells.shape
        picture = torch.zeros(3, rows, columns, device=shares.device)
        picture[:, rows - 1 - row, column] = colour * brightness
        return picture
