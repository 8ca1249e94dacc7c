"""Extracting and Composing Robust Features with Denoising Autoencoders.
Pascal Vincent, Hugo Larochelle, Yoshua Bengio & Pierre-Antoine Manzagol, ICML 2008,
doi:10.1145/1390156.1390294; with Isabelle Lajoie, Stacked Denoising Autoencoders, JMLR 11, 2010.

Idea:
    An image is distorted at random, and a network has to restore the clean one. It cannot do so by copying,
    however wide its code is: it has to know what goes with what in images, so that the rest tells what was
    lost. Put geometrically, it learns to bring what has strayed back to where images lie.

Objective:
    x~ ~ q(x~ | x), one of
        gaussian: x + N(0, s^2)    masking: a share v of the pixels is 0
        salt-and-pepper: a share v of the pixels is 0 or 1, as a fair coin falls      (2010, "Types of Corruption")
    squared: mean over values of (x - decode(encode(x~)))^2
    cross-entropy: mean over values of -x log y - (1 - x) log(1 - y), y = decode(encode(x~))
    Both are taken against the clean x, over all values, whether they were distorted or not.

Departures:
    All layers are trained at once instead of one on top of the other, with Adam and ReLU or SiLU; encoder and
    decoder share no weights; there is a convolutional variant. The code is linear, the output logistic.
    Pixels are distorted as a whole: a masked one is black in all channels. What is distorted weighs no more
    than the rest (2010 has a variant in which it does).

Watch for:
    The restored images must be better than the distorted ones (mse_restored below mse_distorted), and not
    only smoother. Filters of a dense network's first layer that look like noise: the distortion is too weak
    to teach anything, or training too short; strokes and edges are what it should find (2008, Fig. 3).

Shapes:
    B batch, D code; images [B, C, H, W] in [0, 1]; code [B, D].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from sslterm.config.schema import NonNegative
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.methods.filters import filters_panel, strongest
from sslterm.methods.pretext.coder import Coder, CoderConfig, compare
from sslterm.rows import rand, randint, randn
from sslterm.run.panels import Panel

Distortion = Literal["gaussian", "masking", "salt-and-pepper"]

SHOWN = 16
"""Images in the panel of what was restored."""
SHOWN_FILTERS = 100


def distort(images: Tensor, distortion: Distortion, amount: float) -> Tensor:
    """A draw of q(x~ | x) for each of [B, C, H, W].

    Args:
        amount: standard deviation of Gaussian noise, which may leave [0, 1]; else the share of the pixels,
            equal for all images to the nearest pixel.
    """
    if distortion == "gaussian":
        return images + amount * randn(len(images), *images.shape[1:], like=images)
    height, width = images.shape[2:]
    order = rand(len(images), height * width, like=images)
    chosen = order.topk(round(amount * height * width), dim=1).indices
    hit = torch.zeros_like(order).scatter(1, chosen, 1.0).view(-1, 1, height, width).bool()
    if distortion == "masking":
        return images.masked_fill(hit, 0.0)
    coin = randint(2, len(images), 1, height, width, like=images)
    return torch.where(hit, coin.to(images.dtype), images)


class Denoising(Coder):
    @dataclass(frozen=True, kw_only=True)
    class Config(CoderConfig):
        distortion: Distortion
        amount: NonNegative
        """s, the standard deviation, of gaussian; v, the share of the pixels, of the others."""

        def __post_init__(self) -> None:
            if self.distortion != "gaussian" and self.amount > 1:
                raise UsageError(
                    f"method.amount = {self.amount:g}: {self.distortion} distorts a share of the pixels, at most 1",
                    "set method.amount=0.25, say",
                )

    solved: ClassVar[Mapping[str, str]] = {
        "mse_restored": "per value in [0, 1], of distorted images once restored",
        "mse_distorted": "per value in [0, 1], of distorted images as they are",
    }

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(config, inputs)
        self.config = config

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        x = batch.images
        loss, mse = compare(self.decoder(self.encoder(self.distort(x))), x, self.config.objective)
        return loss, {"mse": mse}

    def distort(self, images: Tensor) -> Tensor:
        return distort(images, self.config.distortion, self.config.amount)

    def solve(self, images: Tensor) -> dict[str, Tensor]:
        """Distorted images are brought back to [0, 1] before they are compared, the least that anyone would do."""
        distorted = self.distort(images)
        answers = {"mse_restored": self.reconstruct(distorted), "mse_distorted": distorted.clamp(0, 1)}
        return {name: (answer - images).square().flatten(1).mean(1) for name, answer in answers.items()}

    def panels(self, batch: Batch) -> Iterator[Panel]:
        clean = batch.images[:SHOWN]
        distorted = self.distort(clean)
        triples = torch.stack((clean, distorted.clamp(0, 1), self.reconstruct(distorted)), dim=1)
        errors = (triples - triples[:, :1]).square().mean((0, 2, 3, 4))
        yield Panel(
            name="restored",
            kind="images",
            array=triples.flatten(0, 1).float().cpu().numpy(),
            caption=(
                f"{len(clean)} held-out images: clean, distorted ({self.words()}), restored; mean squared error "
                f"{float(errors[1]):.4f} distorted, {float(errors[2]):.4f} restored"
            ),
            columns=12,
            low=0.0,
            high=1.0,
        )
        if self.config.network == "dense":
            yield self.first_filters(tuple(clean.shape[1:]))

    def words(self) -> str:
        """What is done to images."""
        amount = self.config.amount
        if self.config.distortion == "gaussian":
            return f"Gaussian noise of deviation {amount:g}"
        into = "black" if self.config.distortion == "masking" else "black or white"
        return f"{100 * amount:g} % of the pixels {into}"

    def first_filters(self, shape: tuple[int, ...]) -> Panel:
        """Weights of the first layer's units to the image, those of the longest first (2008, Fig. 3)."""
        first = next(part for part in self.encoder.modules() if isinstance(part, nn.Linear))
        shown = strongest(first.weight, SHOWN_FILTERS)
        return filters_panel(
            first.weight[shown].view(-1, *shape),
            f"weights of {len(shown)} of {len(first.weight)} units of the first layer, those of the largest norm",
            columns=max(1, round(len(shown) ** 0.5)),
        )
