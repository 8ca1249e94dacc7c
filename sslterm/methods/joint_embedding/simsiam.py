"""Exploring Simple Siamese Representation Learning (SimSiam).
Xinlei Chen & Kaiming He, CVPR 2021, arXiv:2011.10566.

Idea:
    Two random views of every image pass through the same network, and from each a small predictor predicts
    the projection of the other. The gradient is stopped on the side that is predicted. Nothing else keeps the
    embeddings from collapsing: no negatives, no large batch, no moving average.

Objective:
    D(p, z) = -cos(p, z)                                                     (Eq. 1)
    loss = D(p_a, stopgrad(z_b)) / 2 + D(p_b, stopgrad(z_a)) / 2             (Eq. 4, Alg. 1)
    The predictor's rate stays constant while the rest follows its schedule  (§4.2), so that it has a group of
    parameters, and an optimizer, of its own.

Departures:
    The views of a preset need not be the paper's; those of `imagenet` are, but are cut from images that were
    first brought to 224 pixels.

Watch for:
    The embedding's standard deviation over 1/sqrt(D): near 1 is healthy, near 0 is collapse (Fig. 2). A loss
    that reaches -1 within the first steps is collapse: check the predictor's rate, and that the projector
    ends in BatchNorm.

Shapes:
    B rows at hand, D embedding; views [B, C, H, W]; z, p [B, D].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.config.schema import Count
from sslterm.data.batch import Batch
from sslterm.methods.base import Inputs, Stream, Update
from sslterm.methods.encoder import EncoderConfig
from sslterm.methods.joint_embedding.embedder import JointEmbedding, build_projector
from sslterm.nn.heads import Projector
from sslterm.nn.norm import BatchNorm
from sslterm.nn.precision import in_float32


@in_float32
def negative_cosine(prediction: Tensor, target: Tensor) -> Tensor:
    """-cos(p, z), mean over [B, D]; the target's gradient is stopped (Eq. 1 and 3)."""
    return -F.cosine_similarity(prediction, target.detach(), dim=1).mean()


class SimSiam(JointEmbedding):
    @dataclass(frozen=True, kw_only=True)
    class Config(EncoderConfig):
        projector: tuple[Count, ...]
        """Widths of its layers, the embedding last; that one ends in BatchNorm without a scale as well."""
        predictor: tuple[Count, ...]
        """Widths of its hidden layers, a bottleneck."""

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(config, inputs)
        self.config = config
        projector = build_projector(self.encoder, config.projector)
        width = config.projector[-1]
        self.projector = nn.Sequential(projector, BatchNorm(width, affine=False))
        self.predictor = Projector(width, (*config.predictor, width))

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        z_a, z_b = self.embed_views(batch.images)
        p_a, p_b = self.predictor(z_a), self.predictor(z_b)
        return negative_cosine(p_a, z_b) / 2 + negative_cosine(p_b, z_a) / 2, {}

    def step(self, data: Stream, update: Update) -> None:
        update(("main", "predictor"), self.loss, next(data))

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return {
            "main": [*self.encoder.parameters(), *self.projector.parameters()],
            "predictor": [*self.predictor.parameters()],
        }

    def embed(self, views: Tensor) -> Tensor:
        z: Tensor = self.projector(self.encoder(views))
        return z
