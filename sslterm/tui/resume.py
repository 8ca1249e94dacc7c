"""Going on with a run from the list, refused in words where that makes no sense."""

from __future__ import annotations

import subprocess

from sslterm.errors import SsltermError, UsageError
from sslterm.run.launch import start_trainer
from sslterm.run.layout import RunDirectory
from sslterm.run.lock import trainer_of
from sslterm.run.status import read_status, state_now


def resume(run: RunDirectory) -> subprocess.Popen[bytes]:
    """Start a trainer that goes on with a run.

    Raises:
        UsageError: one is at work on it, or there is nothing left to train.
        SsltermError: the trainer cannot be started.
    """
    status = read_status(run.status)
    state = state_now(status) if status is not None else "starting"
    pid = trainer_of(run, status)
    if pid is not None:
        raise UsageError(f"{run.name} is {state} already (pid {pid})")
    if state == "finished":
        raise UsageError(f"{run.name} is finished: there is nothing left to train")
    try:
        return start_trainer(run, device="auto", processes=1)
    except OSError as error:
        raise SsltermError(f"cannot resume {run.name}: {error.strerror or error}") from error
