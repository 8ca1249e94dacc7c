"""An Empirical Study of Training Self-Supervised Vision Transformers (MoCo v3).
Xinlei Chen, Saining Xie & Kaiming He, ICCV 2021, arXiv:2104.02057.

Idea:
    MoCo without its queue: a batch of thousands holds negatives enough. Each view of an image predicts, by an
    extra head, the key that a slowly moving copy of the network gives to the other view, among the keys of the
    whole batch. It trains ResNets and vision transformers alike; a transformer that becomes unstable is
    steadied by leaving its patch projection as it was drawn.

Objective:
    ctr(q, k) = -2 T mean over i of log exp(q_i . k_i / T) / sum_j exp(q_i . k_j / T)      (Eq. 1, Alg. 1)
    loss = ctr(q_a, k_b) + ctr(q_b, k_a), q = predictor(projector(encoder)), k of the moving average, both of
    unit length. After every update key encoder <- m * key encoder + (1 - m) * query encoder, without the
    predictor, m rising to 1 along half a cosine                                           (Alg. 1)

Departures:
    The views of a preset need not be the paper's; those of `imagenet` are, but are cut from images that were
    first brought to 224 pixels. The small transformer has 6 heads, as DeiT's, where the paper's has 12. The
    key encoder's running statistics, used in evaluation alone, are of its own batches, drawn slightly towards
    the query encoder's.

Watch for:
    The logits of pairs should move away from those of other images. Sudden dips of kNN with a transformer are
    the instability that the paper is about (Fig. 1-3): freeze_patches, a lower rate, a smaller batch. A loss
    stuck near 4 T log(N): the views share too little, or the rate is too high.

Shapes:
    B rows at hand, N images of the global batch, D embedding; views [B, C, H, W]; q [B, D]; k [N, D].
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
from sslterm.methods.joint_embedding.embedder import JointEmbedding, build_projector, logits_panel
from sslterm.nn.ema import cosine_between, follow
from sslterm.nn.heads import Projector
from sslterm.nn.norm import BatchNorm
from sslterm.nn.precision import in_float32
from sslterm.nn.vit import ViT
from sslterm.rows import gather, rank
from sslterm.run.panels import Panel


@in_float32
def contrast(q: Tensor, k: Tensor, first: int, temperature: float) -> tuple[Tensor, Tensor]:
    """2 T times the cross entropy of finding each query's key (Alg. 1, `ctr`).

    Args:
        q: [B, D].
        k: [N, D], of the whole batch; row `first + i` belongs to query i.

    Returns:
        the mean over queries, and the share of queries whose key is nearest (0-d both).
    """
    logits = F.normalize(q, dim=1) @ F.normalize(k, dim=1).T / temperature  # [B, N]
    own = first + torch.arange(len(q), device=q.device)
    return 2 * temperature * F.cross_entropy(logits, own), (logits.argmax(1) == own).float().mean()


class MoCoV3(JointEmbedding):
    @dataclass(frozen=True, kw_only=True)
    class Config(EncoderConfig):
        projector: tuple[Count, ...]
        """Widths of its layers, the embedding last; BatchNorm after all of them, the last without a scale."""
        predictor: tuple[Count, ...]
        """Widths of its hidden layers."""
        predictor_batch_norm: bool
        """Whether the prediction ends in BatchNorm without a scale, as the authors' with a ViT, not with a ResNet."""
        temperature: Positive
        key_momentum: Momentum
        """m at the beginning; 1 at the end."""
        freeze_patches: bool
        """Leave the patch projection of a ViT as it was drawn (§4.2)."""

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(config, inputs)
        self.config = config
        width = config.projector[-1] if config.projector else 0
        self.projector = nn.Sequential(
            build_projector(self.encoder, config.projector), BatchNorm(width, affine=False)
        )
        norms = [BatchNorm(width, affine=False)] if config.predictor_batch_norm else []
        self.predictor = nn.Sequential(Projector(width, (*config.predictor, width)), *norms)
        if config.freeze_patches:
            if not isinstance(self.encoder.net, ViT):
                raise UsageError(
                    f"method.freeze_patches: {config.backbone} has no patch projection",
                    "set method.freeze_patches=false, or take a ViT",
                )
            self.encoder.net.embed.requires_grad_(False)
        self.key_encoder = copy.deepcopy(self.query_encoder()).requires_grad_(False)

    def query_encoder(self) -> nn.Sequential:
        """What the key encoder follows: all but the predictor."""
        return nn.Sequential(self.encoder, self.projector)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        a, b = self.random_views(batch.images)
        q_a, q_b = self.predictor(self.embed(a)), self.predictor(self.embed(b))  # [B, D]
        with torch.no_grad():
            k_a, k_b = gather(self.key_encoder(a)), gather(self.key_encoder(b))  # [N, D]
        first, temperature = rank() * len(a), self.config.temperature
        loss_a, found_a = contrast(q_a, k_b, first, temperature)
        loss_b, found_b = contrast(q_b, k_a, first, temperature)
        return loss_a + loss_b, {"recognised": (found_a + found_b) / 2}

    def step(self, data: Stream, update: Update) -> None:
        update("main", self.loss, next(data))
        momentum = cosine_between(self.config.key_momentum, 1.0, update.progress)
        follow(self.key_encoder, self.query_encoder(), momentum)

    def embed(self, views: Tensor) -> Tensor:
        z: Tensor = self.projector(self.encoder(views))
        return z

    def panels(self, batch: Batch) -> Iterator[Panel]:
        a, b = self.random_views(batch.images)
        q, k = F.normalize(self.predictor(self.embed(a)), dim=1), F.normalize(self.key_encoder(b), dim=1)
        cosines = q @ k.T
        yield logits_panel(
            cosines.diagonal(),
            cosines[~torch.eye(len(q), dtype=torch.bool, device=q.device)],
            temperature=self.config.temperature,
            of=f"{len(q)} held-out queries, their own keys and those of each other",
        )
        yield from super().panels(batch)
