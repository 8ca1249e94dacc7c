"""`scenes`: something stands upright on the ground, under a sky, in the light; for tasks about place and pose.

The class is the thing in front. A scene has an up and a down, a near and a far, and light from one side:
turned, shuffled or cut to pieces, it can be put right again by what is seen of it. Colours, sizes, places,
hours of the day and haze say nothing about the class, so that raw pixels do badly on it; and in haze the sky
looks like the ground, so that what is up is told by the thing alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.config.schema import DataConfig
from sslterm.data.catalog import THINGS
from sslterm.data.procedural import (
    TEST_IMAGES,
    TRAIN_IMAGES,
    Block,
    draw_split,
    hsv_to_rgb,
    pixel_centres,
    to_bytes,
)
from sslterm.data.progress import Progress
from sslterm.data.source import Source, Split
from sslterm.data.standing import DRAWN, HALF_WIDTHS, HEIGHTS

HORIZON = (0.30, 0.62)
"""From the top. All lengths are shares of the side."""
HEIGHT = (0.46, 0.78)
"""Of the thing in front."""
WIDTH = 0.80
"""Most that it may be wide."""
MARGIN = 0.04
"""Between it and the border."""
SLIMNESS = (0.85, 1.15)
"""Factor on its width."""
HAZE = 0.75
"""Most of the difference between sky and ground that haze takes away."""
NOISE = 0.02
"""Standard deviation, per pixel and channel."""


def load(config: DataConfig, progress: Progress) -> Source:
    """20,000 train and 4,000 test images unless asked otherwise, at 32 (the default) or 64 pixels."""
    size = config.size or 32

    def split(number: int, count: int) -> Split:
        return draw_split("scenes", count, (config.seed, number), lambda block: draw(block, size), progress)

    return Source(
        name="scenes",
        train=split(0, config.train_images or TRAIN_IMAGES),
        test=split(1, config.test_images or TEST_IMAGES),
        class_names=THINGS,
    )


def draw(block: Block, size: int) -> Split:
    """One block: [N, 3, S, S] and the things in front."""
    thing = block.integers(len(THINGS))
    stage = Stage.draw(block, size)
    images = _landscape(block, stage)
    _stand(block, stage, images, thing)
    return Split(to_bytes(images.add_(block.normal(3, size, size), alpha=NOISE)), thing)


@dataclass(frozen=True)
class Stage:
    """Where all pixels of a block lie, and what its scenes share.

    Attributes:
        across, down: centres of pixels from the left and from the top, [1, 1, S] and [1, S, 1].
        horizon: from the top, [N].
        light: where it comes from, -1 (far left) to 1 (far right), [N].
        size: S.
    """

    across: Tensor
    down: Tensor
    horizon: Tensor
    light: Tensor
    size: int

    @staticmethod
    def draw(block: Block, size: int) -> Stage:
        line = pixel_centres(size) / size
        horizon, light = block.uniform(*HORIZON), _side(block) * block.uniform(0.4, 1.0)
        return Stage(line[None, None, :], line[None, :, None], horizon, light, size)

    @property
    def below(self) -> Tensor:
        """How far a row is below the horizon, [N, S, 1]."""
        return self.down - self.horizon[:, None, None]


def _landscape(block: Block, stage: Stage) -> Tensor:
    """Sky, hills and ground, in haze or not, [N, 3, S, S]."""
    sky, rim = _sky(block, stage)
    hue = block.uniform(0.05, 0.45)
    ground = _colour(hue, block.uniform(0.15, 0.60), block.uniform(0.35, 0.85))
    hills = _colour(hue + block.uniform(-0.08, 0.08), block.uniform(0.1, 0.4), block.uniform(0.25, 0.75))
    hills = torch.lerp(hills, rim, _wide(block.uniform(0.1, 0.6)))  # which the air between makes pale
    image = torch.lerp(sky, hills, _covered(stage.below + _ridge(block, stage), stage.size))
    lit = 1 + 0.1 * _wide(stage.light) * (stage.across - 0.5)
    textured = ground * lit * (1 + _texture(block, stage) * _wide(block.uniform(0.3, 1.0)))
    image = torch.lerp(image, textured, _covered(stage.below, stage.size))
    haze = _wide(_chance(block, 0.5) * block.uniform(0, HAZE))
    thickness = haze * (0.4 + 0.6 * torch.exp(-4 * stage.below.abs()).unsqueeze(1))
    return torch.lerp(image, (rim + ground) / 2, thickness)


def _sky(block: Block, stage: Stage) -> tuple[Tensor, Tensor]:
    """From the zenith's colour to the rim's, with clouds and the glow of the sun; and the rim's alone."""
    hue = torch.where(_chance(block, 0.7), block.uniform(0.50, 0.68), block.uniform(-0.15, 0.12))
    value = block.uniform(0.35, 0.95)
    zenith = _colour(hue, block.uniform(0.2, 0.65), value)
    rim = _colour(
        hue + block.uniform(-0.12, 0.12), block.uniform(0.05, 0.35), value + block.uniform(-0.1, 0.2)
    )
    height = (-stage.below / stage.horizon[:, None, None]).clamp(0, 1).unsqueeze(1)
    sky = torch.lerp(rim, zenith, height.pow(0.8))
    sun_x, sun_y = 0.5 + 0.55 * stage.light, stage.horizon * block.uniform(0.1, 0.7)
    away = torch.hypot(stage.across - sun_x[:, None, None], stage.down - sun_y[:, None, None])
    glow = _colour(block.uniform(0.02, 0.16), block.uniform(0.1, 0.6), block.uniform(0.3, 0.6))
    sky = sky + glow * torch.exp(-3.5 * away).unsqueeze(1)
    clouds = _smooth(block, (7, 3), stage.size, "bicubic") + 0.5 * _smooth(
        block, (14, 6), stage.size, "bilinear"
    )
    cover = (clouds - _wide(block.uniform(0.2, 1.2))).clamp_(0, 1) * _wide(block.uniform(0.2, 0.7))
    return torch.lerp(sky, 0.4 * sky.mean((2, 3), keepdim=True) + 0.6, cover), rim


def _ridge(block: Block, stage: Stage) -> Tensor:
    """How high the hills rise above the horizon, the sum of two waves: [N, 1, S]."""
    line = torch.zeros(())
    for waves, share in (((3.0, 7.0), 0.67), ((8.0, 16.0), 0.25)):
        rate, phase = (block.uniform(*bounds)[:, None, None] for bounds in (waves, (0.0, 2 * math.pi)))
        line = line + share * (1 + torch.sin(rate * stage.across + phase))
    return block.uniform(0.0, 0.12)[:, None, None] * line


def _texture(block: Block, stage: Stage) -> Tensor:
    """Light and dark of the ground, in perspective: finer and fainter the farther away, [N, 1, S, S]."""
    away = 0.12 / stage.below.clamp_min(0.02)  # [N, S, 1]
    beside, ahead = 3 * (stage.across - 0.5) * away, (0.8 * away).expand(-1, stage.size, stage.size)
    speckles = F.grid_sample(
        block.normal(1, 12, 12),
        torch.stack((beside, ahead), dim=-1),
        align_corners=False,
        padding_mode="reflection",
    )
    furrows = torch.sin(ahead * block.uniform(6, 16)[:, None, None]) * _chance(block, 0.35)[:, None, None]
    return (0.20 * speckles + 0.15 * furrows.unsqueeze(1)) * (0.25 / away).clamp(0.15, 1).unsqueeze(1)


def _stand(block: Block, stage: Stage, images: Tensor, thing: Tensor) -> None:
    """Paint the things and their shadows into `images`."""
    slim, facing = block.uniform(*SLIMNESS), _side(block)
    tall, wide = torch.tensor(HEIGHTS)[thing], torch.tensor(HALF_WIDTHS)[thing] * slim
    unit = torch.minimum(
        block.uniform(*HEIGHT) / tall, WIDTH / (2 * wide)
    )  # what 1 is, as a share of the side
    highest = torch.maximum(stage.horizon + 0.06, unit * tall + MARGIN)
    foot = highest + (1 - MARGIN - highest) * block.uniform(0, 1)
    reach = wide * unit + MARGIN
    middle = reach + (1 - 2 * reach) * block.uniform(0, 1)
    colours = _paints(block)
    length, depth = stage.light * block.uniform(0.5, 1.3), block.uniform(0.35, 0.6)
    for number, drawn in enumerate(DRAWN):
        rows = (thing == number).nonzero().squeeze(1)
        if not len(rows):
            continue
        column, ground, scale, squeeze, mirror, slant, flat, light = (
            values[rows][:, None, None]
            for values in (middle, foot, unit, slim, facing, length, depth, stage.light)
        )
        x = ((stage.across - column) / (scale * squeeze)).expand(-1, stage.size, -1)  # [n, S, S]
        y = ((ground - stage.down) / scale).expand(-1, -1, stage.size)
        pixels = scale * stage.size
        # The shadow lies on the ground towards the viewer, and away from the light.
        fallen = -y / flat
        parts = drawn((x + slant * fallen) * mirror, fallen)
        shadow = torch.stack([part for part, _ in parts]).amin(0)
        image = images[rows] * (1 - 0.45 * (0.5 - 0.5 * pixels * shadow).clamp_(0, 1).unsqueeze(1))
        shade = (0.92 + 0.55 * light * x + 0.12 * y).clamp_(0.55, 1.35).unsqueeze(1)
        for part, paint in drawn(x * mirror, y):
            alpha = part.mul(-pixels).add_(0.5).clamp_(0, 1).unsqueeze(1)
            image = torch.lerp(image, colours[rows, paint][:, :, None, None] * shade, alpha)
        images[rows] = image


def _paints(block: Block) -> Tensor:
    """The colours of a thing by `Paint`, [N, 5, 3]."""
    hue = block.uniform(0, 1)
    main = hsv_to_rgb(hue, block.uniform(0.45, 0.9), block.uniform(0.45, 1.0))
    second = hsv_to_rgb(hue + block.uniform(0.15, 0.85), block.uniform(0.35, 0.8), block.uniform(0.4, 0.95))
    dark = hsv_to_rgb(block.uniform(0, 1), block.uniform(0.1, 0.5), block.uniform(0.10, 0.30))
    light = hsv_to_rgb(block.uniform(0, 1), block.uniform(0.02, 0.25), block.uniform(0.85, 1.0))
    return torch.stack((main, torch.lerp(main, torch.ones(3), 0.3), second, dark, light), dim=1)


def _covered(depth: Tensor, size: int) -> Tensor:
    """How much of a pixel is below an edge that is `depth` [N, S, S or 1] above it: [N, 1, S, S or 1]."""
    return (depth * size + 0.5).clamp(0, 1).unsqueeze(1)


def _smooth(block: Block, cells: tuple[int, int], size: int, mode: str) -> Tensor:
    """Noise of so many cells down and across, [N, 1, S, S]."""
    return F.interpolate(block.normal(1, *cells), size=(size, size), mode=mode)


def _wide(values: Tensor) -> Tensor:
    """[N] -> [N, 1, 1, 1]."""
    return values[:, None, None, None]


def _side(block: Block) -> Tensor:
    """-1 or 1, [N]."""
    return block.integers(2).mul_(2).sub_(1).float()


def _chance(block: Block, probability: float) -> Tensor:
    """[N] bool."""
    return block.uniform(0, 1) < probability


def _colour(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """[N] each -> [N, 3, 1, 1]."""
    return hsv_to_rgb(hue, saturation, value)[:, :, None, None]
