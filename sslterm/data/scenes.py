"""`scenes`: something stands upright on the ground, under a sky, in the light; for tasks about place and pose.

The class is the thing in front. A scene has an up and a down, a near and a far, and light from one side:
turned, shuffled or cut to pieces, it can be put right again by what is seen of it. Colours, sizes, places,
hours of the day and haze say nothing about the class, so that raw pixels do badly on it; and in haze the sky
looks like the ground, so that what is up is told by the thing alone.
"""

from __future__ import annotations

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
    across = (pixel_centres(size) / size)[None, None, :]  # [1, 1, S]
    down = (pixel_centres(size) / size)[None, :, None]  # [1, S, 1]
    horizon = block.uniform(*HORIZON)
    light = _side(block) * block.uniform(0.4, 1.0)  # from the left below 0, from the right above
    images = _backdrop(block, horizon, light, across, down)
    _stand(block, images, thing, horizon, light, across, down)
    return Split(to_bytes(images.add_(block.normal(3, size, size), alpha=NOISE)), thing)


def _backdrop(block: Block, horizon: Tensor, light: Tensor, across: Tensor, down: Tensor) -> Tensor:
    """Sky with clouds and the glow of the sun, hills, and textured ground, [N, 3, S, S]."""
    size = across.shape[2]
    edge = horizon[:, None, None]
    # Below the horizon the ground comes nearer: a row that is d below it is 1 / d away.
    below = (down - edge).clamp_min(0.02)
    away = 0.12 / below  # [N, S, 1]
    ground_hue = block.uniform(0.05, 0.45)
    ground = _colour(ground_hue, block.uniform(0.15, 0.60), block.uniform(0.35, 0.85))
    ground = ground * (1 + _ground_texture(block, away, across) * _wide(block.uniform(0.3, 1.0)))
    zenith_hue = torch.where(_chance(block, 0.7), block.uniform(0.50, 0.68), block.uniform(-0.15, 0.12))
    value = block.uniform(0.35, 0.95)
    zenith = _colour(zenith_hue, block.uniform(0.2, 0.65), value)
    rim = _colour(
        zenith_hue + block.uniform(-0.12, 0.12), block.uniform(0.05, 0.35), value + block.uniform(-0.1, 0.2)
    )
    height = ((edge - down) / edge).clamp(0, 1).unsqueeze(1)  # 0 at the horizon, 1 at the top
    sky = torch.lerp(rim, zenith, height.pow(0.8))
    sun_x, sun_y = 0.5 + 0.55 * light, horizon * block.uniform(0.1, 0.7)
    glow = torch.exp(
        -3.5 * torch.hypot(across - sun_x[:, None, None], down - sun_y[:, None, None])
    ).unsqueeze(1)
    sky = sky + glow * _colour(block.uniform(0.02, 0.16), block.uniform(0.1, 0.6), block.uniform(0.3, 0.6))
    clouds = F.interpolate(block.normal(1, 7, 3), size=(size, size), mode="bicubic")
    clouds = clouds + 0.5 * F.interpolate(block.normal(1, 14, 6), size=(size, size), mode="bilinear")
    cover = (clouds - _wide(block.uniform(0.2, 1.2))).clamp_(0, 1) * _wide(block.uniform(0.2, 0.7))
    sky = torch.lerp(sky, sky.mean((2, 3), keepdim=True) * 0.4 + 0.6, cover)
    # Hills: what the sum of two waves is above the horizon.
    ridge = block.uniform(0.0, 0.12)[:, None, None] * sum(
        (1 + torch.sin(block.uniform(*waves)[:, None, None] * across + block.uniform(0, 6.28)[:, None, None]))
        / share
        for waves, share in (((3.0, 7.0), 1.5), ((8.0, 16.0), 4.0))
    )
    hills = _covered(down - edge + ridge, size)
    hill = _colour(
        ground_hue + block.uniform(-0.08, 0.08), block.uniform(0.1, 0.4), block.uniform(0.25, 0.75)
    )
    image = torch.lerp(sky, torch.lerp(hill, rim, _wide(block.uniform(0.1, 0.6))), hills)
    lit = 1 + 0.1 * _wide(light) * (across - 0.5)
    image = torch.lerp(image, ground * lit, _covered(down - edge, size))
    haze = _chance(block, 0.5) * block.uniform(0, HAZE)
    thick = _wide(haze) * (0.4 + 0.6 * torch.exp(-4 * (down - edge).abs()).unsqueeze(1))
    return torch.lerp(image, (rim + ground.mean((2, 3), keepdim=True)) / 2, thick)


def _ground_texture(block: Block, away: Tensor, across: Tensor) -> Tensor:
    """Light and dark of ground seen from above it, finer the farther away: [N, 1, S, S]."""
    size = across.shape[2]
    u = ((across - 0.5) * away * 3).expand(-1, size, size)  # to the side, in units of the texture's half
    v = away.expand(-1, size, size) * 0.8
    grid = torch.stack((u, v), dim=-1)
    stripes = torch.sin(v * block.uniform(6, 16)[:, None, None]) * _chance(block, 0.35)[:, None, None]
    noise = F.grid_sample(block.normal(1, 12, 12), grid, align_corners=False, padding_mode="reflection")
    fading = (0.25 / away).clamp(0, 1).unsqueeze(1)
    return (0.20 * noise + 0.15 * stripes.unsqueeze(1)) * fading.clamp(0.15)


def _stand(
    block: Block, images: Tensor, thing: Tensor, horizon: Tensor, light: Tensor, across: Tensor, down: Tensor
) -> None:
    """Paint the thing and its shadow into `images`."""
    size = across.shape[2]
    slim, mirrored = block.uniform(*SLIMNESS), _side(block)
    tall, wide = torch.tensor(HEIGHTS)[thing], torch.tensor(HALF_WIDTHS)[thing] * slim
    unit = torch.minimum(
        block.uniform(*HEIGHT) / tall, WIDTH / (2 * wide)
    )  # what 1 is, as a share of the side
    lowest = torch.maximum(horizon + 0.06, unit * tall + MARGIN)
    foot = lowest + (1 - MARGIN - lowest) * block.uniform(0, 1)
    reach = wide * unit + MARGIN
    middle = reach + (1 - 2 * reach) * block.uniform(0, 1)
    hue = block.uniform(0, 1)
    main = hsv_to_rgb(hue, block.uniform(0.45, 0.9), block.uniform(0.45, 1.0))
    colours = torch.stack(
        (
            main,
            torch.lerp(main, torch.ones(3), 0.3),
            hsv_to_rgb(hue + block.uniform(0.15, 0.85), block.uniform(0.35, 0.8), block.uniform(0.4, 0.95)),
            hsv_to_rgb(block.uniform(0, 1), block.uniform(0.1, 0.5), block.uniform(0.10, 0.30)),
            hsv_to_rgb(block.uniform(0, 1), block.uniform(0.02, 0.25), block.uniform(0.85, 1.0)),
        ),
        dim=1,
    )  # [N, 5, 3]
    length, depth = block.uniform(0.5, 1.3), block.uniform(0.35, 0.6)
    for number, drawn in enumerate(DRAWN):
        rows = (thing == number).nonzero().squeeze(1)
        if not len(rows):
            continue
        scale, slope = (unit[rows] * slim[rows])[:, None, None], (light * length)[rows][:, None, None]
        x = (across - middle[rows][:, None, None]) / scale  # [n, 1, S]
        y = (foot[rows][:, None, None] - down) / unit[rows][:, None, None]  # [n, S, 1]
        x, y = x.expand(-1, size, size), y.expand(-1, size, size)
        facing = mirrored[rows][:, None, None]
        # The shadow falls towards the viewer, away from the light.
        fallen = -y / depth[rows][:, None, None]
        parts = drawn((x + slope * fallen) * facing, fallen)
        shadow = torch.stack([part for part, _ in parts]).amin(0)
        pixels = (unit[rows] * size)[:, None, None]
        image = images[rows]
        image = image * (1 - 0.45 * (0.5 - shadow * pixels * 0.5).clamp_(0, 1).unsqueeze(1))
        shade = (0.92 + 0.55 * light[rows][:, None, None] * x + 0.12 * y).clamp_(0.55, 1.35).unsqueeze(1)
        for part, paint in drawn(x * facing, y):
            alpha = part.mul(-pixels).add_(0.5).clamp_(0, 1).unsqueeze(1)
            image = torch.lerp(image, colours[rows, paint][:, :, None, None] * shade, alpha)
        images[rows] = image


def _covered(depth: Tensor, size: int) -> Tensor:
    """How much of a pixel is below an edge that is `depth` [N, S, S or 1] above it: [N, 1, S, S or 1]."""
    return (depth * size + 0.5).clamp(0, 1).unsqueeze(1)


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
