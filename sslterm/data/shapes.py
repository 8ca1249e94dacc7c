"""`shapes`: one shape on a plain ground with all its factors known; for generation, traversals, completion.

An image is a function of its factors alone (`render`), which are drawn independently of one another.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sslterm.config.schema import DataConfig
from sslterm.data.catalog import SHAPES
from sslterm.data.procedural import (
    TEST_IMAGES,
    TRAIN_IMAGES,
    Block,
    coverage,
    draw_split,
    hsv_to_rgb,
    pixel_centres,
    to_bytes,
    turn,
)
from sslterm.data.progress import Progress
from sslterm.data.source import Source, Split

FACTORS = ("shape", "hue", "size", "x", "y", "angle", "background")
"""Number of the shape; hue in turns; circumradius as a share of the side; centre as a share of the side,
from the left and from the top; degrees counter-clockwise; hue of the background in turns."""

SIZE = (0.15, 0.26)
PLACE = (0.3, 0.7)
"""With the largest size, a shape stays 0.04 of the side (a pixel of 32) away from the border."""
ANGLE = (-45.0, 45.0)

SATURATION, VALUE = 0.78, 0.95
BACKGROUND_SATURATION, BACKGROUND_VALUE = 0.45, 0.30


def load(config: DataConfig, progress: Progress) -> Source:
    """20,000 train and 4,000 test images unless asked otherwise, at 32 (the default), 64 or 128 pixels."""
    size = config.size or 32

    def split(number: int, count: int) -> Split:
        return draw_split("shapes", count, (config.seed, number), lambda block: draw(block, size), progress)

    return Source(
        name="shapes",
        train=split(0, config.train_images or TRAIN_IMAGES),
        test=split(1, config.test_images or TEST_IMAGES),
        class_names=SHAPES,
        factor_names=FACTORS,
    )


def draw(block: Block, size: int) -> Split:
    """Factors drawn uniformly, and their images."""
    shape = block.integers(len(SHAPES))
    factors = torch.stack(
        (
            shape.float(),
            block.uniform(0, 1),
            block.uniform(*SIZE),
            block.uniform(*PLACE),
            block.uniform(*PLACE),
            block.uniform(*ANGLE),
            block.uniform(0, 1),
        ),
        dim=1,
    )
    return Split(render(factors, size), shape, factors)


def render(factors: Tensor, size: int) -> Tensor:
    """Factors [N, 7] as in `FACTORS` -> uint8 [N, 3, size, size]."""
    shape, hue, radius, x, y, angle, background = factors.unbind(1)
    alpha = silhouettes(shape.long(), radius, x, y, angle, size)
    ground = _colour(background, BACKGROUND_SATURATION, BACKGROUND_VALUE)
    figure = _colour(hue, SATURATION, VALUE)
    return to_bytes(ground + alpha * (figure - ground))


def silhouettes(shape: Tensor, radius: Tensor, x: Tensor, y: Tensor, angle: Tensor, size: int) -> Tensor:
    """How much of each pixel a shape covers, from its factors, [N] each: [N, 1, size, size]."""
    centres = pixel_centres(size)
    dx = centres[None, None, :] - x[:, None, None] * size
    dy = centres[None, :, None] - y[:, None, None] * size
    return coverage(shape, *turn(dx, dy, angle), radius * size).unsqueeze(1)


def _colour(hue: Tensor, saturation: float, value: float) -> Tensor:
    """[N] -> [N, 3, 1, 1]."""
    rgb = hsv_to_rgb(hue, torch.full_like(hue, saturation), torch.full_like(hue, value))
    return rgb[:, :, None, None]
