"""What the trainer writes for its readers: metrics, events, panels and a heartbeat. Only rank 0 writes."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from sslterm.run.events import append_event
from sslterm.run.layout import RunDirectory
from sslterm.run.metrics import MetricsWriter
from sslterm.run.panels import Panel, save_panel
from sslterm.run.status import Status, write_status

Draw = Callable[[Panel, Path], None]
"""Writes a panel as a PNG."""

Report = Callable[[Status], None]
"""Told about every new status line by line; prints, where there is no live view."""

HEARTBEAT_SECONDS = 1.0


class Scribe:
    """Writes the run directory. On ranks other than 0 every call does nothing."""

    def __init__(
        self, run: RunDirectory, status: Status, *, draw: Draw, report: Report, active: bool
    ) -> None:
        self.run = run
        self.status = replace(status, pid=os.getpid(), host=socket.gethostname())
        self.active = active
        self._draw = draw
        self._report = report
        self._metrics = MetricsWriter(run.metrics) if active else None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def start(self) -> None:
        if self.active:
            write_status(self.run.status, self._stamped())
            self._thread.start()

    def close(self, **changes: Any) -> None:
        """Stop the heartbeat and write the last status."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        self.status = replace(self.status, **changes)
        if self.active:
            with suppress(OSError):  # a full disk must not hide why the run ended
                write_status(self.run.status, self._stamped())
            self._report(self.status)

    def _beat(self) -> None:
        while not self._stopped.wait(HEARTBEAT_SECONDS):
            with suppress(OSError):  # a full disk is reported where data would be lost
                write_status(self.run.status, self._stamped())

    def _stamped(self) -> Status:
        return replace(self.status, heartbeat=time.time())

    def note(self, **changes: Any) -> None:
        """Change fields of the status; the next heartbeat writes them."""
        self.status = replace(self.status, **changes)

    def announce(self, **changes: Any) -> None:
        """Change fields of the status and write it now."""
        self.note(**changes)
        if self.active:
            write_status(self.run.status, self._stamped())
            self._report(self.status)

    def event(self, kind: str, **fields: Any) -> None:
        if self.active:
            append_event(self.run.events, kind, **fields)

    def metrics(self, values: Mapping[str, float], *, seconds: float) -> None:
        """One line of metrics at the status' step and images."""
        if self._metrics is None or not values:
            return
        status = self.status
        self._metrics.write(step=status.step, images=status.images, seconds=seconds, values=values)
        self.status = replace(status, last={**status.last, **values})
        self._report(self.status)

    def resumed(self, step: int) -> None:
        """Later points of the log are superseded from here on."""
        if self._metrics is not None:
            self._metrics.resumed(step)

    def panel(self, panel: Panel) -> None:
        if self.active:
            images = self.status.images
            save_panel(panel, self.run.panel(panel.name, images))
            self._draw(panel, self.run.panel(panel.name, images, ".png"))
