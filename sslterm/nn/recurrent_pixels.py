"""The networks of PixelRNN: residual blocks of Row LSTMs or Diagonal BiLSTMs (van den Oord et al. 2016,
arXiv:1601.06759, §3.1-3.3).

Both are one recurrence: an LSTM that goes from line to line, whose state is a line and whose state-to-state product
is a convolution along it. Lines are rows of the image, or the diagonals of one that is skewed.

To paint, a layer keeps its state in a `Memory` and moves on by a pixel: `look_up` computes, once a row, what comes
from the rows above, and `at` the rest, once a value.

Shapes: B batch, N images that are painted; maps [B, C, H, W]; h features of an LSTM; T lines of L places.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.nn.causal_conv import Apply, Memory, everywhere, horizontal_conv, masked_conv
from sslterm.nn.pixel_networks import Head, PixelNetwork, Size

Recurrence = Literal["row", "diagonal"]


def lstm_step(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Output and cell (Eq. 3): gates [..., 4h] before their nonlinearity, in the order o, f, i, g; cell [..., h]."""
    features = cell.shape[-1]
    logistic, g = gates.split((3 * features, features), dim=-1)
    o, f, i = logistic.sigmoid().chunk(3, dim=-1)
    cell = f * cell + i * g.tanh()
    return o * cell.tanh(), cell


class LineLSTM(nn.Module):
    """An LSTM from line to line, convolutional along the line. It starts from zeros.

    Args:
        features: h.
        window: places of the line before that a place listens to.
        left: how many of them are to its left.
    """

    def __init__(self, features: int, window: int, left: int) -> None:
        super().__init__()
        self.features, self.window, self.left = features, window, left
        self.weight = nn.Parameter(torch.empty(4 * features, window * features))
        reach = 1 / math.sqrt(window * features)
        nn.init.uniform_(self.weight, -reach, reach)

    def look_back(self, h: Tensor) -> Tensor:
        """State to state: what a line [B, L, h] gives to the gates of the next, [B, L, 4h]."""
        padded = F.pad(h, (0, 0, self.left, self.window - 1 - self.left))
        seen = [padded[:, place : place + h.shape[1]] for place in range(self.window)]
        return F.linear(torch.cat(seen, dim=2), self.weight)

    def forward(self, gates: Tensor) -> Tensor:
        """Input to state [B, 4h, T, L] -> outputs [B, h, T, L]."""
        lines = gates.permute(2, 0, 3, 1)  # [T, B, L, 4h]
        full = torch.promote_types(lines.dtype, torch.float32)  # whatever autocast made of the gates
        h = cell = torch.zeros_like(lines[0, ..., : self.features], dtype=full)
        outputs = []
        for line in lines.unbind():
            h, cell = lstm_step(line + self.look_back(h), cell)
            outputs.append(h)
        return torch.stack(outputs).permute(1, 3, 0, 2)


class RecurrentLayer(nn.Module):
    """What both layers are: maps [B, C, H, W] -> [B, h, H, W], of the pixels before and (mask B) the pixel itself."""

    def forward(self, x: Tensor) -> Tensor:
        """All pixels at once."""
        raise NotImplementedError

    def look_up(self, memory: Memory) -> Tensor:
        """At the beginning of a row: what comes from the rows above, a map of one row [N, ..., 1, W]."""
        raise NotImplementedError

    def at(self, x: Tensor, above: Tensor, memory: Memory) -> Tensor:
        """The output at a pixel, [N, C, 1, 1] -> [N, h, 1, 1]. Called again for a pixel, it forgets the first call.

        Args:
            above: of `look_up`, at this column.
        """
        raise NotImplementedError


class RowLSTM(RecurrentLayer):
    """Row after row downwards; a pixel sees a triangle above it (§3.1).

    Args:
        channels: C.
        features: h.
        kernel: of both convolutions along the row; the one of the input is cut off at the pixel.
        groups: values of a pixel that come one after another.
    """

    def __init__(self, channels: int, features: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.features = features
        self.inputs = horizontal_conv(channels, 4 * features, kernel, "B", groups=groups, parts=4)
        self.lstm = LineLSTM(features, kernel, left=kernel // 2)
        remember(self.inputs.bias, features)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.lstm(self.inputs(x))
        return outputs

    def look_up(self, memory: Memory) -> Tensor:
        h, cell = memory.kept(self, 2 * self.features).chunk(2, dim=1)
        gates = self.lstm.look_back(h.squeeze(2).transpose(1, 2)).transpose(1, 2)
        return torch.cat((gates.unsqueeze(2), cell), dim=1)  # [N, 5h, 1, W]

    def at(self, x: Tensor, above: Tensor, memory: Memory) -> Tensor:
        gates, cell = above[:, :, 0, 0].split((4 * self.features, self.features), dim=1)
        h, cell = lstm_step(memory(self.inputs, x)[:, :, 0, 0] + gates, cell)
        memory.kept(self, 2 * self.features)[:, :, 0, memory.column] = torch.cat((h, cell), dim=1)
        return h[:, :, None, None]


class DiagonalBiLSTM(RecurrentLayer):
    """Along the diagonals from both upper corners (§3.2).

    A pixel sees all before it, but for the last one of the row above where the first window does not reach it: mask A
    hides a pixel from the maps at its own place, and those are all that comes from the right.

    The state of a pixel comes from its neighbour in the row and the pixel above: in the skewed image, from two places
    of the column before. What came from the right is shifted down by a row, lest it tell of pixels to come.

    Args: as of `RowLSTM`.
    """

    def __init__(self, channels: int, features: int, groups: int) -> None:
        super().__init__()
        self.features = features
        self.inputs = masked_conv(channels, 8 * features, 1, "B", groups=groups, parts=8)
        self.rightwards, self.leftwards = (LineLSTM(features, 2, left=1) for _ in range(2))
        for half in self.inputs.bias.chunk(2):
            remember(half, features)

    def forward(self, x: Tensor) -> Tensor:
        rightwards, leftwards = self.inputs(x).chunk(2, dim=1)
        from_left = self.along(self.rightwards, rightwards)
        from_right = self.along(self.leftwards, leftwards.flip(3)).flip(3)
        return from_left + F.pad(from_right, (0, 0, 1, -1))

    def along(self, lstm: LineLSTM, gates: Tensor) -> Tensor:
        """The outputs of one direction, from the upper left corner: [B, 4h, H, W] -> [B, h, H, W]."""
        diagonals = skew(gates).transpose(2, 3)  # [B, 4h, H + W - 1, H]
        return unskew(lstm(diagonals).transpose(2, 3))

    def look_up(self, memory: Memory) -> Tensor:
        """The output above, and the whole row above as the other direction goes through it."""
        kept = memory.kept(self, 6 * self.features)
        h, leftwards = kept[:, : self.features], kept[:, 2 * self.features :]
        from_right = memory.kept(
            self.leftwards, self.features
        )  # of two rows above, which becomes that of one
        beside = cell = torch.zeros_like(from_right[:, :, 0, 0])
        for column in reversed(range(memory.width)):
            pair = torch.stack((from_right[:, :, 0, column], beside), dim=1)  # [N, 2, h]
            gates = leftwards[:, :, 0, column] + self.leftwards.look_back(pair)[:, 1]
            beside, cell = lstm_step(gates, cell)
            from_right[:, :, 0, column] = beside
        return torch.cat((h, from_right), dim=1)  # [N, 2h, 1, W]

    def at(self, x: Tensor, above: Tensor, memory: Memory) -> Tensor:
        kept = memory.kept(self, 6 * self.features)
        rightwards, leftwards = memory(self.inputs, x)[:, :, 0, 0].chunk(2, dim=1)
        h_above, from_right = above[:, :, 0, 0].chunk(2, dim=1)
        left = kept[:, : 2 * self.features, 0, memory.column - 1] * float(memory.column > 0)
        h, cell = left.chunk(2, dim=1)
        gates = rightwards + self.rightwards.look_back(torch.stack((h_above, h), dim=1))[:, 1]
        h, cell = lstm_step(gates, cell)
        kept[:, :, 0, memory.column] = torch.cat((h, cell, leftwards), dim=1)
        return (h + from_right)[:, :, None, None]


def remember(bias: Tensor, features: int) -> None:
    """Forget gates of a bias [4h] start open (Jozefowicz, Zaremba & Sutskever 2015)."""
    with torch.no_grad():
        bias[features : 2 * features] += 1.0


def skew(x: Tensor) -> Tensor:
    """Every row a place further to the right than the one above: [B, C, H, W] -> [B, C, H, H + W - 1] (figure 3)."""
    height, width = x.shape[2:]
    flat = F.pad(x, (0, height)).flatten(2)[..., :-height]
    return flat.reshape(*x.shape[:2], height, width + height - 1)


def unskew(x: Tensor) -> Tensor:
    """The inverse of `skew`."""
    height, width = x.shape[2], x.shape[3] + 1 - x.shape[2]
    return F.pad(x.flatten(2), (0, height)).view(*x.shape[:2], height, width + height)[..., :width]


class RecurrentPixelNetwork(PixelNetwork):
    """A masked convolution, residual blocks of LSTMs, and the head of table 1."""

    def __init__(self, channels: int, size: Size, recurrence: Recurrence) -> None:
        super().__init__()
        self.first = masked_conv(channels, size.width, size.first_kernel, "A", groups=size.groups)
        self.blocks = nn.ModuleList(ResidualLSTM(size, recurrence) for _ in range(size.blocks))
        self.head = Head(size)
        self.entrances = (self.first,)

    def context(self, x: Tensor, label: Tensor | None = None, apply: Apply = everywhere) -> list[Tensor]:
        """Over whole images nothing: there the recurrence goes through all rows of a layer before the next layer."""
        if not isinstance(apply, Memory):
            return []
        return [block.layer.look_up(apply) for block in self.blocks]  # type: ignore[union-attr, operator]

    def forward(
        self, x: Tensor, context: list[Tensor], label: Tensor | None = None, apply: Apply = everywhere
    ) -> Tensor:
        h = apply(self.first, x)
        for number, block in enumerate(self.blocks):
            assert isinstance(block, ResidualLSTM)
            layer = block.layer
            inside = layer.at(h, context[number], apply) if isinstance(apply, Memory) else layer(h)
            h = h + apply(block.widen, inside)
        output: Tensor = self.head(h, apply)
        return output


class ResidualLSTM(nn.Module):
    """2h - h - 2h: the input-to-state product narrows, a 1x1 convolution widens (figure 5, right)."""

    layer: RecurrentLayer

    def __init__(self, size: Size, recurrence: Recurrence) -> None:
        super().__init__()
        features = size.width // 2
        self.layer = (
            RowLSTM(size.width, features, size.kernel, size.groups)
            if recurrence == "row"
            else DiagonalBiLSTM(size.width, features, size.groups)
        )
        self.widen = masked_conv(features, size.width, 1, "B", groups=size.groups)
