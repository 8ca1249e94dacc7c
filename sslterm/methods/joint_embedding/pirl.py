"""Self-Supervised Learning of Pretext-Invariant Representations (PIRL).
Ishan Misra & Laurens van der Maaten, CVPR 2020, arXiv:1912.01991.

Idea:
    Pretext tasks make a network say what was done to an image: how its tiles were shuffled, by what angle it
    was turned. PIRL wants the contrary, a representation that does not change with it. The embedding of a
    transformed image has to be recognised as that image's among those of others, all kept in a memory bank.

Objective:
    h(u, w) = exp(cos(u, w) / T) / (exp(cos(u, w) / T) + sum over noise m' of exp(cos(m', w) / T))    (Eq. 3)
    nce(m_I, w) = -log h(m_I, w) - sum over noise m' of log(1 - h(m', w))                             (Eq. 4)
    loss = lambda nce(m_I, g(I^t)) + (1 - lambda) nce(m_I, f(I))                                      (Eq. 5)
    f(I): the network and a linear head. g(I^t), of the jigsaw: the same network and a linear head on each of
    nine tiles in random order, one linear head on all of them together; of the rotation: a head of its own.
    m_I <- m m_I + (1 - m) f(I), of unit length, after every update.

Departures:
    Noise is drawn once for the batch and not for each image, which leaves out its own row; so logits are one
    matrix product, and the expectation is the same. The images of `imagenet` were first brought to 224 pixels.

Watch for:
    The logits of transformed images should move away from the noise as those of the images do; if only the
    latter do, raise lambda. The transformed panel shows what g sees. The bank's age is an epoch at most.

Shapes:
    B rows at hand, N images of the training set, M rows of noise, D embedding; views [B, C, H, W];
    tiles [B, 9, C, h, w]; f, g [B, D].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.config.schema import Count, Fraction, Momentum, Positive
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs, Stream, Update
from sslterm.methods.encoder import EncoderConfig
from sslterm.methods.joint_embedding.embedder import JointEmbedding, age_panel, logits_panel, similarity_panel
from sslterm.nn.bank import Bank, noise_contrast
from sslterm.nn.precision import in_float32
from sslterm.nn.tiles import cut, pick, sheet
from sslterm.rows import gather, rand, randint
from sslterm.run.panels import Panel

SIDE = 3
"""Tiles along a side of the jigsaw."""
TILES = SIDE**2
SHOWN = 16
"""Pairs in the panel of transformed images."""
SHOWN_ROWS = 4096
"""Most rows of the bank in the histogram of logits."""


@in_float32
def nce(w: Tensor, own: Tensor, noise: Tensor, is_own: Tensor, temperature: float) -> Tensor:
    """Tell each image's row of the bank from those of others (Eq. 3, 4), mean over the batch.

    Args:
        w: [B, D] embeddings, of unit length as all.
        own: [B, D] rows of the bank that belong to them.
        noise: [M, D] rows drawn at random.
        is_own: [B, M], which of these are an image's own and no noise for it.
    """
    positive = (w * own).sum(1) / temperature
    logits = (w @ noise.T / temperature).masked_fill(is_own, float("-inf"))  # [B, M]
    return noise_contrast(positive, logits, logits.logsumexp(1))  # h = sigmoid(logit - log sum exp)


class PIRL(JointEmbedding):
    @dataclass(frozen=True, kw_only=True)
    class Config(EncoderConfig):
        transform: Literal["jigsaw", "rotation"]
        """What is done to view b: cut into nine tiles, each seen through [augment.tile], and shuffled; or turned
        by 0, 90, 180 or 270 degrees."""
        dimensions: Count
        """D: width of the embedding, and of a tile's."""
        temperature: Positive
        negatives: Count
        """M, rows of noise."""
        transformed_weight: Fraction
        """lambda: of the transformed image's term; the image's own has the rest."""
        bank_momentum: Momentum
        """m, of a row of the bank."""

    def __init__(self, config: Config, inputs: Inputs) -> None:
        jigsaw = config.transform == "jigsaw"
        super().__init__(config, inputs, views=("a", "b", "tile") if jigsaw else ("a", "b"))
        if not jigsaw and not inputs.views["b"].size and inputs.height != inputs.width:
            raise UsageError(
                f"method.transform: images of {inputs.height} x {inputs.width} pixels cannot be turned by 90 degrees",
                f"set augment.b.size={min(inputs.height, inputs.width)}",
            )
        self.config = config
        features, width = self.encoder.features, config.dimensions
        self.head = nn.Linear(features, width)
        self.transformed_head = nn.Linear(features, width)
        self.joint_head = nn.Linear(TILES * width, width) if jigsaw else nn.Identity()
        self.bank = Bank(inputs.train_images, width)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        config = self.config
        a, b = self.random_views(batch.images)
        g, f = self.embed_transformed(self.transform(b)), self.embed(a)
        drawn = self.bank.draw(config.negatives)  # [M]
        own, noise, is_own = (
            self.bank.values[batch.index],
            self.bank.values[drawn],
            batch.index[:, None] == drawn,
        )
        terms = {
            "transformed": nce(g, own, noise, is_own, config.temperature),
            "untransformed": nce(f, own, noise, is_own, config.temperature),
        }
        weight = config.transformed_weight
        loss = weight * terms["transformed"] + (1 - weight) * terms["untransformed"]
        return loss, {**terms, "f": f}

    def step(self, data: Stream, update: Update) -> None:
        batch = next(data)
        f = update("main", self.loss, batch)["f"]
        self.bank.update(
            gather(batch.index), gather(f), momentum=self.config.bank_momentum, images=update.images
        )

    def transform(self, views: Tensor) -> Tensor:
        """[B, C, H, W] -> I^t: tiles in random order [B, 9, C, h, w], or turned images [B, C, H, W]."""
        if self.config.transform == "rotation":
            turned = torch.stack([views.rot90(quarters, (2, 3)) for quarters in range(4)], dim=1)
            return pick(turned, randint(4, len(views), like=views))
        tiles = torch.stack([self.views["tile"](tile) for tile in cut(views, SIDE).unbind(1)], dim=1)
        return pick(tiles, rand(len(views), TILES, like=views).argsort(1))

    def embed(self, views: Tensor) -> Tensor:
        """f(I), unit vectors [B, D]."""
        head: Tensor = self.head(self.encoder(views))
        return F.normalize(head.float(), dim=1)

    def embed_transformed(self, transformed: Tensor) -> Tensor:
        """g(I^t), unit vectors [B, D]."""
        rows = transformed.flatten(0, 1) if transformed.ndim == 5 else transformed
        heads = self.transformed_head(self.encoder(rows)).view(len(transformed), -1)  # [B, 9 * D] or [B, D]
        g: Tensor = self.joint_head(heads)
        return F.normalize(g.float(), dim=1)

    def embed_views(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """f of one view of each image and g of the other, transformed."""
        a, b = self.random_views(images)
        return self.embed(a), self.embed_transformed(self.transform(b))

    def panels(self, batch: Batch) -> Iterator[Panel]:
        a, b = self.random_views(batch.images)
        transformed = self.transform(b)
        f, g = self.embed(a), self.embed_transformed(transformed)
        yield similarity_panel(f, g)
        bank = self.bank.values[:SHOWN_ROWS]
        yield logits_panel(
            (f * g).sum(1),
            g @ bank.T,
            temperature=self.config.temperature,
            of=f"{len(g)} held-out images, transformed, with themselves and with {len(bank):,} rows of the bank",
        )
        yield age_panel("bank-age", self.bank.ages(), of="rows of the bank")
        yield transformed_panel(a, transformed)


def transformed_panel(views: Tensor, transformed: Tensor) -> Panel:
    """Each image beside what its transformation has made of another view of it."""
    images = views[:SHOWN]
    if transformed.ndim == 5:  # tiles, laid out in the order in which g concatenates them, with gaps
        sheets = sheet(transformed[:SHOWN], SIDE)
    else:
        sheets = transformed[:SHOWN]
    sheets = F.interpolate(sheets, tuple(images.shape[2:]), mode="nearest")
    pairs = torch.stack((images, sheets), dim=1).flatten(0, 1)
    return Panel(
        name="transformed",
        kind="images",
        array=pairs.float().cpu().numpy(),
        caption=f"{len(images)} held-out images, each beside another view of it, transformed",
        columns=8,
        low=0.0,
        high=1.0,
    )
