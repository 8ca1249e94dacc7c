"""A run as TensorBoard's events: metrics as scalars over steps, panels as pictures, the configuration as text.

It reads the run directory as every reader does, and writes what is new; so one way serves a training that is
going on and a run that is over. The writer is tensorboardX: it needs protobuf alone, where TensorBoard's own comes
with a server and gRPC (50 MB).
"""

from __future__ import annotations

import io
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from PIL import Image

from sslterm.errors import DataError, UsageError
from sslterm.run.layout import RunDirectory
from sslterm.run.reader import RunReader

MOST_PIXELS = 2_000_000
"""Of a picture; larger ones are reduced."""


def check_installed() -> None:
    """Raise UsageError where the writer is not installed."""
    _writer_class()


def _writer_class() -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise UsageError(
            "TensorBoard's events need tensorboardX, which is not installed",
            "pip install 'sslterm[tensorboard]'",
        ) from error
    return SummaryWriter


class Mirror:
    """Follows a run, and writes into a folder of events that is emptied first.

    Args:
        run: what is read.
        folder: what is written; other files in it are left alone.
    """

    def __init__(self, run: RunDirectory, folder: Path) -> None:
        self._reader = RunReader(run)
        self._points: dict[str, int] = {}
        self._panels: dict[str, int] = {}
        self._has_config = False
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("events.out.tfevents.*"):
            with suppress(OSError):
                old.unlink()
        self._writer = _writer_class()(logdir=str(folder), flush_secs=5)

    def refresh(self) -> None:
        """Write what has come since the last call."""
        self._reader.refresh()
        if self._reader.config and not self._has_config:
            self._has_config = True
            self._writer.add_text("config", f"```toml\n{tomli_w.dumps(self._reader.config)}\n```", 0)
        for name, series in self._reader.metrics.series.items():
            begun = self._points.get(name, 0)
            for place in range(min(begun, len(series)), len(series)):
                value, step = float(series.value[place]), int(series.step[place])
                self._writer.add_scalar(
                    name, value, step, walltime=self._time_of(float(series.seconds[place]))
                )
            self._points[name] = len(series)
        for name, counts in self._reader.panels.items():
            for images in [count for count in counts if count > self._panels.get(name, -1)]:
                if not self._write_panel(name, images):
                    break
                self._panels[name] = images
        self._writer.flush()

    def _time_of(self, seconds: float) -> float:
        """When a point was reached, as if the training had never been interrupted."""
        status = self._reader.status
        return (status.started if status is not None else 0.0) + seconds

    def _write_panel(self, name: str, images: int) -> bool:
        """False where the picture is not there yet."""
        try:
            with Image.open(io.BytesIO(self._reader.panel_png(name, images).read_bytes())) as picture:
                whole = picture.convert("RGB")
        except (OSError, ValueError, DataError, Image.DecompressionBombError):
            return False
        scale = (MOST_PIXELS / (whole.width * whole.height)) ** 0.5
        if scale < 1:
            whole = whole.resize((int(whole.width * scale), int(whole.height * scale)))
        step = self._step_at(images)
        self._writer.add_image(f"panels/{name}", np.asarray(whole), step, dataformats="HWC")
        return True

    def _step_at(self, images: int) -> int:
        """The step of the last line of metrics at or before so many images."""
        steps = [
            int(series.step[at - 1])
            for series in self._reader.metrics.series.values()
            if (at := int(np.searchsorted(series.images, images, side="right")))
        ]
        return max(steps, default=0)

    def close(self) -> None:
        self.refresh()
        self._writer.close()


def write_all(run: RunDirectory, folder: Path, *, replace: bool = False) -> None:
    """A whole run as TensorBoard's events; the folder appears with all of them.

    Raises:
        UsageError: the folder is there already, and not to be replaced; or the writer is not installed.
    """
    check_installed()
    if folder.exists() and not (replace and any(folder.glob("events.out.tfevents.*"))):
        raise UsageError(
            f"{folder} exists already", "name another with --out, or replace earlier events with --force"
        )
    draft = folder.with_name(f".tmp-{folder.name}")
    try:
        Mirror(run, draft).close()
        if folder.exists():
            shutil.rmtree(folder)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
