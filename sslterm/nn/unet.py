"""The U-Net of denoising diffusion: what it is given is an image, a time, and maybe a class; what it gives, an image.

Ho et al. 2020, arXiv:2006.11239, App. B: residual blocks with group normalization in place of weight normalization, the
time added to the maps of every block through its sinusoidal embedding, self-attention where maps are small.

Shapes: B batch; x [B, C, H, W]; time [B]; label [B] int64; embedding e [B, 4 width].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.rows import rand

LONGEST_PERIOD = 10_000.0
"""Of the sines and cosines of time."""
MOST_GROUPS, LEAST_IN_GROUP = 32, 4


@dataclass(frozen=True, kw_only=True)
class UNetShape:
    """What a U-Net looks like.

    Attributes:
        width: channels of the largest maps.
        multipliers: of `width`, for each level; from one to the next the sides halve.
        blocks: residual blocks of a level on the way down; one more on the way up.
        attention: sides of the maps with attention after every block; the smallest maps have it anyway.
        heads: of the attention.
        dropout: inside of residual blocks.
    """

    width: int
    multipliers: Sequence[int]
    blocks: int
    attention: Sequence[int]
    heads: int
    dropout: float

    def sides(self, side: int) -> list[int]:
        """Of the maps, the image's first."""
        return [side >> level for level in range(len(self.multipliers))]


class UNet(nn.Module):
    """Args:
    channels: of the images.
    outputs: channels of what it gives.
    side: of the images.
    classes: 0 takes no label; else labels are 0 ... classes, the last of which means none.
    """

    def __init__(self, shape: UNetShape, *, channels: int, outputs: int, side: int, classes: int = 0) -> None:
        super().__init__()
        width, inner = shape.width, 4 * shape.width
        self.width = width
        self.time = nn.Sequential(nn.Linear(width, inner), nn.SiLU(), nn.Linear(inner, inner))
        self.label = nn.Embedding(classes + 1, inner) if classes else None
        self.enter = nn.Conv2d(channels, width, 3, padding=1)
        widths, sides = [width * factor for factor in shape.multipliers], shape.sides(side)

        def block(inputs: int, outputs: int, attends: bool) -> Stage:
            heads = shape.heads if attends else 0
            return Stage(inputs, outputs, inner, dropout=shape.dropout, heads=heads)

        kept, now = [width], width  # channels of the maps that are handed across
        self.down = nn.ModuleList()
        for level, width in enumerate(widths):
            for _ in range(shape.blocks):
                self.down.append(block(now, width, sides[level] in shape.attention))
                now = width
                kept.append(now)
            if level < len(widths) - 1:
                self.down.append(Halve(now))
                kept.append(now)
        self.middle = nn.ModuleList([block(now, now, True), block(now, now, False)])
        self.up = nn.ModuleList()
        for level, width in reversed(list(enumerate(widths))):
            for _ in range(shape.blocks + 1):
                self.up.append(block(now + kept.pop(), width, sides[level] in shape.attention))
                now = width
            if level:
                self.up.append(Double(now))
        self.leave = nn.Sequential(group_norm(now), nn.SiLU(), zeroed(nn.Conv2d(now, outputs, 3, padding=1)))

    def forward(self, x: Tensor, time: Tensor, label: Tensor | None = None) -> Tensor:
        """[B, channels, H, W] at times [B] -> [B, outputs, H, W], float32."""
        e = self.time(sinusoids(time, self.width))
        if self.label is not None:
            assert label is not None
            e = e + self.label(label)
        x = self.enter(x)
        kept = [x]
        for part in self.down:
            x = part(x, e)
            kept.append(x)
        for part in self.middle:
            x = part(x, e)
        for part in self.up:
            x = part(x if isinstance(part, Double) else torch.cat((x, kept.pop()), dim=1), e)
        output: Tensor = self.leave(x)
        return output.float()


class Stage(nn.Module):
    """A residual block, and attention after it where there are `heads`."""

    def __init__(self, inputs: int, outputs: int, embedding: int, *, dropout: float, heads: int) -> None:
        super().__init__()
        self.dropout = dropout
        self.norm1, self.norm2 = group_norm(inputs), group_norm(outputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.embed = nn.Linear(embedding, outputs)
        self.conv2 = zeroed(nn.Conv2d(outputs, outputs, 3, padding=1))
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.attend = Attention(outputs, heads) if heads else nn.Identity()

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x))) + self.embed(F.silu(e))[:, :, None, None]
        h = F.silu(self.norm2(h))
        if self.training and self.dropout:
            h = drop(h, self.dropout)
        attended: Tensor = self.attend(self.skip(x) + self.conv2(h))
        return attended


class Attention(nn.Module):
    """Every place looks at all, [B, C, H, W] -> [B, C, H, W]; added to what came in."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = math.gcd(heads, width)
        self.norm = group_norm(width)
        self.qkv = nn.Conv2d(width, 3 * width, 1)
        self.out = zeroed(nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        parts = self.qkv(self.norm(x)).view(b, 3, self.heads, c // self.heads, h * w)
        q, k, v = parts.transpose(3, 4).unbind(1)  # [B, heads, H W, C / heads]
        mixed = F.scaled_dot_product_attention(q, k, v)
        added: Tensor = x + self.out(mixed.transpose(2, 3).reshape(b, c, h, w))
        return added


class Halve(nn.Module):
    """Half the side, by a strided convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, stride=2, padding=1)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        halved: Tensor = self.conv(x)
        return halved


class Double(nn.Module):
    """Twice the side: every pixel four times, and a convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, e: Tensor) -> Tensor:
        doubled: Tensor = self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
        return doubled


def sinusoids(time: Tensor, width: int) -> Tensor:
    """Sines and cosines of times [B] in geometric periods, [B, width] float32 (Vaswani et al. 2017, §3.5)."""
    half = width // 2
    exponents = torch.arange(half, device=time.device) / max(half - 1, 1)
    angles = time.float()[:, None] * LONGEST_PERIOD**-exponents
    return F.pad(torch.cat((angles.sin(), angles.cos()), dim=1), (0, width - 2 * half))


def group_norm(width: int) -> nn.GroupNorm:
    """Of up to 32 groups, of 4 channels or more where there are so many."""
    groups = math.gcd(width, MOST_GROUPS)
    while groups > 1 and width // groups < LEAST_IN_GROUP:
        groups //= 2
    return nn.GroupNorm(groups, width, eps=1e-6)


def zeroed(convolution: nn.Conv2d) -> nn.Conv2d:
    """With weights and biases of 0: what ends in it says nothing at first (arXiv:2006.11239, code of App. B)."""
    nn.init.zeros_(convolution.weight)
    if convolution.bias is not None:
        nn.init.zeros_(convolution.bias)
    return convolution


def drop(x: Tensor, probability: float) -> Tensor:
    """Dropout, drawn an image at a time (`sslterm.rows`)."""
    kept = rand(len(x), *x.shape[1:], like=x) >= probability
    return x * kept / (1 - probability)
