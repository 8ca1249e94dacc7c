"""status.json: what a trainer is doing, replaced whole once a second as its sign of life."""

from __future__ import annotations

import json
import math
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from sslterm.run.files import read_file, replace_file
from sslterm.run.json_values import finite, number, parse_object

State = Literal["starting", "running", "paused", "finished", "stopped", "failed", "diverged"]

LIVE_STATES = ("starting", "running", "paused")
"""States of a trainer that is at work."""

STALE_SECONDS = 3.0
"""A trainer on this host that has not been heard of for longer is looked for by its pid."""

STALE_ELSEWHERE_SECONDS = 120.0
"""One on another host, whose pid cannot be looked up: clocks differ, and network disks lag."""


@dataclass(frozen=True, kw_only=True)
class Status:
    """What a trainer says of itself."""

    pid: int = 0
    host: str = ""
    state: str = "starting"
    """One of `State`; a later version may know more."""
    step: int = 0
    images: int = 0
    """Training images drawn so far."""
    total_images: int = 0
    epoch: int = 0
    images_per_epoch: int = 0
    images_per_second: float = 0.0
    elapsed_seconds: float = 0.0
    """Training time over all resumes."""
    heartbeat: float = 0.0
    """Unix time of writing."""
    started: float = 0.0
    """Unix time at which this trainer started."""
    device: str = ""
    precision: str = ""
    parameters: int = 0
    """Number of weights."""
    message: str = ""
    """What it is busy with before it runs, or why it ended."""
    between_steps: str = ""
    """What it does in place of training while it runs: "measuring", "drawing"; else ""."""
    last: dict[str, float] = field(default_factory=dict)
    """The newest value of every metric."""

    @property
    def seconds_left(self) -> float | None:
        """Training time left at the present rate; None where there is no rate yet."""
        if self.images_per_second <= 0 or self.total_images <= 0:
            return None
        return max(0, self.total_images - self.images) / self.images_per_second


def write_status(path: Path, status: Status) -> None:
    """Replace `path` by `status`. Numbers that are not finite are written as null.

    Raises:
        OSError: the run directory is read-only, or the disk is full; the old status stands.
    """
    replace_file(path, json.dumps(finite(asdict(status)), indent=1).encode())


def read_status(path: Path) -> Status | None:
    """The status at `path`; None where it is missing, torn or not a status.

    Unknown keys are ignored. Keys that are missing, or hold another type than they should, have their
    defaults.
    """
    table = parse_object(read_file(path))
    if table is None or "state" not in table:
        return None
    values: dict[str, Any] = {}
    for spec in fields(Status):
        value = _checked(table.get(spec.name), str(spec.type))
        if value is not None:
            values[spec.name] = value
    return Status(**values)


def _checked(value: Any, wanted: str) -> Any:
    """`value` where it is of the type `wanted`, else None."""
    if wanted == "str":
        return value if isinstance(value, str) else None
    if wanted == "int":
        return value if isinstance(value, int) and not isinstance(value, bool) else None
    if wanted == "float":
        found = number(value)
        return found if found is not None and math.isfinite(found) else None
    if not isinstance(value, Mapping):
        return None
    numbers = {str(key): number(item) for key, item in value.items()}
    return {key: found for key, found in numbers.items() if found is not None}


def state_now(status: Status) -> str:
    """The state of `status`, or "died" where the trainer that wrote it is gone without a word.

    It is gone where its heartbeat is stale and, on this host, no process has its pid (or only one that has
    since been given the number again).
    """
    if status.state not in LIVE_STATES:
        return status.state
    silence = time.time() - status.heartbeat
    if status.host != socket.gethostname():
        return "died" if silence > STALE_ELSEWHERE_SECONDS else status.state
    if silence > STALE_SECONDS and not is_alive(status.pid, seen=status.heartbeat):
        return "died"
    return status.state


def is_alive(pid: int, *, seen: float) -> bool:
    """Whether the process `pid`, which was alive at the unix time `seen`, still is."""
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError) as error:
        return isinstance(error, PermissionError)
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        seconds_after_boot = int(after_name[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return True  # no /proc on this system, or the process ended just now: the next look will tell
    if after_name[0] in "ZX":  # ended, and not yet waited for by its parent
        return False
    born = time.time() - uptime + seconds_after_boot
    return born <= seen + 5.0
