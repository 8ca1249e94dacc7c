"""control/: what readers ask of a running trainer, one file a request.

A request appears by rename, so that it is whole when it is seen; the trainer acts at a step boundary,
removes the file, and says what came of it in events.jsonl (`ack`).
"""

from __future__ import annotations

import json
import math
import os
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from sslterm.errors import DataError, UsageError, did_you_mean
from sslterm.run.events import EventsReader, append_event
from sslterm.run.files import read_file, replace_file
from sslterm.run.json_values import finite, number, parse_object
from sslterm.run.layout import RunDirectory

Action = Literal["pause", "continue", "stop", "checkpoint", "sample", "probe", "set"]
ACTIONS: tuple[str, ...] = get_args(Action)

REJECTED = "rejected"
"""Folder in control/ that takes what is no request."""

_LONGEST_REQUEST_BYTES = 1 << 16
_POLL_SECONDS = 0.05
_BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's alphabet, in ascending order of its characters."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One thing asked of a trainer."""

    id: str
    """Sorts by time of asking."""
    do: str
    """One of `ACTIONS`; a later version may ask for more, which the trainer refuses."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    asked: float = 0.0
    """Unix time of asking."""


def new_id(time_ns: int | None = None) -> str:
    """A ULID (26 characters): 48 bits of milliseconds, then 20 bits of the nanoseconds within, then 60
    random bits.

    Identifiers sort as text in the order in which they were made, also within a millisecond.
    """
    milliseconds, nanoseconds = divmod(time.time_ns() if time_ns is None else time_ns, 1_000_000)
    number = (milliseconds % (1 << 48)) << 80 | nanoseconds << 60 | secrets.randbits(60)
    return "".join(_BASE32[number >> shift & 31] for shift in range(125, -1, -5))


def request(run: RunDirectory, do: str, **arguments: Any) -> str:
    """Ask the trainer of `run` to act; returns the request's id, to wait for with `wait_for_ack`.

    Raises:
        UsageError: no trainer knows such an action.
        DataError: the run directory is read-only or gone.
    """
    if do not in ACTIONS:
        raise UsageError(f"a trainer cannot be asked to {do!r}", did_you_mean(do, ACTIONS))
    asked = time.time_ns()
    id_ = new_id(asked)
    content = {"id": id_, "do": do, "arguments": finite(arguments), "asked": asked / 1e9}
    try:
        run.control.mkdir(exist_ok=True)
        replace_file(run.control / f"{id_}.json", json.dumps(content).encode())
    except OSError as error:
        raise DataError(f"cannot ask {run.name} to {do}: {run.control}: {error.strerror}") from error
    return id_


def pending(run: RunDirectory) -> list[Request]:
    """What has been asked and not yet acknowledged, in that order. What is no request is moved aside."""
    try:
        names = sorted(name for name in os.listdir(run.control) if name.endswith(".json") and name[0] != ".")
    except OSError:
        return []
    requests = []
    for name in names:
        path = run.control / name
        request = _read(path)
        if request is not None:
            requests.append(request)
        elif os.path.lexists(path):
            _move_aside(path)
    return requests


def _read(path: Path) -> Request | None:
    table = parse_object(read_file(path, most_bytes=_LONGEST_REQUEST_BYTES))
    if table is None or not isinstance(table.get("do"), str):
        return None
    arguments = table.get("arguments", {})
    if not isinstance(arguments, dict):
        return None
    asked = number(table.get("asked", 0.0))
    if asked is None or not math.isfinite(asked):
        asked = 0.0
    return Request(id=path.stem, do=table["do"], arguments=arguments, asked=asked)


def _move_aside(path: Path) -> None:
    with suppress(OSError):
        folder = path.parent / REJECTED
        folder.mkdir(exist_ok=True)
        os.replace(path, folder / path.name)


def acknowledge(run: RunDirectory, request: Request, outcome: str) -> None:
    """Remove a request and say what came of it: "done", or "refused: ..." with the reason.

    It is removed first: a trainer killed in between does not act on it again when it is resumed.

    Raises:
        OSError: the run directory is read-only, or the disk is full.
    """
    (run.control / f"{request.id}.json").unlink(missing_ok=True)
    append_event(run.events, "ack", id=request.id, do=request.do, outcome=outcome)


def refuse_older(run: RunDirectory, before: float) -> list[Request]:
    """Refuse what was asked before the unix time `before`; returns it.

    A trainer calls this when it starts, so that a "stop" that its predecessor did not live to see does not
    stop it.
    """
    old = [request for request in pending(run) if request.asked < before]
    for request in old:
        acknowledge(run, request, "refused: asked of an earlier trainer, which ended before it could act")
    return old


def wait_for_ack(run: RunDirectory, id: str, timeout: float) -> str | None:
    """The outcome of a request; None where the trainer has not answered within `timeout` seconds."""
    events = EventsReader(run.events)
    deadline = time.monotonic() + timeout
    while True:
        for event in events.refresh():
            if event["kind"] == "ack" and event.get("id") == id:
                return str(event.get("outcome", ""))
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        time.sleep(min(_POLL_SECONDS, left))
