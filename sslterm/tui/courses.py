"""The course of the metric to watch of each run on the screen, read from its log a little at a time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sslterm.catalog import CATALOG
from sslterm.run.index import ListedRun
from sslterm.run.trace import Trace

KEPT = 200
"""Runs whose logs are followed at most; those longest off the screen are forgotten."""
SECONDS_A_LOOK = 0.04
"""What reading may take at once, so that keys are answered; the rest is read at the next look."""


def metric_of(listed: ListedRun) -> str:
    """The metric to watch of a run: its method's headline, else its first loss; "" where it has neither."""
    last: Mapping[str, float] = listed.status.last if listed.status else {}
    entry = CATALOG.get(listed.choice("method"))
    if entry is not None and entry.headline in last:
        return entry.headline
    return next((name for name in last if name.endswith("/loss")), "")


class Courses:
    """Follows one metric of each of the runs it is asked about."""

    def __init__(self) -> None:
        self._readers: dict[tuple[Path, str], Trace] = {}

    def refresh(self, runs: Iterable[ListedRun]) -> bool:
        """Read what is new, or a part of it; whether all of it was read."""
        until, whole = time.monotonic() + SECONDS_A_LOOK, True
        for listed in runs:
            metric = metric_of(listed)
            if not metric:
                continue
            key = (listed.run.path, metric)
            reader = self._readers.pop(key, None) or Trace(listed.run.metrics, metric)
            self._readers[key] = reader  # the last in the order is the last to be forgotten
            whole &= reader.refresh()
            if time.monotonic() > until:
                return False
        for key in list(self._readers)[: max(len(self._readers) - KEPT, 0)]:
            del self._readers[key]
        return whole

    def of(self, listed: ListedRun) -> NDArray[np.float64]:
        """Values of the run's metric so far, [N]; empty where none have been read."""
        reader = self._readers.get((listed.run.path, metric_of(listed)))
        return reader.values if reader is not None else np.empty(0)
