"""Unsupervised Feature Learning via Non-Parametric Instance Discrimination (NPID).
Zhirong Wu, Yuanjun Xiong, Stella X. Yu & Dahua Lin, CVPR 2018, arXiv:1805.01978.

Idea:
    Every image is a class of its own. Instead of the weights of a classifier, the classes have the embeddings
    themselves: a memory bank holds the last one of every training image, and an image has to be recognised
    among all others by it. What is similar comes to lie close, because it is hard to tell apart.

Objective:
    P(i | f) = exp(v_i . f / T) / Z, Z = sum_j exp(v_j . f / T), f the embedding of image i, v of the bank  (Eq. 2)
    full softmax: loss = -log P(i | f)                                                                (Eq. 3)
    NCE: h(i, f) = P / (P + M / N), the probability that i is no noise; M rows of noise               (Eq. 6)
    loss = -log h(i, f) - sum over the noise of log(1 - h(j, f)), Z a constant: N times the mean of
    exp(v_j . f / T) over the first batch                                                             (Eq. 7, 8)
    + lambda |f - v_i|^2, the proximal term, which damps the fluctuation of classes of one image      (Eq. 10)
    v_i <- m v_i + (1 - m) f, of unit length, after every update.

Departures:
    The paper replaces rows of the bank; the moving average with m = 0.5 is its authors' code's, and m = 0 is
    the paper's. Noise is drawn once for the batch and not for each image, so that logits are one matrix
    product; the expectation is the same. The images of `imagenet` were first brought to 224 pixels.

Watch for:
    The bank's age: no row can be newer than its last epoch, so that the fewer the images, the fresher the
    bank. A loss that falls while kNN stays: a shortcut, most often colour that the view's jitter does not
    cover. A loss that jumps up and down from epoch to epoch: raise the proximal weight.

Shapes:
    B rows at hand, N images of the training set, M rows of noise, D embedding; views [B, C, H, W]; f [B, D].
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.config.schema import Count, Momentum, Natural, NonNegative, Positive
from sslterm.data.batch import Batch
from sslterm.methods.base import Inputs, Stream, Update
from sslterm.methods.encoder import EncoderConfig
from sslterm.methods.joint_embedding.embedder import JointEmbedding, age_panel, build_projector, logits_panel
from sslterm.nn.bank import Bank, noise_contrast
from sslterm.nn.precision import in_float32
from sslterm.rows import gather, rank, rows, world_size
from sslterm.run.panels import Panel

SHOWN_ROWS = 4096
"""Most rows of the bank in the histogram of logits."""


@in_float32
def nce(own: Tensor, noise: Tensor, log_constant: Tensor, images: int) -> Tensor:
    """Noise-contrastive estimation with a constant normalisation (Eq. 6, 7), mean over the batch.

    Args:
        own: [B] logits of each image with its own row.
        noise: [B, M] logits with rows drawn at random.
        log_constant: 0-d, log Z.
        images: N.
    """
    offset = log_constant + math.log(noise.shape[1] / images)  # log Z M P_n, where P_n = 1 / N
    return noise_contrast(own, noise, offset)  # h = sigmoid(log P - log(M P_n))


@in_float32
def softmax(logits: Tensor, index: Tensor) -> Tensor:
    """The full softmax over all N images (Eq. 2, 3): logits [B, N], index [B]; mean over the batch."""
    return F.cross_entropy(logits, index)


class NPID(JointEmbedding):
    views_needed: ClassVar[tuple[str, ...]] = ("a",)

    @dataclass(frozen=True, kw_only=True)
    class Config(EncoderConfig):
        projector: tuple[Count, ...]
        """Widths of its layers, the embedding last; the paper's is one, linear."""
        temperature: Positive
        negatives: Natural
        """M, rows of noise; 0 compares with all images of the training set, by the full softmax."""
        proximal_weight: NonNegative
        """lambda."""
        bank_momentum: Momentum
        """m, of a row of the bank."""

    log_constant: Tensor

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(config, inputs)
        self.config = config
        self.projector = build_projector(self.encoder, config.projector)
        self.bank = Bank(inputs.train_images, config.projector[-1])
        self.register_buffer("log_constant", torch.tensor(math.log(inputs.train_images)))

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        f = F.normalize(self.embed(self.views["a"](batch.images)), dim=1)
        own = self.bank.values[batch.index]  # [B, D]
        if self.config.negatives:
            noise = self.bank.draw(self.config.negatives)
            logits = similarity(f, self.bank.values[noise], self.config.temperature)  # [B, M]
            positive = (f * own).sum(1) / self.config.temperature
            discrimination = nce(positive, logits, self.log_constant, len(self.bank))
        else:
            logits = similarity(f, self.bank.values, self.config.temperature)  # [B, N]
            discrimination = softmax(logits, batch.index)
        proximal = (f - own).square().sum(1).mean()
        loss = discrimination + self.config.proximal_weight * proximal
        return loss, {"discrimination": discrimination, "proximal": proximal, "f": f}

    def step(self, data: Stream, update: Update) -> None:
        batch = next(data)
        if self.config.negatives and update.step == 0:
            self.estimate_constant(batch)
        f = update("main", self.loss, batch)["f"]
        self.bank.update(
            gather(batch.index), gather(f), momentum=self.config.bank_momentum, images=update.images
        )

    @torch.no_grad()
    def estimate_constant(self, batch: Batch) -> None:
        """log Z from one batch (Eq. 8), by rows of the bank that are random still."""
        first, here = rank() * len(batch), len(batch)
        with rows(first, first + here, world_size() * here):
            f = gather(F.normalize(self.embed(self.views["a"](batch.images)), dim=1))
        noise = self.bank.values[self.bank.draw(self.config.negatives)]
        logits = similarity(f, noise, self.config.temperature)
        self.log_constant.fill_(math.log(len(self.bank) / logits.numel())).add_(logits.logsumexp((0, 1)))

    def embed(self, views: Tensor) -> Tensor:
        f: Tensor = self.projector(self.encoder(views))
        return f

    def panels(self, batch: Batch) -> Iterator[Panel]:
        a, b = (F.normalize(z, dim=1) for z in self.embed_views(batch.images))
        bank = self.bank.values[:SHOWN_ROWS]
        yield logits_panel(
            (a * b).sum(1),
            a @ bank.T,
            temperature=self.config.temperature,
            of=f"{len(a)} held-out images, with another view of the same and with {len(bank):,} rows of the bank",
        )
        yield age_panel("bank-age", self.bank.ages(), of="rows of the bank")
        yield from super().panels(batch)


@in_float32
def similarity(f: Tensor, bank: Tensor, temperature: float) -> Tensor:
    """Logits of f [B, D] with the rows `bank` [M, D]: [B, M]."""
    return f @ bank.T / temperature
