"""VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised Learning.
Adrien Bardes, Jean Ponce & Yann LeCun, ICLR 2022, arXiv:2105.04906.

Idea:
    Embeddings of two views of an image are pulled together. Collapse is ruled out by two explicit terms, for
    each of the two branches by itself: every dimension keeps a standard deviation of at least 1 over the
    batch, and pairs of dimensions are decorrelated, so that none repeats another.

Objective:
    loss = lambda s(Z, Z') + mu [v(Z) + v(Z')] / 2 + nu [c(Z) + c(Z')]                    (Eq. 6)
    s = mean squared distance of the pairs, over D                                        (Eq. 5)
    v = mean over dimensions of max(0, 1 - sqrt(var + eps))                               (Eq. 1, 2)
    c = 1/D sum of the squared off-diagonal entries of the covariance matrix              (Eq. 3, 4)
    Where N < D, the sum of squares is had from the N x N Gram matrix, exactly.

Departures:
    The variance term is the mean over the two branches, as in the authors' code, where Eq. 6 has the sum; the
    published coefficients (25, 25, 1) belong to the code. The invariance term is divided by D as well, as there,
    where Eq. 5 is not. The batch is that of all ranks.

Watch for:
    The covariance panel: a diagonal on a dark ground. A variance term that stays near 1 is collapse to a
    point; one that stays while invariance is near 0 says that mu is too small. Off-diagonal values that stay
    are dimensions that repeat each other: raise nu.

Shapes:
    B rows at hand, N images of the global batch, D embedding; views [B, C, H, W]; z [N, D].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.config.schema import Count, NonNegative
from sslterm.data.batch import Batch
from sslterm.methods.base import Inputs
from sslterm.methods.encoder import EncoderConfig
from sslterm.methods.joint_embedding.embedder import JointEmbedding, build_projector, views_panel
from sslterm.nn.precision import in_float32
from sslterm.rows import gather
from sslterm.run.panels import Panel

EPSILON = 1e-4
"""Added to variances under the root (§4.1)."""
SHOWN_DIMENSIONS = 256
"""Most dimensions in the panels."""


@in_float32
def variance_term(z: Tensor) -> Tensor:
    """How far the standard deviations of [N, D] are below 1, mean over D (Eq. 1)."""
    return F.relu(1 - (z.var(0) + EPSILON).sqrt()).mean()


@in_float32
def covariance_term(z: Tensor) -> Tensor:
    """Squared covariances of different dimensions of [N, D], summed, over D (Eq. 4)."""
    n, d = z.shape
    centred = z - z.mean(0)
    product = centred @ centred.T if n < d else centred.T @ centred  # of equal Frobenius norm
    return (product.square().sum() - centred.square().sum(0).square().sum()) / (n - 1) ** 2 / d


class VICReg(JointEmbedding):
    @dataclass(frozen=True, kw_only=True)
    class Config(EncoderConfig):
        projector: tuple[Count, ...]
        """Widths of its layers, the embedding last."""
        invariance_weight: NonNegative
        """lambda."""
        variance_weight: NonNegative
        """mu."""
        covariance_weight: NonNegative
        """nu."""

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(config, inputs)
        self.config = config
        self.projector = build_projector(self.encoder, config.projector)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        z_a, z_b = (gather(z) for z in self.embed_views(batch.images))  # [N, D] each
        terms = {
            "invariance": F.mse_loss(z_a, z_b),
            "variance": (variance_term(z_a) + variance_term(z_b)) / 2,
            "covariance": covariance_term(z_a) + covariance_term(z_b),
        }
        config = self.config
        loss = (
            config.invariance_weight * terms["invariance"]
            + config.variance_weight * terms["variance"]
            + config.covariance_weight * terms["covariance"]
        )
        return loss, terms

    def embed(self, views: Tensor) -> Tensor:
        z: Tensor = self.projector(self.encoder(views))
        return z

    def panels(self, batch: Batch) -> Iterator[Panel]:
        a, b = self.random_views(batch.images)
        z = self.embed(a)
        covariance = torch.cov(z[:, :SHOWN_DIMENSIONS].T)
        std = z.std(0)
        largest = max(float(covariance.abs().max()), 1e-6)
        yield Panel(
            name="covariance",
            kind="matrix",
            array=covariance.cpu().numpy(),
            caption=(
                f"of the embeddings of {len(a)} held-out images, {len(covariance)} of {z.shape[1]} dimensions; "
                f"standard deviation {float(std.mean()):.2f} on average, the least {float(std.min()):.2f}"
            ),
            low=-largest,
            high=largest,
            center=0.0,
            x_label="dimension",
            y_label="dimension",
        )
        yield Panel(
            name="standard-deviations",
            kind="curve",
            array=std.sort(descending=True).values[None].cpu().numpy(),
            caption=f"standard deviation of each of {len(std)} dimensions, falling; the target is at least 1",
            labels=("standard deviation",),
            x_label="dimension, by rank",
            y_label="standard deviation",
        )
        yield views_panel(a, b)
