"""The networks of PixelCNN: numbers at every pixel that depend only on the pixels before it.

That of PixelRNN is in `recurrent_pixels`.

A network is called as `network(x, network.context(x), label)` over whole images. To paint, `context` is called once a
row and the network once for every value, with a `Memory` in place of `everywhere`.

Shapes: B batch; image [B, C, H, W]; output [B, numbers, H, W] float32, in as many groups as a pixel has values that
come one after another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from sslterm.nn.causal_conv import (
    Apply,
    CausalConv,
    everywhere,
    horizontal_conv,
    masked_conv,
    vertical_conv,
)


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large a network is, and what it gives.

    Attributes:
        width: channels of the stream of maps: 2h of the original network, p of each stack of the gated one.
        blocks: after the first convolution.
        head: channels before the output.
        numbers: of the output, for a pixel.
        groups: values of a pixel that come one after another.
        even: start with an output of zeros.
    """

    width: int
    blocks: int
    first_kernel: int
    kernel: int
    head: int
    numbers: int
    groups: int
    even: bool


class Head(nn.Module):
    """ReLU - 1x1 - ReLU - 1x1 (table 1 of 1601.06759)."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.hidden = masked_conv(size.width, size.head, 1, "B", groups=size.groups)
        self.output = masked_conv(size.head, size.numbers, 1, "B", groups=size.groups)
        if size.even:
            nn.init.zeros_(self.output.weight)
            nn.init.zeros_(self.output.bias)

    def forward(self, h: Tensor, apply: Apply) -> Tensor:
        return apply(self.output, apply(self.hidden, h.relu()).relu()).float()


class PixelNetwork(nn.Module):
    """What both networks are.

    Attributes:
        entrances: the convolutions that look at the image itself.
    """

    entrances: tuple[CausalConv, ...]

    def context(self, x: Tensor, label: Tensor | None = None, apply: Apply = everywhere) -> list[Tensor]:
        """What the network computes of whole rows above, a map for every layer."""
        raise NotImplementedError

    def forward(
        self, x: Tensor, context: list[Tensor], label: Tensor | None = None, apply: Apply = everywhere
    ) -> Tensor:
        raise NotImplementedError


class OriginalPixelNetwork(PixelNetwork):
    """A masked convolution, then residual blocks of masked convolutions (1601.06759, §3.3 and table 1).

    It has a blind spot: pixels above and to the right that no path of square windows leads from.
    """

    def __init__(self, channels: int, size: Size) -> None:
        super().__init__()
        self.first = masked_conv(channels, size.width, size.first_kernel, "A", groups=size.groups)
        self.blocks = nn.ModuleList(
            _ResidualBlock(size.width, size.kernel, size.groups) for _ in range(size.blocks)
        )
        self.head = Head(size)
        self.entrances = (self.first,)

    def context(self, x: Tensor, label: Tensor | None = None, apply: Apply = everywhere) -> list[Tensor]:
        return []

    def forward(
        self, x: Tensor, context: list[Tensor], label: Tensor | None = None, apply: Apply = everywhere
    ) -> Tensor:
        h = apply(self.first, x)
        for block in self.blocks:
            h = block(h, apply)
        output: Tensor = self.head(h, apply)
        return output


class _ResidualBlock(nn.Module):
    """2h - h - h - 2h around a kernel x kernel convolution (1601.06759, figure 5)."""

    def __init__(self, width: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.narrow = masked_conv(width, width // 2, 1, "B", groups=groups)
        self.conv = masked_conv(width // 2, width // 2, kernel, "B", groups=groups)
        self.widen = masked_conv(width // 2, width, 1, "B", groups=groups)

    def forward(self, h: Tensor, apply: Apply) -> Tensor:
        inside = apply(self.conv, apply(self.narrow, h.relu()).relu())
        return h + apply(self.widen, inside.relu())


class GatedPixelNetwork(PixelNetwork):
    """A stack that sees the rows above and one that sees the own row and the first: no blind spot (1606.05328, §2).

    Args:
        classes: of images; 0 makes the network unconditional.
    """

    def __init__(self, channels: int, size: Size, *, classes: int = 0) -> None:
        super().__init__()
        first = _GatedLayer(channels, size.width, size.first_kernel, size.groups, classes=classes, first=True)
        rest = [
            _GatedLayer(size.width, size.width, size.kernel, size.groups, classes=classes, first=False)
            for _ in range(size.blocks)
        ]
        self.layers = nn.ModuleList([first, *rest])
        self.head = Head(size)
        self.entrances = (first.vertical, first.horizontal)

    def context(self, x: Tensor, label: Tensor | None = None, apply: Apply = everywhere) -> list[Tensor]:
        links, v = [], x
        for layer in self.layers:
            assert isinstance(layer, _GatedLayer)
            v, link = layer.look_up(v, label, apply)
            links.append(link)
        return links

    def forward(
        self, x: Tensor, context: list[Tensor], label: Tensor | None = None, apply: Apply = everywhere
    ) -> Tensor:
        h = x
        for layer, link in zip(self.layers, context, strict=True):
            h = layer(h, link, label, apply)
        output: Tensor = self.head(h, apply)
        return output


class _GatedLayer(nn.Module):
    """One layer of both stacks (1606.05328, figure 2)."""

    def __init__(
        self, channels: int, width: int, kernel: int, groups: int, *, classes: int, first: bool
    ) -> None:
        super().__init__()
        kind: Literal["A", "B"] = "A" if first else "B"
        self.first = first
        self.vertical = vertical_conv(channels, 2 * width, kernel, first=first)
        self.link = CausalConv(2 * width, 2 * width, (1, 1), left=0, right=0)  # rows above are known in full
        self.horizontal = horizontal_conv(channels, 2 * width, kernel, kind, groups=groups, parts=2)
        self.out = masked_conv(width, width, 1, "B", groups=groups)
        self.classes = classes
        if classes:
            self.vertical_class = nn.Parameter(torch.zeros(classes, 2 * width))
            self.horizontal_class = nn.Parameter(torch.zeros(classes, 2 * width))

    def look_up(self, v: Tensor, label: Tensor | None, apply: Apply) -> tuple[Tensor, Tensor]:
        """The vertical stack's next map, and what it tells the horizontal one."""
        both = apply(self.vertical, v)
        link = apply(self.link, both)
        return gate(both + self.of_class("vertical_class", label)), link

    def forward(self, h: Tensor, link: Tensor, label: Tensor | None, apply: Apply) -> Tensor:
        gated = gate(apply(self.horizontal, h) + link + self.of_class("horizontal_class", label))
        output = apply(self.out, gated)
        return output if self.first else h + output

    def of_class(self, name: str, label: Tensor | None) -> Tensor | float:
        """V^T h of Eq. 4, [B, 2 p, 1, 1]; 0 where the class is not known."""
        if not self.classes or label is None:
            return 0.0
        weight: Tensor = getattr(self, name)
        return (weight[label.clamp_min(0)] * (label >= 0).unsqueeze(1))[:, :, None, None]


def gate(both: Tensor) -> Tensor:
    """tanh(f) sigmoid(g) of the two halves of the channels (1606.05328, Eq. 2)."""
    f, g = both.chunk(2, dim=1)
    return f.tanh() * g.sigmoid()
