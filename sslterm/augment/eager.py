"""Views in plain PyTorch: the reference, and what runs where nothing faster does.

On a CPU every operation runs on the images that it is meant for (a subset by index). Elsewhere finding them
would make the host wait for the device, so that operations run on all images and a mask decides. Both give
the same images.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sslterm.augment import colour, filters, geometry
from sslterm.augment.table import Colour, Table, view_shape
from sslterm.config.schema import ViewConfig

Operation = Callable[..., Tensor]
"""(images [M, C, H, W], parameters [M, ...], ...) -> images, image by image."""

_PORTION_VALUES = 1 << 20
"""Numbers in a portion of the batch on a CPU; larger intermediate results leave the caches."""

_PARTS: dict[Colour, Operation] = {
    Colour.BRIGHTNESS: colour.adjust_brightness,
    Colour.CONTRAST: colour.adjust_contrast,
    Colour.SATURATION: colour.adjust_saturation,
    Colour.HUE: colour.adjust_hue,
}


def apply(config: ViewConfig, images: Tensor, table: Table) -> Tensor:
    """The views [B, C, H', W'] of `images` [B, C, H, W] that `table` describes; what is off is skipped."""
    if images.device.type != "cpu":
        return _apply(config, images, table, _masked)
    views = images.new_empty(*images.shape[:2], *view_shape(config, *images.shape[2:]))
    portion = max(1, _PORTION_VALUES // max(1, images.shape[1:].numel()))
    for start in range(0, len(images), portion):
        cut = slice(start, start + portion)
        views[cut] = _apply(config, images[cut], table[cut], _indexed)
    return views


def _masked(images: Tensor, chosen: Tensor, operation: Operation, *parameters: Tensor) -> Tensor:
    return torch.where(chosen[:, None, None, None], operation(images, *parameters), images)


def _indexed(images: Tensor, chosen: Tensor, operation: Operation, *parameters: Tensor) -> Tensor:
    index = chosen.nonzero().squeeze(1)
    if len(index) == len(images):
        return operation(images, *parameters)
    if len(index):
        images.index_copy_(
            0, index, operation(images[index], *(parameter[index] for parameter in parameters))
        )
    return images


def _apply(config: ViewConfig, images: Tensor, table: Table, where: Operation) -> Tensor:
    """The operations in the order of `ViewConfig`'s fields; `where` applies one to the chosen images."""
    images = geometry.crop_and_flip(images, table.box, table.flip, view_shape(config, *images.shape[2:]))
    if config.rotate:
        images = where(images, table.turns > 0, geometry.quarter_turns, table.turns)
    if config.jitter:
        images = _jitter(config, images, table, where)
    if config.grey:
        images = where(images, table.grey, colour.drop_colour)
    if config.blur:
        radius = filters.blur_radius(config.blur_sigma[1], *images.shape[2:])
        images = where(images, table.sigma > 0, lambda x, s: filters.gaussian_blur(x, s, radius), table.sigma)
    if config.solarize:
        images = where(images, table.solarize, colour.solarize)
    if config.cutout:
        images = where(images, table.hole[:, 2] > 0, filters.cut_holes, table.hole)
    if config.noise:
        images = where(images, table.noise > 0, filters.add_noise, table.noise, table.noise_seed)
    if config.sobel:
        images = where(images, table.sobel, filters.sobel_edges)
    return images


def _jitter(config: ViewConfig, images: Tensor, table: Table, where: Operation) -> Tensor:
    """Every image's colour operations in its own order."""
    spread = (config.brightness, config.contrast, config.saturation, config.hue)
    for slot in table.order.unbind(1):
        for part, operation in _PARTS.items():
            if spread[part]:
                images = where(images, table.jitter & (slot == part), operation, table.factors[:, part])
    return images
