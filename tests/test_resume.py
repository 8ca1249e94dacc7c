"""Killed at any moment and resumed, a run is the run that was never killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sslterm.catalog import CATALOG
from sslterm.config.presets import preset_names
from sslterm.config.read import dump
from sslterm.engine.checkpoint import list_checkpoints, open_checkpoint
from sslterm.errors import ExitCode
from sslterm.run.layout import RunDirectory
from sslterm.run.metrics import MetricsReader
from sslterm.run.status import read_status, state_now
from tests.conformance.shrink import shrink

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def new_run(folder: Path, method: str, preset: str, **changes: int) -> RunDirectory:
    folder.mkdir(parents=True)
    run = RunDirectory(folder)
    run.config.write_text(dump(shrink(method, preset, **changes)))
    return run


def start(run: RunDirectory) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "sslterm.train", str(run.path), "--device", "cpu"]
    return subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def finish(run: RunDirectory) -> None:
    trainer = start(run)
    _, said = trainer.communicate(timeout=240)
    assert trainer.returncode == ExitCode.OK, said.decode()


def kill(trainer: subprocess.Popen[bytes]) -> None:
    trainer.send_signal(signal.SIGKILL)
    trainer.communicate()


def wait_for_step(run: RunDirectory, trainer: subprocess.Popen[bytes]) -> None:
    """Until the first log line is there."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and trainer.poll() is None:
        if run.metrics.exists() and b"main/loss" in run.metrics.read_bytes():
            return
        time.sleep(0.005)
    raise AssertionError(f"no step in time: {trainer.stderr.read() if trainer.stderr else ''!r}")


def assert_same_run(ours: RunDirectory, theirs: RunDirectory) -> None:
    """Weights, optimizer state, random state, metrics and panels, to the bit."""
    end = list_checkpoints(theirs)[-1]
    assert list_checkpoints(ours)[-1] == end
    one, other = open_checkpoint(ours, end), open_checkpoint(theirs, end)
    mine, reference = one.model_state(), other.model_state()
    assert mine.keys() == reference.keys()
    for name in mine:
        assert torch.equal(mine[name], reference[name]), name
    states = [checkpoint.trainer_state() for checkpoint in (one, other)]
    assert repr(states[0]["updater"]) == repr(states[1]["updater"])
    assert torch.equal(states[0]["random_state"], states[1]["random_state"])
    readers = [MetricsReader(run.metrics) for run in (ours, theirs)]
    for reader in readers:
        reader.refresh()
    names = {name for name in readers[1].series if not name.startswith("speed/")}
    assert names <= readers[0].series.keys()
    for name in names:
        for field in ("step", "images", "value"):
            got, expected = (getattr(reader.series[name], field).tolist() for reader in readers)
            assert got == expected, name
    for picture in theirs.panels.rglob("*.npz"):
        assert picture.read_bytes() == (ours.panels / picture.relative_to(theirs.panels)).read_bytes()


def test_killed_and_resumed(tmp_path: Path) -> None:
    changes = {"steps": 400, "panels_every_images": 1600}
    whole = new_run(tmp_path / "whole", "vae", "digits", **changes)
    killed = new_run(tmp_path / "killed", "vae", "digits", **changes)
    finish(whole)
    trainer = start(killed)
    wait_for_step(killed, trainer)
    kill(trainer)
    status = read_status(killed.status)
    assert status is not None
    assert state_now(replace(status, heartbeat=status.heartbeat - 10)) == "died"
    finish(killed)
    assert_same_run(killed, whole)


def test_an_interrupt_saves_and_stops(tmp_path: Path) -> None:
    run = new_run(tmp_path / "run", "vae", "digits", steps=100_000)
    trainer = start(run)
    wait_for_step(run, trainer)
    trainer.send_signal(signal.SIGHUP)  # a closed terminal means nothing
    trainer.send_signal(signal.SIGINT)
    trainer.communicate(timeout=60)
    assert trainer.returncode == ExitCode.STOPPED
    status = read_status(run.status)
    assert status is not None
    assert status.state == "stopped"
    assert list_checkpoints(run)[-1] == status.images > 0
    open_checkpoint(run, status.images)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("method", list(CATALOG))
def test_killed_five_times_at_random(method: str, tmp_path: Path) -> None:
    preset = preset_names(method)[0]
    changes = {"steps": 600, "panels_every_images": 1600}
    whole = new_run(tmp_path / "whole", method, preset, **changes)
    killed = new_run(tmp_path / "killed", method, preset, **changes)
    finish(whole)
    dice = random.Random(method)
    for _ in range(5):
        trainer = start(killed)
        try:
            trainer.communicate(
                timeout=dice.uniform(0.5, 9.0)
            )  # anywhere between the first import and the last step
        except subprocess.TimeoutExpired:
            kill(trainer)
    finish(killed)
    assert_same_run(killed, whole)
