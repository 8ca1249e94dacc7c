"""Deep Clustering for Unsupervised Learning of Visual Features (DeepCluster).
Mathilde Caron, Piotr Bojanowski, Armand Joulin & Matthijs Douze, ECCV 2018, arXiv:1807.05520.

Idea:
    Features of all images are clustered by k-means, and the network is then trained to classify each image
    into its cluster, for one epoch; then it starts anew. Already the features of a random convolutional
    network are far better than chance, and the alternation bootstraps that signal.

Objective:
    labels y_n, centroids C: min sum_n ||x_n - C y_n||^2, x_n = features of image n, PCA-reduced,
    whitened and of unit length                                                               (Eq. 2, §3.4)
    loss = mean cross entropy of g(f(view of image n)) and y_n, g a linear layer drawn anew      (Eq. 1)
    An empty cluster takes half of the largest. Images are drawn uniformly over pseudo-labels, so that large
    clusters do not dominate                                                       (§3.3, trivial solutions)

Departures:
    What is clustered is what `encode` gives, the pooled output of the convolutions, where the paper's
    networks have fully connected layers in between. The classifier's rate and momentum are a preset's
    `[optim.head]`; the authors' code has none of the latter. The cluster of a new image is what the
    classifier says, as centroids belong to features that training has left behind.

Watch for:
    NMI between the clusterings of successive epochs should rise (Fig. 2b): the clusters settle. Sizes should
    fall gently; a few large clusters beside many tiny ones are the trivial solution. The loss jumps up
    whenever the classifier is drawn anew: compare ends of epochs. A wall of one colour a row, and not of one
    kind of thing: use Sobel filters, or stronger colour jitter.

Shapes:
    B rows at hand, N images of the training set, D features, K clusters; views [B, C, H, W]; logits [B, K];
    labels, order [N].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.config.schema import Count
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs, Stream, Sweep, Update
from sslterm.methods.encoder import EncoderConfig
from sslterm.methods.joint_embedding.embedder import JointEmbedding
from sslterm.methods.joint_embedding.pseudo_labels import History, Wall, history_panel, sizes_panel
from sslterm.nn.kmeans import kmeans, mutual_information, pca_whiten
from sslterm.run.panels import Panel

HEAD_STD = 0.01
"""Of the classifier's weights when they are drawn."""


class Sobel(nn.Module):
    """Grey, then its horizontal and vertical gradient: fixed filters in place of colours (§3.4)."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        horizontal = torch.tensor([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
        kernel = torch.stack((horizontal, horizontal.T))[:, None]
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, 2, H, W]"""
        grey = F.pad(images.mean(1, keepdim=True), (1, 1, 1, 1), mode="replicate")
        return F.conv2d(grey, self.kernel)


def uniform_order(labels: Tensor, clusters: int) -> Tensor:
    """As many images as there are, equally many of each cluster: an index [N] int64 (§3.3).

    Members of a large cluster come once at most; those of a small one are drawn again and again.

    Args:
        labels: [N] int64; no cluster is empty.
    """
    n, device = len(labels), labels.device
    shuffled = torch.randperm(n).to(device)
    by_cluster = shuffled[labels[shuffled].argsort(stable=True)]
    sizes = torch.bincount(labels, minlength=clusters)
    starts = sizes.cumsum(0) - sizes
    place = torch.arange(n, device=device)
    cluster, turn = place % clusters, place // clusters
    size = sizes[cluster]
    again = (torch.rand(n).to(device) * size).long().clamp_max(size - 1)
    quota = -(-n // clusters)
    return by_cluster[starts[cluster] + torch.where(size >= quota, turn, again)]


class DeepCluster(JointEmbedding):
    @dataclass(frozen=True, kw_only=True)
    class Config(EncoderConfig):
        clusters: Count
        """k of k-means; many more than there are kinds of things."""
        pca: Count
        """Dimensions that features are reduced to before they are clustered."""
        kmeans_iterations: Count
        sobel: bool
        """Whether the network sees edges in two directions instead of colours; then pixel_mean and pixel_std
        are theirs."""

    views_needed: ClassVar[tuple[str, ...]] = ("a",)
    labels: Tensor
    order: Tensor
    clusterings: Tensor

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(config, replace(inputs, channels=2) if config.sobel else inputs)
        if config.clusters > inputs.train_images:
            raise UsageError(
                f"method.clusters = {config.clusters}: there are only {inputs.train_images} training images",
                f"set method.clusters={max(inputs.train_images // 10, 1)} or less",
            )
        self.config = config
        self.clusters = config.clusters
        self.filters = Sobel() if config.sobel else nn.Identity()
        self.head = nn.Linear(self.encoder.features, config.clusters)
        self.register_buffer("clusterings", torch.zeros((), dtype=torch.int64))  # how many there have been
        self.register_buffer("labels", torch.zeros(inputs.train_images, dtype=torch.int64))
        self.register_buffer("order", torch.arange(inputs.train_images))
        self.agreement = History()
        self.wall = Wall(inputs)

    @torch.no_grad()
    def begin_epoch(self, sweep: Sweep, update: Update) -> None:
        config = self.config
        self.eval()
        points = pca_whiten(sweep(self.encode), config.pca)  # [N, pca]
        self.train()
        generator = torch.Generator().manual_seed(int(torch.randint(2**62, ())))
        labels, centroids = kmeans(
            points, config.clusters, iterations=config.kmeans_iterations, generator=generator
        )
        if self.clusterings > 0:
            self.agreement.append(mutual_information(self.labels, labels))
        self.clusterings += 1
        self.labels.copy_(labels)
        self.order.copy_(uniform_order(labels, config.clusters))
        self.wall.fill(sweep, labels, -(points - centroids[labels]).square().sum(1))
        nn.init.normal_(self.head.weight, std=HEAD_STD)
        nn.init.zeros_(self.head.bias)
        update.forget(self.head)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        logits = self.head(self.encode(self.views["a"](batch.images))).float()  # [B, K]
        labels = self.labels[batch.index]
        return F.cross_entropy(logits, labels), {"accuracy": (logits.argmax(1) == labels).float().mean()}

    def step(self, data: Stream, update: Update) -> None:
        update(("main", "head"), self.loss, data.through(self.order))

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return {"main": [*self.encoder.parameters()], "head": [*self.head.parameters()]}

    def encode(self, images: Tensor) -> Tensor:
        features: Tensor = self.encoder(self.filters(images))
        return features

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        return self.encoder.layers(self.filters(images))

    def embed(self, views: Tensor) -> Tensor:
        return self.encode(views)

    def assign(self, images: Tensor) -> Tensor:
        labels: Tensor = self.head(self.encode(images)).argmax(1)
        return labels

    def panels(self, batch: Batch) -> Iterator[Panel]:
        if self.clusterings > 0:
            yield self.wall.panel(self.clusters, "nearest to its centre")
            yield sizes_panel(self.labels, self.clusters)
        nmi = self.agreement.newest()
        if len(nmi):
            yield history_panel(
                "agreement", nmi, "NMI of an epoch's clusters and those of the epoch before", "NMI"
            )
        yield from super().panels(batch)
