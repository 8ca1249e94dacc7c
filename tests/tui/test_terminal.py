"""The live view on a real pseudo-terminal: bytes, sizes, ways out."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pyte
import pytest

from tests.tui.recorded import full_run, put_metrics, put_status

WATCH = """
import sys
from pathlib import Path
from sslterm.run.layout import RunDirectory
from sslterm.tui import monitor, watch
path = Path(sys.argv[1])
if sys.argv[2] == "monitor":
    monitor(path)
else:
    print("outcome:", watch(RunDirectory(path), attached=sys.argv[2] == "attached"))
"""


class Terminal:
    """A program on a pseudo-terminal, and the screen that a person would see."""

    def __init__(self, path: Path, mode: str, size: tuple[int, int], **environment: str) -> None:
        kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLORTERM")}
        environment = {
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "TEXTUAL_DISABLE_KITTY_KEY": "1",
        } | environment
        self.screen = pyte.Screen(*size)
        self.stream = pyte.ByteStream(self.screen)
        self.child = pexpect.spawn(
            sys.executable, ["-c", WATCH, str(path), mode], dimensions=size[::-1], env=kept | environment
        )  # fmt: skip

    def read(self, seconds: float) -> bytes:
        """What is sent within `seconds`."""
        sent, deadline = b"", time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                sent += self.child.read_nonblocking(1 << 16, timeout=0.05)
            except pexpect.TIMEOUT:
                continue
            except pexpect.EOF:
                break
        self.stream.feed(sent)
        return sent

    def wait_for(self, text: str, seconds: float = 15.0) -> None:
        """Read until `text` stands on the screen."""
        deadline = time.monotonic() + seconds
        while text not in self.text:
            assert time.monotonic() < deadline, f"{text!r} did not appear:\n{self.text}"
            self.read(0.1)

    @property
    def text(self) -> str:
        return "\n".join(self.screen.display)


Open = Callable[..., Terminal]


@pytest.fixture
def open_terminal() -> Iterator[Open]:
    opened: list[Terminal] = []

    def open_(
        path: Path, mode: str = "alone", size: tuple[int, int] = (80, 24), **environment: str
    ) -> Terminal:
        opened.append(Terminal(path, mode, size, **environment))
        return opened[-1]

    yield open_
    for terminal in opened:
        terminal.child.close(force=True)


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_idle_sends_nothing_and_news_little(
    tmp_path: Path, open_terminal: Open, size: tuple[int, int]
) -> None:
    run = full_run(tmp_path, state="paused")
    terminal = open_terminal(run.path, size=size)
    terminal.wait_for("paused")
    terminal.wait_for("? keys")
    terminal.read(1.0)
    put_status(run, state="paused")  # a heartbeat changes a file, and nothing that is shown
    assert terminal.read(1.5) == b""
    put_metrics(run, 3200, start=3140)
    put_status(run, state="paused", step=3200)
    sent = b""
    for _ in range(60):  # the view draws at a pace that leaves trainings alone
        sent += terminal.read(0.1)
        if "step 3,200" in terminal.text:
            break
    sent += terminal.read(0.5)
    assert "step 3,200" in terminal.text
    assert len(sent) < 12_000


def test_the_list_of_runs_idles_too(tmp_path: Path, open_terminal: Open) -> None:
    full_run(tmp_path, state="finished", heartbeat=time.time() - 7300)
    terminal = open_terminal(tmp_path, "monitor")
    terminal.wait_for("finished")
    terminal.read(2.5)
    assert terminal.read(3.0) == b""
    terminal.child.send("\r")
    terminal.wait_for("-ELBO · nats")
    terminal.child.send("\x1b")
    terminal.wait_for("enter open")
    terminal.child.send("q")
    terminal.child.expect(pexpect.EOF)
    terminal.child.close()
    assert terminal.child.exitstatus == 0


def test_resizing_draws_for_the_new_size(tmp_path: Path, open_terminal: Open) -> None:
    path = full_run(tmp_path, state="paused").path
    terminal = open_terminal(path, size=(120, 40), COLUMNS="70", LINES="20")  # which many shells export
    terminal.wait_for("? keys")
    for width, height in ((80, 24), (20, 5), (120, 40)):
        terminal.screen.resize(height, width)
        terminal.screen.reset()
        terminal.child.setwinsize(height, width)
        terminal.wait_for("vae-")
        terminal.read(0.8)
        if width >= 80:
            terminal.wait_for("? keys")
            assert "reconstructions" in terminal.text
        assert len(terminal.screen.display) == height


def test_no_color_sends_no_colour(tmp_path: Path, open_terminal: Open) -> None:
    terminal = open_terminal(full_run(tmp_path, state="paused").path, NO_COLOR="1")
    terminal.wait_for("? keys")
    terminal.child.send("\t?")
    terminal.wait_for("Save a checkpoint now")
    cells = [cell for row in terminal.screen.buffer.values() for cell in row.values()]
    assert {(cell.fg, cell.bg) for cell in cells} == {("default", "default")}


def test_in_256_colours(tmp_path: Path, open_terminal: Open) -> None:
    terminal = open_terminal(full_run(tmp_path, state="paused").path, COLORTERM="")
    terminal.read(0.1)
    terminal.wait_for("? keys")
    colors = {cell.fg for row in terminal.screen.buffer.values() for cell in row.values()}
    assert len(colors) > 3


@pytest.mark.parametrize(("keys", "outcome"), [("qd", "detached"), ("\x03d", "detached"), ("qsq", "stop")])
def test_ways_out_of_an_attached_view(tmp_path: Path, open_terminal: Open, keys: str, outcome: str) -> None:
    terminal = open_terminal(full_run(tmp_path).path, "attached")
    terminal.wait_for("? keys")
    for key in keys:
        terminal.child.send(key)
        sent = terminal.read(0.4)
    while chunk := terminal.read(0.5):
        sent += chunk
    assert f"outcome: {outcome}".encode() in sent


def test_off_a_terminal_it_says_what_to_do(tmp_path: Path) -> None:
    import subprocess

    run = full_run(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", WATCH, str(run.path), "alone"],
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.stdout == ""
    assert "the live view needs a terminal" in done.stderr


def test_the_first_screen_comes_quickly(tmp_path: Path, open_terminal: Open) -> None:
    run = full_run(tmp_path, state="paused")
    began = time.monotonic()
    open_terminal(run.path).wait_for("? keys")
    assert time.monotonic() - began < 5  # about half a second on an idle machine
