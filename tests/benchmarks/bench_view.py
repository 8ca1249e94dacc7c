"""The live view on a real pseudo-terminal: first frame, bytes, memory. What it costs a training: `bench_watched`.

    python -m tests.benchmarks.bench_view [--rounds 5]

- first frame: from the start of `sslterm monitor RUN` (20,000 steps of 5 metrics, 120x40) to curves and keys: the
               quickest round, for other programs only make it longer; beside it the median, and the CPU time
- idle:        bytes sent in five seconds in which nothing changes
- tick:        bytes sent for five new points of each metric, on the same screen enlarged to one chart
- new axes:    the most that is sent of ticks of 200 points, of which every fifth or so widens the axes
- matrix:      bytes sent for a new drawing of a 256x256 correlation matrix, enlarged
- memory:      resident size of the monitor on that run, and with 50 and 1,000 runs listed; of those the first list

The exit code is 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pexpect
import psutil

from sslterm.run.layout import RunDirectory
from sslterm.run.metrics import MetricsWriter
from sslterm.run.panels import save_panel
from tests.tui.recorded import BATCH, correlation, full_run, new_run, put_status

STEPS = 20_000
METRICS = ("main/loss", "main/neg_elbo_nats", "main/kl_nats", "main/lr", "test/knn")


def write_points(run: RunDirectory, first: int, last: int) -> None:
    noise = np.random.default_rng(first)
    writer = MetricsWriter(run.metrics)
    for step in range(first, last):
        values = {name: float(2 + np.exp(-step / 5000) + 0.05 * noise.normal()) for name in METRICS}
        writer.write(step=step, images=step * BATCH, seconds=step / 25, values=values)


class View:
    """`sslterm monitor` on a pseudo-terminal of 120x40."""

    def __init__(self, folder: Path, *names: str) -> None:
        arguments = ["-m", "sslterm", "monitor", *names, "--runs", str(folder)]
        settings = str(folder / "view.json")
        environment = {
            **os.environ,
            "TERM": "xterm-256color",
            "COLORTERM": "truecolor",
            "SSLTERM_SETTINGS": settings,
        }
        self.began = time.perf_counter()
        self.child = pexpect.spawn(sys.executable, arguments, dimensions=(40, 120), env=environment)

    def read(self, seconds: float, until: bytes = b"") -> bytes:
        """What is sent within `seconds`, or until a text is among it."""
        sent, deadline = b"", time.perf_counter() + seconds
        while time.perf_counter() < deadline and not (until and until in sent):
            try:
                sent += self.child.read_nonblocking(1 << 16, timeout=0.02)
            except pexpect.TIMEOUT:
                continue
        return sent

    @property
    def resident_mb(self) -> float:
        return psutil.Process(self.child.pid).memory_info().rss / 1e6

    def close(self) -> None:
        self.child.close(force=True)


def first_frame(folder: Path) -> tuple[float, float, float, int, int, int]:
    """(seconds to curves and keys, those of CPU time, resident MB, bytes idle, a tick, a tick with new axes)."""
    run = full_run(folder, "long-1", state="paused")
    run.metrics.unlink()
    write_points(run, 0, STEPS)
    put_status(run, state="paused", step=STEPS)
    view = View(folder, "long-1")
    view.read(20, until=b"keys")
    seconds, cpu = time.perf_counter() - view.began, sum(psutil.Process(view.child.pid).cpu_times()[:2])
    view.read(3)
    idle = len(view.read(5))
    memory = view.resident_mb
    view.child.send("\t\t\t\r")  # past the panels, to the first chart, enlarged
    view.read(2)
    ticks = []
    for turn in range(8):
        write_points(run, STEPS + 5 * turn, STEPS + 5 * turn + 5)
        ticks.append(len(view.read(0.6)))
    axes = []
    for turn in range(7):
        write_points(run, STEPS + 40 + 200 * turn, STEPS + 240 + 200 * turn)
        axes.append(len(view.read(1.2)))
    view.close()
    return seconds, cpu, memory, idle, round(statistics.median(ticks)), max(axes)


def matrix_bytes(folder: Path) -> int:
    run = full_run(folder, "matrix-1", "barlow-twins", state="paused")
    save_panel(correlation(0.5, 256), run.panel("cross-correlation", 800_000))
    view = View(folder, "matrix-1")
    view.read(20, until=b"keys")
    view.read(2)
    view.child.send("\r")
    view.read(2.5)
    newer = correlation(0.7, 256)
    noise = np.random.default_rng(1).normal(0, 0.1, newer.array.shape).astype(np.float32)
    save_panel(replace(newer, array=newer.array + noise), run.panel("cross-correlation", 900_000))
    sent = len(view.read(3))
    view.close()
    return sent


def listed(folder: Path, count: int, steps: int) -> tuple[float, float, float]:
    """(seconds to the first list of so many runs, those of CPU time, resident MB of the monitor)."""
    for number in range(count):
        run = new_run(folder, f"vae-digits-{number}")
        write_points(run, 0, steps)
        put_status(run, state="finished", step=steps)
    view = View(folder)
    view.read(20, until=b"keys")
    seconds, cpu = time.perf_counter() - view.began, sum(psutil.Process(view.child.pid).cpu_times()[:2])
    view.read(4)
    memory = view.resident_mb
    view.close()
    return seconds, cpu, memory


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    missed = []

    def report(what: str, value: float, unit: str, target: float, more: str = "") -> None:
        met = value <= target
        print(f"{what:34}{value:>10,.3g} {unit:6} target <= {target:<8g}{'' if met else 'MISSED '}{more}")
        if not met:
            missed.append(what)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds, cpu, memories, idles, ticks, axes = zip(
            *(first_frame(folder / f"a{turn}") for turn in range(given.rounds)), strict=True
        )
        print(f"load before: {os.getloadavg()[0]:.1f}")
        also = f"median {statistics.median(seconds):.2f} s, CPU time {statistics.median(cpu):.2f} s"
        report("first frame, 20,000 x 5", min(seconds), "s", 0.8, also)
        report("memory, that run", max(memories), "MB", 100)
        report("bytes idle, 5 s", max(idles), "bytes", 0)
        report("bytes a tick, one chart", statistics.median(ticks), "bytes", 5000)
        report("bytes a tick with new axes", max(axes), "bytes", 5000)
        report("bytes of a new 256x256 matrix", matrix_bytes(folder / "m"), "bytes", 60_000)
        report("memory, 50 runs listed", listed(folder / "b", 50, 2000)[-1], "MB", 100)
        first, cpu, memory = listed(folder / "c", 1000, 50)
        report("first list, 1,000 runs", first, "s", 0.8, f"CPU time {cpu:.2f} s")
        report("memory, 1,000 runs listed", memory, "MB", 100)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
