"""Bootstrap Your Own Latent: A New Approach to Self-Supervised Learning (BYOL).
Jean-Bastien Grill, Florian Strub, Florent Altché et al., NeurIPS 2020, arXiv:2006.07733.

Idea:
    An online network predicts, from one view of an image, how a slowly moving copy of itself sees the other
    view. There are no negatives. The predictor, the stopped gradient and the moving average together keep the
    embeddings from collapsing to a constant, which would satisfy the loss.

Objective:
    loss = ||q(z) / ||q(z)|| - z' / ||z'||  ||^2 = 2 - 2 cos(q(z), z'), for (a, b) and for (b, a)    (Eq. 2)
    q predicts from the online projection z, z' is the target's and has no gradient. After every update
    target <- tau * target + (1 - tau) * online, tau rising to 1 along half a cosine                  (§3.3)
    The predictor is a group of parameters of its own: nearer to its optimum, it guards against collapse, so
    that a small network may give it a higher rate                                                    (§5, App. I)

Departures:
    The views of a preset need not be the paper's; those of `imagenet` are, but are cut from images that were
    first brought to 224 pixels. The target's BatchNorm uses the statistics of its own batch, as in the paper;
    its running statistics, used in evaluation alone, are of these batches, drawn slightly towards the online
    network's.
    The projection of `patterns` ends in BatchNorm without a scale, as SimSiam's: a network as small as that one
    loses all but a few dimensions without it.

Watch for:
    The embedding's standard deviation over 1/sqrt(D): near 1 is healthy, near 0 is collapse. A loss that
    falls to 0 within the first steps is collapse as well; raise tau, or the predictor's rate. A target that
    follows too slowly (tau too near to 1 in a short training) leaves the loss high.

Shapes:
    B rows at hand, D embedding; views [B, C, H, W]; z, z', q [B, D].
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.config.schema import Count, Momentum
from sslterm.data.batch import Batch
from sslterm.methods.base import Inputs, Stream, Update
from sslterm.methods.encoder import EncoderConfig
from sslterm.methods.joint_embedding.embedder import JointEmbedding, build_projector
from sslterm.nn.ema import cosine_between, follow
from sslterm.nn.heads import Projector
from sslterm.nn.norm import BatchNorm
from sslterm.nn.precision import in_float32


@in_float32
def regression(prediction: Tensor, target: Tensor) -> Tensor:
    """Squared distance of the unit vectors, 2 - 2 cos, mean over [B, D] (Eq. 2)."""
    return 2 - 2 * F.cosine_similarity(prediction, target, dim=1).mean()


class BYOL(JointEmbedding):
    @dataclass(frozen=True, kw_only=True)
    class Config(EncoderConfig):
        projector: tuple[Count, ...]
        """Widths of its layers, the embedding last."""
        projector_batch_norm: bool
        """Whether the projection ends in BatchNorm without a scale, as SimSiam's; the paper's does not."""
        predictor: tuple[Count, ...]
        """Widths of its hidden layers."""
        target_momentum: Momentum
        """tau at the beginning; 1 at the end."""

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(config, inputs)
        self.config = config
        projector = build_projector(self.encoder, config.projector)
        norms = [BatchNorm(config.projector[-1], affine=False)] if config.projector_batch_norm else []
        self.projector = nn.Sequential(projector, *norms)
        self.predictor = Projector(config.projector[-1], (*config.predictor, config.projector[-1]))
        self.target = copy.deepcopy(nn.Sequential(self.encoder, self.projector)).requires_grad_(False)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        a, b = self.random_views(batch.images)
        q_a, q_b = self.predictor(self.embed(a)), self.predictor(self.embed(b))  # [B, D]
        with torch.no_grad():
            target_a, target_b = self.target(a), self.target(b)
        loss = regression(q_a, target_b) + regression(q_b, target_a)
        return loss, {"cosine": 1 - loss.detach() / 4}

    def step(self, data: Stream, update: Update) -> None:
        update(("main", "predictor"), self.loss, next(data))
        tau = cosine_between(self.config.target_momentum, 1.0, update.progress)
        follow(self.target, nn.Sequential(self.encoder, self.projector), tau)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return {
            "main": [*self.encoder.parameters(), *self.projector.parameters()],
            "predictor": [*self.predictor.parameters()],
        }

    def embed(self, views: Tensor) -> Tensor:
        z: Tensor = self.projector(self.encoder(views))
        return z
