"""A generator that is told a class, and a discriminator that is asked whether an image is a real one of a class.

Brock et al. 2019 (BigGAN), arXiv:1809.11096, App. B, Fig. 15: residual blocks; one embedding of the class that all
blocks share, and a part of the code for every block ("skip-z"), which together set the scales and shifts of
BatchNorm; self-attention (arXiv:1805.08318); the projection discriminator of Miyato & Koyama 2018,
arXiv:1802.05637; spectral normalization everywhere.

Shapes: images [B, C, H, W] in [-1, 1]; codes [B, Z]; labels [B] int64; outputs are float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.nn.residual_gan import DownBlock, UpBlock
from sslterm.nn.self_attention import SelfAttention
from sslterm.nn.spectral import SpectralConv2d, SpectralEmbedding, SpectralLinear
from sslterm.nn.standing import ConditionalBatchNorm, StandingBatchNorm


class ConditionalGenerator(nn.Module):
    """[B, Z], [B] -> [B, C, side, side] in [-1, 1].

    Args:
        part: numbers of a code that the dense layer gets, and so many every block; Z = part * (len(widths) + 1).
        classes: labels are below it.
        embedding_dim: of the class.
        channels: of the images.
        side: of the images, a multiple of 2^len(widths).
        widths: channels that the blocks give, from the image inwards.
        attention_side: side of the feature map that attends to itself; 0 for none.
    """

    def __init__(
        self,
        part: int,
        classes: int,
        embedding_dim: int,
        channels: int,
        side: int,
        widths: Sequence[int],
        *,
        attention_side: int,
    ) -> None:
        super().__init__()
        inward = list(widths)
        self.core = side // 2 ** len(inward)
        self.parts = len(inward) + 1
        self.embed = nn.Embedding(classes, embedding_dim)
        self.dense = SpectralLinear(part, inward[-1] * self.core**2)
        norm = partial(ConditionalBatchNorm, condition=embedding_dim + part, linear=SpectralLinear)
        self.blocks, self.attentions = nn.ModuleList(), nn.ModuleList()
        at = self.core
        for inputs, outputs in zip([inward[-1], *inward[:0:-1]], inward[::-1], strict=True):
            at *= 2
            self.blocks.append(UpBlock(inputs, outputs, norm=norm, spectral=True))
            self.attentions.append(SelfAttention(outputs) if at == attention_side else nn.Identity())
        self.norm = StandingBatchNorm(inward[0])
        self.paint = SpectralConv2d(inward[0], channels, 3, padding=1)

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        return self.draw(z, self.embed(label))

    def draw(self, z: Tensor, embedded: Tensor) -> Tensor:
        """The same from embedded classes [B, embedding_dim], or from what lies between some."""
        first, *others = z.chunk(self.parts, dim=1)
        x = self.dense(first).unflatten(1, (-1, self.core, self.core))
        for block, attention, part in zip(self.blocks, self.attentions, others, strict=True):
            x = attention(block(x, torch.cat([embedded, part], dim=1)))
        images: Tensor = F.tanh(self.paint(F.relu(self.norm(x))))
        return images.float()


class ProjectionDiscriminator(nn.Module):
    """[B, C, side, side], [B] -> [B]: w h + e(label) h, h the last features, summed over places.

    Args:
        channels: of the images.
        classes: labels are below it.
        side: of the images.
        widths: channels that the blocks give, from the image inwards.
        halvings: so many of the first blocks halve the side.
        attention_side: side of the feature map that attends to itself, once it is reached; 0 for none.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        side: int,
        widths: Sequence[int],
        *,
        halvings: int,
        attention_side: int,
    ) -> None:
        super().__init__()
        self.blocks, self.attentions = nn.ModuleList(), nn.ModuleList()
        at = side
        for number, outputs in enumerate(widths):
            halves = number < halvings
            at = at // 2 if halves else at
            attends = halves and at == attention_side
            self.blocks.append(
                DownBlock(channels, outputs, spectral=True, first=number == 0, downsample=halves)
            )
            self.attentions.append(SelfAttention(outputs) if attends else nn.Identity())
            channels = outputs
        self.judge = SpectralLinear(channels, 1)
        self.embed = SpectralEmbedding(classes, channels)

    def forward(self, images: Tensor, label: Tensor) -> Tensor:
        x = images
        for block, attention in zip(self.blocks, self.attentions, strict=True):
            x = attention(block(x))
        features = F.relu(x).sum((2, 3)).float()  # [B, c]
        output: Tensor = self.judge(features).flatten() + (self.embed(label) * features).sum(1)
        return output.float()
