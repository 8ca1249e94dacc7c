"""What a person asked of the trainer, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sslterm.run.control import request
from sslterm.run.layout import RunDirectory


class Requests:
    """Asks by files in control/, and finds the answers among the events."""

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self.waiting: dict[str, str] = {}
        """What has not been answered yet: id -> what was asked."""
        self._read = 0

    def ask(self, do: str) -> None:
        """Ask the trainer to act.

        Raises:
            SsltermError: the run directory cannot be written.
        """
        self.waiting[request(self.run, do)] = do

    def answers(self, events: Sequence[Mapping[str, Any]]) -> list[str]:
        """New answers to what was asked here, as "pause: done"."""
        self._read = min(self._read, len(events))
        new, self._read = events[self._read :], len(events)
        return [
            f"{self.waiting.pop(event['id'])}: {event.get('outcome', 'done')}"
            for event in new
            if event.get("kind") == "ack" and event.get("id") in self.waiting
        ]
