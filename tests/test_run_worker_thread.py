"""A worker on a thread: only the newest question of a key waits, and its ends are told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

import numpy as np
import pytest

from sslterm.errors import SsltermError, UsageError
from sslterm.run.packed import pack, pack_rows, unpack, unpack_rows
from sslterm.run.worker_thread import Answer, Progress, WorkerThread


class Slow(AbstractContextManager["Slow"]):
    """Answers when it is let."""

    def __init__(self, *, refuses: Exception | None = None) -> None:
        self.alive = True
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.go = threading.Semaphore(0)
        self.at_work = threading.Semaphore(0)
        self.ended = threading.Event()
        self.refuses = refuses

    def ask(
        self, do: str, on_progress: Callable[[dict[str, Any]], None] | None = None, **arguments: Any
    ) -> dict[str, Any]:
        self.asked.append((do, arguments))
        self.at_work.release()
        if on_progress is not None:
            on_progress({"stage": "decoding", "done": 1, "total": 2})
            on_progress({"stage": "sampling", "done": 0, "total": 0, "image": {}})
        assert self.go.acquire(timeout=10)
        if not self.alive:
            raise SsltermError("the process was killed", "last words")
        if self.refuses is not None:
            raise self.refuses
        return {"n": len(self.asked)}

    def terminate(self) -> None:
        self.alive = False
        self.ended.set()
        self.go.release()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ended.set()


def start(worker: Slow) -> tuple[WorkerThread, list[Answer | Progress], threading.Semaphore]:
    news: list[Answer | Progress] = []
    told = threading.Semaphore(0)

    def deliver(what: Answer | Progress) -> None:
        news.append(what)
        if isinstance(what, Answer):
            told.release()

    return WorkerThread(lambda: worker, deliver), news, told


def test_of_each_key_only_the_newest_question_waits() -> None:
    worker = Slow()
    thread, news, told = start(worker)
    thread.ask("cursor", "decode", z=0, about="first")
    assert worker.at_work.acquire(timeout=10)
    assert thread.busy
    for z in range(1, 50):  # while the first one is at work
        thread.ask("cursor", "decode", z=z, about=z)
    thread.ask("field", "decode", z=-1)
    for _ in range(3):
        worker.go.release()
        assert told.acquire(timeout=10)
    assert [arguments["z"] for _, arguments in worker.asked] == [0, 49, -1]
    answers = [item for item in news if isinstance(item, Answer)]
    assert [answer.question.about for answer in answers] == ["first", 49, None]
    assert [answer.result for answer in answers] == [{"n": 1}, {"n": 2}, {"n": 3}]
    progress = [item for item in news if isinstance(item, Progress)]
    assert len(progress) == 3  # partial images are not of it
    assert (progress[0].stage, progress[0].done, progress[0].total) == ("decoding", 1, 2)
    thread.close()
    assert thread.join(10)
    assert worker.ended.is_set()
    assert not thread.busy


def test_a_refusal_is_told_and_the_worker_goes_on() -> None:
    worker = Slow(refuses=UsageError("no such thing", "try another"))
    thread, news, told = start(worker)
    for _ in range(2):
        thread.ask("a", "decode")
        worker.go.release()
        assert told.acquire(timeout=10)
    refused = [item for item in news if isinstance(item, Answer)]
    assert [(str(item.error), item.died) for item in refused] == [("no such thing\n  try another", False)] * 2
    thread.close()
    assert thread.join(10)


def test_a_death_is_told_and_ends_the_thread() -> None:
    worker = Slow()
    thread, news, told = start(worker)
    thread.ask("a", "decode")
    assert worker.at_work.acquire(timeout=10)
    worker.alive = False
    worker.go.release()
    assert told.acquire(timeout=10)
    (death,) = [item for item in news if isinstance(item, Answer)]
    assert death.died
    assert death.error is not None
    assert death.error.hint == "last words"
    assert thread.join(10)


def test_after_closing_nothing_is_told_and_a_worker_at_work_is_ended() -> None:
    worker = Slow()
    thread, news, _ = start(worker)
    thread.ask("a", "decode")
    assert worker.at_work.acquire(timeout=10)
    thread.close()
    assert thread.join(10)
    assert not [item for item in news if isinstance(item, Answer)]
    assert worker.ended.is_set()
    thread.ask("a", "decode")  # too late, and no mistake
    never, news, _ = start(Slow())
    never.close()
    assert never.join(1)


def test_a_worker_that_cannot_be_started_is_told() -> None:
    news: list[Answer | Progress] = []

    def fail() -> Slow:
        raise FileNotFoundError("no python")

    thread = WorkerThread(fail, news.append)
    thread.ask("a", "decode")
    assert thread.join(10)
    (answer,) = news
    assert isinstance(answer, Answer)
    assert answer.died
    assert "no worker could be started: no python" in str(answer.error)


def test_arrays_survive_their_line() -> None:
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2)
    assert (unpack(pack(images)) == images).all()
    assert unpack(pack(images)).dtype == np.uint8
    numbers = np.linspace(-3, 3, 8).reshape(2, 4)
    np.testing.assert_array_equal(unpack(pack(numbers)), numbers.astype(np.float32))
    np.testing.assert_array_equal(unpack_rows(pack_rows(numbers), 4), numbers.astype(np.float32))
    for text, width in (
        ("", 4),
        ("AAAA", 1),
        ("not base64!", 1),
        (pack_rows(numbers), 3),
        (pack_rows(numbers), 0),
    ):
        with pytest.raises(ValueError, match=r"base64|whole rows"):
            unpack_rows(text, width)
    with pytest.raises(ValueError, match="neither"):
        unpack({"shape": [1]})
