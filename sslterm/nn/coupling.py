"""Coupling layers: a part of an image is scaled and shifted by what a network makes of the rest.

The rest passes unchanged, so that the inverse runs the same network the same way; the network itself need not be
invertible. Jacobians are triangular: log-determinants are sums of log-scales.

Shapes: x and y [B, C, H, W]; log-determinants [B]; networks map [B, c, h, w] to [B, c', h, w].
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.nn.invertible import ActNorm, Invertible, per_channel
from sslterm.nn.norm import BatchNorm


class Scale(nn.Module):
    """What a network says, read as log-scale and shift.

    - "none": shift alone, the scale is 1 (Dinh et al. 2015, §3.2: additive coupling)
    - "tanh": log s = c tanh(.), with a learned c for each channel that starts at 0 (Dinh et al. 2017, §4.1)
    - "sigmoid": s = sigmoid(. + 2) (Kingma & Dhariwal 2018, in the authors' code; about 1 at the start)
    """

    def __init__(self, bound: Literal["none", "tanh", "sigmoid"], channels: int) -> None:
        super().__init__()
        self.bound = bound
        self.outputs = channels * (1 if bound == "none" else 2)
        """Channels that the network has to give."""
        if bound == "tanh":
            self.reach = nn.Parameter(torch.zeros(channels))

    def forward(self, said: Tensor) -> tuple[Tensor, Tensor]:
        """[B, outputs, h, w] -> log s and t, [B, c, h, w] each, float32."""
        said = said.float()
        if self.bound == "none":
            return torch.zeros_like(said), said
        raw, shift = said.chunk(2, dim=1)
        if self.bound == "tanh":
            return per_channel(self.reach) * raw.tanh(), shift
        return F.logsigmoid(raw + 2.0), shift


class SplitCoupling(Invertible):
    """One half of the channels, given the other: y_a = exp(s(x_b)) x_a + t(x_b), y_b = x_b.

    Args:
        network: half of the channels -> `scale.outputs`.
        first: change the first half; else the second.
    """

    def __init__(self, network: nn.Module, scale: Scale, *, first: bool) -> None:
        super().__init__()
        self.network = network
        self.scale = scale
        self.first = first

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        changed, kept = self._halves(x)
        log_scale, shift = self.scale(self.network(kept))
        changed = changed * log_scale.exp() + shift
        return self._join(changed, kept), log_scale.flatten(1).sum(1)

    def inverse(self, y: Tensor) -> Tensor:
        changed, kept = self._halves(y)
        log_scale, shift = self.scale(self.network(kept))
        return self._join((changed - shift) * (-log_scale).exp(), kept)

    def _halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first, second = x.chunk(2, dim=1)
        return (first, second) if self.first else (second, first)

    def _join(self, changed: Tensor, kept: Tensor) -> Tensor:
        return torch.cat((changed, kept) if self.first else (kept, changed), dim=1)


class CheckerboardCoupling(Invertible):
    """The black pixels, given the white ones, or the other way round (Dinh et al. 2017, §3.4, Eq. 9).

    Args:
        network: all channels -> `scale.outputs`.
        black: change the pixels whose row and column add up to an even number; else the others.
    """

    def __init__(self, network: nn.Module, scale: Scale, *, black: bool) -> None:
        super().__init__()
        self.network = network
        self.scale = scale
        self.black = black

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        log_scale, shift, kept = self._affine(x)
        return kept * x + (1 - kept) * (x * log_scale.exp() + shift), log_scale.flatten(1).sum(1)

    def inverse(self, y: Tensor) -> Tensor:
        log_scale, shift, kept = self._affine(y)
        return kept * y + (1 - kept) * (y - shift) * (-log_scale).exp()

    def _affine(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """log s and t, 0 where x is kept, and b: 1 where it is kept, 0 elsewhere."""
        rows, columns = (torch.arange(side, device=x.device) for side in x.shape[2:])
        odd = (rows[:, None] + columns) % 2
        kept = odd.to(x.dtype) if self.black else 1 - odd.to(x.dtype)  # [H, W]
        log_scale, shift = self.scale(self.network(kept * x))
        return (1 - kept) * log_scale, (1 - kept) * shift, kept


class WeightNormConv(nn.Module):
    """A convolution whose weights are g v / |v|, for each output channel (Salimans & Kingma 2016, arXiv:1602.07868)."""

    def __init__(self, channels_in: int, channels: int, side: int) -> None:
        super().__init__()
        like = nn.Conv2d(channels_in, channels, side, padding=side // 2)
        self.padding = side // 2
        self.direction = nn.Parameter(like.weight.detach().clone())
        self.gain = nn.Parameter(like.weight.detach().flatten(1).norm(dim=1))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        weight = self.direction * (self.gain / self.direction.flatten(1).norm(dim=1)).view(-1, 1, 1, 1)
        return F.conv2d(x, weight, self.bias, padding=self.padding)


class ResidualNet(nn.Module):
    """3x3, residual blocks of two 3x3, 1x1, with BatchNorm and weight normalization (Dinh et al. 2017, §3.7, §4.1)."""

    def __init__(self, channels: int, width: int, outputs: int, *, blocks: int) -> None:
        super().__init__()
        self.enter = WeightNormConv(channels, width, 3)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                BatchNorm(width), nn.ReLU(), WeightNormConv(width, width, 3),
                BatchNorm(width), nn.ReLU(), WeightNormConv(width, width, 3),
            )
            for _ in range(blocks)
        )  # fmt: skip
        self.leave = nn.Sequential(BatchNorm(width), nn.ReLU(), WeightNormConv(width, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        for block in self.blocks:
            x = x + block(x)
        said: Tensor = self.leave(x)
        return said


class ActNormConv(nn.Module):
    """A convolution without bias, with `ActNorm` behind it (Kingma & Dhariwal 2018, §3.3 and the authors' code)."""

    def __init__(self, channels_in: int, channels: int, side: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels_in, channels, side, padding=side // 2, bias=False)
        nn.init.normal_(self.convolution.weight, 0.0, 0.05)
        self.norm = ActNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.norm(self.convolution(x))[0]
        return y


class ZeroConv(nn.Module):
    """A 3x3 convolution that starts at 0, with a learned gain exp(3 g) (Kingma & Dhariwal 2018, §3.3)."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(channels_in, channels, 3, padding=1)
        self.log_gain = nn.Parameter(torch.zeros(channels))
        for parameter in self.convolution.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.convolution(x)
        return y * per_channel(3 * self.log_gain).exp()


def glow_net(channels: int, width: int, outputs: int) -> nn.Sequential:
    """3x3, 1x1, 3x3 with ReLU between (Kingma & Dhariwal 2018, §3.3 and §5)."""
    return nn.Sequential(
        ActNormConv(channels, width, 3), nn.ReLU(), ActNormConv(width, width, 1), nn.ReLU(), ZeroConv(width, outputs)
    )  # fmt: skip
