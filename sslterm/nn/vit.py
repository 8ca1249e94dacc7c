"""Vision transformers. Dosovitskiy et al. 2021, arXiv:2010.11929; sizes by Touvron et al. 2021, arXiv:2012.12877.

Positions are fixed two-dimensional sines and cosines (Chen, Xie & He 2021, arXiv:2104.02057, §4.3), computed for
whatever grid comes in, so that one network takes the crops of every size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Size = Literal["vit-micro", "vit-tiny", "vit-small", "vit-base"]
""""micro" is our own, for a CPU."""


@dataclass(frozen=True)
class Shape:
    width: int
    depth: int
    heads: int


SHAPES: dict[str, Shape] = {
    "vit-micro": Shape(96, 4, 3),
    "vit-tiny": Shape(192, 12, 3),
    "vit-small": Shape(384, 12, 6),
    "vit-base": Shape(768, 12, 12),
}


class Block(nn.Module):
    """Attention, then a two-layer network of four times the width; each on normalised input, added to it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, D] -> [B, T, D]"""
        q, k, v = self._heads(x)
        mixed = F.scaled_dot_product_attention(q, k, v)  # [B, H, T, D / H]
        x = x + self.out(mixed.transpose(1, 2).flatten(2))
        added: Tensor = x + self.mlp(self.norm2(x))
        return added

    def attention(self, x: Tensor) -> Tensor:
        """The weights with which each token looks at each, [B, H, T, T]."""
        q, k, _ = self._heads(x)
        weights: Tensor = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(-1)
        return weights

    def _heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        b, t, d = x.shape
        qkv = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, d // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        return q, k, v


class ViT(nn.Module):
    """A vision transformer without its classifier; what it gives is its class token.

    Args:
        size: which.
        channels: of the images.
        patch: side of a patch in pixels; images must be multiples of it.
    """

    def __init__(self, size: Size, *, channels: int, patch: int) -> None:
        super().__init__()
        shape = SHAPES[size]
        self.patch = patch
        self.features = shape.width
        """Width of what `forward` gives."""
        self.embed = nn.Conv2d(channels, shape.width, patch, stride=patch)
        self.token = nn.Parameter(torch.randn(1, 1, shape.width) * 0.02)
        self.blocks = nn.ModuleList(Block(shape.width, shape.heads) for _ in range(shape.depth))
        self.norm = nn.LayerNorm(shape.width, eps=1e-6)
        init_linear_layers(self)
        fan = channels * patch**2 + shape.width  # the projection of a patch is a linear layer
        nn.init.uniform_(self.embed.weight, -((6 / fan) ** 0.5), (6 / fan) ** 0.5)
        nn.init.zeros_(self.embed.bias)  # type: ignore[arg-type]

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        """[B, C, H, W] -> tokens after every third block and the last [B, T, D], and the class token [B, D]."""
        outputs, x = {}, self.tokens(images)
        for number, block in enumerate(self.blocks, start=1):
            x = block(x)
            if number % 3 == 0 or number == len(self.blocks):
                outputs[f"block{number}"] = x.float()
        outputs["class-token"] = self.norm(x)[:, 0].float()
        return outputs

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, features], float32."""
        return self.encode_tokens(self.tokens(images))[:, 0]

    def encode_tokens(self, x: Tensor) -> Tensor:
        """What the blocks and the last norm make of tokens, [B, T, D] -> [B, T, D], float32."""
        for block in self.blocks:
            x = block(x)
        output: Tensor = self.norm(x)
        return output.float()

    def attention(self, images: Tensor) -> Tensor:
        """How the class token of the last block looks at the patches, [B, heads, H / patch, W / patch]."""
        x = self.tokens(images)
        *first, last = self.blocks
        for block in first:
            x = block(x)
        weights: Tensor = last.attention(x)[:, :, 0, 1:]  # type: ignore[operator]
        grid = (images.shape[2] // self.patch, images.shape[3] // self.patch)
        looks: Tensor = weights.unflatten(2, grid).float()
        return looks

    def tokens(self, images: Tensor, kept: Tensor | None = None) -> Tensor:
        """What goes into the first block: the class token, and the patches with their places.

        Args:
            images: [B, C, H, W].
            kept: [B, K] numbers of patches in the order of reading; the others are left out. Without it, all.

        Returns:
            [B, 1 + K, D] float32.

        Raises:
            ValueError: the images do not divide into patches.
        """
        height, width = images.shape[2:]
        if height % self.patch or width % self.patch:
            raise ValueError(
                f"images of {height} x {width} pixels do not divide into patches of {self.patch}"
            )
        grid = self.embed(images)  # [B, D, h, w]
        height, width = grid.shape[2:]
        x = grid.flatten(2).transpose(1, 2) + positions(height, width, self.features, grid.device)
        if kept is not None:
            x = x.gather(1, kept[:, :, None].expand(-1, -1, self.features))
        return torch.cat((self.token.expand(x.shape[0], -1, -1), x), dim=1)


def init_linear_layers(module: nn.Module) -> None:
    """Glorot's uniform weights and no biases; query, key and value are layers of their own."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            nn.init.zeros_(part.bias)
    for part in module.modules():
        if isinstance(part, Block):
            for weight in part.qkv.weight.detach().chunk(3):
                nn.init.xavier_uniform_(weight)


def positions(height: int, width: int, features: int, device: torch.device | None = None) -> Tensor:
    """Sines and cosines of the column and of the row at geometrically falling rates, [h * w, features]."""
    rates = 10_000.0 ** (-torch.arange(features // 4, device=device) / (features // 4))
    rows, columns = torch.meshgrid(
        torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
    )
    angles = [place.flatten()[:, None] * rates for place in (columns, rows)]
    waves: list[Tensor] = [wave for angle in angles for wave in (angle.sin(), angle.cos())]
    return torch.cat(waves, 1)
