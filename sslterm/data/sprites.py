"""`sprites`: drawn video with object masks, to learn from motion.

Three different shapes, each with colours and a texture of its own that moves with it, cross a textured
ground. They move at constant velocity, bounce off the border, turn, and occlude one another in a fixed order.
All turn clockwise, so that the arrow of time can be seen. The label of a clip is the shape in front, which
nothing occludes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.config.schema import ClipConfig, DataConfig
from sslterm.data.catalog import SHAPES
from sslterm.data.procedural import Block, coverage, draw_split, hsv_to_rgb, pixel_centres, to_bytes, turn
from sslterm.data.progress import Progress
from sslterm.data.source import Footage, Source, Split
from sslterm.errors import UsageError

OBJECTS = 3
TRAIN_CLIPS, TEST_CLIPS = 2_000, 400
CLIPS_PER_BLOCK = 16
FOOTAGE_FRAMES = 24
"""Length of a held-out sequence; clips are its beginnings."""
FOOTAGE = 32
"""Most held-out sequences."""

RADIUS = (0.13, 0.21)
SPEED = (0.01, 0.035)
"""Shares of the side, and of the side per frame."""
TURN = (-8.0, -2.0)
"""Degrees per frame, counter-clockwise."""
WAVES = (5.0, 8.0)
"""Of the textures: radians per circumradius."""


@dataclass(frozen=True)
class Motion:
    """One object of every clip of a block; lengths in pixels, times in frames.

    Attributes:
        shape: int64 [N].
        radius: circumradius, [N].
        start, velocity: [N, 2], x to the right and y down.
        angle, spin: degrees counter-clockwise and their change per frame, [N].
    """

    shape: Tensor
    radius: Tensor
    start: Tensor
    velocity: Tensor
    angle: Tensor
    spin: Tensor

    def centre(self, times: Tensor, size: int) -> Tensor:
        """Where it is at `times` [T], reflected at the border: [N, T, 2]."""
        room = (size - 2 * self.radius)[:, None, None]
        travelled = self.start[:, None] + self.velocity[:, None] * times[:, None]
        folded = (travelled - self.radius[:, None, None]).remainder(2 * room)
        return self.radius[:, None, None] + room - (folded - room).abs()


def load(config: DataConfig, progress: Progress) -> Source:
    """2,000 train and 400 test clips unless asked otherwise, at 64 (the default) or 32 pixels."""
    assert isinstance(config, ClipConfig)
    if config.motion < 1:
        raise UsageError(
            f"data.motion = {config.motion:g}: all clips of sprites move, and none is left out",
            "set data.motion=1",
        )
    times = torch.arange(config.frames) * float(config.stride)
    return Source(
        name="sprites",
        train=_draw_split(config, 0, config.train_images or TRAIN_CLIPS, times, progress),
        test=_draw_split(config, 1, config.test_images or TEST_CLIPS, times, progress),
        class_names=SHAPES,
    )


def load_footage(config: ClipConfig, progress: Progress) -> list[Footage]:
    """The first held-out clips, longer: every frame of what the clips take some of."""
    count = min(config.test_images or TEST_CLIPS, FOOTAGE)
    split = _draw_split(config, 1, count, torch.arange(float(FOOTAGE_FRAMES)), progress)
    assert split.masks is not None
    return [
        Footage(f"sprites-{number}", images, masks)
        for number, (images, masks) in enumerate(zip(split.images, split.masks, strict=True))
    ]


def _draw_split(config: ClipConfig, number: int, count: int, times: Tensor, progress: Progress) -> Split:
    size, key = config.size or 64, (config.seed, number)
    return draw_split(
        "sprites", count, key, lambda block: draw(block, times, size), progress, whole=CLIPS_PER_BLOCK
    )


def draw(block: Block, times: Tensor, size: int) -> Split:
    """One block of clips: images [N, T, 3, S, S], masks [N, T, S, S] with 1 for the object at the back."""
    rows, frames = block.rows, len(times)
    shapes = block.permutations(len(SHAPES), OBJECTS)
    hue = block.uniform(0, 1)
    images = _ground(block, size).repeat_interleave(frames, 0)  # [N * T, 3, S, S]
    masks = torch.zeros(rows * frames, size, size, dtype=torch.uint8)
    for number in range(OBJECTS):
        motion = _draw_motion(block, shapes[:, number], size)
        x, y = _seen_by(motion, times, size)
        alpha = coverage(
            motion.shape.repeat_interleave(frames), x, y, motion.radius.repeat_interleave(frames)
        )
        paint = _texture(block, hue + number / OBJECTS, motion.radius, x, y)
        images += alpha.unsqueeze(1) * (paint - images)
        masks.masked_fill_(alpha >= 0.5, number + 1)
    return Split(
        to_bytes(images).view(rows, frames, 3, size, size),
        shapes[:, OBJECTS - 1].clone(),
        masks=masks.view(rows, frames, size, size),
    )


def _draw_motion(block: Block, shape: Tensor, size: int) -> Motion:
    radius = block.uniform(*RADIUS) * size
    heading, speed = block.uniform(0, 2 * math.pi), block.uniform(*SPEED) * size
    return Motion(
        shape=shape,
        radius=radius,
        start=radius[:, None] + (size - 2 * radius)[:, None] * block.uniform(0, 1, 2),
        velocity=speed[:, None] * torch.stack((heading.cos(), heading.sin()), dim=1),
        angle=block.uniform(-180, 180),
        spin=block.uniform(*TURN),
    )


def _seen_by(motion: Motion, times: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Every pixel as the object sees it, in pixels from its centre: x, y of [N * T, S, S]."""
    offsets = pixel_centres(size) - motion.centre(times, size).flatten(0, 1).unsqueeze(-1)  # [N * T, 2, S]
    angles = motion.angle[:, None] + motion.spin[:, None] * times
    return turn(offsets[:, 0].unsqueeze(1), offsets[:, 1].unsqueeze(2), angles.flatten())


def _texture(block: Block, hue: Tensor, radius: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Stripes, checks or dots of two colours, fixed to the object: [N * T, 3, S, S]."""
    frames = len(x) // len(radius)
    kind = F.one_hot(block.integers(3), 3).float()

    def each_frame(values: Tensor) -> Tensor:
        return values.repeat_interleave(frames, 0)[:, None, None]

    waves = each_frame(block.uniform(*WAVES) / radius)
    across, along = (x * waves).sin_(), (y * waves).sin_()
    stripes, checks, dots = (each_frame(kind[:, number]) for number in range(3))
    wave = stripes * across + checks * (2 * across * along) + dots * (across + along - 0.7)
    share = wave.mul_(2).add_(0.5).clamp_(0, 1).unsqueeze(1)
    hue = hue + block.uniform(-0.06, 0.06)
    first = hsv_to_rgb(hue, block.uniform(0.7, 0.9), block.uniform(0.85, 1.0))
    second = hsv_to_rgb(hue + block.uniform(0.06, 0.14), block.uniform(0.5, 0.8), block.uniform(0.45, 0.6))
    first, second = (colour.repeat_interleave(frames, 0)[:, :, None, None] for colour in (first, second))
    return second + share * (first - second)


def _ground(block: Block, size: int) -> Tensor:
    """Muted, with smooth light and dark that does not move: [N, 3, S, S]."""
    hue = block.uniform(0, 1)
    colour = hsv_to_rgb(hue, block.uniform(0.2, 0.4), block.uniform(0.3, 0.5))[:, :, None, None]
    light = sum(
        F.interpolate(block.normal(1, cells, cells), size=(size, size), mode="bicubic")
        for cells in (4, 8, 16)
    )
    return colour * (1 + 0.16 * light)
