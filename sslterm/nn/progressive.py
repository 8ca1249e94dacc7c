"""A generator and a discriminator that grow: every level doubles the side of the images, and is faded in.

Karras et al. 2018, arXiv:1710.10196: Fig. 2 (fading), Table 2 (layers), §3 (minibatch standard deviation), §4
(equalized rates, pixelwise norm). All levels exist from the start; two arguments say which of them a pass goes through:

    level: 0 for images of 4x4, 1 for 8x8, ...
    fade: 0-d, the share of the newest level in [0, 1]; None once it has been faded in, which is the same as 1.

At 0 the networks are those of the level below, at 1 those of the level, to the bit.

Shapes: codes [B, Z]; images [B, C, 4 * 2^level, 4 * 2^level] in [-1, 1]; outputs are float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.nn.equalized import EqualizedConv2d, EqualizedLinear

CORE = 4
"""Side of the images of level 0."""
_EPSILON = 1e-8


def levels_of(side: int) -> int:
    """How many levels images of `side` pixels take.

    Raises:
        ValueError: it is not 4 times a power of two.
    """
    levels = (side // CORE).bit_length()
    if side != CORE * 2 ** (levels - 1) or side < CORE:
        raise ValueError(f"{side} pixels are not 4, 8, 16, 32, ...")
    return levels


def growth(images: int, levels: int, *, stable_images: int, fade_images: int) -> tuple[int, float]:
    """(level, fade) after so many training images: a level is trained, the next faded in, trained, ... (App. A.1)."""
    phase = fade_images + stable_images
    level = min((images + fade_images) // phase, levels - 1)
    if level == 0:
        return 0, 1.0
    return level, min(1.0, (images - (level * phase - fade_images)) / fade_images)


def double(x: Tensor) -> Tensor:
    """Twice the side, every pixel four times."""
    return F.interpolate(x, scale_factor=2, mode="nearest")


def halve(x: Tensor) -> Tensor:
    """Half the side, of four pixels their mean."""
    return F.avg_pool2d(x, 2)


def at_level(images: Tensor, level: int, fade: Tensor | None = None) -> Tensor:
    """Real images [B, C, S, S] as the discriminator of a level sees them, faded like generated ones (App. A.1)."""
    seen = images
    while seen.shape[-1] > CORE * 2**level:
        seen = halve(seen)
    return seen if fade is None else torch.lerp(double(halve(seen)), seen, fade.to(seen))


def pixel_norm(x: Tensor) -> Tensor:
    """Every pixel's features [B, c, ...] to a mean square of 1 (§4.2)."""
    return x * (x.float().square().mean(1, keepdim=True) + _EPSILON).rsqrt().to(x.dtype)


def append_minibatch_std(x: Tensor, group: int) -> Tensor:
    """One more feature map that says how much images differ: [B, c, h, w] -> [B, c + 1, h, w] (§3).

    The standard deviation over `group` consecutive images, averaged over features and places.

    Raises:
        ValueError: the batch does not divide into groups.
    """
    batch, features, height, width = x.shape
    if batch % group:
        raise ValueError(f"{batch} images do not divide into groups of {group}")
    groups = x.float().view(batch // group, group, features, height, width)
    variance = (groups - groups.mean(1, keepdim=True)).square().mean(1)
    std = (variance + _EPSILON).sqrt().mean((1, 2, 3))  # [B / group]
    maps = std.repeat_interleave(group).view(batch, 1, 1, 1).expand(batch, 1, height, width)
    return torch.cat([x, maps.to(x.dtype)], dim=1)


class GrowingGenerator(nn.Module):
    """[B, Z] -> [B, C, side, side], side = 4 * 2^level.

    Args:
        latent_dim: Z.
        channels: of the images.
        widths: features at 4, 8, 16, ... pixels.
        leak: slope of the leaky ReLU below 0.
    """

    def __init__(self, latent_dim: int, channels: int, widths: Sequence[int], *, leak: float) -> None:
        super().__init__()
        self.leak = leak
        self.dense = EqualizedLinear(latent_dim, widths[0] * CORE**2)  # a 4x4 convolution of the 1x1 code
        self.first = nn.ModuleList([EqualizedConv2d(widths[0], widths[0], 3)])
        self.second = nn.ModuleList([nn.Identity()])
        self.to_image = nn.ModuleList(EqualizedConv2d(width, channels, 1, gain=1.0) for width in widths)
        for inputs, outputs in pairwise(widths):
            self.first.append(EqualizedConv2d(inputs, outputs, 3))
            self.second.append(EqualizedConv2d(outputs, outputs, 3))

    def forward(self, z: Tensor, level: int, fade: Tensor | None = None) -> Tensor:
        x = self.dense(pixel_norm(z)).unflatten(1, (-1, CORE, CORE))
        x = self._refine(self.first[0], self._activate(x))
        below = x
        for first, second in zip(self.first[1 : level + 1], self.second[1 : level + 1], strict=True):
            below = x
            x = self._refine(second, self._refine(first, double(x)))
        image: Tensor = self.to_image[level](x)
        if fade is not None:
            image = torch.lerp(double(self.to_image[level - 1](below)), image, fade.to(image))
        return image.float()

    def _refine(self, convolution: nn.Module, x: Tensor) -> Tensor:
        return self._activate(convolution(x))

    def _activate(self, x: Tensor) -> Tensor:
        return pixel_norm(F.leaky_relu(x, self.leak))


class GrowingDiscriminator(nn.Module):
    """[B, C, side, side], side = 4 * 2^level -> [B].

    Args:
        channels: of the images.
        widths: features at 4, 8, 16, ... pixels.
        leak: slope of the leaky ReLU below 0.
        group: images whose standard deviation is taken; B is a multiple of it.
    """

    def __init__(self, channels: int, widths: Sequence[int], *, leak: float, group: int) -> None:
        super().__init__()
        self.leak, self.group = leak, group
        self.from_image = nn.ModuleList(EqualizedConv2d(channels, width, 1) for width in widths)
        self.first = nn.ModuleList([EqualizedConv2d(widths[0] + 1, widths[0], 3)])
        to_a_point = EqualizedLinear(widths[0] * CORE**2, widths[0])  # a 4x4 convolution to 1x1
        self.second = nn.ModuleList([to_a_point])
        for outputs, inputs in pairwise(widths):
            self.first.append(EqualizedConv2d(inputs, inputs, 3))
            self.second.append(EqualizedConv2d(inputs, outputs, 3))
        self.judge = EqualizedLinear(widths[0], 1, gain=1.0)

    def forward(self, images: Tensor, level: int, fade: Tensor | None = None) -> Tensor:
        x = self._activate(self.from_image[level](images))
        for number in range(level, 0, -1):
            x = halve(self._activate(self.second[number](self._activate(self.first[number](x)))))
            if number == level and fade is not None:
                x = torch.lerp(self._activate(self.from_image[level - 1](halve(images))), x, fade.to(x))
        x = self._activate(self.first[0](append_minibatch_std(x, self.group)))
        output: Tensor = self.judge(self._activate(self.second[0](x.flatten(1))))
        return output.flatten().float()

    def _activate(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.leak)
