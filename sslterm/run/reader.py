"""What a run directory tells, followed while it grows.

It is only read, and taken as it is: a run may be in the making, killed, damaged, or from a later version.
"""

from __future__ import annotations

import os
import time
import tomllib
from pathlib import Path
from typing import Any

from sslterm.errors import DataError, did_you_mean
from sslterm.run.events import Event, EventsReader
from sslterm.run.files import DRAFT, Signature, read_file, signature
from sslterm.run.json_values import parse_object
from sslterm.run.layout import RunDirectory
from sslterm.run.metrics import MetricsReader
from sslterm.run.panels import Panel, load_panel
from sslterm.run.results import Evaluated, evaluated, measured
from sslterm.run.status import Status, read_status, state_now

STARTING_SECONDS = 60.0
"""How long a run without a status is taken to be starting."""


class RunReader:
    """Everything in a run directory but its checkpoints, as of the last `refresh`."""

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self.config: dict[str, Any] = {}
        """config.toml; {} where it is missing or damaged."""
        self.meta: dict[str, Any] = {}
        """meta.json; {} where it is missing or damaged."""
        self.status: Status | None = None
        self.metrics = MetricsReader(run.metrics)
        self._events = EventsReader(run.events)
        self._results = EventsReader(run.results)
        self._panels = _PanelList(run.panels)
        self._seen: dict[Path, Signature | None] = {}

    @property
    def events(self) -> list[Event]:
        """All events, oldest first."""
        return self._events.events

    @property
    def results(self) -> list[Event]:
        """All that was measured of checkpoints afterwards, oldest first."""
        return self._results.events

    @property
    def measured(self) -> dict[str, tuple[float, int]]:
        """By name: what was measured of a checkpoint afterwards, and after how many training images."""
        return measured(self._results.events)

    @property
    def evaluated(self) -> dict[str, Evaluated]:
        """By name: the figures that `sslterm evaluate` gave last, with floors and the untrained network's."""
        return evaluated(self._results.events)

    @property
    def panels(self) -> dict[str, list[int]]:
        """By name, sorted: after how many training images each panel was drawn."""
        return self._panels.counts

    @property
    def state(self) -> str:
        """What the status says, or "died" where the trainer is gone without a word, as of now."""
        if self.status is not None:
            return state_now(self.status)
        made = signature(self.run.config) or signature(self.run.path)
        return "starting" if made is not None and time.time() - made[2] / 1e9 < STARTING_SECONDS else "died"

    def refresh(self) -> bool:
        """Read what is new; true where there was anything."""
        changed = False
        if self._has_changed(self.run.config):
            self.config, changed = _read_toml(self.run.config), True
        if self._has_changed(self.run.meta):
            self.meta, changed = parse_object(read_file(self.run.meta)) or {}, True
        if self._has_changed(self.run.status):
            self.status, changed = read_status(self.run.status) or self.status, True
        changed |= self.metrics.refresh()
        changed |= bool(self._events.refresh())
        changed |= bool(self._results.refresh())
        changed |= self._panels.refresh()
        return changed

    def _has_changed(self, path: Path) -> bool:
        now = signature(path)
        changed = now != self._seen.get(path)
        self._seen[path] = now
        return changed

    def panel(self, name: str, images: int | None = None) -> Panel:
        """The panel `name` as it was after `images` training images, or the newest.

        Raises:
            DataError: there is none, or it is damaged.
        """
        return load_panel(self.run.panel(name, self._count(name, images)))

    def panel_png(self, name: str, images: int | None = None) -> Path:
        """The picture of a panel. It is written just after the data, so that it may not be there yet.

        Raises:
            DataError: there is no such panel.
        """
        return self.run.panel(name, self._count(name, images), ".png")

    def _count(self, name: str, images: int | None) -> int:
        counts = self.panels.get(name)
        if counts is None:
            raise DataError(f"{self.run.name} has no panel {name!r}", did_you_mean(name, self.panels))
        if images is None:
            return counts[-1]
        if images not in counts:
            near = min(counts, key=lambda count: abs(count - images))
            raise DataError(
                f"{self.run.name} has no panel {name!r} at {images:,} images", f"the nearest is at {near}"
            )
        return images


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads((read_file(path) or b"").decode())
    except (ValueError, RecursionError):
        return {}


class _PanelList:
    """Names and counts of the panels in a folder; only folders that have changed are listed again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.counts: dict[str, list[int]] = {}
        self._settled: dict[str, int] = {}
        """Time of change in ns of folders that were listed well after it."""

    def refresh(self) -> bool:
        """List what has changed; true where `counts` is another."""
        try:
            names = sorted(entry.name for entry in os.scandir(self.folder) if entry.is_dir())
        except OSError:
            names = []
        counts = {name: self._list(name) for name in names if not name.startswith(DRAFT)}
        counts = {name: numbers for name, numbers in counts.items() if numbers}
        changed, self.counts = counts != self.counts, counts
        return changed

    def _list(self, name: str) -> list[int]:
        try:
            changed_at = os.stat(self.folder / name).st_mtime_ns
            if self._settled.get(name) == changed_at:
                return self.counts.get(name, [])
            files = os.listdir(self.folder / name)
        except OSError:
            return []
        # A file that comes within a tick of the disk's clock does not change the time again.
        if time.time_ns() - changed_at > 2_000_000_000:
            self._settled[name] = changed_at
        stems = (file.removesuffix(".npz") for file in files if file.endswith(".npz"))
        return sorted(
            int(stem) for stem in stems if stem.isascii() and stem.isdecimal() and stem == str(int(stem))
        )
