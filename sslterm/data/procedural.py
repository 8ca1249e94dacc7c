"""What the drawn sources share: blocks drawn from a seed, coverage of pixels by shapes, and colours."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import Tensor

from sslterm.data.distance import distance
from sslterm.data.progress import Progress
from sslterm.data.source import Split, seeded

TRAIN_IMAGES = 20_000
TEST_IMAGES = 4_000

BLOCK = 128
"""Images drawn with one generator; large enough to be fast, small enough to stay in the cache.

An image is a function of (seed, split, position): how many are drawn, and how many at once, changes none of
them.
"""


@dataclass(frozen=True)
class Block:
    """A generator, and how many rows to draw with it.

    Draws are always made for the whole block, so that a shorter one is the beginning of a longer one.
    """

    generator: torch.Generator
    rows: int
    whole: int = BLOCK

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Uniform in [low, high), [rows, *shape] float32."""
        drawn = torch.rand(self.whole, *shape, generator=self.generator)[: self.rows]
        return drawn.mul_(high - low).add_(low)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal, [rows, *shape] float32."""
        return torch.randn(self.whole, *shape, generator=self.generator)[: self.rows]

    def integers(self, high: int, *shape: int) -> Tensor:
        """Uniform in {0, ..., high - 1}, [rows, *shape] int64."""
        return torch.randint(high, (self.whole, *shape), generator=self.generator)[: self.rows]

    def permutations(self, n: int, first: int) -> Tensor:
        """The first entries of a random order of 0, ..., n - 1: [rows, first] int64."""
        return torch.rand(self.whole, n, generator=self.generator).argsort(1)[: self.rows, :first]


def draw_split(
    name: str,
    count: int,
    key: tuple[int, ...],
    draw: Callable[[Block], Split],
    progress: Progress,
    *,
    whole: int = BLOCK,
) -> Split:
    """`count` images of the stream `key` (seed, number of the split), block after block.

    Args:
        draw: makes the rows of one block.
        whole: rows of a block.
    """

    def draw_block(number: int) -> Split:
        return draw(Block(seeded(*key, number), min(whole, count - number * whole), whole))

    done, parts = 0, []
    for part in _on_all_cores(draw_block, range(math.ceil(count / whole))):
        parts.append(part)
        done += len(part)
        progress(f"drawing {name}", done, count)

    def joined(tensors: list[Tensor | None]) -> Tensor | None:
        return (
            torch.cat([tensor for tensor in tensors if tensor is not None])
            if tensors[0] is not None
            else None
        )

    return Split(
        torch.cat([part.images for part in parts]),
        torch.cat([part.labels for part in parts]),
        joined([part.factors for part in parts]),
        joined([part.masks for part in parts]),
    )


def _on_all_cores(work: Callable[[int], Split], numbers: Iterable[int]) -> Iterator[Split]:
    """`work(number)` for every number, in order; each on one thread of its own.

    Whole blocks in parallel, rather than the operations inside one: these are too short to be shared out,
    and on a busy machine threads that wait for each other after every operation make it twenty times
    slower.
    """
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            yield from pool.map(work, numbers)
        finally:
            torch.set_num_threads(threads)


def pixel_centres(side: int) -> Tensor:
    """0.5, 1.5, ..., side - 0.5: where pixels lie along an axis, [side]."""
    return torch.arange(side, dtype=torch.float32) + 0.5


def turn(dx: Tensor, dy: Tensor, degrees: Tensor) -> tuple[Tensor, Tensor]:
    """Offsets in an image (y down) as seen by a shape turned counter-clockwise (y up), in the same unit.

    Args:
        dx: [N, 1, W].
        dy: [N, H, 1].
        degrees: [N].

    Returns:
        x, y: [N, H, W].
    """
    radians = torch.deg2rad(degrees)[:, None, None]
    cos, sin = radians.cos(), radians.sin()
    return dx * cos - dy * sin, -dx * sin - dy * cos


def coverage(shape: Tensor, x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    """How much of each pixel a shape covers, from its signed distance: [N, H, W] in [0, 1].

    Args:
        shape: int64 [N].
        x, y: offsets from its centre in pixels, as it sees them, [N, H, W].
        radius: its circumradius in pixels, [N].
    """
    radius = radius[:, None, None]
    return distance(shape, x / radius, y / radius).mul_(-radius).add_(0.5).clamp_(0, 1)


def hsv_to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Hue in turns (any real number), saturation and value in [0, 1]: [N, ...] each -> [N, ..., 3]."""
    phase = (torch.tensor([5.0, 3.0, 1.0]) + 6 * hue.unsqueeze(-1)) % 6
    drop = torch.minimum(phase, 4 - phase).clamp_(0, 1)
    return value.unsqueeze(-1) * (1 - saturation.unsqueeze(-1) * drop)


def to_bytes(images: Tensor) -> Tensor:
    """[0, 1] floats, overwritten, -> uint8, values beyond clipped."""
    return images.mul_(255).round_().clamp_(0, 255).to(torch.uint8)
