"""Progress while a worker works, and its picture in the terminal."""

from __future__ import annotations

import base64
import os
import shutil
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from PIL import Image

from sslterm.cli.output import color_depth
from sslterm.render.panel import draw_panel
from sslterm.run.panels import Panel, load_panel

ROWS = 32
"""Most rows of a preview."""


class Preview:
    """A line of progress on stderr; partial and final pictures as half-blocks where stdout is a terminal.

    Attributes:
        live: pictures are drawn.
        animates: partial ones too, each over the one before.
    """

    def __init__(self) -> None:
        self.live = sys.stdout.isatty()
        self.animates = self.live and os.environ.get("TERM", "") not in ("", "dumb")
        self._talks = sys.stderr.isatty()
        self._drawn = 0
        """Rows of the partial picture that is on the screen."""
        self._line = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wipe()

    def progress(self, progress: dict[str, Any]) -> None:
        """Say what is being done, or show what there is so far."""
        if "image" in progress:
            if self.animates:
                self._redraw(partial_panel(progress["image"]))
            return
        if not self._talks:
            return
        done, total = progress["done"], progress["total"]
        count = f"  {done:,} of {total:,}" if total > 1 else ""
        sys.stderr.write(f"\r\x1b[K{progress['stage']}{count}")
        sys.stderr.flush()
        self._line = True

    def show(self, path: Path) -> None:
        """Draw the panel (or picture) that lies at `path`, where stdout is a terminal."""
        numbers = path.with_suffix(".npz")
        if self.live:
            self._draw(load_panel(numbers) if numbers.exists() else picture_panel(path))

    def show_panel(self, panel: Panel) -> None:
        """Draw a panel, where stdout is a terminal."""
        if self.live:
            self._draw(panel)

    def _redraw(self, panel: Panel) -> None:
        self._wipe()
        self._drawn = self._draw(panel)

    def _draw(self, panel: Panel) -> int:
        """Draw at the cursor; returns how many rows it took."""
        size = shutil.get_terminal_size()
        depth = color_depth()
        cells = draw_panel(panel, size.columns, min(ROWS, size.lines - 2), color=depth != "none")
        lines = [
            line for line in cells.ansi(depth).split("\n") if line
        ]  # none of the space that was left over
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        return len(lines)

    def _wipe(self) -> None:
        if self._line:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._line = False
        if self._drawn:
            sys.stdout.write(f"\x1b[{self._drawn}F\x1b[J")
            sys.stdout.flush()
            self._drawn = 0


def picture_panel(path: Path) -> Panel:
    """A picture as a panel of one image."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"), dtype=np.float32) / np.float32(255)
    array = pixels.transpose(2, 0, 1)[None]
    return Panel(name=path.name, kind="images", array=array, low=0.0, high=1.0)


def partial_panel(image: dict[str, Any]) -> Panel:
    """Samples that are not finished, as a worker reports them."""
    bytes_ = np.frombuffer(base64.b64decode(image["uint8"]), dtype=np.uint8)
    array = bytes_.reshape(image["shape"]).astype(np.float32) / np.float32(255)
    return Panel(name="samples", kind="images", array=array, caption="not finished", low=0.0, high=1.0)
