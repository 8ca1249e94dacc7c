"""Images as rows of patches, and a transformer that fills in where some are missing.

Shapes: B batch, L patches of an image, K of them kept, P = patch^2 C values of a patch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.nn.vit import Block, init_linear_layers, positions


def cut(images: Tensor, patch: int) -> Tensor:
    """[B, C, H, W] -> patches in the order of reading, [B, L, P]."""
    return F.unfold(images, patch, stride=patch).transpose(1, 2)


def join(patches: Tensor, patch: int, height: int, width: int) -> Tensor:
    """What `cut` undoes: [B, L, P] -> [B, C, H, W]."""
    return F.fold(patches.transpose(1, 2), (height, width), patch, stride=patch)


class PatchDecoder(nn.Module):
    """A transformer over all places: encoded tokens where there are some, mask tokens elsewhere (He et al. 2022,
    arXiv:2111.06377, §3). Beside what a place shows, its mean and deviation are read off the same features, with
    no gradient to them.

    Args:
        features: width of the encoded tokens.
        width, depth, heads: of its own blocks.
        values: P.
    """

    def __init__(self, features: int, *, width: int, depth: int, heads: int, values: int) -> None:
        super().__init__()
        self.width = width
        self.embed = nn.Linear(features, width)
        self.mask_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.pixels = nn.Linear(width, values)
        self.statistics = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, 2))
        init_linear_layers(self)

    def forward(self, tokens: Tensor, kept: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """What every place shows, and the mean and deviation of its pixels; [B, L, P] and [B, L, 2], float32.

        Args:
            tokens: [B, 1 + K, features], the class token first.
            kept: [B, K].
            grid: patches of a column and of a row.
        """
        x = self.embed(tokens)
        there = kept[:, :, None].expand(-1, -1, self.width)
        places = self.mask_token.to(x.dtype).expand(len(x), grid[0] * grid[1], -1)
        places = places.scatter(1, there, x[:, 1:]) + positions(*grid, self.width, x.device)
        x = torch.cat((x[:, :1], places), dim=1)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)[:, 1:]
        return self.pixels(x).float(), self.statistics(x.detach()).float()
