"""events.jsonl: what happened to a run, one JSON object a line.

Kinds, with their fields besides `time` (seconds since 1970): started; initialised{what, tensors, origin};
resumed{from_step}; checkpoint{step, images}; evaluation{step, <metric>...}; warning{text, step};
ack{id, do, outcome}; paused; continued; finished; stopped; failed{message, hint, exit_code, trace}.
Readers pass over kinds and fields they do not know.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from sslterm.run.files import LineTail, append_line
from sslterm.run.json_values import finite, parse_object

Event = dict[str, Any]


def append_event(path: Path, kind: str, **fields: Any) -> None:
    """Append one event. NaN and infinite numbers become null; what JSON cannot hold becomes its text.

    Raises:
        OSError: the run directory is read-only, or the disk is full.
    """
    event = {"time": round(time.time(), 3), "kind": kind, **finite(fields)}
    append_line(path, json.dumps(event, default=str, separators=(",", ":")).encode())


class EventsReader:
    """Follows events.jsonl. A torn, foreign or damaged line is passed over."""

    def __init__(self, path: Path) -> None:
        self.events: list[Event] = []
        self._tail = LineTail(path, on_restart=self._restart)

    def refresh(self) -> list[Event]:
        """The events since the last call, oldest first; they are in `events` as well."""
        new: list[Event] = []
        for block in self._tail.blocks():
            new += [event for line in block.split(b"\n") if (event := _parse(line)) is not None]
        self.events += new
        return new

    def _restart(self) -> None:
        self.events.clear()


def _parse(line: bytes) -> Event | None:
    event = parse_object(line)
    return event if event is not None and isinstance(event.get("kind"), str) else None
