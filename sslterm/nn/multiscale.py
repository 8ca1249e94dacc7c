"""Flows of several scales: after each but the last, half of the variables is done (Dinh et al. 2017, §3.6).

What is factored out at a scale is Gaussian given the rest; a learned mean and deviation of it are one more layer, so
that all codes are standard normal a priori.

Shapes: images [B, C, H, W]; codes, finest scale first, [B, c, h, w] each; log-determinants [B].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from sslterm.nn.coupling import CheckerboardCoupling, SplitCoupling, ZeroConv
from sslterm.nn.invertible import Invertible, Squeeze, Steps, unsqueeze


class Prior(nn.Module):
    """Mean and log-deviation of the half that leaves, from the half that stays; both 0 at the start.

    Kingma & Dhariwal 2018, in the authors' code.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.network = ZeroConv(channels, 2 * channels)

    def forward(self, stays: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_deviation = self.network(stays).float().chunk(2, dim=1)
        return mean, log_deviation


class MultiScale(nn.Module):
    """Scales one after the other; each must squeeze once, except that the last may not.

    Args:
        scales: finest first.
        priors: one for each scale but the last, of the half that leaves it; () for standard normal halves.
    """

    def __init__(self, scales: Sequence[Steps], priors: Sequence[Prior] = ()) -> None:
        super().__init__()
        self.scales = nn.ModuleList(scales)
        self.priors = nn.ModuleList(priors)

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        codes: list[Tensor] = []
        total = x.new_zeros(x.shape[0])
        for number, scale in enumerate(self.scales[:-1]):
            x, log_det = scale(x)
            x, code, more = self._factor_out(x, number)
            codes.append(code)
            total = total + log_det + more
        x, log_det = self.scales[-1](x)
        return [*codes, x], total + log_det

    def _factor_out(self, x: Tensor, number: int) -> tuple[Tensor, Tensor, Tensor]:
        """What stays after scale `number`, the code of what leaves, and the log-determinant [B] of that code."""
        x, leaves = x.chunk(2, dim=1)
        if not self.priors:
            return x, leaves, x.new_zeros(x.shape[0])
        mean, log_deviation = self.priors[number](x)
        return x, (leaves - mean) * (-log_deviation).exp(), -log_deviation.flatten(1).sum(1)

    def inverse(self, codes: Sequence[Tensor]) -> Tensor:
        x: Tensor
        *finer, x = codes
        x = self.scales[-1].inverse(x)  # type: ignore[operator]
        for number in reversed(range(len(finer))):
            leaves = finer[number]
            if self.priors:
                mean, log_deviation = self.priors[number](x)
                leaves = mean + leaves * log_deviation.exp()
            x = self.scales[number].inverse(torch.cat((x, leaves), dim=1))  # type: ignore[operator]
        return x

    def ladder(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        """What each coupling makes of x, with every variable in the place of its pixel: (name, [B, C, H, W])."""
        left: list[Tensor] = []
        for number, scale in enumerate(self.scales):
            squeezed, couplings = False, 0
            assert isinstance(scale, Steps)
            for layer in scale.layers:
                assert isinstance(layer, Invertible)
                x = layer(x)[0]
                squeezed |= isinstance(layer, Squeeze)
                if isinstance(layer, CheckerboardCoupling | SplitCoupling):
                    couplings += 1
                    yield f"scale {number + 1}.{couplings}", _in_place(x, left, squeezed=squeezed)
            if number + 1 < len(self.scales):
                x, code, _ = self._factor_out(x, number)
                left.append(code)
        yield "z", _in_place(x, left, squeezed=squeezed)


def _in_place(x: Tensor, left: Sequence[Tensor], *, squeezed: bool) -> Tensor:
    if squeezed:
        x = unsqueeze(x)
    for leaves in reversed(left):
        x = unsqueeze(torch.cat((x, leaves), dim=1))
    return x


def code_shapes(
    shape: tuple[int, int, int], scales: int, *, last_squeezes: bool
) -> list[tuple[int, int, int]]:
    """(c, h, w) of the codes of an image of `shape`, finest first."""
    channels, height, width = shape
    shapes = []
    for _ in range(scales - 1):
        channels, height, width = (
            2 * channels,
            height // 2,
            width // 2,
        )  # squeezed to 4 C, and half of it stays
        shapes.append((channels, height, width))
    last = (4 * channels, height // 2, width // 2) if last_squeezes else (channels, height, width)
    return [*shapes, last]
