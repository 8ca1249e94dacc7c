"""How a worker is spoken to: one JSON object a line, in and out.

    -> {"id": 1, "do": "sample", "n": 64}
    <- {"id": 1, "progress": {"stage": "sampling", "done": 32, "total": 64}}    any number of them
    <- {"id": 1, "result": {...}}                                               or
    <- {"id": 1, "error": {"message": ..., "hint": ..., "exit_code": ...}}

The run is loaded with the first request. A line that is not a request is answered by an error of id null.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from typing import Any, TextIO

import torch

from sslterm.engine.build import find_device
from sslterm.engine.load import Loaded
from sslterm.errors import DeviceError, ExitCode, SsltermError, UsageError
from sslterm.run.layout import RunDirectory
from sslterm.worker.actions import answer
from sslterm.worker.desk import Desk
from sslterm.worker.outputs import Report, Stage, stages
from sslterm.worker.requests import read_request

PROGRESS_SECONDS = 0.1
"""Least time between two lines of progress within a stage."""

Load = Callable[[RunDirectory, torch.device, Stage], Loaded]


def serve(run: RunDirectory, requests: Iterable[str], answers: TextIO, *, device: str, load: Load) -> None:
    """Answer each line of `requests` with lines on `answers`, until there are no more."""
    desk: Desk | None = None
    for line in requests:
        if not line.strip():
            continue
        identity: object = None
        try:
            request = _parse(line)
            identity = request.pop("id", None)
            report = _reporter(identity, answers)
            wanted = read_request(request.pop("do", None), request)
            if desk is None:
                desk = _open(run, device, load, report)
            _write(answers, {"id": identity, "result": answer(desk, wanted, report)})
        except BrokenPipeError:
            raise
        except Exception as error:  # an answer is owed whatever happens, and the next request may do better
            _write(answers, {"id": identity, "error": describe_error(error)})


def describe_error(error: Exception) -> dict[str, Any]:
    """{message, hint, exit_code} of anything that can go wrong; traces of our own mistakes go to stderr."""
    if isinstance(error, torch.OutOfMemoryError):
        error = DeviceError("out of memory on the device", "ask for less at a time, or use --device cpu")
    elif isinstance(error, OSError):
        what = f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
        error = SsltermError(f"the system refused: {what}", "name a file that can be written with --out")
    if not isinstance(error, SsltermError):
        traceback.print_exception(error, file=sys.stderr)
        first = f"{type(error).__name__}: {error}".splitlines()[0]
        return {"message": first, "hint": "this is a mistake in sslterm", "exit_code": int(ExitCode.FAILED)}
    return {"message": error.message, "hint": error.hint, "exit_code": int(error.exit_code)}


def _parse(line: str) -> dict[str, Any]:
    try:
        request = json.loads(line)
    except ValueError as error:
        raise UsageError(f"a request is one JSON object a line: {error}") from error
    if not isinstance(request, dict):
        raise UsageError(f"a request is a JSON object, not {type(request).__name__}")
    return request


def _open(run: RunDirectory, device: str, load: Load, report: Report) -> Desk:
    here = find_device(device)

    progress = stages(report)
    progress(f"loading {run.name}", 0, 1)
    return Desk(run, load(run, here, progress), here)


def _reporter(identity: object, answers: TextIO) -> Report:
    """Writes progress: every new stage, partial images, and otherwise a line now and then."""
    stage, due = "", 0.0

    def report(progress: dict[str, Any]) -> None:
        nonlocal stage, due
        now = time.monotonic()
        if progress["stage"] == stage and now < due and "image" not in progress:
            return
        stage, due = progress["stage"], now + PROGRESS_SECONDS
        _write(answers, {"id": identity, "progress": progress})

    return report


def _write(answers: TextIO, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()
