"""Barlow Twins: Self-Supervised Learning via Redundancy Reduction.
Jure Zbontar, Li Jing, Ishan Misra, Yann LeCun & Stéphane Deny, ICML 2021, arXiv:2103.03230.

Idea:
    Two random views of every image pass through the same network. The cross-correlation matrix between the
    two sets of embeddings, taken over the batch, is pulled to the identity: the diagonal to 1, so that an
    embedding does not change with the view; the rest to 0, so that no two dimensions say the same. Collapse
    is no solution, hence neither negatives, nor a momentum encoder, nor a stopped gradient are needed.

Objective:
    C_ij = sum_b zA_bi zB_bj / (sqrt(sum_b zA_bi^2) sqrt(sum_b zB_bj^2)), both centred over the batch (Eq. 2)
    loss = sum_i (1 - C_ii)^2 + lambda sum_i sum_{j != i} C_ij^2                                     (Eq. 1)
    Where 2N < D, the second sum is had without any D x D matrix: ||A^T B||_F^2 = <A A^T, B B^T>, exactly.

Departures:
    The views of a preset need not be the paper's; those of `imagenet` are, but are cut from images that were
    first brought to 224 pixels. The batch is the global one: all ranks' embeddings are gathered with their
    gradient, where the authors' code sums correlation matrices without one. BatchNorm is over all ranks, as
    in the authors' code.

Watch for:
    The cross-correlation panel should turn from noise to a sharp diagonal. A diagonal that stays faint: the
    views share too little, or lambda is too large. Blocks or stripes off the diagonal: dimensions repeat each
    other, raise lambda or the batch. A loss that falls while kNN does not rise: a shortcut, most often colour
    that the jitter does not cover. Off-diagonal values cannot fall much below 1/sqrt(N), which is the noise
    of a batch of N.

Shapes:
    B rows at hand, N images of the global batch, D embedding; images [B, C, H, W]; zA, zB [N, D]; C [D, D].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

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

SHOWN_DIMENSIONS = 256
"""Most dimensions in the cross-correlation panel."""


@in_float32
def standardize(z: Tensor) -> Tensor:
    """Mean 0 and (biased) variance 1 of every dimension over the batch, [N, D]."""
    return F.batch_norm(z, None, None, training=True, eps=1e-5)


@in_float32
def correlation_terms(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """sum_i (1 - C_ii)^2 and sum_i sum_{j != i} C_ij^2 for C = a^T b / N, by whichever form is cheaper.

    Args:
        a, b: [N, D], standardized over the batch.
    """
    n, d = a.shape
    diagonal = (a * b).sum(0) / n  # C_ii, [D]
    whole = squared_norm_by_gram(a, b) if 2 * n < d else squared_norm_by_product(a, b)
    return (1 - diagonal).square().sum(), whole - diagonal.square().sum()


def squared_norm_by_product(a: Tensor, b: Tensor) -> Tensor:
    """||a^T b / N||_F^2 through the [D, D] matrix."""
    return (a.T @ b / len(a)).square().sum()


def squared_norm_by_gram(a: Tensor, b: Tensor) -> Tensor:
    """||a^T b / N||_F^2 = <a a^T, b b^T> / N^2 through two [N, N] matrices."""
    product: Tensor = _GramProduct.apply(a, b)
    return product / len(a) ** 2


class _GramProduct(torch.autograd.Function):
    """<a a^T, b b^T>; its gradient (2 b b^T a, 2 a a^T b) needs half of autograd's products."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        gram_a, gram_b = a @ a.T, b @ b.T  # [N, N]
        ctx.save_for_backward(a, b, gram_a, gram_b)
        return (gram_a * gram_b).sum()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        a, b, gram_a, gram_b = ctx.saved_tensors
        scale = 2 * gradients[0]
        return (scale * gram_b) @ a, (scale * gram_a) @ b


def barlow_twins_loss(
    z_a: Tensor, z_b: Tensor, off_diagonal_weight: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of two sets of embeddings [N, D] (Eq. 1), and its two sums."""
    on_diagonal, off_diagonal = correlation_terms(standardize(z_a), standardize(z_b))
    loss = on_diagonal + off_diagonal_weight * off_diagonal
    return loss, {"on_diagonal": on_diagonal, "off_diagonal": off_diagonal}


class BarlowTwins(JointEmbedding):
    @dataclass(frozen=True, kw_only=True)
    class Config(EncoderConfig):
        projector: tuple[Count, ...]
        """Widths of its layers, the embedding last."""
        off_diagonal_weight: NonNegative
        """lambda."""

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(config, inputs)
        self.config = config
        self.projector = build_projector(self.encoder, config.projector)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        z_a, z_b = self.embed_views(batch.images)  # [B, D] each
        return barlow_twins_loss(gather(z_a), gather(z_b), self.config.off_diagonal_weight)

    def embed(self, views: Tensor) -> Tensor:
        z: Tensor = self.projector(self.encoder(views))
        return z

    def panels(self, batch: Batch) -> Iterator[Panel]:
        a, b = self.random_views(batch.images)
        correlation = cross_correlation(self.embed(a), self.embed(b))
        shown = correlation[:SHOWN_DIMENSIONS, :SHOWN_DIMENSIONS]
        dimensions = self.config.projector[-1]
        which = "" if len(shown) == dimensions else f", the first {len(shown)} of {dimensions} dimensions"
        off_diagonal = correlation - torch.diag(correlation.diagonal())
        rms = (off_diagonal.square().sum() / (dimensions * (dimensions - 1) or 1)).sqrt()
        yield Panel(
            name="cross-correlation",
            kind="matrix",
            array=shown.cpu().numpy(),
            caption=(
                f"between views of {len(a)} held-out images{which}; diagonal "
                f"{float(correlation.diagonal().mean()):.2f} on average, off it {float(rms):.2f} rms "
                f"(chance: {len(a) ** -0.5:.2f})"
            ),
            low=-1.0,
            high=1.0,
            center=0.0,
            x_label="dimension of view b",
            y_label="dimension of view a",
        )
        yield views_panel(a, b)


@in_float32
def cross_correlation(z_a: Tensor, z_b: Tensor) -> Tensor:
    """C [D, D] (Eq. 2)."""
    return standardize(z_a).T @ standardize(z_b) / len(z_a)
