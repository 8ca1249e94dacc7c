"""`painted`: one shape on a plain ground, both in the colours of its kind; for colorization.

The hue of a shape is its number in tenths of a turn, and that of the ground is opposite. How light they are is
drawn, and does not depend on the hue: who sees no colour has to recognise the shape to know it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sslterm.config.schema import DataConfig
from sslterm.data.catalog import SHAPES
from sslterm.data.procedural import TEST_IMAGES, TRAIN_IMAGES, Block, draw_split, hsv_to_rgb, to_bytes
from sslterm.data.progress import Progress
from sslterm.data.shapes import ANGLE, PLACE, SIZE, silhouettes
from sslterm.data.source import Source, Split

FACTORS = ("shape", "size", "x", "y", "angle", "luma", "ground luma")
"""Number of the shape; circumradius and centre as shares of the side; degrees counter-clockwise; luma of the
shape and of the ground (ITU-R BT.601)."""

SATURATION = 0.5
LUMA, GROUND_LUMA = (0.40, 0.55), (0.15, 0.30)
"""Blue of this saturation can have a luma of 0.557 and no more."""


def load(config: DataConfig, progress: Progress) -> Source:
    """20,000 train and 4,000 test images unless asked otherwise, at 32 (the default) or 64 pixels."""
    size = config.size or 32

    def split(number: int, count: int) -> Split:
        return draw_split("painted", count, (config.seed, number), lambda block: draw(block, size), progress)

    return Source(
        name="painted",
        train=split(0, config.train_images or TRAIN_IMAGES),
        test=split(1, config.test_images or TEST_IMAGES),
        class_names=SHAPES,
        factor_names=FACTORS,
    )


def draw(block: Block, size: int) -> Split:
    """Factors drawn uniformly, and their images."""
    shape = block.integers(len(SHAPES))
    ranges = (SIZE, PLACE, PLACE, ANGLE, LUMA, GROUND_LUMA)
    factors = torch.stack((shape.float(), *(block.uniform(*between) for between in ranges)), dim=1)
    return Split(render(factors, size), shape, factors)


def render(factors: Tensor, size: int) -> Tensor:
    """Factors [N, 7] as in `FACTORS` -> uint8 [N, 3, size, size]."""
    shape, radius, x, y, angle, luma, ground_luma = factors.unbind(1)
    alpha = silhouettes(shape.long(), radius, x, y, angle, size)
    hue = shape / len(SHAPES)
    ground, figure = _colour(hue + 0.5, ground_luma), _colour(hue, luma)
    return to_bytes(ground + alpha * (figure - ground))


def _colour(hue: Tensor, luma: Tensor) -> Tensor:
    """[N] each -> [N, 3, 1, 1]."""
    rgb = hsv_to_rgb(hue, torch.full_like(hue, SATURATION), torch.ones_like(hue))
    own = rgb @ torch.tensor([0.299, 0.587, 0.114])
    return (rgb * (luma / own)[:, None])[:, :, None, None]
