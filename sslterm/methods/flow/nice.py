"""NICE: Non-linear Independent Components Estimation.
Laurent Dinh, David Krueger & Yoshua Bengio, ICLR workshop 2015, arXiv:1410.8516.

Idea:
    An invertible network turns images into independent components with a known density; by the change of variables
    the density of an image is then known exactly, and so is the image of any draw. What makes the network
    invertible: each layer adds to one half of the variables a function of the other half, which stays.

Objective:
    log p(x) = sum_d log p_d(f_d(x)) + log |det df/dx|                                                     (Eq. 3)
    coupling: h_1 = x_1,  h_2 = x_2 + m(x_1), m a rectified network; det = 1                               (§3.2)
    the halves change roles from layer to layer; at the end h <- exp(s) h, log |det| = sum_d s_d           (§3.3)
    prior p_d: logistic, -log(1 + e^h) - log(1 + e^-h), or standard normal                                 (§3.4)
    The loss is -log p in bits per value of the 8-bit image.

Departures:
    None in the model. Nats are those of the 8-bit image: the paper's, of pixels in [0, 1], are higher by log 256 a
    value (784 log 256 = 4347.4 on MNIST).

Watch for:
    The ladder: couplings should wash out the image until the code is noise. Volume changes in the diagonal scaling
    alone, by the same factor for every image, so that pixels which hardly vary (the border of a digit) earn most of
    the bits, and strokes cost many. Samples are noisy where the scaling is small.

Shapes:
    B batch, D values of an image; images [B, C, H, W]; halves x_1, x_2 [B, D/2]; s, code [D].
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.config.schema import Count
from sslterm.methods.base import Inputs
from sslterm.methods.flow.flow import Flow


class NICE(Flow):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        couplings: Count
        """Layers; three let every component act on every other, the paper has four (§3.2, §5.1)."""
        widths: tuple[Count, ...]
        """Hidden units of each m."""
        prior: Literal["logistic", "normal"]

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(inputs)
        self.config = config
        odd, even = (inputs.values + 1) // 2, inputs.values // 2
        self.networks = nn.ModuleList(
            rectified_net(*((odd, even) if number % 2 == 0 else (even, odd)), widths=config.widths)
            for number in range(config.couplings)
        )
        self.log_scale = nn.Parameter(torch.zeros(inputs.values))  # s of §3.3

    def push(self, y: Tensor) -> tuple[list[Tensor], Tensor]:
        *_, (odd, even) = self.couplings(*halves(y.flatten(1)))
        h = interleave(odd, even) * self.log_scale.exp()
        return [h], self.log_scale.sum().expand(h.shape[0])

    def pull(self, latents: Sequence[Tensor]) -> Tensor:
        (h,) = latents
        odd, even = halves(h * (-self.log_scale).exp())
        for number, m in reversed(list(enumerate(self.networks))):
            if number % 2 == 0:
                even = even - m(odd)
            else:
                odd = odd - m(even)
        return interleave(odd, even).view(-1, *self.shape)

    def couplings(self, odd: Tensor, even: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """The halves after every coupling layer; the first layer changes the even components."""
        for number, m in enumerate(self.networks):
            if number % 2 == 0:
                even = even + m(odd).float()
            else:
                odd = odd + m(even).float()
            yield odd, even

    def split(self, z: Tensor) -> list[Tensor]:
        return [z]

    def ladder(self, y: Tensor) -> Iterator[tuple[str, Tensor]]:
        for number, (odd, even) in enumerate(self.couplings(*halves(y.flatten(1))), start=1):
            yield f"coupling {number}", interleave(odd, even).view_as(y)
        yield "code", self.to_normal(self.push(y)[0])[0].view_as(y)

    def log_prior(self, latents: Sequence[Tensor]) -> Tensor:
        if self.config.prior == "normal":
            return super().log_prior(latents)
        (h,) = latents
        return -(F.softplus(h) + F.softplus(-h)).sum(1)  # §3.4

    def to_normal(self, latents: Sequence[Tensor]) -> list[Tensor]:
        if self.config.prior == "normal":
            return list(latents)
        return [logistic_to_normal(h) for h in latents]

    @property
    def onnx_lacks(self) -> str:
        normal = self.config.prior == "normal"
        return "" if normal else "codes become normal by the inverse of the normal distribution function"

    def from_normal(self, codes: Sequence[Tensor]) -> list[Tensor]:
        if self.config.prior == "normal":
            return list(codes)
        return [torch.special.log_ndtr(z) - torch.special.log_ndtr(-z) for z in codes]


def logistic_to_normal(h: Tensor) -> Tensor:
    """The standard normal number of the same quantile, computed in the tail, where nothing is close to 1.

    Far out, where the tail's probability has no float, log Phi(-z) = log sigmoid(-|h|) is solved by Newton's steps.
    """
    log_tail = F.logsigmoid(-h.abs())
    near = -torch.special.ndtri(log_tail.exp())
    far = (-2 * log_tail).clamp_min(1.0).sqrt()  # a little too large
    for _ in range(4):
        log_density = -0.5 * (far.square() + math.log(2 * math.pi))
        log_ndtr = torch.special.log_ndtr(-far)
        far = far + (log_ndtr - log_tail) * (log_ndtr - log_density).exp()
    return torch.where(log_tail > -10.0, near, far) * h.sign()


def halves(h: Tensor) -> tuple[Tensor, Tensor]:
    """Components 1, 3, ... and 2, 4, ... of [B, D] (§5.1)."""
    return h[:, ::2], h[:, 1::2]


def interleave(odd: Tensor, even: Tensor) -> Tensor:
    """The inverse of `halves`."""
    values = odd.shape[1] + even.shape[1]
    even = F.pad(even, (0, odd.shape[1] - even.shape[1]))
    return torch.stack((odd, even), dim=2).flatten(1)[:, :values]


def rectified_net(inputs: int, outputs: int, *, widths: Sequence[int]) -> nn.Sequential:
    """Linear and ReLU for every width, and a linear end."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [nn.Linear(inputs, width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))
