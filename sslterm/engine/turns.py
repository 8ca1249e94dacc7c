"""What timing has come to: variants of the same steps, the turns that each has had, and what is told of them."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field

POINTS = (0.125, 0.375, 0.625, 0.875)
"""Where in the training steps are timed, as shares of it."""
CLEARLY = 1.3
"""How many times as long a step has to take at one point as at another for it to be more than noise."""


@dataclass(frozen=True)
class Variant:
    """A way to compute the same steps."""

    precision: str
    compile: bool = False

    def __str__(self) -> str:
        return f"{self.precision}, compiled" if self.compile else self.precision


@dataclass(frozen=True)
class Turn:
    """One walk through the training: steps, images and seconds at each point."""

    steps: int
    images: tuple[int, ...]
    seconds: tuple[float, ...]

    @property
    def seconds_per_step(self) -> float:
        return sum(self.seconds) / (self.steps * len(self.seconds))

    @property
    def seconds_per_image(self) -> float:
        """On average over the training, whose points are evenly spaced in images."""
        return statistics.mean(s / n for s, n in zip(self.seconds, self.images, strict=True))


@dataclass
class Timing:
    """What a variant has come to.

    Attributes:
        peak_bytes: most memory of a CUDA device that was in use; None elsewhere.
        fault: why it could not be timed; "" where it could.
    """

    variant: Variant
    turns: list[Turn] = field(default_factory=list)
    peak_bytes: int | None = None
    fault: str = ""

    @property
    def steps(self) -> int:
        return sum(turn.steps * len(turn.seconds) for turn in self.turns)

    @property
    def images_per_second(self) -> float:
        """The median over turns."""
        return 1 / statistics.median(turn.seconds_per_image for turn in self.turns)

    @property
    def seconds_per_step(self) -> float:
        """The median over turns."""
        return statistics.median(turn.seconds_per_step for turn in self.turns)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Of the seconds of a step, over turns."""
        values = [turn.seconds_per_step for turn in self.turns]
        if len(values) < 2:
            return values[0], values[0]
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
        return low, high

    @property
    def by_point(self) -> list[float]:
        """Seconds of a step at each of `POINTS`, the median over turns."""
        return [statistics.median(column) for column in self._columns]

    @property
    def varies(self) -> bool:
        """Whether a step takes clearly longer at some point of the training than at another, in every turn."""
        columns = self._columns
        return max(map(min, columns)) > CLEARLY * min(map(max, columns))

    @property
    def _columns(self) -> list[list[float]]:
        """Seconds of a step by point, a value for each turn."""
        rows = ([seconds / turn.steps for seconds in turn.seconds] for turn in self.turns)
        return [list(column) for column in zip(*rows, strict=True)]
