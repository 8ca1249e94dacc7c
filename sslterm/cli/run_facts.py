"""What can be said about a run from its directory, as the commands show it and as JSON."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sslterm.catalog import CATALOG
from sslterm.render.quantity import duration, number
from sslterm.run.comparison import differences, flat
from sslterm.run.layout import RunDirectory
from sslterm.run.reader import RunReader
from sslterm.run.status import LIVE_STATES, Status, read_status, state_now


def read_config(run: RunDirectory) -> dict[str, Any]:
    """config.toml as tables; empty where it cannot be read."""
    try:
        return tomllib.loads(run.config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return {}


def state_of(status: Status | None) -> str:
    """The state of a run; "new" where no trainer has ever said one."""
    return state_now(status) if status is not None else "new"


def summarize(run: RunDirectory) -> dict[str, Any]:
    """A run as `runs list --json` gives it: {name, method, preset, state, step, images, metrics, path}."""
    config = read_config(run).get("run", {})
    status = read_status(run.status)
    return {
        "name": run.name,
        "method": str(config.get("method", "")) if isinstance(config, Mapping) else "",
        "preset": str(config.get("preset", "")) if isinstance(config, Mapping) else "",
        "state": state_of(status),
        "step": status.step if status else 0,
        "images": status.images if status else 0,
        "metrics": dict(status.last) if status else {},
        "path": str(run.path.resolve()),
    }


def describe(run: RunDirectory) -> dict[str, Any]:
    """A run as `runs show --json` gives it: all that is known without reading panels and checkpoints."""
    reader = RunReader(run)
    reader.refresh()
    status = read_status(run.status)
    events = list(reader.events)
    return summarize(run) | {
        "total_images": status.total_images if status else 0,
        "epoch": status.epoch if status else 0,
        "images_per_second": status.images_per_second if status else 0.0,
        "elapsed_seconds": status.elapsed_seconds if status else 0.0,
        "seconds_left": status.seconds_left if status and state_of(status) in LIVE_STATES else None,
        "started": status.started if status else None,
        "pid": status.pid if status else None,
        "host": status.host if status else "",
        "device": status.device if status else "",
        "precision": status.precision if status else "",
        "parameters": status.parameters if status else 0,
        "message": status.message if status else "",
        "checkpoints": checkpoints(run),
        "panels": {name: list(images) for name, images in reader.panels.items()},
        "warnings": [
            {"step": event.get("step"), "text": event.get("text", "")}
            for event in events
            if event.get("kind") == "warning"
        ],
        "bytes": size_of(run.path),
        "config": read_config(run),
    }


def checkpoints(run: RunDirectory) -> list[int]:
    """Images trained on at every whole checkpoint, oldest first."""
    if not run.checkpoints.is_dir():
        return []
    return sorted(
        int(folder.name)
        for folder in run.checkpoints.iterdir()
        if folder.name.isdecimal()
        and (folder / "model.safetensors").exists()
        and (folder / "trainer.pt").exists()
    )


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder; those that vanish meanwhile do not count."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total


def headline(summary: Mapping[str, Any]) -> str:
    """The metric to watch of a run and its newest value; its first loss where that has not been measured."""
    entry = CATALOG.get(summary["method"])
    metrics: Mapping[str, float] = summary["metrics"]
    names = [entry.headline] if entry else []
    names += [name for name in metrics if name.endswith("/loss")]
    return next((f"{name} {number(metrics[name])}" for name in names if name in metrics), "")


def compare(runs: Sequence[RunDirectory]) -> dict[str, Any]:
    """Where runs differ, as `runs diff --json` gives it: {runs, config: {key: values}, metrics: ...}."""
    return {
        "runs": [run.name for run in runs],
        "config": differences([flat(read_config(run)) for run in runs]),
        "metrics": differences([summarize(run)["metrics"] for run in runs]),
    }


def age(seconds: float) -> str:
    """How long ago: "5 m ago"; the larger unit is enough."""
    return " ".join(duration(max(seconds, 0)).split()[:2]) + " ago"
