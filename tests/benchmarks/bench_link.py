"""The live view at the end of a slow link: a pseudo-terminal whose bytes take 150 ms each way.

    python -m tests.benchmarks.bench_link [--delay 0.15] [--mute]

What stands on the far screen is known by an emulator (pyte) that is fed only what has arrived; it answers what the
program asks of a terminal (or nothing, `--mute`), and the answers travel as keys do. Times are those that a person
sees; "own" is what is left without the way there and back.

- first frame:  from the start of `sslterm monitor RUN` to curves and keys on the far screen
- a key:        from the press to its effect on the far screen: help, enlarge, smoothing
- held arrow:   the history of a 256x256 matrix, enlarged, gone through at 30 keys a second for three seconds:
                bytes, and how long the screen still changes after the key is let go
- the wheel:    40 turns over a chart in two seconds: the same
- training:     ten seconds of a run that logs five points a tick: bytes a second

The exit code is 1 where the view waits for an answer, or lags behind by more than a second.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from collections import deque
from dataclasses import replace
from pathlib import Path

import numpy as np
import pexpect
import pyte

from sslterm.run.layout import RunDirectory
from sslterm.run.panels import save_panel
from tests.benchmarks.bench_view import METRICS, STEPS, View, write_points
from tests.tui.recorded import correlation, full_run, put_status

ANSWERS = (
    (re.compile(rb"\x1b\[\?(\d+)\$p"), lambda mode: b"\x1b[?" + mode + b";2$y"),
    (re.compile(rb"\x1b\[c()"), lambda _: b"\x1b[?62;22c"),
    (re.compile(rb"\x1b\[6n()"), lambda _: b"\x1b[1;1R"),
    (re.compile(rb"\x1b\[\?u()"), lambda _: b"\x1b[?0u"),
)
"""What a terminal is asked, and what it says."""


class Link:
    """A view whose screen and keys are `delay` seconds away."""

    def __init__(self, view: View, delay: float, *, mute: bool) -> None:
        self.view, self.delay, self.mute = view, delay, mute
        self.screen = pyte.Screen(120, 40)
        self.stream = pyte.ByteStream(self.screen)
        self.coming: deque[tuple[float, bytes]] = deque()
        self.going: deque[tuple[float, bytes]] = deque()
        self.sent = 0
        """Bytes that the program has sent."""
        self.last = time.perf_counter()
        """When the last of them arrived."""

    def press(self, keys: str) -> None:
        self.going.append((time.perf_counter() + self.delay, keys.encode()))

    def step(self, seconds: float = 0.005) -> None:
        """Carry what is due, both ways."""
        now = time.perf_counter()
        while self.going and self.going[0][0] <= now:
            self.view.child.send(self.going.popleft()[1])
        try:
            found = self.view.child.read_nonblocking(1 << 16, timeout=seconds)
            self.sent += len(found)
            self.coming.append((time.perf_counter() + self.delay, found))
        except pexpect.TIMEOUT:
            pass
        now = time.perf_counter()
        while self.coming and self.coming[0][0] <= now:
            found = self.coming.popleft()[1]
            self.last = now
            self.stream.feed(
                re.sub(rb"\x1b\[[<>=][\d;]*[a-zA-Z]", b"", found)
            )  # kitty's keys: pyte would print them
            for question, answer in () if self.mute else ANSWERS:
                for match in question.finditer(found):
                    self.going.append((now + self.delay, answer(match.group(1))))

    def run(self, seconds: float) -> None:
        deadline = time.perf_counter() + seconds
        while time.perf_counter() < deadline:
            self.step()

    def until(self, text: str, seconds: float = 20.0, *, there: bool = True) -> float:
        """Seconds until a text stands on the far screen, or is gone from it."""
        began = time.perf_counter()
        while any(text in line for line in self.screen.display) != there:
            if time.perf_counter() - began > seconds:
                raise SystemExit(f"in vain waited for {text!r}:\n" + "\n".join(self.screen.display))
            self.step()
        return time.perf_counter() - began

    def quiet(self) -> None:
        """Wait until nothing has come for a second and a half."""
        while time.perf_counter() - self.last < 1.5:
            self.step()

    def burst(self, presses: list[str], apart: float) -> tuple[int, float]:
        """(bytes sent for it, seconds that the far screen goes on changing after it) of keys so many seconds apart."""
        self.quiet()
        before = self.sent
        for keys in presses:
            self.press(keys)
            self.run(apart)
        let_go = time.perf_counter()
        self.last = let_go
        self.quiet()
        return self.sent - before, self.last - let_go


def put_run(folder: Path) -> RunDirectory:
    """20,000 steps of five metrics, and a matrix of 256x256 drawn a hundred times."""
    run = full_run(folder, "far-1", "barlow-twins", state="paused")
    run.metrics.unlink()
    write_points(run, 0, STEPS)
    put_status(run, state="paused", step=STEPS)
    for turn in range(100):
        panel = correlation(turn / 100, 256)
        noise = np.random.default_rng(turn).normal(0, 0.1, panel.array.shape).astype(np.float32)
        save_panel(replace(panel, array=panel.array + noise), run.panel("cross-correlation", 800_000 + turn))
    return run


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--delay", type=float, default=0.15)
    parser.add_argument("--mute", action="store_true")
    given = parser.parse_args()
    slow = []

    def report(what: str, seconds: float, own: float, size: int) -> None:
        late = own > 1
        print(f"{what:40}{seconds:6.2f} s  own {own:5.2f} s{size:>10,} bytes{'  LATE' if late else ''}")
        if late:
            slow.append(what)

    with tempfile.TemporaryDirectory() as name:
        run = put_run(Path(name))
        print(f"load before: {os.getloadavg()[0]:.1f}")
        link = Link(View(Path(name), "far-1"), given.delay, mute=given.mute)
        link.until("? keys")
        seconds = time.perf_counter() - link.view.began
        print(f"{'first frame':40}{seconds:6.2f} s  own {seconds - given.delay:5.2f} s{link.sent:>10,} bytes")
        for what, keys, text, there in (
            ("a key: help", "?", "Zoom charts about the cursor", True),
            ("a key: away with it", "h", "Zoom charts about the cursor", False),
            ("a key: smooth", "e", "EMA 0.6", True),
        ):
            link.quiet()
            before = link.sent
            link.press(keys)
            seconds = link.until(text, there=there)
            report(what, seconds, seconds - 2 * given.delay, link.sent - before)
        link.press("\r")
        size, lag = link.burst(90 * ["\x1b[D"], 1 / 30)
        report("held arrow on a matrix, after it", lag, lag - 2 * given.delay, size)
        link.press("\r\t\t\t\r")
        size, lag = link.burst(20 * ["\x1b[<64;60;20M"] + 20 * ["\x1b[<65;60;20M"], 0.05)
        report("the wheel over a chart, after it", lag, lag - 2 * given.delay, size)
        link.press("0")
        link.quiet()
        before, began = link.sent, time.perf_counter()
        for turn in range(20):
            write_points(run, STEPS + 5 * turn, STEPS + 5 * turn + 5)
            link.run(0.5)
        rate = (link.sent - before) / (time.perf_counter() - began)
        print(f"{'training, one chart of ' + str(len(METRICS)):40}{'':24}{rate:>6,.0f} bytes a second")
        link.view.close()
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
