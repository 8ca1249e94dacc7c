"""A Simple Framework for Contrastive Learning of Visual Representations (SimCLR).
Ting Chen, Simon Kornblith, Mohammad Norouzi & Geoffrey Hinton, ICML 2020, arXiv:2002.05709.

Idea:
    Two random views of every image pass through the same network. Among all other views of the batch, each
    view has to recognise its partner: their embeddings are pulled together, all others pushed apart. What
    survives in the representation is what the augmentations leave in common, so that the choice of
    augmentations is the choice of what to learn.

Objective:
    l(i, j) = -log exp(cos(z_i, z_j) / T) / sum_{k != i} exp(cos(z_i, z_k) / T)          (Eq. 1, NT-Xent)
    loss = mean of l over all 2N views i and their partners j                            (Alg. 1)

Departures:
    The views of a preset need not be the paper's; those of `imagenet` are, but are cut from images that were
    first brought to 224 pixels. Negatives come from the batch of all ranks, and so does BatchNorm's
    statistic, as in the paper.

Watch for:
    The similarity panel should show a bright diagonal on a dark ground. A loss that falls fast while kNN
    stays: a shortcut, most often colour that the jitter does not cover. A loss stuck near log(2N - 1): the
    views share too little, or the rate is too high.

Shapes:
    B rows at hand, N images of the global batch, D embedding; views [B, C, H, W]; zA, zB [N, D].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.config.schema import Count, Positive
from sslterm.data.batch import Batch
from sslterm.methods.base import Inputs
from sslterm.methods.encoder import EncoderConfig
from sslterm.methods.joint_embedding.embedder import JointEmbedding, build_projector
from sslterm.nn.precision import in_float32
from sslterm.rows import gather


@in_float32
def nt_xent(z_a: Tensor, z_b: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The normalised, temperature-scaled cross entropy (Eq. 1).

    Args:
        z_a, z_b: [N, D]; row i of both belongs to image i.

    Returns:
        the mean over all 2N views, and the share of views whose partner is nearest (0-d both).
    """
    n = len(z_a)
    z = F.normalize(torch.cat((z_a, z_b)), dim=1)  # [2N, D]
    logits = z @ z.T / temperature
    logits = logits.masked_fill(torch.eye(2 * n, dtype=torch.bool, device=z.device), float("-inf"))
    partner = torch.arange(2 * n, device=z.device).roll(n)
    return F.cross_entropy(logits, partner), (logits.argmax(1) == partner).float().mean()


class SimCLR(JointEmbedding):
    @dataclass(frozen=True, kw_only=True)
    class Config(EncoderConfig):
        projector: tuple[Count, ...]
        """Widths of its layers, the embedding last; BatchNorm and ReLU between them."""
        temperature: Positive

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(config, inputs)
        self.config = config
        self.projector = build_projector(self.encoder, config.projector)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        z_a, z_b = self.embed_views(batch.images)  # [B, D] each
        loss, recognised = nt_xent(gather(z_a), gather(z_b), self.config.temperature)
        return loss, {"recognised": recognised}

    def embed(self, views: Tensor) -> Tensor:
        z: Tensor = self.projector(self.encoder(views))
        return z
