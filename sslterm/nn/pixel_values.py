"""What a pixel of a density in raster order can be: a bit, one of 256 levels, 256 levels under a mixture of
logistics, or one of K codes, which have no order.

Each kind says how many numbers a network gives for a pixel, and turns them into log-probabilities and draws.

Shapes: B batch; x [B, C, H, W] in [0, 1], as `observe` gives it; output [B, numbers, H, W]; K mixture components.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.errors import UsageError
from sslterm.nn.bits import PROTOCOLS, Binarization, binarize
from sslterm.nn.precision import in_float32

Output = Literal["binary", "categorical", "logistic-mixture"]
LEVELS = 256


class PixelValues:
    """What all kinds have.

    Attributes:
        protocol: what the nats are nats of.
        channels: of an image.
        groups: values of a pixel that come one after another, each after a call of the network.
        numbers: of the network, for a pixel.
        even: whether a network that says 0 everywhere is a start from which it can learn.
    """

    protocol: str
    channels: int
    groups: int
    numbers: int
    even = True

    def observe(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """What the density is over."""
        return images

    def to_network(self, x: Tensor) -> Tensor:
        """As the network sees it."""
        return 2 * x - 1

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        """log p of every pixel given those before it, in nats, [B, H, W]."""
        raise NotImplementedError

    def draw(self, output: Tensor, pixel: Tensor, group: int, uniform: Tensor) -> Tensor:
        """The pixel [N, C], with the value of `group` drawn.

        Args:
            output: [N, numbers].
            pixel: [N, C]; the values of groups before are known.
            uniform: [N, C + 1] in [0, 1), of this pixel.
        """
        raise NotImplementedError


class Bits(PixelValues):
    """Bernoulli; one channel."""

    def __init__(self, binarization: Binarization) -> None:
        self.binarization = binarization
        self.protocol = PROTOCOLS[binarization]
        self.channels = self.groups = self.numbers = 1

    def observe(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return binarize(images, self.binarization, generator)

    def to_network(self, x: Tensor) -> Tensor:
        return x

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        return -F.binary_cross_entropy_with_logits(output, x, reduction="none").squeeze(1)

    def draw(self, output: Tensor, pixel: Tensor, group: int, uniform: Tensor) -> Tensor:
        return (uniform[:, :1] < output.sigmoid()).float()


class Levels(PixelValues):
    """256-way softmax for every channel; green sees red, blue sees both (1601.06759, §3.4)."""

    protocol = "8-bit pixels"

    def __init__(self, channels: int) -> None:
        self.channels = self.groups = channels
        self.numbers = channels * LEVELS

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        scores = output.unflatten(1, (self.channels, LEVELS)).transpose(1, 2)  # [B, 256, C, H, W]
        return -F.cross_entropy(scores, to_levels(x), reduction="none").sum(1)

    def draw(self, output: Tensor, pixel: Tensor, group: int, uniform: Tensor) -> Tensor:
        chances = output.unflatten(1, (self.channels, LEVELS))[:, group].softmax(1)
        drawn = pixel.clone()
        drawn[:, group] = pick(chances, uniform[:, group]) / (LEVELS - 1)
        return drawn


class LogisticMixture(PixelValues):
    """A mixture of logistics over each pixel, cut into 256 levels; the means of green and blue lean on the channels
    before (Salimans et al. 2017, PixelCNN++, arXiv:1701.05517, §2.1-2.2).

    Args:
        channels: 1 or 3.
        components: K.
    """

    even = False  # components that start alike stay alike
    protocol = "8-bit pixels"
    groups = 1  # a pixel is drawn whole

    def __init__(self, channels: int, components: int) -> None:
        self.channels, self.components = channels, components
        self.pairs = channels * (channels - 1) // 2
        self.numbers = components * (1 + 2 * channels + self.pairs)

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        weight, mean, log_scale, lean = self.parts(output)
        x = 2 * x - 1
        log_mass = weight.log_softmax(1)
        for c in range(self.channels):
            centre = self.mean_given(mean[:, c], lean, x, c)
            log_mass = log_mass + discretized_logistic(x[:, c, None], centre, log_scale[:, c])
        return log_mass.logsumexp(1)

    def draw(self, output: Tensor, pixel: Tensor, group: int, uniform: Tensor) -> Tensor:
        weight, mean, log_scale, lean = self.parts(output)  # [N, K], [N, C, K], [N, C, K], [N, pairs, K]
        chosen = pick(weight.softmax(1), uniform[:, -1]).long().unsqueeze(1)  # [N, 1]
        x = torch.zeros_like(pixel)
        for c in range(self.channels):
            centre = self.mean_given(mean[:, c], lean, x, c).gather(1, chosen).squeeze(1)
            spread = log_scale[:, c].gather(1, chosen).squeeze(1).exp()
            continuous = centre + spread * uniform[:, c].clamp(1e-7, 1 - 1e-7).logit()
            x[:, c] = 2 * to_levels((continuous.clamp(-1, 1) + 1) / 2).float() / (LEVELS - 1) - 1
        return (x + 1) / 2

    def parts(self, output: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Weights [B, K, ...], means and log scales [B, C, K, ...], leanings [B, pairs, K, ...] in (-1, 1)."""
        k, c = self.components, self.channels
        weight, mean, log_scale, lean = output.split((k, c * k, c * k, self.pairs * k), dim=1)
        mean, log_scale = mean.unflatten(1, (c, k)), log_scale.unflatten(1, (c, k)).clamp_min(-7.0)
        return weight, mean, log_scale, lean.tanh().unflatten(1, (self.pairs, k)) if self.pairs else lean

    def mean_given(self, mean: Tensor, lean: Tensor, x: Tensor, channel: int) -> Tensor:
        """The mean of a channel [B, K, ...] given the channels before it, x [B, C, ...] in [-1, 1] (Eq. 3)."""
        first = channel * (channel - 1) // 2
        for before in range(channel):
            mean = mean + lean[:, first + before] * x[:, before, None]
        return mean


class Codes(PixelValues):
    """One of K codes; x [B, 1, H, W] holds their numbers 0 ... K - 1 as float32. The network sees them one-hot."""

    protocol = "codes"

    def __init__(self, codes: int) -> None:
        self.channels = self.groups = 1
        self.codes = self.numbers = codes

    def to_network(self, x: Tensor) -> Tensor:
        return F.one_hot(x[:, 0].long(), self.codes).movedim(-1, 1).float()

    def log_prob(self, output: Tensor, x: Tensor) -> Tensor:
        return -F.cross_entropy(output, x[:, 0].long(), reduction="none")

    def draw(self, output: Tensor, pixel: Tensor, group: int, uniform: Tensor) -> Tensor:
        return pick(output.softmax(1), uniform[:, 0])[:, None]


def values_of_pixels(
    output: Output,
    channels: int,
    binarization: Literal["dynamic", "fixed", "threshold", "none"],
    mixtures: int,
) -> PixelValues:
    """The kind that a preset's `[method]` names, for images of `channels`."""
    if output == "categorical" or binarization == "none":
        return Levels(channels) if output == "categorical" else LogisticMixture(channels, mixtures)
    if channels != 1:
        raise UsageError(
            f'method.output = "binary" models grey images, and these have {channels} channels',
            'set method.output="categorical" and method.binarization="none"',
        )
    return Bits(binarization)


@in_float32
def discretized_logistic(x: Tensor, mean: Tensor, log_scale: Tensor) -> Tensor:
    """log of the mass of a logistic in the level around x, in nats; shapes broadcast (1701.05517, Eq. 2).

    The difference of two sigmoids is s(a) s(-b) (1 - exp(b - a)), which keeps all digits in the tails as well. The
    first and last levels take what lies beyond them.
    """
    half = 1.0 / (LEVELS - 1)  # half a level, on [-1, 1]
    inverse = (-log_scale).exp()
    upper, lower = (x - mean + half) * inverse, (x - mean - half) * inverse
    inside = F.logsigmoid(upper) + F.logsigmoid(-lower) + (-torch.expm1(-2 * half * inverse)).log()
    edges = torch.where(x < -1 + half, F.logsigmoid(upper), F.logsigmoid(-lower))
    return torch.where(x.abs() > 1 - half, edges, inside)


def to_levels(x: Tensor) -> Tensor:
    """[0, 1] -> 0 ... 255, int64."""
    return (x * (LEVELS - 1)).round().long()


def pick(chances: Tensor, uniform: Tensor) -> Tensor:
    """One of the K values of each row of [N, K] by a number in [0, 1), [N] float32."""
    cumulative = chances.cumsum(1)
    return (cumulative[:, :-1] <= uniform[:, None] * cumulative[:, -1:]).sum(1).float()
