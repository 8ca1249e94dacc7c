"""How a game between a generator and its opponent goes, and what to change where it goes wrong.

Losses of a game do not say whether it goes well. What does: whether samples differ from each other as images
do, whether the opponent still errs, and whether both move in one direction.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sslterm.data.store import Store
from sslterm.evaluate.features import batches, choose
from sslterm.evaluate.sampling import draw_samples
from sslterm.methods.base import Samples
from sslterm.nn.precision import double

JUDGED = 500
"""Most samples, and held-out images, whose distances are compared."""


def sample_spread(method: Samples, test: Store, *, seed: int) -> float:
    """How far samples are from their nearest others, over the same of as many held-out images.

    The median of both, in pixels. 1: samples differ as images do; near 0: they repeat each other, in whatever number of
    shapes. Blurred samples are below 1 as well, noise is above.
    """
    assert isinstance(method, nn.Module)
    index = choose(len(test), JUDGED, seed=seed)
    real = torch.cat([batch.images for batch in batches(test, index)])
    made = draw_samples(method, len(real), seed=seed)
    return float(_nearest(made).median() / _nearest(real).median().clamp_min(1e-12))


def _nearest(images: Tensor) -> Tensor:
    """The distance of every image [N, C, H, W] to the nearest other, [N]."""
    flat = double(images.flatten(1))
    distances: Tensor = torch.cdist(flat, flat).fill_diagonal_(torch.inf).amin(1)
    return distances


WON_ACCURACY = 0.995
"""Above it, of real and of generated images alike, an opponent makes no errors that the generator could learn from."""
WON_WINDOWS = 8
"""So many log lines in a row it must have won."""
SWINGS_WINDOWS = 24
"""Log lines in which swings are counted."""
SWINGS = 3
"""Ways from one end to the other and back again that count as an oscillation."""
SURE, GUESSING = 0.95, 0.6
"""Ends between which a discriminator's accuracy swings, the mean of both kinds."""
WIDE, NARROW = 1.6, 0.4
"""Ends between which a critic's gap swings, over its median."""


@dataclass(frozen=True)
class Trouble:
    """What goes wrong in a game, and what to change."""

    kind: str
    text: str


class Referee:
    """Looks at what training logs, and names a discriminator that has won, and a game that goes in circles.

    Each is told once, until it is over.
    """

    def __init__(self) -> None:
        self._accuracies: deque[tuple[float, float]] = deque(maxlen=SWINGS_WINDOWS)
        self._gaps: deque[float] = deque(maxlen=SWINGS_WINDOWS)
        self._told = ""

    def look(self, values: Mapping[str, float]) -> str:
        """The warning that is due after a log line with these values; "" for none."""
        if (
            "generator/loss" not in values
        ):  # where a discriminator is an aid, such as to reconstruction, it may win
            return ""
        if "discriminator/accuracy_real" in values:
            pair = values["discriminator/accuracy_real"], values["discriminator/accuracy_fake"]
            self._accuracies.append(pair)
        if "critic/gap" in values:
            self._gaps.append(values["critic/gap"])
        found = self._won() or self._swinging()
        if found is None:
            self._told = ""
            return ""
        if found.kind == self._told:
            return ""
        self._told = found.kind
        return found.text

    def _won(self) -> Trouble | None:
        latest = list(self._accuracies)[-WON_WINDOWS:]
        if len(latest) < WON_WINDOWS or min(map(min, latest)) < WON_ACCURACY:
            return None
        real, fake = latest[-1]
        return Trouble(
            "won",
            f"the discriminator has won: it is right about {100 * real:.1f} % of real and {100 * fake:.1f} % of "
            "generated images, which teaches the generator little; lower optim.discriminator.lr, raise "
            "optim.generator.lr, make the discriminator smaller, or hold it back (smoothed labels, dropout, "
            "spectral norm, a gradient penalty)",
        )

    def _swinging(self) -> Trouble | None:
        means = [(real + fake) / 2 for real, fake in self._accuracies]
        if swings(means, GUESSING, SURE) >= SWINGS:
            what = f"the discriminator's accuracy swings between {min(means):.2f} and {max(means):.2f}"
        else:
            median = sorted(self._gaps)[len(self._gaps) // 2] if self._gaps else 0.0
            if median <= 0 or swings(self._gaps, NARROW * median, WIDE * median) < SWINGS:
                return None
            what = f"the critic's gap swings between {min(self._gaps):.3g} and {max(self._gaps):.3g}"
        return Trouble(
            "oscillation",
            f"the game goes in circles: {what}; lower both rates, enlarge train.batch, or lower the first beta of Adam "
            "(to 0.5 or 0)",
        )


def swings(series: deque[float] | list[float], low: float, high: float) -> int:
    """How often a series comes from at most `low` to at least `high`, or back."""
    ends = [value >= high for value in series if value <= low or value >= high]
    return sum(one != other for one, other in itertools.pairwise(ends))
