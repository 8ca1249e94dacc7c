"""Training in this process, or waiting on a trainer in another: what is printed where there is no live view."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from sslterm.catalog import find_method
from sslterm.cli.progress import JsonProgress, PlainProgress, summary
from sslterm.errors import DataError, ExitCode, SsltermError, UsageError
from sslterm.run.launch import own_status, raise_what_happened, remove_if_untouched
from sslterm.run.layout import RunDirectory
from sslterm.run.status import Status, read_status

STARTING_SECONDS = 600.0
"""How long data may take to load before the live view opens without a step done."""


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
        status = own_status(run, trainer)
        if status is not None and status.state != "starting":
            return
        if trainer.poll() is not None:
            raise_what_happened(run, trainer)
            return
        message = status.message if status is not None else "starting"
        if message != said and sys.stderr.isatty():
            said = message
            print(f"\r\x1b[K{run.name}: {message} ...", end="", file=sys.stderr, flush=True)
        time.sleep(0.1)


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
