"""What a person asked of the trainer, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sslterm.run.control import request
from sslterm.run.layout import RunDirectory
from sslterm.tui.facts import clock_time


class Requests:
    """Asks by files in control/, and finds the answers among the events."""

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self.waiting: dict[str, tuple[str, float]] = {}
        """What has not been answered yet: id -> what was asked, and when."""
        self._read = 0

    def ask(self, do: str, what: str = "", **arguments: Any) -> None:
        """Ask the trainer to act.

        Args:
            what: how it is called when it is answered; otherwise as the action.

        Raises:
            SsltermError: the run directory cannot be written.
        """
        self.waiting[request(self.run, do, **arguments)] = (what or do, time.time())

    def answers(self, events: Sequence[Mapping[str, Any]]) -> list[str]:
        """New answers to what was asked here, as "pause: done at 14:02:11"."""
        self._read = min(self._read, len(events))
        new, self._read = events[self._read :], len(events)
        return [
            f"{self.waiting.pop(event['id'])[0]}: {event.get('outcome', 'done')} at {clock_time(event)}".rstrip()
            for event in new
            if event.get("kind") == "ack" and event.get("id") in self.waiting
        ]
