"""How often a screen draws what trainings add."""

from __future__ import annotations

import math
import time

DRAW_SECONDS = (1.0, 5.0)
"""It is drawn at most and at least so often."""
SHARE_OF_A_CORE = 0.01
"""In between it is drawn as soon as the view has not used more than this since the last time: on a busy machine,
what drawing takes is missing from the training."""


class Pace:
    """Says when it is time to draw again. What a person asks for is drawn at once."""

    def __init__(self) -> None:
        self._drawn = (-math.inf, 0.0)
        """When that was done last: by the clock, and in seconds of the processor."""

    def due(self) -> bool:
        at, used = self._drawn
        waited, took = time.monotonic() - at, time.process_time() - used
        soonest, latest = DRAW_SECONDS
        return waited >= latest or waited >= max(soonest, took / SHARE_OF_A_CORE)

    def begin(self) -> None:
        """A drawing begins: what is used from here on counts."""
        self._drawn = time.monotonic(), time.process_time()
