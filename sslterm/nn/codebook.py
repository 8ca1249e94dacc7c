"""Vector quantization: maps of vectors as maps of the numbers of their nearest codes (van den Oord et al. 2017,
arXiv:1711.00937, §3.1-3.2 and A.1).

Shapes: B batch; K codes of D numbers; maps z [B, D, H, W]; numbers of codes [B, H, W] int64.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sslterm.nn.kmeans import nearest
from sslterm.nn.precision import in_float32


@in_float32
def straight_through(z: Tensor, quantized: Tensor) -> Tensor:
    """`quantized`, whose gradient goes to `z` as it is (§3.2)."""
    return quantized.detach() + (z - z.detach())  # the second term is 0 exactly


@in_float32
def pull(moves: Tensor, stays: Tensor) -> Tensor:
    """||moves - sg[stays]||^2 summed over a map, mean over images: the last two terms of Eq. 3."""
    return (moves - stays.detach()).square().flatten(1).sum(1).mean()


@in_float32
def nearest_codes(z: Tensor, vectors: Tensor) -> Tensor:
    """The code that is nearest to each place of a map (Eq. 1)."""
    points = z.movedim(1, -1)  # [B, H, W, D]
    return nearest(points.flatten(0, -2), vectors).view(points.shape[:-1])


class Codebook(nn.Module):
    """K vectors, which are parameters, or moving averages of what is quantized to them.

    Attributes:
        vectors: [K, D].
        counts: [K], moving averages of how often a batch uses each.
        sums: [K, D], moving averages of the sums of what is quantized to each; without use where vectors are learned.
    """

    vectors: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, codes: int, dim: int, *, learned: bool) -> None:
        super().__init__()
        self.learned = learned
        if learned:  # near 0, where vectors start as well: a code that is never nearest learns nothing
            self.vectors = nn.Parameter(torch.empty(codes, dim).uniform_(-1 / codes, 1 / codes))
        else:
            self.register_buffer("vectors", torch.randn(codes, dim))
            self.register_buffer("sums", self.vectors.clone())
        self.register_buffer("counts", torch.ones(codes))

    def __len__(self) -> int:
        return len(self.vectors)

    def nearest(self, z: Tensor) -> Tensor:
        return nearest_codes(z, self.vectors)

    def forward(self, codes: Tensor) -> Tensor:
        """The map [B, D, H, W] of codes [B, H, W]."""
        return self.vectors[codes].movedim(-1, 1)

    def perplexity(self) -> Tensor:
        """As many codes, evenly used, would be as varied: from 1 to K (0-d)."""
        return perplexity(self.counts)

    @torch.no_grad()
    def follow(self, z: Tensor, codes: Tensor, decay: float) -> None:
        """Move counts, and vectors that are not learned, towards a batch (A.1).

        Args:
            z, codes: of all ranks.
            decay: gamma.
        """
        flat, points = codes.flatten(), z.movedim(1, -1).flatten(0, -2)
        used = torch.bincount(flat, minlength=len(self)).to(self.counts.dtype)
        self.counts.lerp_(used, 1 - decay)
        if self.learned:
            return
        self.sums.lerp_(torch.zeros_like(self.sums).index_add_(0, flat, points), 1 - decay)
        counted = self.counts > 1e-6  # of a code that nothing comes to, both vanish and the vector stays
        self.vectors.copy_(torch.where(counted[:, None], self.sums / self.counts[:, None], self.vectors))

    @torch.no_grad()
    def revive(self, z: Tensor, below: float) -> None:
        """Move codes that are used less than `below` of an even use onto random places of the maps of a batch.

        Draws the same from the training's random state whether or not a code is dead.
        """
        points = z.movedim(1, -1).flatten(0, -2)
        fresh = points[torch.randint(len(points), (len(self),), device=z.device)]
        even = self.counts.mean()
        dead = self.counts < below * even
        self.counts.copy_(torch.where(dead, even, self.counts))
        self.vectors.copy_(torch.where(dead[:, None], fresh, self.vectors))
        self.sums.copy_(torch.where(dead[:, None], even * fresh, self.sums))


def perplexity(counts: Tensor) -> Tensor:
    """exp of the entropy of counts [K] (0-d)."""
    entropy: Tensor = torch.special.entr(counts / counts.sum()).sum()
    return entropy.exp()
