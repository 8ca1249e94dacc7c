"""Convolutions that see only what comes before in raster order, over whole images or a pixel at a time.

Masks A and B (van den Oord et al. 2016, arXiv:1601.06759, §3.4): of the pixel itself, A hides all that is not yet
known, B shows it. Where the values of a pixel come one after another (red, green, blue), channels of every layer fall
into as many groups, as even as can be, and of the pixel itself a group sees the groups before it (A), or also its own
(B).

Shapes: N images; [N, C, H, W]; at one pixel [N, C, 1, 1]; of one row [N, C, 1, W].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Apply = Callable[["CausalConv", Tensor], Tensor]
"""How a network evaluates one of its convolutions: `everywhere`, or by a `Memory`."""


class CausalConv(nn.Module):
    """A convolution with a window that ends at the pixel it is for, without the weights that a mask would hide.

    Args:
        window: rows and columns that it sees; the last row is the pixel's own (or, `above`, the one before).
        left, right: columns of the window to the sides of the pixel.
        above: the window ends a row higher.
        mask: [out, in] 0 or 1 for the weights of the pixel itself; right of it all are hidden. None: nothing is hidden.
    """

    def __init__(
        self,
        channels: int,
        out: int,
        window: tuple[int, int],
        *,
        left: int,
        right: int,
        above: bool = False,
        mask: Tensor | None = None,
    ) -> None:
        super().__init__()
        rows, columns = window
        self.window, self.left, self.right, self.above = window, left, right, above
        self.top = rows if above else rows - 1
        self.weight = nn.Parameter(torch.empty(out, channels, rows, columns))
        self.bias = nn.Parameter(torch.empty(out))
        allowed = torch.ones_like(self.weight)
        if mask is not None:
            allowed[:, :, -1, left] = mask
            allowed[:, :, -1, left + 1 :] = 0
        self.register_buffer("mask", allowed if mask is not None else None, persistent=False)
        reach = 1 / math.sqrt(float(allowed[-1].sum()) or 1.0)  # as torch does, of the weights that are used
        nn.init.uniform_(self.weight, -reach, reach)
        nn.init.uniform_(self.bias, -reach, reach)

    mask: Tensor | None

    def masked_weight(self) -> Tensor:
        return self.weight if self.mask is None else self.weight * self.mask

    def pad(self, x: Tensor) -> Tensor:
        return F.pad(x, (self.left, self.right, self.top, -1 if self.above else 0))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x if self.window == (1, 1) else self.pad(x), self.masked_weight(), self.bias)


def masked_conv(
    channels: int, out: int, size: int, kind: Literal["A", "B"], *, groups: int = 1, parts: int = 1
) -> CausalConv:
    """`size` x `size` over the rows above and what is known of the pixel's own.

    Args:
        groups: values of a pixel that come one after another.
        parts: of the output, one for every gate, each with all groups.
    """
    side, mask = size // 2, group_mask(channels, out, kind, groups=groups, parts=parts)
    return CausalConv(channels, out, (side + 1, size), left=side, right=side, mask=mask)


def horizontal_conv(
    channels: int, out: int, size: int, kind: Literal["A", "B"], *, groups: int = 1, parts: int = 1
) -> CausalConv:
    """1 x `size` over what is known of the pixel's own row."""
    side, mask = size // 2, group_mask(channels, out, kind, groups=groups, parts=parts)
    return CausalConv(channels, out, (1, side + 1), left=side, right=0, mask=mask)


def vertical_conv(channels: int, out: int, size: int, *, first: bool) -> CausalConv:
    """`size` x `size` over whole rows above: of the image (`first`), or of maps that themselves see only rows above."""
    side = size // 2
    return CausalConv(channels, out, (side if first else side + 1, size), left=side, right=side, above=first)


def group_mask(
    channels: int, out: int, kind: Literal["A", "B"], *, groups: int = 1, parts: int = 1
) -> Tensor:
    """Which weights of the pixel itself may be used, [out, channels] 0 or 1."""
    below, above = (torch.arange(n) * groups // n for n in (channels, out // parts))
    above = above.repeat(parts)
    return (above[:, None] > below if kind == "A" else above[:, None] >= below).float()


def everywhere(conv: CausalConv, x: Tensor) -> Tensor:
    """All pixels at once."""
    output: Tensor = conv(x)
    return output


class Memory:
    """Evaluates convolutions at one pixel, or one row, after another: what was computed before is remembered.

    Pixels go in raster order; a network is called at each, and all of its calls together cost what one pass over
    the whole image costs.

    Args:
        n: images.
        height, width: of an image.
    """

    def __init__(self, n: int, height: int, width: int) -> None:
        self.n, self.height, self.width = n, height, width
        self.row, self.column = 0, 0
        """Where the next call is made."""
        self._maps: dict[CausalConv, Tensor] = {}  # what came in, padded, [N, H, W, C]
        self._weights: dict[CausalConv, Tensor] = {}
        self._kept: dict[nn.Module, Tensor] = {}

    def write(self, conv: CausalConv, x: Tensor) -> None:
        """Note what comes into a convolution at this pixel, [N, C, 1, 1], or in this row, [N, C, 1, W]."""
        if conv not in self._maps:
            height, width = conv.top + self.height, conv.left + self.width + conv.right
            self._maps[conv] = x.new_zeros(self.n, height, width, x.shape[1])
        start = conv.left + (self.column if x.shape[3] == 1 else 0)
        self._maps[conv][:, conv.top + self.row, start : start + x.shape[3]] = x.squeeze(2).transpose(1, 2)

    def kept(self, layer: nn.Module, channels: int) -> Tensor:
        """What a recurrent layer keeps of every column, [N, C, 1, W], for itself to write; zeros at first."""
        if layer not in self._kept:
            like = next(layer.parameters())
            self._kept[layer] = like.new_zeros(self.n, channels, 1, self.width)
        return self._kept[layer]

    def __call__(self, conv: CausalConv, x: Tensor) -> Tensor:
        at_a_pixel, (rows, columns) = x.shape[3] == 1, conv.window
        if conv not in self._weights:
            weight = conv.masked_weight()
            self._weights[conv] = weight.permute(0, 2, 3, 1).flatten(1) if at_a_pixel else weight
        weight = self._weights[conv]
        if conv.window == (1, 1):
            seen = x
        else:
            self.write(conv, x)
            seen = self._maps[conv][:, self.row : self.row + rows]
            seen = seen[:, :, self.column : self.column + columns] if at_a_pixel else seen.permute(0, 3, 1, 2)
        if at_a_pixel:
            return F.linear(seen.flatten(1), weight, conv.bias)[:, :, None, None]
        return F.conv2d(seen, weight, conv.bias)
