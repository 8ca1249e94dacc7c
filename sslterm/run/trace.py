"""The course of one metric, at a resolution that is enough for a line of text."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np

from sslterm.run.columns import parse_lines
from sslterm.run.files import LineTail
from sslterm.run.json_values import parse_object
from sslterm.run.metrics import RESUMED, Floats

MOST_POINTS = 1024
BLOCKS_AT_ONCE = 4
"""Parts of half a megabyte that are read at once; the rest of a long log waits for the next look."""

_RESUMED = f'"{RESUMED}"'.encode()


class Trace:
    """Follows one metric of metrics.jsonl in a few kilobytes, however long the log is.

    There are at most `MOST_POINTS`: of a longer log every second, every fourth, ... is kept.
    """

    def __init__(self, path: Path, metric: str) -> None:
        self.metric = metric
        self.values: Floats = np.empty(0)
        """[N] in the order of the log; NaN where it was not finite."""
        self._steps: Floats = np.empty(0)
        self._every = 1
        self._seen = 0
        """Points of the log so far, kept or not."""
        self._label = f'"{metric}":'.encode()
        self._tail = LineTail(path, on_restart=self._restart)

    def refresh(self) -> bool:
        """Read what is new, or a part of it; true where that was all."""
        with closing(self._tail.blocks()) as blocks:
            for count, block in enumerate(blocks, 1):
                self._take(block)
                if count == BLOCKS_AT_ONCE:
                    return False
        return True

    def _restart(self) -> None:
        self.values, self._steps, self._every, self._seen = np.empty(0), np.empty(0), 1, 0

    def _take(self, block: bytes) -> None:
        """Take whole lines, part by part from one `resumed` to the next."""
        start, found = 0, -1
        while (found := block.find(_RESUMED, found + 1)) >= 0:
            begin, end = block.rfind(b"\n", 0, found) + 1, block.index(b"\n", found) + 1
            step = (parse_object(block[begin:end]) or {}).get(RESUMED)
            if isinstance(step, int) and not isinstance(step, bool):
                self._add(self._lines(block[start:begin]))
                kept = self._steps <= step
                self._steps, self.values = self._steps[kept], self.values[kept]
                start, found = end, end - 1
        self._add(self._lines(block[start:]))

    def _lines(self, block: bytes) -> bytes:
        """The lines that name the metric: often few of many."""
        lines, found = [], -1
        while (found := block.find(self._label, found + 1)) >= 0:
            end = block.find(b"\n", found) + 1
            lines.append(block[block.rfind(b"\n", 0, found) + 1 : end])
            found = end - 1
        return b"".join(lines)

    def _add(self, text: bytes) -> None:
        rows = [rows for rows in parse_lines(text) if "step" in rows.columns and self.metric in rows.columns]
        if not rows:
            return
        order = np.concatenate([one.lines for one in rows]).argsort()
        steps = np.concatenate([one.columns["step"] for one in rows])[order]
        values = np.concatenate([one.columns[self.metric] for one in rows])[order]
        kept = slice(-self._seen % self._every, None, self._every)
        self._seen += len(values)
        self._steps = np.concatenate((self._steps, steps[kept]))
        self.values = np.concatenate((self.values, values[kept]))
        while len(self.values) > MOST_POINTS:
            self._steps, self.values, self._every = self._steps[::2], self.values[::2], 2 * self._every
