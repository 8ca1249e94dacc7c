"""Momentum Contrast for Unsupervised Visual Representation Learning (MoCo).
Kaiming He, Haoqi Fan, Yuxin Wu, Saining Xie & Ross Girshick, CVPR 2020, arXiv:1911.05722 (v1).
Improved Baselines with Momentum Contrastive Learning. Chen, Fan, Girshick & He 2020, arXiv:2003.04297 (v2).

Idea:
    To recognise an image is to look it up: the query, one view of an image, has to match the key of its other
    view among a dictionary of keys of other images. The dictionary is a queue of the newest keys, far larger
    than a batch. That its keys stay comparable although they are of different age is the work of the encoder
    that makes them, a slowly moving average of the one that is trained.

Objective:
    loss = -log exp(q . k+ / T) / (exp(q . k+ / T) + sum over the queue of exp(q . k / T)), mean over q   (Eq. 1)
    key encoder <- m * key encoder + (1 - m) * query encoder, before every update                         (Eq. 2)
    the keys of the batch replace the oldest ones of the queue, after it                                  (Alg. 1)
    BatchNorm looks at a portion of the batch, and keys are dealt to portions in an order of their own,
    so that a query and its key share no statistics by which they could recognise each other              (§3.3)
    v1 has a linear head and T = 0.07; v2 a head of two layers, T = 0.2, blur, and a cosine schedule.

Departures:
    Portions are of the global batch and independent of the number of devices, where the paper's are the
    devices; so one device trains as eight would. The images of `imagenet` were first brought to 224 pixels.
    The key encoder's running statistics, used in evaluation alone, are of its own batches, drawn slightly
    towards the query encoder's.

Watch for:
    The logits of pairs should move away from those with the queue. A loss that falls at once while kNN stays
    is the leak through BatchNorm: more portions. A loss that first rises is the queue, as real keys replace
    the random ones it begins with. A loss stuck near log(K + 1): raise the momentum, lower the rate.

Shapes:
    B rows at hand, N images of the global batch, K keys in the queue, D embedding; views [B, C, H, W];
    q, k [B, D], unit vectors.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.config.schema import Count, Momentum, Positive
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs, Stream, Update
from sslterm.methods.encoder import EncoderConfig
from sslterm.methods.joint_embedding.embedder import (
    JointEmbedding,
    age_panel,
    build_projector,
    check_queue,
    logits_panel,
)
from sslterm.nn.ema import follow
from sslterm.nn.norm import split_batch_norms
from sslterm.nn.precision import in_float32
from sslterm.nn.queue import Queue
from sslterm.rows import gather, shard, world_size
from sslterm.run.panels import Panel


@in_float32
def info_nce(q: Tensor, k: Tensor, queue: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Each query finds its key among those of the queue (Eq. 1).

    Args:
        q, k: [B, D] unit vectors; row i of both belongs to image i.
        queue: [K, D] unit vectors.

    Returns:
        the mean over queries, and the share of queries whose key is nearest (0-d both).
    """
    positive = (q * k).sum(1, keepdim=True)  # [B, 1]
    logits = torch.cat((positive, q @ queue.T), dim=1) / temperature  # [B, 1 + K]
    target = torch.zeros(len(q), dtype=torch.int64, device=q.device)
    return F.cross_entropy(logits, target), (logits.argmax(1) == 0).float().mean()


class MoCo(JointEmbedding):
    @dataclass(frozen=True, kw_only=True)
    class Config(EncoderConfig):
        projector: tuple[Count, ...]
        """Widths of its layers, the embedding last; ReLU between them, no BatchNorm. One is v1's linear head."""
        temperature: Positive
        queue: Count
        """K: how many keys it holds."""
        key_momentum: Momentum
        """m, of the key encoder."""
        batch_norm_portions: Count
        """Portions of the batch with statistics of their own, among which keys are shuffled: the devices of the
        paper. 1 gives the whole batch to BatchNorm and shuffles nothing."""

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(config, inputs)
        check_queue(config.queue, inputs)
        check_portions(config.batch_norm_portions, inputs.batch)
        self.config = config
        self.projector = build_projector(self.encoder, config.projector, batch_norm=False)
        if config.batch_norm_portions > 1:
            split_batch_norms(self.encoder, config.batch_norm_portions)
        self.key_encoder = copy.deepcopy(self.query_encoder()).requires_grad_(False)
        self.queue = Queue(config.queue, config.projector[-1])

    def query_encoder(self) -> nn.Sequential:
        return nn.Sequential(self.encoder, self.projector)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        a, b = self.random_views(batch.images)
        q = F.normalize(self.embed(a), dim=1)
        with torch.no_grad():
            k = F.normalize(self.encode_keys(b), dim=1)
        loss, recognised = info_nce(q, k, self.queue.values, self.config.temperature)
        return loss, {"recognised": recognised, "keys": k}

    def step(self, data: Stream, update: Update) -> None:
        # Alg. 1 has this last, which moves nothing but the end: at first both encoders are the same.
        follow(self.key_encoder, self.query_encoder(), self.config.key_momentum)
        keys = update("main", self.loss, next(data))["keys"]
        self.queue.push(gather(keys), images=update.images)

    def encode_keys(self, views: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, D], each row in a portion of BatchNorm drawn at random (§3.3)."""
        if self.config.batch_norm_portions == 1:
            keys: Tensor = self.key_encoder(views)
            return keys
        whole = gather(views)  # [N, C, H, W]
        order = torch.randperm(len(whole), device=views.device)  # the same on all ranks
        shuffled = gather(self.key_encoder(shard(whole[order])))
        return shard(shuffled[order.argsort()])

    def embed(self, views: Tensor) -> Tensor:
        q: Tensor = self.projector(self.encoder(views))
        return q

    def panels(self, batch: Batch) -> Iterator[Panel]:
        a, b = self.random_views(batch.images)
        q, k = F.normalize(self.embed(a), dim=1), F.normalize(self.key_encoder(b), dim=1)
        yield logits_panel(
            (q * k).sum(1),
            q @ self.queue.values.T,
            temperature=self.config.temperature,
            of=f"{len(q)} held-out queries, their own keys and the {len(self.queue):,} of the queue",
        )
        yield age_panel("queue-age", self.queue.ages(), of="keys in the queue")
        yield from super().panels(batch)


def check_portions(portions: int, batch: int) -> None:
    """Portions must be equal, of two images or more, and lie on one rank each.

    Raises:
        UsageError: they cannot.
    """
    ranks = world_size()
    if portions == 1 or batch == 0:
        return
    if batch % portions or batch // portions < 2 or portions % ranks:
        fitting = [n for n in range(ranks, batch // 2 + 1, ranks) if batch % n == 0]
        nearest = min(fitting, key=lambda n: abs(n - portions), default=1)
        raise UsageError(
            f"method.batch_norm_portions = {portions}: a batch of {batch} images on {ranks} "
            f"{'ranks' if ranks > 1 else 'rank'} cannot be cut into so many equal portions of two or more",
            f"set method.batch_norm_portions={nearest}, or 1 to normalise over the whole batch",
        )
