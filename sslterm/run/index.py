"""The runs of a folder, looked at again and again: only what has changed is read anew."""

from __future__ import annotations

import csv
import io
import math
import os
import re
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sslterm.run.files import Signature, read_file, signature
from sslterm.run.layout import RunDirectory
from sslterm.run.query import Facts
from sslterm.run.reader import STARTING_SECONDS
from sslterm.run.status import Status, read_status, state_now


class ListedRun:
    """A run as a list shows it: its status, and its configuration once somebody asks for it."""

    def __init__(self, run: RunDirectory) -> None:
        self.run = run
        self.name = run.name
        self.status: Status | None = None
        self.made = -math.inf
        """Unix time of its configuration."""
        self._seen: Signature | None = None
        self._config: dict[str, Any] | None = None
        self._flat: dict[str, Any] | None = None
        self._config_seen: Signature | None = None

    def refresh(self) -> bool:
        """Look again; whether there is anything new. False for what is no run (any more): see `is_there`."""
        config, status = signature(self.run.config), signature(self.run.status)
        changed = (config, status) != (self._config_seen, self._seen)
        if config != self._config_seen:
            self._config, self._flat, self._config_seen = None, None, config
            self.made = config[2] / 1e9 if config else -math.inf
        if status != self._seen:
            self.status, self._seen = read_status(self.run.status) or self.status, status
        return changed

    @property
    def is_there(self) -> bool:
        """Whether it was a run directory when last looked at."""
        return self._config_seen is not None or self._seen is not None

    @property
    def state(self) -> str:
        """As of now: what the status says, or "died"; a run without a status is "starting" for a minute."""
        if self.status is not None:
            return state_now(self.status)
        return "starting" if time.time() - self.made < STARTING_SECONDS else "died"

    @property
    def config(self) -> dict[str, Any]:
        """config.toml; {} where it is missing or damaged."""
        if self._config is None:
            try:
                self._config = tomllib.loads((read_file(self.run.config) or b"").decode())
            except (ValueError, RecursionError):
                self._config = {}
        return self._config

    def choice(self, key: str) -> str:
        """`run.method` or `run.preset`; "" where the configuration does not say."""
        section = self.config.get("run")
        found = section.get(key) if isinstance(section, Mapping) else None
        return found if isinstance(found, str) else ""

    @property
    def started(self) -> float:
        """Unix time at which it was last started, or made."""
        return self.status.started if self.status and self.status.started > 0 else self.made

    def flat_config(self) -> dict[str, Any]:
        """The configuration by path: {"optim.main.lr": 0.1}."""
        if self._flat is None:
            self._flat = _flatten(self.config)
        return self._flat

    def facts(self, now: float) -> Facts:
        """What a query may ask."""
        return Facts(_Fields(self, now), self.flat_config, self.status.last if self.status else {})


class _Fields(Mapping[str, Any]):
    """The fields of a run, each worked out when it is asked for."""

    def __init__(self, listed: ListedRun, now: float) -> None:
        status = listed.status
        heard = status.heartbeat if status and status.heartbeat > 0 else listed.made
        self._values: dict[str, Callable[[], Any]] = {
            "name": lambda: listed.name,
            "method": lambda: listed.choice("method"),
            "preset": lambda: listed.choice("preset"),
            "state": lambda: listed.state,
            "step": lambda: status.step if status else 0,
            "images": lambda: status.images if status else 0,
            "age": lambda: max(now - heard, 0.0) if math.isfinite(heard) else None,
        }

    def __getitem__(self, key: str) -> Any:
        return self._values[key]()

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)


class RunIndex:
    """The runs of a folder, or those given, the newest start first."""

    def __init__(self, root: Path, chosen: Sequence[RunDirectory] = ()) -> None:
        self.root = root
        self.runs: list[ListedRun] = []
        self._chosen = list(chosen)
        self._known: dict[str, ListedRun] = {}

    def refresh(self) -> bool:
        """List again; whether anything has changed."""
        found, changed = {}, False
        for path in self._paths():
            listed = self._known.get(path) or ListedRun(RunDirectory(Path(path)))
            changed |= listed.refresh()
            if listed.is_there:
                found[path] = listed
        changed |= found.keys() != self._known.keys()
        self._known = found
        if changed:
            self.runs = sorted(found.values(), key=_newness, reverse=True)
        return changed

    def _paths(self) -> list[str]:
        if self._chosen:
            return [str(run.path) for run in self._chosen]
        try:
            entries = [entry for entry in os.scandir(self.root) if not entry.name.startswith(".")]
            return [entry.path for entry in entries if entry.is_dir()]
        except OSError:
            return []


def csv_of_runs(runs: Sequence[ListedRun], now: float) -> str:
    """A line a run: what a query may ask of it, then its last values and settings; empty where it has none."""
    facts = [listed.facts(now) for listed in runs]
    fields = dict.fromkeys(key for one in facts for key in one.fields)
    metrics = dict.fromkeys(key for one in facts for key in one.metrics)
    config = dict.fromkeys(key for one in facts for key in one.config())
    keys = list(fields | metrics | config)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(keys)
    writer.writerows([one.get(key) for key in keys] for one in facts)
    return text.getvalue()


def _newness(listed: ListedRun) -> tuple[float, int, str]:
    number = re.search(r"([0-9]{1,9})$", listed.name)
    return listed.started, int(number[1]) if number else 0, listed.name


def _flatten(table: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            flat |= _flatten(value, f"{above}{key}.")
        else:
            flat[f"{above}{key}"] = value
    return flat
