"""Training in tmux, as over SSH: the terminal goes, the training stays, and one comes back to it."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from sslterm.run.layout import RunDirectory, list_runs
from sslterm.run.status import read_status, state_now

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")

SSLTERM = f"{shlex.quote(sys.executable)} -m sslterm"
TRAIN = f"{SSLTERM} train vae --preset digits --device cpu --set watch.log_every_images=1280"


class Tmux:
    """A tmux server of its own, with one window."""

    def __init__(self, folder: Path) -> None:
        self.name = f"sslterm-{uuid.uuid4().hex[:8]}"
        self.folder = folder

    def __call__(self, *arguments: str) -> str:
        command = ["tmux", "-L", self.name, "-f", "/dev/null", *arguments]
        kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TMUX")}
        environment = kept | {"COLORTERM": "truecolor", "SHELL": "/bin/sh", "PYTHONPATH": str(Path.cwd())}
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env=environment, timeout=20
        )
        return done.stdout

    def start(self, command: str) -> None:
        self("new-session", "-d", "-x", "100", "-y", "30", "-c", str(self.folder), command)

    @property
    def screen(self) -> str:
        return self("capture-pane", "-p")

    def wait_for(self, text: str, seconds: float = 60.0) -> None:
        deadline = time.monotonic() + seconds
        while text not in self.screen:
            assert time.monotonic() < deadline, f"{text!r} did not appear:\n{self.screen}"
            time.sleep(0.2)


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    server = Tmux(tmp_path)
    yield server
    server("kill-server")
    for run in list_runs(tmp_path / "runs"):
        status = read_status(run.status)
        if status is not None and state_now(status) in ("starting", "running", "paused"):
            os.kill(status.pid, signal.SIGKILL)


def images_of(run: RunDirectory) -> int:
    status = read_status(run.status)
    return status.images if status is not None else 0


def goes_on(run: RunDirectory, seconds: float = 30.0) -> bool:
    """Whether a training makes progress from here."""
    before, deadline = images_of(run), time.monotonic() + seconds
    while time.monotonic() < deadline:
        if images_of(run) > before:
            return True
        time.sleep(0.1)
    return False


def test_the_training_outlives_its_terminal_and_is_found_again(tmux: Tmux, tmp_path: Path) -> None:
    tmux.start(TRAIN)
    tmux.wait_for("● vae-digits-1 · running")
    (run,) = list_runs(tmp_path / "runs")
    tmux("kill-server")  # the connection drops: the terminal and all that hangs on it are gone
    assert goes_on(run)
    tmux.start(f"{SSLTERM} monitor last")
    tmux.wait_for("● vae-digits-1 · running")
    tmux("send-keys", "p")
    tmux.wait_for("○ vae-digits-1 · paused")
    assert not goes_on(run, seconds=1.5)
    tmux("send-keys", "p")
    tmux.wait_for("● vae-digits-1 · running")
    tmux("send-keys", "S")
    tmux.wait_for("save and stop")
    tmux("send-keys", "s")
    tmux.wait_for("■ vae-digits-1 · stopped")


def test_detaching_and_a_smaller_window_draw_anew(tmux: Tmux, tmp_path: Path) -> None:
    tmux.start(TRAIN)
    tmux.wait_for("? keys")
    tmux("resize-window", "-x", "70", "-y", "20")
    tmux.wait_for("running")
    deadline = time.monotonic() + 10
    while max(map(len, tmux.screen.splitlines())) > 70 or "? keys" not in tmux.screen:
        assert time.monotonic() < deadline, tmux.screen
        time.sleep(0.2)
    tmux("send-keys", "q")
    tmux.wait_for("detach: the training goes on without this view")
    (run,) = list_runs(tmp_path / "runs")
    tmux("send-keys", "d")
    assert goes_on(run)
