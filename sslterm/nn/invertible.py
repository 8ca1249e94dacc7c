"""Invertible layers of flows, with the logarithm of the determinant of their Jacobian.

Each maps x to (y, log |det dy/dx|) in `forward` and y back to x in `inverse`, in float32 whatever surrounds it: where
a network inside computes in half precision, what it returns is widened first.

Shapes: x and y [B, C, H, W]; log-determinants [B].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.nn.precision import in_float32
from sslterm.rows import gather

CORNERS = ((0, 0), (1, 1), (0, 1), (1, 0))
"""Pixels of a 2x2 block as channels: a half of the channels is a diagonal, so that halves are a checkerboard."""


class Invertible(nn.Module):
    """What maps to and fro. `forward` is for training; `inverse` undoes it."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        raise NotImplementedError

    def inverse(self, y: Tensor) -> Tensor:
        raise NotImplementedError


class Steps(Invertible):
    """Layers one after the other."""

    def __init__(self, layers: Iterable[Invertible]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        total = x.new_zeros(x.shape[0])
        for layer in self.layers:
            x, log_det = layer(x)
            total = total + log_det
        return x, total

    def inverse(self, y: Tensor) -> Tensor:
        for layer in reversed(self.layers):
            y = layer.inverse(y)  # type: ignore[operator]
        return y


class Squeeze(Invertible):
    """2x2 pixels become channels: [B, C, H, W] <-> [B, 4C, H/2, W/2] (Dinh et al. 2017, §3.6)."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return squeeze(x), x.new_zeros(x.shape[0])

    def inverse(self, y: Tensor) -> Tensor:
        return unsqueeze(y)


def squeeze(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, 4C, H/2, W/2]; all channels of a pixel stay together."""
    return torch.cat([x[:, :, row::2, column::2] for row, column in CORNERS], dim=1)


def unsqueeze(y: Tensor) -> Tensor:
    """[B, 4C, h, w] -> [B, C, 2h, 2w]."""
    batch, channels, height, width = y.shape
    x = y.new_empty(batch, channels // 4, 2 * height, 2 * width)
    for (row, column), part in zip(CORNERS, y.chunk(4, dim=1), strict=True):
        x[:, :, row::2, column::2] = part
    return x


class ActNorm(Invertible):
    """y = exp(log_scale) (x + shift), a scale and a shift for each channel (Kingma & Dhariwal 2018, §3.1).

    Within `adopting`, the first batch sets both, so that its y has mean 0 and variance 1 in every channel; from then
    on they are parameters like others.
    """

    adopts = False

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.adopts:
            mean, variance = moments(x)
            self.shift.copy_(-mean)
            self.log_scale.copy_(-0.5 * (variance + 1e-12).log())
        y = (x + per_channel(self.shift)) * per_channel(self.log_scale).exp()
        return y, (x[0, 0].numel() * self.log_scale.sum()).expand(x.shape[0])

    def inverse(self, y: Tensor) -> Tensor:
        return y * per_channel(-self.log_scale).exp() - per_channel(self.shift)


@contextmanager
def adopting(module: nn.Module) -> Iterator[None]:
    """Every `ActNorm` inside `module` takes its scale and shift from the batch that passes; no gradients.

    Statistics are those of the batch of all ranks, so that all of them adopt the same.
    """
    norms = [part for part in module.modules() if isinstance(part, ActNorm)]
    try:
        for norm in norms:
            norm.adopts = True
        with torch.no_grad(), torch.autocast(next(module.parameters()).device.type, enabled=False):
            yield
    finally:
        for norm in norms:
            norm.adopts = False


class MovingBatchNorm(Invertible):
    """Batch normalization by running averages that include the batch at hand (Dinh et al. 2017, §3.7 and App. E).

    In training the averages move first and normalize then; gradients flow through the newest batch's share of them.
    In evaluation mode they stay. No scale or shift is learned: couplings that follow have their own.

    Args:
        channels: C.
        momentum: rho, share of the past in the averages.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int, *, momentum: float, eps: float = 1e-5) -> None:
        super().__init__()
        self.momentum = momentum
        self.eps = eps
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, variance = self.mean, self.variance
        if self.training:
            of_batch, spread = moments(x)
            mean = self.momentum * mean + (1 - self.momentum) * of_batch
            variance = self.momentum * variance + (1 - self.momentum) * spread
            with torch.no_grad():
                self.mean.copy_(mean)
                self.variance.copy_(variance)
        log_deviation = 0.5 * (variance + self.eps).log()  # [C]
        y = (x - per_channel(mean)) * per_channel(-log_deviation).exp()
        return y, (-x[0, 0].numel() * log_deviation.sum()).expand(x.shape[0])

    def inverse(self, y: Tensor) -> Tensor:
        return y * per_channel(self.variance + self.eps).sqrt() + per_channel(self.mean)


class Convolution1x1(Invertible):
    """y = W x at every pixel, W = P L (U + diag(s)) (Kingma & Dhariwal 2018, §3.2, Eq. 10).

    P is a fixed permutation, L unit lower and U strictly upper triangular; log |det W| = sum log |s|. W starts as a
    random rotation. The signs of s stay, so that W cannot become singular.
    """

    permutation: Tensor
    sign: Tensor
    below: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        rotation = torch.linalg.qr(torch.randn(channels, channels))[0]
        permutation, lower, upper = torch.linalg.lu(rotation)
        diagonal = upper.diagonal()
        self.lower = nn.Parameter(lower)
        self.upper = nn.Parameter(upper)
        self.log_diagonal = nn.Parameter(diagonal.abs().log())
        self.register_buffer("permutation", permutation)
        self.register_buffer("sign", diagonal.sign())
        self.register_buffer("below", torch.ones(channels, channels).tril(-1))

    def factors(self) -> tuple[Tensor, Tensor]:
        """L and U + diag(s), [C, C] each."""
        lower = self.lower * self.below + torch.eye(len(self.below), device=self.below.device)
        diagonal = torch.diag(self.sign * self.log_diagonal.exp())
        return lower, self.upper * self.below.T + diagonal

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        lower, upper = self.factors()
        log_det = x[0, 0].numel() * self.log_diagonal.sum()
        return mix_channels(x, self.permutation, lower, upper), log_det.expand(x.shape[0])

    def inverse(self, y: Tensor) -> Tensor:
        lower, upper = self.factors()
        columns = self.permutation.T @ y.transpose(0, 1).flatten(1)  # [C, B * H * W]
        columns = torch.linalg.solve_triangular(lower, columns, upper=False, unitriangular=True)
        columns = torch.linalg.solve_triangular(upper, columns, upper=True)
        x: Tensor = columns.view(y.shape[1], y.shape[0], *y.shape[2:]).transpose(0, 1)
        return x


@in_float32
def mix_channels(x: Tensor, permutation: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """P L U [C, C] times the channels of every pixel of [B, C, H, W]."""
    weight = permutation @ (lower @ upper)
    return F.conv2d(x, weight[:, :, None, None])


def per_channel(values: Tensor) -> Tensor:
    """[C] -> [1, C, 1, 1]."""
    return values.view(1, -1, 1, 1)


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and (biased) variance of every channel over the batch of all ranks, [C] each, differentiable."""
    variance, mean = torch.var_mean(x.float(), dim=(0, 2, 3), correction=0)
    means, variances = gather(torch.stack((mean, variance)).unsqueeze(0)).unbind(1)  # [W, C] each
    mean = means.mean(0)
    return mean, variances.mean(0) + (means - mean).square().mean(0)  # within ranks + between them
