"""Asks a worker process about a trained run, so that commands need no torch of their own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from sslterm.errors import DataError, DeviceError, DivergedError, ExitCode, SsltermError, UsageError
from sslterm.run.layout import RunDirectory

OnProgress = Callable[[dict[str, Any]], None]
"""Told {stage, done, total} and, for partial samples, image: {shape, uint8 in base64}."""

_ERRORS: Mapping[int, type[SsltermError]] = {
    int(kind.exit_code): kind for kind in (SsltermError, UsageError, DataError, DeviceError, DivergedError)
}
_PATIENCE_SECONDS = 5.0
"""How long a worker may take to end by itself."""


class Worker:
    """A process that has loaded (with the first question) a run, to be asked any number of times.

    with Worker(run, "auto") as worker:
        answer = worker.ask("sample", n=64)

    Args:
        device: as `--device`.
        images: the checkpoint after so many images; the newest without it.
        background: leave the processors to others: one thread, at a low priority.
    """

    def __init__(
        self,
        run: RunDirectory,
        device: str = "auto",
        *,
        images: int | None = None,
        background: bool = False,
    ) -> None:
        self.run = run
        self._command = [sys.executable, "-m", "sslterm.worker", str(run.path), "--device", device]
        if images is not None:
            self._command += ["--images", str(images)]
        if background:
            self._command += ["--background"]
        self._asked = 0

    def __enter__(self) -> Self:
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            text=True,
            encoding="utf-8",
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the worker: at once where something went wrong here, else as soon as it is done."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if kind is not None:
            self._process.terminate()
        with suppress(BrokenPipeError):  # it has ended before
            self._process.stdin.close()
        try:
            self._process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._said.close()

    def ask(self, do: str, on_progress: OnProgress | None = None, **arguments: Any) -> dict[str, Any]:
        """The worker's answer; arguments that are None are left to its defaults.

        Raises:
            SsltermError: the worker says that it cannot be done, or has died.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._asked += 1
        given = {name: value for name, value in arguments.items() if value is not None}
        try:
            self._process.stdin.write(json.dumps({"id": self._asked, "do": do, **given}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._died() from None
        for line in self._process.stdout:
            message = json.loads(line)
            if message["id"] != self._asked:  # of a question whose answer was not waited for
                continue
            if "error" in message:
                raise to_error(message["error"])
            if "result" in message:
                result: dict[str, Any] = message["result"]
                return result
            if on_progress is not None:
                on_progress(message["progress"])
        raise self._died()

    @property
    def alive(self) -> bool:
        """Whether the process is there to be asked."""
        return self._process.poll() is None

    def terminate(self) -> None:
        """End the process at once, whatever it is doing; may be called from another thread."""
        self._process.terminate()

    def _died(self) -> SsltermError:
        code = self._process.wait()
        self._said.seek(0)
        lines = [line.strip() for line in self._said.read().splitlines() if line.strip()]
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        hint = lines[-1] if lines else "it may have run out of memory" if code == -9 else ""
        kind = DeviceError if code == -9 else SsltermError
        return kind(f"the process that had loaded {self.run.name} {how}", hint)


def to_error(error: Mapping[str, Any]) -> SsltermError:
    """What {message, hint, exit_code} stands for."""
    kind = _ERRORS.get(error.get("exit_code", int(ExitCode.FAILED)), SsltermError)
    return kind(str(error.get("message", "")), str(error.get("hint", "")))
