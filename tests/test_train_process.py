"""The trainer as a person meets it: alone, attached, detached, twice at once, out of disk, out of numbers."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pexpect
import pytest
import torch

from sslterm import train as trainer_process
from sslterm.cli.app import main
from sslterm.config.read import dump
from sslterm.engine import loop
from sslterm.engine.checkpoint import list_checkpoints
from sslterm.errors import DataError, ExitCode, SsltermError, UsageError
from sslterm.run.control import request, wait_for_ack
from sslterm.run.events import EventsReader, append_event
from sslterm.run.launch import TrainerProcess, own_status, remove_if_untouched, what_happened
from sslterm.run.layout import RunDirectory
from sslterm.run.lock import hold, trainer_of
from sslterm.run.metrics import MetricsReader
from sslterm.run.status import Status, read_status, write_status
from tests.conformance.shrink import shrink

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm-256color"}
SMALL = ["--set", "train.images=6400", "--set", "method.widths=[16]", "--device", "cpu"]


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A short run that has not begun."""
    found = RunDirectory(tmp_path / "vae-digits-1")
    found.path.mkdir()
    found.config.write_text(dump(shrink("vae", "digits", steps=12)))
    return found


def events_of(run: RunDirectory) -> list[dict[str, object]]:
    reader = EventsReader(run.events)
    reader.refresh()
    return reader.events


def state_of(run: RunDirectory) -> str:
    status = read_status(run.status)
    assert status is not None
    return status.state


def test_off_a_terminal_it_prints_plain_lines_and_what_to_do_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "vae", "--preset", "digits", *SMALL]) == ExitCode.OK
    said = capsys.readouterr().out
    assert "vae-digits-1: 1,500 train and 297 test images of 16x16x1" in said
    assert "nats (bound, held-out)" in said
    assert "next: sslterm sample vae-digits-1" in said
    assert "\x1b" not in said
    picture = next(line.partition(": ")[2] for line in said.splitlines() if line.startswith("latent-plane: "))
    assert Path(picture).read_bytes().startswith(b"\x89PNG")


def test_json_lines_can_be_read_by_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "vae", "--json", "--name", "mine", *SMALL]) == ExitCode.OK
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"run", "state", "step", "images", "total_images", "images_per_second", "metrics"} <= lines[
        -1
    ].keys()
    assert (lines[-1]["run"], lines[-1]["state"], lines[-1]["images"]) == ("mine", "finished", 6400)


def test_a_mistake_in_the_method_s_section_leaves_no_run_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "vae", "--set", "method.beta=-1"]) == ExitCode.USAGE
    assert "beta = -1.0 is out of range" in capsys.readouterr().err
    assert not list((tmp_path / "runs").iterdir())


def test_divergence_names_step_and_value_and_keeps_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["train", "vae", *SMALL, "--set", "optim.main.lr=1e30"]) == ExitCode.DIVERGED
    said = capsys.readouterr().err
    assert "error: step " in said
    assert "is NaN or infinite" in said
    run = RunDirectory(tmp_path / "runs" / "vae-digits-1")
    assert state_of(run) == "diverged"
    assert list_checkpoints(run) == [0]
    assert events_of(run)[-1]["exit_code"] == ExitCode.DIVERGED


def test_torchrun_starts_trainers_and_no_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["train", "vae", *SMALL]) == ExitCode.USAGE
    assert "sslterm train vae --nproc 2" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    assert main(["resume", "last"]) == ExitCode.USAGE
    assert "sslterm resume last --nproc 2" in capsys.readouterr().err


def test_a_second_trainer_is_refused(run: RunDirectory) -> None:
    with hold(run), pytest.raises(UsageError, match="being trained"):
        trainer_process.train_run(run, device="cpu")


def test_a_run_whose_data_another_trainer_is_loading_is_refused_and_left_alone(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    with hold(run):
        assert main(["resume", run.name, "--runs", str(run.path.parent)]) == ExitCode.USAGE
        assert "is starting already" in capsys.readouterr().err
        remove_if_untouched(run)
        assert run.config.is_file()
    remove_if_untouched(run)
    assert not run.path.exists()


def test_a_trainer_that_was_killed_is_gone_at_once(run: RunDirectory) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as trainer:
        status = Status(pid=trainer.pid, host=socket.gethostname(), state="running", heartbeat=time.time())
        with hold(run):
            assert trainer_of(run, status) == os.getpid()
        assert trainer_of(run, status) == trainer.pid  # on its way to hold the run
        trainer.kill()
    assert trainer_of(run, status) is None
    assert trainer_of(run, replace(status, host="elsewhere")) == trainer.pid
    (run.path / ".lock").unlink()
    assert trainer_of(run, status) == trainer.pid  # nobody can tell before the heartbeat is stale


def test_only_what_this_trainer_said_is_taken_for_its_end(run: RunDirectory) -> None:
    def ended(code: str) -> TrainerProcess:
        trainer = TrainerProcess([sys.executable, "-c", code])
        trainer.launched = time.time()
        trainer.wait()
        return trainer

    append_event(run.events, "failed", message="the disk is full", hint="make room", exit_code=1)
    killed = ended("import os; os.kill(os.getpid(), 9)")
    error = what_happened(run, killed)
    assert error is not None
    assert "was killed by signal 9" in error.message
    append_event(run.events, "failed", message="out of memory", hint="", exit_code=4)
    assert (error := what_happened(run, killed)) is not None
    assert (error.message, error.exit_code) == ("out of memory", ExitCode.DEVICE)
    ranks = ended("raise SystemExit(1)")  # as torchrun ends where all ranks were asked to stop
    for started, said in ((ranks.launched - 9, False), (ranks.launched + 1, True)):
        write_status(run.status, Status(state="stopped", started=started, pid=1))
        assert (own_status(run, ranks) is not None) == said
        assert (what_happened(run, ranks) is None) == said


def test_a_full_disk_stops_it_cleanly(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    save, calls = loop.save_checkpoint, []

    def full_after_the_first(*args: object, **options: object) -> Path:
        calls.append(options["images"])
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return save(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "save_checkpoint", full_after_the_first)
    with pytest.raises(SsltermError, match=r"disk .* is full; the last checkpoint is intact") as caught:
        trainer_process.train_run(run, device="cpu")
    assert caught.value.exit_code == ExitCode.FAILED
    assert state_of(run) == "failed"
    monkeypatch.undo()
    assert trainer_process.train_run(run, device="cpu") == ExitCode.OK  # and goes on once there is room


def test_out_of_memory_says_what_to_lower(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*args: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")

    monkeypatch.setattr(loop.Trainer, "train", exhausted)
    with pytest.raises(SsltermError, match="out of memory") as caught:
        trainer_process.train_run(run, device="cpu")
    assert caught.value.exit_code == ExitCode.DEVICE
    assert "train.batch" in caught.value.hint


def test_a_bug_is_told_in_one_line_and_kept_in_full(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop.Trainer, "log", lambda self: 1 / 0)
    with pytest.raises(SsltermError, match="ZeroDivisionError: division by zero"):
        trainer_process.train_run(run, device="cpu")
    assert "Traceback" in str(events_of(run)[-1]["trace"])


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_run_directory_is_named(run: RunDirectory) -> None:
    run.path.chmod(0o500)
    with pytest.raises(DataError, match=str(run.path)):
        trainer_process.train_run(run, device="cpu")


def test_a_damaged_checkpoint_is_reported_and_the_one_before_used(
    run: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    trainer_process.train_run(run, device="cpu")
    newest = list_checkpoints(run)[-1]
    (run.checkpoint(newest) / "model.safetensors").write_bytes(b"")
    assert trainer_process.train_run(run, device="cpu") == ExitCode.OK
    assert "damaged" in capsys.readouterr().err
    kinds = [event["kind"] for event in events_of(run)]
    assert kinds.count("warning") == 1
    assert kinds[-1] == "finished"


def _launch(run: RunDirectory) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "sslterm.train", str(run.path), "--device", "cpu"]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _wait(condition: object, seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_requests_are_obeyed_and_acknowledged(run: RunDirectory) -> None:
    run.config.write_text(dump(shrink("vae", "digits", steps=1_000_000)))
    trainer = _launch(run)
    try:
        _wait(lambda: run.status.exists() and state_of(run) == "running")
        assert wait_for_ack(run, request(run, "pause"), 30) == "done"
        assert state_of(run) == "paused"
        status = read_status(run.status)
        time.sleep(1.5)
        later = read_status(run.status)
        assert status is not None
        assert later is not None
        assert (later.step, later.heartbeat > status.heartbeat) == (status.step, True)
        assert wait_for_ack(run, request(run, "checkpoint"), 30) == "done"
        assert list_checkpoints(run)[-1] == later.images
        assert wait_for_ack(run, request(run, "set", key="optim.main.lr", value=5e-4), 30) == "done"
        assert "refused" in str(wait_for_ack(run, request(run, "set", key="train.batch", value=1), 30))
        assert wait_for_ack(run, request(run, "continue"), 30) == "done"
        _wait(lambda: read_status(run.status).step > later.step + 4)  # type: ignore[union-attr]
        assert wait_for_ack(run, request(run, "stop"), 30) == "done"
        assert trainer.wait(timeout=30) == ExitCode.STOPPED
    finally:
        trainer.kill()
        trainer.wait()
    metrics = MetricsReader(run.metrics)
    metrics.refresh()
    assert metrics.series["main/lr"].value[-1] == pytest.approx(5e-4, rel=0.01)  # of the preset's 1e-3
    events = EventsReader(run.events)
    events.refresh()
    rates = [(event["group"], event["lr"]) for event in events.events if event["kind"] == "rate"]
    assert rates == [("main", 5e-4)]


def test_it_outlives_the_terminal_it_was_started_from(tmp_path: Path) -> None:
    command = [
        "-m",
        "sslterm",
        "train",
        "vae",
        "--preset",
        "digits",
        "--device",
        "cpu",
        "--set",
        "train.images=400000",
    ]
    terminal = pexpect.spawn(
        sys.executable,
        command,
        cwd=tmp_path,
        env=ENVIRONMENT,
        dimensions=(24, 80),
        timeout=120,
        encoding="utf-8",
    )
    terminal.expect("vae-digits-1 .{0,40}running")
    terminal.close(force=True)  # the connection drops
    run = RunDirectory(tmp_path / "runs" / "vae-digits-1")
    _wait(lambda: state_of(run) == "finished", 200)
    assert read_status(run.status).images >= 400_000  # type: ignore[union-attr]


def test_torchrun_trains_a_run_directory(run: RunDirectory) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*launcher, "-m", "sslterm.train", str(run.path), "--device", "cpu"],
        env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert state_of(run) == "finished"
    (run.path / "whole").mkdir()
    alone = RunDirectory(run.path / "whole")
    alone.config.write_text(run.config.read_text())
    trainer_process.train_run(alone, device="cpu")
    ours, theirs = MetricsReader(run.metrics), MetricsReader(alone.metrics)
    for reader in (ours, theirs):
        reader.refresh()
    assert ours.series["main/loss"].value == pytest.approx(theirs.series["main/loss"].value, rel=1e-4)
    # what two ranks saved, one process goes on with
    newest = list_checkpoints(run)[-1]
    for name in ("model.safetensors", "trainer.pt", "manifest.json"):
        (run.checkpoint(newest) / name).unlink()
    run.checkpoint(newest).rmdir()
    assert trainer_process.train_run(run, device="cpu") == ExitCode.OK
