"""Moving over a map of points by arrows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def nearest_towards(
    points: NDArray[Any], current: int, direction: tuple[int, int], *, least: float = 0.0
) -> int:
    """The nearest point in a direction, within 45 degrees to both sides of it; `current` where there is none.

    Args:
        points: [N, 2] in units in which both axes are seen at the same scale.
        direction: along the axes of `points`, e.g. (1, 0).
        least: how far it has to be in that direction, at least (and more than 0).
    """
    away = np.asarray(points, dtype=np.float64) - points[current]
    along = away @ np.asarray(direction, dtype=np.float64)
    across = np.abs(away @ np.array([-direction[1], direction[0]], dtype=np.float64))
    ahead = np.flatnonzero((along > 0) & (along >= least) & (across <= along))
    if not len(ahead):
        return current
    return int(ahead[np.hypot(along[ahead], across[ahead]).argmin()])
