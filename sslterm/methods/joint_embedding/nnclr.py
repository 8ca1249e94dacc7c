"""With a Little Help from My Friends: Nearest-Neighbor Contrastive Learning of Visual Representations (NNCLR).
Debidatta Dwibedi, Yusuf Aytar, Jonathan Tompson, Pierre Sermanet & Andrew Zisserman, ICCV 2021, arXiv:2104.14548.

Idea:
    Two views of one image are poor positives: they show one thing in one pose. So the embedding of a view is
    replaced by its nearest neighbour in a queue of embeddings of other images, and it is that neighbour which
    the other view's prediction has to match among the batch. What counts as similar is learned along, and
    augmentations matter less.

Objective:
    L(n, p) = -mean over i of log exp(n_i . p_i / T) / sum_k exp(n_i . p_k / T)                   (Eq. 3)
    loss = L(NN(z_a), p_b) / 2 + L(NN(z_b), p_a) / 2, p = predictor(z), all of unit length        (§3.2, Alg. 1)
    NN(z) = the row of the queue nearest to z                                                     (Eq. 4)
    after every update z_a of the batch replaces the oldest rows of the queue                     (Alg. 1)

Departures:
    The views of a preset need not be the paper's; those of `imagenet` are cut from images that were first
    brought to 224 pixels. The newest 4,096 images of the queue are kept as small pictures beside it, for the
    panel of neighbours alone.

Watch for:
    The panel of chosen neighbours: they should come to share what the data set is about, not the background.
    A loss near log(N) for long: the queue holds random directions at first, and neighbours of an untrained
    network are no better; if it stays, raise the temperature or the queue. All queries with the same neighbour
    is collapse.

Shapes:
    B rows at hand, N images of the global batch, K rows of the queue, D embedding; views [B, C, H, W];
    z, p [N, D].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.config.schema import Count, Positive
from sslterm.data.batch import Batch
from sslterm.methods.base import Inputs, Stream, Update
from sslterm.methods.encoder import EncoderConfig
from sslterm.methods.joint_embedding.embedder import JointEmbedding, age_panel, build_projector, check_queue
from sslterm.nn.heads import Projector
from sslterm.nn.norm import BatchNorm
from sslterm.nn.precision import in_float32
from sslterm.nn.queue import Queue
from sslterm.rows import gather
from sslterm.run.panels import Panel

PICTURES = 4096
"""Most images of the queue that are kept as pictures."""
PICTURE_SIDE = 32
"""Their longest side in pixels."""
SHOWN_QUERIES, SHOWN_NEIGHBOURS = 8, 7
"""Rows and columns of the panel, besides the query."""


@in_float32
def nearest(z: Tensor, queue: Tensor) -> Tensor:
    """The row of `queue` [K, D], of unit vectors, nearest to each of z [N, D] (Eq. 4): [N, D]."""
    return queue[(z @ queue.T).argmax(1)]


@in_float32
def contrast(neighbours: Tensor, predictions: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Each neighbour finds the prediction that belongs to it (Eq. 3).

    Args:
        neighbours, predictions: [N, D]; row i of both belongs to image i.

    Returns:
        the mean over the batch, and the share whose prediction is nearest (0-d both).
    """
    logits = F.normalize(neighbours, dim=1) @ F.normalize(predictions, dim=1).T / temperature  # [N, N]
    own = torch.arange(len(logits), device=logits.device)
    return F.cross_entropy(logits, own), (logits.argmax(1) == own).float().mean()


class NNCLR(JointEmbedding):
    @dataclass(frozen=True, kw_only=True)
    class Config(EncoderConfig):
        projector: tuple[Count, ...]
        """Widths of its layers, the embedding last; BatchNorm after all of them."""
        predictor: tuple[Count, ...]
        """Widths of its hidden layers; BatchNorm after these alone."""
        temperature: Positive
        queue: Count
        """K: size of the support set."""

    pictures: Tensor

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(config, inputs)
        check_queue(config.queue, inputs)
        self.config = config
        width = config.projector[-1] if config.projector else 0
        self.projector = nn.Sequential(build_projector(self.encoder, config.projector), BatchNorm(width))
        self.predictor = Projector(width, (*config.predictor, width))
        self.queue = Queue(config.queue, width)
        self.pictured = Queue(min(config.queue, PICTURES), width)  # the newest part of the queue, in pictures
        shape = _picture_shape(inputs.shape)
        self.register_buffer("pictures", torch.zeros(len(self.pictured), *shape, dtype=torch.uint8))

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        z_a, z_b = self.embed_views(batch.images)  # [B, D]
        p_a, p_b = gather(self.predictor(z_a)), gather(self.predictor(z_b))  # [N, D]
        with torch.no_grad():
            unit_a, unit_b = F.normalize(z_a, dim=1), F.normalize(z_b, dim=1)
            near_a, near_b = nearest(unit_a, self.queue.values), nearest(unit_b, self.queue.values)
        loss_a, found_a = contrast(gather(near_a), p_b, self.config.temperature)
        loss_b, found_b = contrast(gather(near_b), p_a, self.config.temperature)
        aux = {
            "recognised": (found_a + found_b) / 2,
            "neighbour_cosine": (unit_a * near_a).sum(1).mean(),
            "z": unit_a,
        }
        return (loss_a + loss_b) / 2, aux

    def step(self, data: Stream, update: Update) -> None:
        batch = next(data)
        z = gather(update("main", self.loss, batch)["z"])
        self.queue.push(z, images=update.images)
        pictures = gather(_pictures(batch.images, self.pictures.shape[2:]))
        newest = slice(-len(self.pictured), None)
        place = self.pictured.push(z[newest], images=update.images)
        self.pictures[place] = pictures[newest]

    def embed(self, views: Tensor) -> Tensor:
        z: Tensor = self.projector(self.encoder(views))
        return z

    def panels(self, batch: Batch) -> Iterator[Panel]:
        yield self._neighbours_panel(batch.images)
        yield age_panel("queue-age", self.queue.ages(), of="embeddings in the queue")
        yield from super().panels(batch)

    def _neighbours_panel(self, images: Tensor) -> Panel:
        queries = images[:SHOWN_QUERIES]
        cosines = F.normalize(self.embed(queries), dim=1) @ self.pictured.values.T
        near = cosines.topk(min(SHOWN_NEIGHBOURS, cosines.shape[1]), dim=1)
        shown = _pictures(queries, self.pictures.shape[2:])[:, None]  # [Q, 1, C, h, w]
        grid = torch.cat((shown, self.pictures[near.indices]), dim=1)  # [Q, 1 + n, C, h, w]
        held, size = len(self.pictured), len(self.queue)
        among = f"the newest {held:,} of the {size:,}" if held < size else f"all {size:,}"
        return Panel(
            name="chosen-neighbours",
            kind="images",
            array=(grid.flatten(0, 1).float() / 255).cpu().numpy(),
            caption=(
                f"{len(queries)} held-out images, each before its {near.indices.shape[1]} nearest in the queue, of "
                f"which the first is the positive, at a cosine of {float(near.values[:, 0].mean()):.2f} on average; "
                f"among {among} embeddings of the queue"
            ),
            columns=grid.shape[1],
            low=0.0,
            high=1.0,
        )


def _picture_shape(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """(C, h, w) of a picture of images [C, H, W]: smaller where they are larger than PICTURE_SIDE."""
    channels, height, width = shape
    scale = min(1.0, PICTURE_SIDE / max(height, width))
    return channels, max(1, round(height * scale)), max(1, round(width * scale))


def _pictures(images: Tensor, size: torch.Size) -> Tensor:
    """[B, C, H, W] in [0, 1] -> [B, C, h, w] uint8."""
    small = F.interpolate(images, tuple(size), mode="area") if images.shape[2:] != size else images
    return (small * 255).round().to(torch.uint8)
