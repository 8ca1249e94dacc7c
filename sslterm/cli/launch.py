"""Starting a trainer: in this process, or in a session of its own that outlives the terminal."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from sslterm.catalog import find_method
from sslterm.cli.progress import JsonProgress, PlainProgress, summary
from sslterm.errors import DataError, ExitCode, SsltermError, UsageError
from sslterm.run.events import EventsReader
from sslterm.run.files import replace_file
from sslterm.run.layout import RunDirectory
from sslterm.run.metrics import MetricsReader
from sslterm.run.status import Status, read_status

STARTING_SECONDS = 600.0
"""How long data may take to load before the live view opens without a step done."""


def command_of(run: RunDirectory, *, device: str, processes: int) -> list[str]:
    """The command line of the trainer process(es)."""
    start = [sys.executable, "-m"]
    if processes > 1:
        start += ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    return [*start, "sslterm.train", str(run.path), "--device", device]


def start_trainer(run: RunDirectory, *, device: str, processes: int) -> subprocess.Popen[bytes]:
    """Start the trainer in its own session: it outlives this terminal, and its output goes to trainer.log."""
    with run.log.open("ab") as log:
        return subprocess.Popen(
            command_of(run, device=device, processes=processes),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )


def train_here(run: RunDirectory, *, device: str, as_json: bool) -> ExitCode:
    """Train in this process, printing a line now and then; the summary at the end."""
    from sslterm.train import train_run  # imports torch

    entry = find_method(method_of(run))
    report = JsonProgress(run) if as_json else PlainProgress(run, entry)
    try:
        code = train_run(run, device=device, report=report)
    except SsltermError:
        remove_if_untouched(run)
        raise
    status = read_status(run.status)
    if not as_json and status is not None:
        print(summary(run, entry, status, run.name), flush=True)
    return code


def follow(run: RunDirectory, trainer: subprocess.Popen[bytes], *, as_json: bool) -> ExitCode:
    """Print the progress of a trainer in other processes until it ends."""
    entry = find_method(method_of(run))
    report = JsonProgress(run) if as_json else PlainProgress(run, entry)
    seen: Status | None = None
    try:
        while trainer.poll() is None:
            time.sleep(0.5)
            status = read_status(run.status)
            if status is not None and (
                seen is None or status.images != seen.images or status.state != seen.state
            ):
                seen = status
                report(status)
    except KeyboardInterrupt:
        trainer.terminate()
        trainer.wait()
    raise_what_happened(run, trainer)
    status = read_status(run.status)
    if status is not None and not as_json:
        print(summary(run, entry, status, run.name), flush=True)
    return ExitCode.STOPPED if status is not None and status.state == "stopped" else ExitCode.OK


def wait_until_running(run: RunDirectory, trainer: subprocess.Popen[bytes]) -> None:
    """Wait until the trainer has loaded its data; raise what it died of, if it did."""
    deadline = time.monotonic() + STARTING_SECONDS
    said = ""
    while time.monotonic() < deadline:
        status = read_status(run.status)
        if status is not None and status.pid == trainer.pid and status.state != "starting":
            return
        if trainer.poll() is not None:
            raise_what_happened(run, trainer)
            return
        message = status.message if status is not None and status.state == "starting" else "starting"
        if message != said and sys.stderr.isatty():
            said = message
            print(f"\r\x1b[K{run.name}: {message} ...", end="", file=sys.stderr, flush=True)
        time.sleep(0.1)


def raise_what_happened(run: RunDirectory, trainer: subprocess.Popen[bytes]) -> None:
    """Raise the error that ended the trainer, as it is told in the run directory."""
    code = trainer.poll()
    if code in (None, ExitCode.OK, ExitCode.STOPPED):
        return
    events = EventsReader(run.events)
    events.refresh()
    failures = [event for event in events.events if event.get("kind") == "failed"]
    if failures:
        last = failures[-1]
        error = SsltermError(str(last.get("message", "the trainer failed")), str(last.get("hint", "")))
        known = [int(value) for value in ExitCode]
        error.exit_code = ExitCode(last["exit_code"]) if last.get("exit_code") in known else ExitCode.FAILED
    else:
        tail = run.log.read_text(errors="replace").strip().splitlines()[-1:] if run.log.exists() else []
        error = SsltermError(
            f"the trainer of {run.name} ended with code {code}: {''.join(tail)}", f"see {run.log}"
        )
    remove_if_untouched(run)
    raise error


def remove_if_untouched(run: RunDirectory) -> None:
    """Drop a run directory in which nothing was ever trained, so that a mistake leaves no litter."""
    if run.checkpoints.is_dir() and any(run.checkpoints.iterdir()):
        return
    metrics = MetricsReader(run.metrics)
    metrics.refresh()
    if not metrics.series:
        shutil.rmtree(run.path, ignore_errors=True)


def write_config(run: RunDirectory, text: str) -> None:
    """Write config.toml and the command line into a new run directory."""
    for path, content in ((run.config, text), (run.meta, json.dumps({"argv": sys.argv}, indent=1))):
        try:
            replace_file(path, content.encode())
        except OSError as error:
            raise DataError(f"cannot write {path}: {error.strerror}") from error


def method_of(run: RunDirectory) -> str:
    import tomllib

    try:
        return str(tomllib.loads(run.config.read_text())["run"]["method"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{run.config} does not say which method it trains") from error


def check_writable(folder: Path) -> None:
    """Raise DataError where runs cannot be written to `folder`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"cannot make {folder}: {error.strerror}", "choose another with --runs or SSLTERM_RUNS"
        ) from error
