"""What a run's files say, in words: its state, its clock, its events, its result."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sslterm.catalog import CATALOG, USES, Entry
from sslterm.render.cells import text_width
from sslterm.render.charts import title_of, unit_of, where_of
from sslterm.render.palette import ACCENT, ERROR, GOOD, MUTED, WARNING
from sslterm.render.quantity import amount, duration, number, whole
from sslterm.run.status import Status

SIGNS: Final[Mapping[str, tuple[str, int]]] = {
    "starting": ("◌", MUTED),
    "running": ("●", GOOD),
    "paused": ("○", WARNING),
    "finished": ("✓", ACCENT),
    "stopped": ("■", MUTED),
    "failed": ("✗", ERROR),
    "diverged": ("✗", ERROR),
    "died": ("✗", ERROR),
}
"""The sign and colour of a state."""

LIVE: Final = frozenset({"starting", "running", "paused"})
"""States in which a trainer is at work and answers requests."""


def entry_of(config: Mapping[str, Any]) -> Entry | None:
    """The catalog's entry for a run's configuration; None where it names no method known here."""
    section = config.get("run")
    name = section.get("method") if isinstance(section, Mapping) else None
    return CATALOG.get(name) if isinstance(name, str) else None


def share_done(status: Status | None) -> float:
    """Share of the training that is done, in [0, 1]."""
    if status is None or status.total_images <= 0:
        return 0.0
    return min(max(status.images / status.total_images, 0.0), 1.0)


def clock_parts(status: Status, state: str) -> list[tuple[int, str]]:
    """Step, images, rate and time left, each with its rank: the higher ones go first where room is short."""
    parts = [(1, f"step {whole(status.step)}")]
    if status.total_images > 0:
        parts.append((2, f"{amount(status.images)} of {amount(status.total_images)} images"))
    if state == "running" and status.images_per_second > 0:
        parts.append((3, f"{amount(status.images_per_second)} img/s"))
        left = status.seconds_left
        if status.between_steps:
            parts.append((0, status.between_steps))
        elif left is not None and status.images < status.total_images:
            parts.append((0, f"{duration(left)} left"))
    elif state not in LIVE or state == "paused":
        parts.append((3, f"{duration(status.elapsed_seconds)} of training"))
    return parts


def fitting(parts: Sequence[tuple[int, str]], width: int, *, between: int = 3) -> list[str]:
    """Of (rank, text) those that fit side by side into `width` cells, by rank, in their own order."""
    kept = sorted(range(len(parts)), key=lambda index: parts[index][0])
    while kept and sum(text_width(parts[index][1]) + between for index in kept) > width:
        kept.pop()
    return [parts[index][1] for index in sorted(kept)]


def headline_of(entry: Entry | None, last: Mapping[str, float]) -> str:
    """The number to watch: "-ELBO 24.9 nats (test)"; "" where there is none yet."""
    if entry is None or entry.headline not in last:
        return ""
    return metric_text(entry.headline, last[entry.headline])


def metric_text(metric: str, value: float) -> str:
    """A metric in words: "-ELBO 24.9 nats (test)"."""
    where = where_of(metric)
    text = " ".join(part for part in (title_of(metric), number(value), unit_of(metric)) if part)
    return f"{text} ({where})" if where and where != "main" else text


def event_line(event: Mapping[str, Any], headline: str = "") -> tuple[str, int] | None:
    """An event as a line and its colour; None for events that say nothing to a person.

    Args:
        headline: the metric that an evaluation names first.
    """
    kind = event.get("kind")
    step = event.get("step", event.get("from_step"))
    at = f" at step {whole(step)}" if isinstance(step, int | float) else ""
    if kind == "evaluation":
        values = [
            metric_text(name, value).removesuffix(" (test)").replace(" (uses labels)", "")
            for name, value in sorted(event.items(), key=lambda item: item[0] != headline)
            if "/" in name and isinstance(value, int | float)
        ]
        return f"evaluated{at}: {' · '.join(values)}", MUTED
    if kind == "warning":
        return f"warning{at}: {event.get('text', '')}", WARNING
    if kind == "failed":
        return f"failed{at}: {event.get('message', '')}", ERROR
    if kind == "ack":
        outcome = str(event.get("outcome", ""))
        if outcome in ("", "done", "ok"):  # most of what is asked for tells of itself
            return ("panels drawn as asked", MUTED) if event.get("do") == "sample" else None
        return f"{event.get('do')}: {outcome}", WARNING
    if kind == "rate" and isinstance(event.get("lr"), int | float):
        return f"learning rate of {event.get('group')} set to {event['lr']:g}{at}", MUTED
    if kind == "checkpoint":
        return f"checkpoint saved{at}", MUTED
    if kind == "started":
        about = " · ".join(str(event[key]) for key in ("device", "precision") if key in event)
        return f"started{' on ' if about else ''}{about}", MUTED
    said = {
        "paused": "paused",
        "continued": "goes on",
        "resumed": "resumed",
        "finished": "finished",
        "stopped": "stopped",
    }
    return (f"{said[kind]}{at}", MUTED) if kind in said else None


def event_log(events: Sequence[Mapping[str, Any]], headline: str = "") -> list[tuple[str, int]]:
    """All events that say something to a person, with their time and colour."""
    told = [(event, event_line(event, headline)) for event in events]
    return [(f"{clock_time(event)} {line[0]}", line[1]) for event, line in told if line is not None]


def clock_time(event: Mapping[str, Any]) -> str:
    """When an event was, on this machine's clock: "14:02:11"."""
    moment = event.get("time")
    if not isinstance(moment, int | float):
        return " " * 8
    try:
        return time.strftime("%H:%M:%S", time.localtime(moment))
    except (OverflowError, ValueError, OSError):
        return " " * 8


def result_lines(
    name: str, entry: Entry | None, status: Status | None, state: str, events: Sequence[Mapping[str, Any]]
) -> list[tuple[str, int]]:
    """What a run came to and what to do next, as lines with colours; empty while it trains."""
    if state in LIVE or (status is None and state != "died"):
        return []
    headline = headline_of(entry, status.last if status else {})
    after = f" in {duration(status.elapsed_seconds)}" if status else ""
    if state == "finished":
        done = f"done{after}" + (f": {headline}" if headline else "")
        verbs = [verb for need, verb in USES.items() if entry and need in entry.capabilities]
        if not verbs:
            return [(done, GOOD)]
        more = f" (or {', '.join(verbs[1:])})" if verbs[1:] else ""
        return [(done, GOOD), (f"next: sslterm {verbs[0]} {name}{more}", ACCENT)]
    resume = f"go on from the last checkpoint: sslterm resume {name}"
    if state == "stopped":
        return [("stopped after saving" + (f": {headline}" if headline else ""), MUTED), (resume, ACCENT)]
    if state == "died":
        return [
            ("the trainer is gone without a word: it was killed, or the machine went down", ERROR),
            (resume, ACCENT),
        ]
    told: Mapping[str, Any] = next((e for e in reversed(events) if e.get("kind") == "failed"), {})
    message = str(told.get("message") or (status.message if status else "") or state)
    lines = [(f"{state}: {message}", ERROR)]
    if told.get("hint"):
        lines.append((str(told["hint"]), WARNING))
    return [*lines, (resume, ACCENT)]


def age(seconds: float) -> str:
    """How long ago: "now", "5 m ago", "2 h ago", "3 d ago"."""
    if seconds < 60:
        return "now"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} m ago"
    return f"{minutes // 60} h ago" if minutes < 48 * 60 else f"{minutes // (24 * 60)} d ago"
