"""The live view on a real pseudo-terminal: first frame, bytes, memory, and what it costs the training.

    python -m tests.benchmarks.bench_view [--rounds 5] [--pairs 60] [--seconds 2]

- first frame: from the start of `sslterm monitor RUN` (20,000 steps of 5 metrics, 120x40) to curves and keys
- idle:        bytes sent in five seconds in which nothing changes
- tick:        bytes sent for five new points of each metric, on the same screen enlarged to one chart
- matrix:      bytes sent for a new drawing of a 256x256 correlation matrix, enlarged
- memory:      resident size of the monitor on that run, and with 50 runs listed
- training:    images/s of `vae --preset digits` with a monitor attached over those without, in turns within one run

The exit code is 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pexpect
import psutil

from sslterm.run.layout import RunDirectory
from sslterm.run.metrics import MetricsReader, MetricsWriter
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


def first_frame(folder: Path) -> tuple[float, float, int, int]:
    """(seconds to curves and keys, resident MB, bytes idle, bytes a tick)."""
    run = full_run(folder, "long-1", state="paused")
    run.metrics.unlink()
    write_points(run, 0, STEPS)
    put_status(run, state="paused", step=STEPS)
    view = View(folder, "long-1")
    view.read(20, until=b"keys")
    seconds = time.perf_counter() - view.began
    view.read(3)
    idle = len(view.read(5))
    memory = view.resident_mb
    view.child.send("\t\t\t\r")  # past the panels, to the first chart, enlarged
    view.read(2)
    ticks = []
    for turn in range(8):
        write_points(run, STEPS + 5 * turn, STEPS + 5 * turn + 5)
        ticks.append(len(view.read(0.6)))
    view.close()
    return seconds, memory, idle, round(statistics.median(ticks))


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


def memory_of_fifty(folder: Path) -> float:
    for number in range(50):
        run = new_run(folder, f"vae-digits-{number}")
        write_points(run, 0, 2000)
        put_status(run, state="finished", step=2000)
    view = View(folder)
    view.read(20, until=b"keys")
    view.read(4)
    memory = view.resident_mb
    view.close()
    return memory


def watched_over_unwatched(folder: Path, pairs: int, seconds: float) -> list[float]:
    """Images a second with a monitor attached over those while it is held, in turns within one training.

    Machines change their speed from second to second: turns are short, in the order on-off-off-on, and many.
    """
    rare = (
        "train.images",
        "watch.evaluate_every_images",
        "watch.panels_every_images",
        "watch.checkpoint_every_images",
    )
    changes = [part for key in rare for part in ("--set", f"{key}=1_000_000_000")]
    changes += ["--set", "watch.log_every_images=2560"]
    command = [sys.executable, "-m", "sslterm", "train", "vae", "--preset", "digits", "--name", "run",
               *changes, "--device", "cpu", "--runs", str(folder), "--json"]  # fmt: skip
    trainer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    metrics = MetricsReader(folder / "run" / "metrics.jsonl")

    def clock() -> tuple[int, float]:
        """(images, seconds of training) as of the newest line of the log."""
        metrics.refresh()
        loss = metrics.series.get("main/loss")
        return (int(loss.images[-1]), float(loss.seconds[-1])) if loss is not None else (0, 0.0)

    def rate(view: View, *, watched: bool) -> float:
        os.kill(view.child.pid, signal.SIGCONT if watched else signal.SIGSTOP)
        view.read(0.3)  # what has waited is drawn
        before = clock()
        view.read(seconds)
        after = clock()
        return (after[0] - before[0]) / (after[1] - before[1])

    try:
        while clock()[0] < 200_000:
            time.sleep(0.2)
        view = View(folder, "run")
        view.read(3)
        ratios = []
        for turn in range(pairs):
            order = (True, False) if turn % 2 == 0 else (False, True)
            rates = {watched: rate(view, watched=watched) for watched in order}
            ratios.append(rates[True] / rates[False])
        view.close()
        return ratios
    finally:
        trainer.kill()
        trainer.wait()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=60, help="turns of training with and without a monitor")
    parser.add_argument("--seconds", type=float, default=2.0, help="of such a turn")
    given = parser.parse_args()
    missed = []

    def report(what: str, value: float, unit: str, target: float, *, least: bool = False) -> None:
        met = value >= target if least else value <= target
        print(
            f"{what:34}{value:>10,.3g} {unit:9} target {'>=' if least else '<='} {target:g}{'' if met else '  MISSED'}"
        )
        if not met:
            missed.append(what)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds, memories, idles, ticks = zip(
            *(first_frame(folder / f"a{turn}") for turn in range(given.rounds)), strict=True
        )
        print(f"load before: {os.getloadavg()[0]:.1f}")
        report("first frame, 20,000 x 5", statistics.median(seconds), "s", 0.8)
        report("memory, that run", max(memories), "MB", 100)
        report("bytes idle, 5 s", max(idles), "bytes", 0)
        report("bytes a tick, one chart", statistics.median(ticks), "bytes", 5000)
        report("bytes of a new 256x256 matrix", matrix_bytes(folder / "m"), "bytes", 60_000)
        report("memory, 50 runs listed", memory_of_fifty(folder / "b"), "MB", 100)
        ratios = watched_over_unwatched(folder / "t", given.pairs, given.seconds)
        report("training, watched / unwatched", statistics.median(ratios), "", 0.99, least=True)
        error = statistics.stdev(ratios) / len(ratios) ** 0.5
        print(f"over {len(ratios)} pairs of turns: mean {statistics.mean(ratios):.3f} +- {error:.3f}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
