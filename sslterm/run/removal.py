"""Removing runs for good, and when that is refused."""

from __future__ import annotations

import shutil

from sslterm.errors import SsltermError, UsageError
from sslterm.run.layout import RunDirectory
from sslterm.run.lock import hold
from sslterm.run.status import LIVE_STATES, read_status, state_now


def refuse_live(run: RunDirectory) -> None:
    """Check that no trainer is at work on a run.

    Raises:
        UsageError: one is; the message names it.
    """
    status = read_status(run.status)
    if status is not None and state_now(status) in LIVE_STATES:
        raise UsageError(
            f"{run.name} is {state_now(status)} (pid {status.pid} on {status.host})",
            f"stop it first: sslterm stop {run.name}",
        )


def remove_run(run: RunDirectory) -> None:
    """Remove a run's directory, holding its lock so that no trainer starts on it meanwhile.

    Raises:
        UsageError: a trainer is at work on it.
        SsltermError: it cannot be removed.
    """
    refuse_live(run)
    try:
        with hold(run):
            shutil.rmtree(run.path)
    except OSError as error:
        raise SsltermError(f"cannot remove {run.path}: {error.strerror or error}") from error
