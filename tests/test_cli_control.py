"""`pause`, `continue`, `stop`, `checkpoint`: of a trainer that answers, that is silent, that is gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sslterm.run.control import acknowledge, pending
from sslterm.run.layout import RunDirectory
from tests.cli_program import Cli, cli
from tests.tui.recorded import new_run, put_status

__all__ = ["cli"]  # a fixture


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    monkeypatch.setenv("SSLTERM_RUNS", str(tmp_path))
    found = new_run(tmp_path)
    put_status(found)
    return found


@contextmanager
def trainer(run: RunDirectory, outcome: str, then: Callable[[], None] = lambda: None) -> Iterator[list[str]]:
    """A trainer that answers every request with `outcome`; yields what it was asked."""
    asked: list[str] = []
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            for request in pending(run):
                asked.append(request.do)
                acknowledge(run, request, outcome)
                then()
            time.sleep(0.02)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield asked
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("pause", "vae-digits-1 is paused; go on: sslterm continue vae-digits-1\n"),
        ("continue", "vae-digits-1 goes on\n"),
        ("checkpoint", "vae-digits-1 has saved a checkpoint after 512,000 images\n"),
    ],
)
def test_a_request_is_answered(run: RunDirectory, cli: Cli, command: str, says: str) -> None:
    folder = run.checkpoint(512_000)
    folder.mkdir(parents=True)
    (folder / "model.safetensors").touch()
    (folder / "trainer.pt").touch()
    with trainer(run, "done") as asked:
        answer = cli(command, "last")
    assert (answer.code, answer.out, asked) == (0, says, [command])


def test_stop_waits_until_the_trainer_has_ended(run: RunDirectory, cli: Cli) -> None:
    def end() -> None:
        time.sleep(0.3)
        put_status(run, state="stopped")

    with trainer(run, "done", end):
        answer = cli("stop", "last", "--json")
    assert answer.json == {"run": "vae-digits-1", "do": "stop", "outcome": "done", "state": "stopped"}


def test_a_refusal_is_an_error(run: RunDirectory, cli: Cli) -> None:
    with trainer(run, "refused: it is not the time"):
        answer = cli("pause", "last")
    assert (answer.code, answer.err) == (1, "error: vae-digits-1 refused: it is not the time\n")


def test_silence_is_told_and_the_request_stays(run: RunDirectory, cli: Cli) -> None:
    answer = cli("pause", "last", "--timeout", "0.2")
    assert answer.code == 1
    assert answer.err.startswith("error: vae-digits-1 has not answered within 0.2 s; it will pause")
    assert [request.do for request in pending(run)] == ["pause"]


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("finished", "it is finished"),
        ("stopped", "it is stopped"),
        ("failed", "it has failed"),
        ("diverged", "it has diverged"),
    ],
)
def test_a_run_that_has_ended_is_not_asked(run: RunDirectory, cli: Cli, state: str, says: str) -> None:
    put_status(run, state=state)
    answer = cli("pause", "last")
    assert answer.code == 1
    assert answer.err.startswith(f"error: cannot pause vae-digits-1: {says}\n  ")
    assert pending(run) == []


def test_a_run_that_was_never_trained(run: RunDirectory, cli: Cli) -> None:
    run.status.unlink()
    answer = cli("stop", "last")
    assert answer.err == (
        "error: cannot stop vae-digits-1: it has never been trained\n  sslterm resume vae-digits-1\n"
    )


def test_a_trainer_that_is_gone_is_noticed_before_it_is_asked(run: RunDirectory, cli: Cli) -> None:
    put_status(run, pid=2**22 + 1, heartbeat=time.time() - 5)
    answer = cli("stop", "last")
    assert answer.code == 1
    assert "it has died: its trainer is gone" in answer.err
    assert "sslterm resume vae-digits-1" in answer.err
    assert pending(run) == []


def test_a_trainer_that_goes_while_it_is_asked_is_noticed(run: RunDirectory, cli: Cli) -> None:
    put_status(run, pid=2**22 + 1, heartbeat=time.time() - 2)
    answer = cli("pause", "last")
    assert answer.code == 1
    assert "it has died" in answer.err
    assert pending(run) == []
