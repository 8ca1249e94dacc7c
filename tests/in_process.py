"""Trainers and workers in the process of the test: the same work, without seconds of starting up."""

from __future__ import annotations

import io
import json
import os
from types import SimpleNamespace, TracebackType
from typing import Any, Self

import pytest
import torch

from sslterm.engine.load import Loaded, load_method
from sslterm.run.layout import RunDirectory
from sslterm.run.worker_client import OnProgress, to_error
from sslterm.train import train_run
from sslterm.worker.outputs import Stage
from sslterm.worker.protocol import serve

LOADED: dict[tuple[str, int | None], Loaded] = {}


class WorkerHere:
    """`sslterm.run.worker_client.Worker`, its questions and answers as lines of JSON through `serve`."""

    def __init__(
        self, run: RunDirectory, device: str = "auto", *, images: int | None = None, background: bool = False
    ) -> None:
        self.run, self.images = run, images

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def ask(self, do: str, on_progress: OnProgress | None = None, **arguments: Any) -> dict[str, Any]:
        given = {name: value for name, value in arguments.items() if value is not None}
        answers = io.StringIO()
        serve(self.run, [json.dumps({"id": 1, "do": do, **given})], answers, device="cpu", load=self._load)
        for message in map(json.loads, answers.getvalue().splitlines()):
            if "error" in message:
                raise to_error(message["error"])
            if "result" in message:
                result: dict[str, Any] = message["result"]
                return result
            if on_progress is not None:
                on_progress(message["progress"])
        raise AssertionError(f"{do}: the worker has said nothing")

    def _load(self, run: RunDirectory, device: torch.device, progress: Stage) -> Loaded:
        key = str(run.path), self.images
        if key not in LOADED:
            LOADED[key] = load_method(run, device, images=self.images, progress=progress)
        return LOADED[key]


def train_here(run: RunDirectory, *, device: str, processes: int) -> Any:
    """`sslterm.run.launch.start_trainer`: trains to the end, and looks like a process that has ended."""
    code = int(train_run(run, device=device))
    return SimpleNamespace(pid=os.getpid(), poll=lambda: code, wait=lambda: code, returncode=code)


@pytest.fixture
def all_in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """No command starts a process of its own, and trainings leave the pictures of their panels undrawn."""
    for module in ("asking", "compare_panels", "initial"):
        monkeypatch.setattr(f"sslterm.cli.{module}.Worker", WorkerHere)
    monkeypatch.setattr("sslterm.run.launch.start_trainer", train_here)
    monkeypatch.setattr("sslterm.train.write_png", lambda panel, path: path.touch())
