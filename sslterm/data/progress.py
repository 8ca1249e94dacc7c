"""Progress of fetching, decoding and drawing, on stderr where nobody else shows it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""(what is being done, how much is done, how much there is; 0 where unknown)."""

_WIDTH = 30
"""Cells of the bar."""


class _Bar:
    """One line on a terminal, redrawn at most ten times a second; silent where stderr is no terminal."""

    def __init__(self) -> None:
        self.drawn = 0.0

    def __call__(self, what: str, done: int, total: int) -> None:
        if not sys.stderr.isatty():
            return
        now, ended = time.monotonic(), 0 < total <= done
        if now - self.drawn < 0.1 and not ended:
            return
        self.drawn = now
        share = done / total if total else 0.0
        filled = round(share * _WIDTH)
        bar = f"{'━' * filled}{' ' * (_WIDTH - filled)} {share:4.0%}" if total else f"{done:,}"
        print(f"\r\x1b[2K{what} {bar}", end="\n" if ended else "", file=sys.stderr, flush=True)


on_stderr: Progress = _Bar()


def silent(what: str, done: int, total: int) -> None:
    """Say nothing."""
