"""The parameters of a batch of views: drawn once, apart from the images, and then only applied.

Every image has its own parameters and its own order of colour operations. The uniform numbers behind a table
are drawn for the whole batch and cut to the rows at hand, so that a view does not depend on how a batch is
cut over ranks and micro-batches. An operation that is off has a neutral value: the whole image as its crop,
no turn, factors of 1, a blur of 0 pixels, an empty hole, no noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from enum import IntEnum

import torch
from torch import Tensor

from sslterm import rows
from sslterm.config.schema import ViewConfig
from sslterm.errors import UsageError


class Colour(IntEnum):
    """The four parts of colour jitter, in torchvision's numbering."""

    BRIGHTNESS = 0
    CONTRAST = 1
    SATURATION = 2
    HUE = 3


@dataclass(frozen=True, kw_only=True)
class Table:
    """What is done to each of B images. All tensors are on one device and have B rows."""

    box: Tensor
    """[B, 4] int64: top, left, height, width of the crop, in pixels."""
    flip: Tensor
    """[B] bool: mirrored left to right."""
    turns: Tensor
    """[B] int64: quarter turns, counter-clockwise, 0 to 3."""
    jitter: Tensor
    """[B] bool: whether `factors` apply."""
    order: Tensor
    """[B, 4] int64: a permutation of `Colour`; the part in column 0 comes first."""
    factors: Tensor
    """[B, 4] float32 by `Colour`; neutral are 1, 1, 1 and 0 (the hue shift is in turns)."""
    grey: Tensor
    """[B] bool."""
    sigma: Tensor
    """[B] float32: standard deviation of the Gaussian blur in pixels; 0 for none."""
    solarize: Tensor
    """[B] bool."""
    hole: Tensor
    """[B, 4] int64: top, left, height, width of the grey rectangle, in pixels; height 0 for none."""
    noise: Tensor
    """[B] float32: standard deviation of the noise; 0 for none."""
    noise_seed: Tensor
    """[B] int64 in [0, 2^48): the noise is a function of it and of the place in the image."""
    sobel: Tensor
    """[B] bool."""

    def __len__(self) -> int:
        return len(self.flip)

    def __getitem__(self, index: slice | Tensor) -> Table:
        """The rows `index`, e.g. repeated for the frames of a clip."""
        return Table(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    @staticmethod
    def neutral(n: int, height: int, width: int, *, device: torch.device) -> Table:
        """The table that leaves `n` images of `height` x `width` pixels as they are."""
        off = torch.zeros(n, dtype=torch.bool, device=device)
        return Table(
            box=_whole_boxes(n, height, width, device),
            flip=off,
            turns=off.long(),
            jitter=off,
            order=torch.arange(4, device=device).repeat(n, 1),
            factors=torch.tensor([1.0, 1.0, 1.0, 0.0]).to(device).repeat(n, 1),
            grey=off,
            sigma=off.float(),
            solarize=off,
            hole=torch.zeros(n, 4, dtype=torch.long, device=device),
            noise=off.float(),
            noise_seed=off.long(),
            sobel=off,
        )


TRIES = 10
"""Crops drawn before the central one is taken, as in torchvision."""


class Draw(IntEnum):
    """Which uniform number decides what; the columns of the one draw that a table is made from."""

    AREA = 0
    RATIO = 10
    TOP = 20
    LEFT = 21
    FLIP = 22
    TURN = 23
    TURNS = 24
    JITTER = 25
    ORDER = 26
    FACTORS = 30
    GREY = 34
    BLUR = 35
    SIGMA = 36
    SOLARIZE = 37
    CUTOUT = 38
    HOLE_TOP = 39
    HOLE_LEFT = 40
    NOISE = 41
    SEED_LOW = 42
    SEED_HIGH = 43
    SOBEL = 44
    COUNT = 45


def view_shape(config: ViewConfig, height: int, width: int) -> tuple[int, int]:
    """Height and width of a view of an image of `height` x `width` pixels."""
    return (config.size, config.size) if config.size else (height, width)


def sample(config: ViewConfig, n: int, height: int, width: int, *, device: torch.device) -> Table:
    """Draw the parameters of `n` views of images of `height` x `width` pixels, without waiting for the device.

    Raises:
        UsageError: quarter turns of images that are not square.
    """
    view_height, view_width = view_shape(config, height, width)
    if config.rotate and view_height != view_width:
        raise UsageError(
            f"rotation by quarter turns needs square images, and these are {width}x{height} pixels",
            "set the view's rotate to 0, or data.size to the side of a square",
        )
    u = rows.draw(n, lambda total: torch.rand(total, Draw.COUNT, device=device))  # [B, 45] in [0, 1)
    blurred = u[:, Draw.BLUR] < config.blur
    noisy = u[:, Draw.NOISE] < config.noise
    return Table(
        box=_crop_boxes(config, u, height, width),
        flip=u[:, Draw.FLIP] < config.flip,
        turns=(u[:, Draw.TURN] < config.rotate) * (1 + _integers(u[:, Draw.TURNS], 3)),
        jitter=u[:, Draw.JITTER] < config.jitter,
        order=u[:, Draw.ORDER : Draw.ORDER + 4].argsort(dim=1),
        factors=_factors(config, u[:, Draw.FACTORS : Draw.FACTORS + 4]),
        grey=u[:, Draw.GREY] < config.grey,
        sigma=blurred * _between(u[:, Draw.SIGMA], *config.blur_sigma),
        solarize=u[:, Draw.SOLARIZE] < config.solarize,
        hole=_holes(config, u, view_height, view_width),
        noise=noisy * torch.full_like(u[:, Draw.NOISE], config.noise_std),
        noise_seed=_integers(u[:, Draw.SEED_LOW], 1 << 24) + (_integers(u[:, Draw.SEED_HIGH], 1 << 24) << 24),
        sobel=u[:, Draw.SOBEL] < config.sobel,
    )


def _integers(u: Tensor, high: int | Tensor) -> Tensor:
    """Uniform in 0 .. high - 1. The minimum guards against u * high rounding up to high."""
    drawn = (u * high).long()
    return torch.minimum(drawn, high - 1) if isinstance(high, Tensor) else drawn.clamp(max=high - 1)


def _between(u: Tensor, low: float, high: float) -> Tensor:
    return low + u * (high - low)


def whole_image(config: ViewConfig) -> bool:
    """Whether the crop is the image itself."""
    return config.crop == (1.0, 1.0)


def _crop_boxes(config: ViewConfig, u: Tensor, height: int, width: int) -> Tensor:
    """[B, 4], as torchvision's RandomResizedCrop: the first of ten that fits, else a central one."""
    if whole_image(config):
        return _whole_boxes(len(u), height, width, u.device)
    area = height * width * _between(u[:, Draw.AREA : Draw.AREA + TRIES], *config.crop)
    low, high = (math.log(ratio) for ratio in config.crop_ratio)
    ratio = _between(u[:, Draw.RATIO : Draw.RATIO + TRIES], low, high).exp()
    w, h = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()  # [B, 10]
    fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
    first = fits.int().argmax(dim=1, keepdim=True)  # [B, 1]
    any_fits = fits.any(dim=1)
    central_h, central_w = _central_box(config.crop_ratio, height, width)
    h = torch.where(any_fits, h.gather(1, first).squeeze(1).long(), central_h)
    w = torch.where(any_fits, w.gather(1, first).squeeze(1).long(), central_w)
    top = torch.where(any_fits, _integers(u[:, Draw.TOP], height - h + 1), (height - h) // 2)
    left = torch.where(any_fits, _integers(u[:, Draw.LEFT], width - w + 1), (width - w) // 2)
    return torch.stack((top, left, h, w), dim=1)


def _whole_boxes(n: int, height: int, width: int, device: torch.device) -> Tensor:
    """[n, 4]"""
    boxes = torch.zeros(n, 4, dtype=torch.long, device=device)
    boxes[:, 2] = height
    boxes[:, 3] = width
    return boxes


def _central_box(ratio: tuple[float, float], height: int, width: int) -> tuple[int, int]:
    """Height and width of the largest box whose aspect ratio is in range."""
    if width / height < ratio[0]:
        return min(height, max(1, round(width / ratio[0]))), width
    if width / height > ratio[1]:
        return height, min(width, max(1, round(height * ratio[1])))
    return height, width


def _factors(config: ViewConfig, u: Tensor) -> Tensor:
    """[B, 4] in the order of `Colour`."""
    ranges = [(max(0.0, 1 - x), 1 + x) for x in (config.brightness, config.contrast, config.saturation)]
    ranges.append((-config.hue, config.hue))
    return torch.stack([_between(u[:, i], low, high) for i, (low, high) in enumerate(ranges)], dim=1)


def _holes(config: ViewConfig, u: Tensor, height: int, width: int) -> Tensor:
    """[B, 4]. A square around any pixel, clipped at the border (DeVries & Taylor, arXiv:1708.04552)."""
    side = round(config.cutout_size * min(height, width))
    top = _integers(u[:, Draw.HOLE_TOP], height) - side // 2
    left = _integers(u[:, Draw.HOLE_LEFT], width) - side // 2
    bottom, right = (top + side).clamp(max=height), (left + side).clamp(max=width)
    top, left = top.clamp(min=0), left.clamp(min=0)
    hole = torch.stack((top, left, bottom - top, right - left), dim=1)
    return hole * (u[:, Draw.CUTOUT] < config.cutout)[:, None]
