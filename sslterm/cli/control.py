"""`sslterm pause|continue|stop|checkpoint`: ask a trainer, and wait for its answer."""

from __future__ import annotations

import socket
import time
from typing import Annotated, Literal

import typer

from sslterm.cli.options import AsJson, Root, RunName
from sslterm.cli.output import note, print_json
from sslterm.cli.run_facts import checkpoints, state_of
from sslterm.errors import SsltermError
from sslterm.render.quantity import whole
from sslterm.run.control import request, wait_for_ack
from sslterm.run.layout import RunDirectory, find_run, runs_root
from sslterm.run.status import LIVE_STATES, is_alive, read_status

SILENT_SECONDS = 3.0
"""A trainer gives a sign of life every second; after this long without one its process is looked for."""

Do = Literal["pause", "continue", "stop", "checkpoint"]

Wait = Annotated[
    float,
    typer.Option("--timeout", metavar="SECONDS", min=0, help="How long to wait for the trainer's answer."),
]


def pause(run: RunName, runs: Root = None, timeout: Wait = 60.0, as_json: AsJson = False) -> None:
    """Hold a training run at the end of its step; it stays in memory, and `continue` goes on.

    \b
    Examples:
      sslterm pause last
    """
    _ask(run, "pause", runs, timeout, as_json=as_json)


def continue_(run: RunName, runs: Root = None, timeout: Wait = 60.0, as_json: AsJson = False) -> None:
    """Go on with a run that was paused.

    \b
    Examples:
      sslterm continue last
    """
    _ask(run, "continue", runs, timeout, as_json=as_json)


def stop(run: RunName, runs: Root = None, timeout: Wait = 60.0, as_json: AsJson = False) -> None:
    """Let a training run finish its step, save and end; `resume` goes on from there.

    \b
    Examples:
      sslterm stop last
    """
    _ask(run, "stop", runs, timeout, as_json=as_json)


def checkpoint(run: RunName, runs: Root = None, timeout: Wait = 60.0, as_json: AsJson = False) -> None:
    """Let a training run save a checkpoint now, beside those it saves by itself.

    \b
    Examples:
      sslterm checkpoint last
    """
    _ask(run, "checkpoint", runs, timeout, as_json=as_json)


def _ask(name: str, do: Do, root: Root, timeout: float, *, as_json: bool) -> None:
    run = find_run(name, runs_root(root))
    _require_live(run, do)
    outcome = _answer(run, do, timeout)
    if outcome.startswith("refused"):
        raise SsltermError(f"{run.name} {outcome}")
    state = _state_after(run, do, timeout)
    if as_json:
        print_json({"run": run.name, "do": do, "outcome": outcome, "state": state})
        return
    said = {
        "pause": f"is paused; go on: sslterm continue {run.name}",
        "continue": "goes on",
        "stop": f"is {state}; go on: sslterm resume {run.name}",
        "checkpoint": f"has saved a checkpoint after {whole(max(checkpoints(run), default=0))} images",
    }
    typer.echo(f"{run.name} {said[do] if outcome == 'done' else outcome}")


def _state_after(run: RunDirectory, do: Do, timeout: float) -> str:
    """The state of the run, which after a stop is that of a trainer that has ended."""
    deadline = time.monotonic() + timeout
    state = state_of(read_status(run.status))
    while do == "stop" and state in LIVE_STATES and time.monotonic() < deadline:
        time.sleep(0.1)
        state = state_of(read_status(run.status))
    return state


def _require_live(run: RunDirectory, do: Do) -> None:
    """Say plainly that nobody is there to answer, and what to do instead."""
    state = _state(run)
    if state in LIVE_STATES:
        return
    resume = f"sslterm resume {run.name}"
    told = {
        "new": ("has never been trained", resume),
        "finished": ("is finished", f"see `sslterm runs show {run.name}`"),
        "stopped": ("is stopped", f"go on: {resume}"),
        "died": ("has died: its trainer is gone", f"go on from its newest checkpoint: {resume}"),
        "failed": ("has failed", f"see `sslterm runs show {run.name}`; try again: {resume}"),
        "diverged": ("has diverged", f"see `sslterm runs show {run.name}`"),
    }
    what, hint = told.get(state, (f"is {state}", resume))
    raise SsltermError(f"cannot {do} {run.name}: it {what}", hint)


def _answer(run: RunDirectory, do: Do, timeout: float) -> str:
    """Put the request, and wait for the trainer to act on it; look meanwhile whether it is still there."""
    asked = request(run, do)
    deadline = time.monotonic() + timeout
    patient = False
    while True:
        left = deadline - time.monotonic()
        outcome = wait_for_ack(run, asked, max(min(left, 1.0), 0.0))
        if outcome is not None:
            return outcome
        if _state(run) not in LIVE_STATES:
            _withdraw(run, asked)
            _require_live(run, do)
        if left <= 0:
            raise SsltermError(
                f"{run.name} has not answered within {timeout:g} s; it will {do} when its step is done",
                f"see how it stands: sslterm runs show {run.name}",
            )
        if not patient and left < timeout - 2:
            patient = True
            note(f"waiting for {run.name} to finish its step ...")


def _state(run: RunDirectory) -> str:
    """The state of a run; "died" sooner than elsewhere, because somebody is waiting for an answer."""
    status = read_status(run.status)
    state = state_of(status)
    if status is None or state not in LIVE_STATES or status.host != socket.gethostname():
        return state
    silent = time.time() - status.heartbeat > SILENT_SECONDS
    return "died" if silent and not is_alive(status.pid, seen=status.heartbeat) else state


def _withdraw(run: RunDirectory, asked: str) -> None:
    """Take a request back that nobody will read, so that it does not meet the next trainer."""
    (run.control / f"{asked}.json").unlink(missing_ok=True)
