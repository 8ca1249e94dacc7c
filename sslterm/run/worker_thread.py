"""Asks a worker without waiting for it: a thread holds the worker, and hands its answers on.

A screen asks faster than a worker answers: while the cursor moves, every position is a question. Questions have
keys, and of each key only the newest waits; the one at work is not interrupted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from sslterm.errors import SsltermError


class Asked(Protocol):
    """What is asked: a `Worker`, or what stands for one in a test."""

    @property
    def alive(self) -> bool:
        """Whether it can be asked again."""

    def ask(
        self, do: str, on_progress: Callable[[dict[str, Any]], None] | None = None, **arguments: Any
    ) -> dict[str, Any]:
        """As `Worker.ask`."""

    def terminate(self) -> None:
        """End it at once, from any thread."""


@dataclass(frozen=True)
class Question:
    """One thing to ask; `about` comes back with the answer."""

    key: str
    do: str
    arguments: dict[str, Any]
    about: Any = None


@dataclass(frozen=True)
class Answer:
    """What came of a question.

    Attributes:
        result: None where it failed.
        error: why.
        died: the worker is gone, and nothing further is answered.
    """

    question: Question
    result: dict[str, Any] | None = None
    error: SsltermError | None = None
    died: bool = False


@dataclass(frozen=True)
class Progress:
    """How far the question at work is."""

    question: Question
    stage: str
    done: int
    total: int


Deliver = Callable[[Answer | Progress], object]
"""Told of what happens, on the thread of the worker."""


class WorkerThread:
    """A worker on a thread of its own, from the first question until `close`.

    Args:
        start: makes the worker; called on the thread.
        deliver: must not block for long.
    """

    def __init__(self, start: Callable[[], AbstractContextManager[Asked]], deliver: Deliver) -> None:
        self._start, self._deliver = start, deliver
        self._waiting: dict[str, Question] = {}
        self._news = threading.Condition()
        self._closed = False
        self._worker: Asked | None = None
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)
        self.at_work: str = ""
        """Key of the question at work; "" while there is none."""

    def ask(self, key: str, do: str, *, about: Any = None, **arguments: Any) -> None:
        """Ask when the worker is free; a question that waits under the same key is forgotten."""
        with self._news:
            self._waiting[key] = Question(key, do, arguments, about)
            self._news.notify()
        if not self._thread.is_alive() and not self._closed:
            self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether anything is at work or waits."""
        return bool(self.at_work or self._waiting)

    def close(self) -> None:
        """End the worker at once; nothing is delivered any more. Does not wait for it."""
        with self._news:
            self._closed = True
            self._news.notify()
            worker = self._worker
        if worker is not None:
            worker.terminate()

    def join(self, seconds: float) -> bool:
        """Wait until the thread has ended; whether it has."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        first = self._next()
        if first is None:
            return
        question: Question | None = first
        try:
            with self._start() as worker:
                with self._news:
                    self._worker = worker
                while question is not None and self._answer(worker, question):
                    question = self._next()
        except OSError as error:
            self._tell(Answer(first, error=SsltermError(f"no worker could be started: {error}"), died=True))
        finally:
            self._worker = None
            self.at_work = ""

    def _next(self) -> Question | None:
        """The question that has waited longest; None once closed."""
        with self._news:
            self.at_work = ""
            self._news.wait_for(lambda: self._closed or self._waiting)
            if self._closed:
                return None
            key = next(iter(self._waiting))
            self.at_work = key
            return self._waiting.pop(key)

    def _answer(self, worker: Asked, question: Question) -> bool:
        """Have a question answered; whether the worker can be asked again."""

        def on_progress(progress: dict[str, Any]) -> None:
            if "image" not in progress:
                self._tell(Progress(question, progress["stage"], progress["done"], progress["total"]))

        try:
            answer = Answer(question, result=worker.ask(question.do, on_progress, **question.arguments))
        except SsltermError as error:
            answer = Answer(question, error=error, died=not worker.alive)
        except (OSError, ValueError) as error:  # torn off in the middle of a line
            answer = Answer(question, error=SsltermError(f"the worker broke off: {error}"), died=True)
        with self._news:
            self.at_work = ""
        self._tell(answer)
        return not answer.died

    def _tell(self, what: Answer | Progress) -> None:
        if not self._closed:
            self._deliver(what)
