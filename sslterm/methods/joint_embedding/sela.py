"""Self-labelling via Simultaneous Clustering and Representation Learning (SeLa).
Yuki M. Asano, Christian Rupprecht & Andrea Vedaldi, ICLR 2020, arXiv:1911.05371.

Idea:
    Labels and network minimise the same cross entropy, in turns. Left alone, all images would get one label;
    so labels are found under the constraint that every label is used equally often. That is a problem of
    optimal transport, which a fast variant of the Sinkhorn-Knopp algorithm solves for the whole training set.

Objective:
    min over labels q and network p of -1/N sum_i sum_y q(y|x_i) log p(y|x_i),
    q(y|x_i) in {0, 1}, sum_i q(y|x_i) = N / K for every y                                       (Eq. 3)
    Q* = diag(alpha) P^lambda diag(beta), P = p(y|x_i) / N; labels are its largest entries         (Eq. 7, 8)
    Several heads have labels of their own on one network; the loss is their mean
    The M re-labellings come at shares ((j - 1) / (M - 1))^2 of the training, densest at its beginning.

Departures:
    Images are re-labelled at the first epoch's beginning after a time that is due, and from images as they
    are, in evaluation mode, where the authors' code re-labels in the middle of an epoch from augmented ones.
    Scalings are found with the same products in float64, but over-relaxed, which takes a tenth of them, and from
    logarithms, so that no label can vanish by underflow; until each label's mass is within 1 % of its share.

Watch for:
    Usage should be nearly even: labels are the largest entries of a soft, exactly even assignment. The share
    of images that keep their label from one re-labelling to the next should rise. Accuracy is that of the
    network on its own labels: near 1 / K, views are too strong or the rate is too low.

Shapes:
    B rows at hand, N images of the training set, D features, H heads, K labels; views [B, C, H, W];
    logits [B, H, K]; labels [H, N].
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.config.schema import Count, Positive
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs, Sweep, Update
from sslterm.methods.encoder import EncoderConfig
from sslterm.methods.joint_embedding.embedder import JointEmbedding
from sslterm.methods.joint_embedding.pseudo_labels import History, Wall, history_panel, sizes_panel
from sslterm.nn.kmeans import mutual_information
from sslterm.nn.precision import in_float32
from sslterm.nn.sinkhorn import column_potentials
from sslterm.run.panels import Panel


@in_float32
def self_labelling(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy with the labels that are held fixed, mean over images and heads (Eq. 1).

    Args:
        logits: [B, H, K].
        labels: [B, H] int64.
    """
    return F.cross_entropy(logits.flatten(0, 1), labels.flatten())


@torch.no_grad()
def transported(logits: Tensor, sharpness: float) -> tuple[Tensor, Tensor]:
    """The label of each image, all used equally, and how probable it was to the network (Eq. 7, 8).

    Args:
        logits: [N, K] of one head.
        sharpness: lambda.

    Returns:
        [N] int64, and log p(label|x) [N].
    """
    log_p = logits.log_softmax(1)
    beta = column_potentials(log_p, epsilon=1 / sharpness)  # log; alpha only scales rows
    labels = (log_p * sharpness + beta).argmax(1)
    return labels, log_p.gather(1, labels[:, None])[:, 0]


def relabellings_due(progress: float, relabellings: int) -> int:
    """How many of the re-labellings belong at or before a share of the training, from 1 on."""
    return int((relabellings - 1) * math.sqrt(min(progress, 1.0)) + 1e-9) + 1


class SeLa(JointEmbedding):
    @dataclass(frozen=True, kw_only=True)
    class Config(EncoderConfig):
        heads: Count
        clusters: Count
        """K, the labels of each head."""
        sharpness: Positive
        """lambda: the larger, the nearer are labels to the cheapest ones."""
        relabellings: Count
        """M, how often labels are found anew; at most once an epoch."""

    views_needed: ClassVar[tuple[str, ...]] = ("a",)
    labels: Tensor
    relabelled: Tensor

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(config, inputs)
        if config.clusters > inputs.train_images:
            raise UsageError(
                f"method.clusters = {config.clusters}: there are only {inputs.train_images} training images",
                f"set method.clusters={max(inputs.train_images // 10, 1)} or less",
            )
        self.config = config
        self.clusters = config.clusters
        self.heads = nn.ModuleList(
            nn.Linear(self.encoder.features, config.clusters) for _ in range(config.heads)
        )
        self.register_buffer("labels", torch.zeros(config.heads, inputs.train_images, dtype=torch.int64))
        self.register_buffer("relabelled", torch.zeros((), dtype=torch.int64))  # how many had been due
        self.kept = History()
        self.wall = Wall(inputs)

    @torch.no_grad()
    def begin_epoch(self, sweep: Sweep, update: Update) -> None:
        due = relabellings_due(update.progress, self.config.relabellings)
        if due <= int(self.relabelled):
            return
        self.eval()
        features = sweep(self.encode)  # [N, D]
        self.train()
        before = self.labels.clone()
        for number, head in enumerate(self.heads):
            labels, typical = transported(head(features), self.config.sharpness)
            self.labels[number] = labels
            if number == 0:
                self.wall.fill(sweep, labels, typical)
        if self.relabelled > 0:
            self.kept.append(float((self.labels == before).float().mean()))
        self.relabelled.fill_(due)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        features = self.encoder(self.views["a"](batch.images))
        logits = torch.stack([head(features) for head in self.heads], dim=1)  # [B, H, K]
        labels = self.labels[:, batch.index].T  # [B, H]
        accuracy = (logits.argmax(2) == labels).float().mean()
        return self_labelling(logits, labels), {"accuracy": accuracy}

    def embed(self, views: Tensor) -> Tensor:
        features: Tensor = self.encoder(views)
        return features

    def assign(self, images: Tensor) -> Tensor:
        """The label that the first head gives."""
        labels: Tensor = self.heads[0](self.encode(images)).argmax(1)
        return labels

    def panels(self, batch: Batch) -> Iterator[Panel]:
        if self.relabelled > 0:
            yield self.wall.panel(self.clusters, "that the first head is surest of")
            yield sizes_panel(self.labels[0], self.clusters)
            yield heads_panel(self.labels)
        kept = self.kept.newest()
        if len(kept):
            yield history_panel(
                "agreement",
                kept,
                "share of training images that kept their label when it was found anew",
                "kept",
            )
        yield from super().panels(batch)


def heads_panel(labels: Tensor) -> Panel:
    """How much the labels [H, N] of each head tell of those of each other."""
    heads = len(labels)
    agreement = torch.eye(heads)
    for a in range(heads):
        for b in range(a):
            agreement[a, b] = agreement[b, a] = mutual_information(labels[a], labels[b])
    others = float((agreement.sum() - heads) / max(heads * (heads - 1), 1))
    return Panel(
        name="heads",
        kind="matrix",
        array=agreement.numpy(),
        caption=(
            f"NMI between the labels of {heads} heads for {labels.shape[1]} training images; {others:.2f} "
            "between different ones on average, where 0 is nothing in common and 1 the same clusters"
        ),
        low=0.0,
        high=1.0,
        x_label="head",
        y_label="head",
    )
