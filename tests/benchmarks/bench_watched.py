"""What a live view costs the training that it watches.

    python -m tests.benchmarks.bench_watched [--pairs 20] [--seconds 10] [--preset-seconds 60]

One training (`vae --preset digits`, on the CPU) with a monitor on a pseudo-terminal of 120x40, in turns: the monitor
goes on for `seconds` and is held (SIGSTOP) for as long, in the order on-off-off-on. Turns are longer than the view
waits at most until it draws, so that what is measured is how it goes on, not how it begins. The training neither
evaluates nor draws panels nor saves meanwhile, which would make turns unlike each other.

- images a second:             of wall time, watched over held: what a person sees, and what other programs disturb
- images a second of CPU time: of the trainer's: less of it is what a shared cache and memory cost
- share of a core:             CPU time of the monitor over wall time
- with all cores busy:         images a second that are left where the trainer would use every core there is: the
                               ratio of those of CPU time, times what the monitor leaves of the cores

Ratios are geometric means of pairs of turns, with their standard errors. Then the share of a core again while the
training evaluates, draws and saves as its preset says. The exit code is 1 where what is left with all cores busy, or
of wall time, is below 0.99 by more than two standard errors.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from sslterm.run.metrics import MetricsReader
from tests.benchmarks.bench_view import View

TARGET = 0.99
SETTLE_SECONDS = 1.0
"""After the monitor goes on or is held: what has waited is drawn."""
RARE = ("watch.evaluate_every_images", "watch.panels_every_images", "watch.checkpoint_every_images")


@dataclass(frozen=True)
class Clocks:
    """Where a training is: its images, wall time, and the CPU time of trainer and monitor, in seconds."""

    images: float
    wall: float
    trainer: float
    monitor: float

    def since(self, before: Clocks) -> Clocks:
        return Clocks(
            *(now - then for now, then in zip(vars(self).values(), vars(before).values(), strict=True))
        )


class Watched:
    """A training, and a monitor that watches it."""

    def __init__(self, folder: Path, trainer: subprocess.Popen[bytes]) -> None:
        self.trainer = psutil.Process(trainer.pid)
        self.metrics = MetricsReader(folder / "run" / "metrics.jsonl")
        self.wait_for(100_000)
        self.view = View(folder, "run")
        self.view.read(5)
        self.monitor = psutil.Process(self.view.child.pid)

    @property
    def images(self) -> int:
        """Of the newest line of the log."""
        self.metrics.refresh()
        loss = self.metrics.series.get("main/loss")
        return int(loss.images[-1]) if loss is not None else 0

    def wait_for(self, images: int) -> None:
        while self.images < images:
            time.sleep(0.1)

    def clocks(self) -> Clocks:
        """At the moment at which the next line of the log is there: the images are exact then."""
        before = self.images
        while (images := self.images) == before:
            time.sleep(0.001)
        return Clocks(images, time.perf_counter(), cpu_seconds(self.trainer), cpu_seconds(self.monitor))

    def turn(self, seconds: float, *, watched: bool) -> Clocks:
        os.kill(self.monitor.pid, signal.SIGCONT if watched else signal.SIGSTOP)
        self.view.read(SETTLE_SECONDS)
        before = self.clocks()
        self.view.read(seconds)
        return self.clocks().since(before)


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def watching(folder: Path, *, rarely: bool) -> Iterator[Watched]:
    """A training without an end, and its monitor.

    Args:
        rarely: it neither evaluates nor draws nor saves.
    """
    keys = ("train.images", *(RARE if rarely else ()))
    changes = [part for key in keys for part in ("--set", f"{key}=1_000_000_000")]
    command = [sys.executable, "-m", "sslterm", "train", "vae", "--preset", "digits", "--name", "run",
               *changes, "--set", "watch.log_every_images=2560", "--device", "cpu", "--foreground",
               "--runs", str(folder), "--json"]  # fmt: skip
    trainer = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        watched = Watched(folder, trainer)
        try:
            yield watched
        finally:
            os.kill(watched.monitor.pid, signal.SIGCONT)
            watched.view.close()
    finally:
        trainer.kill()
        trainer.wait()


def mean_ratio(ratios: Sequence[float]) -> tuple[float, float]:
    """(geometric mean, its standard error)."""
    logs = [math.log(ratio) for ratio in ratios]
    mean = math.exp(statistics.mean(logs))
    return mean, mean * statistics.stdev(logs) / math.sqrt(len(logs))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pairs", type=int, default=20, help="turns with and without the monitor")
    parser.add_argument("--seconds", type=float, default=10.0, help="of such a turn")
    parser.add_argument("--preset-seconds", type=float, default=60.0, help="of training as the preset says")
    given = parser.parse_args()
    turns: dict[bool, list[Clocks]] = {True: [], False: []}
    with tempfile.TemporaryDirectory() as name:
        with watching(Path(name) / "a", rarely=True) as training:
            for number in range(given.pairs):
                for watched in (True, False) if number % 2 == 0 else (False, True):
                    turns[watched].append(training.turn(given.seconds, watched=watched))
        with watching(Path(name) / "b", rarely=False) as training:
            as_preset = training.turn(given.preset_seconds, watched=True)
    pairs = list(zip(turns[True], turns[False], strict=True))
    wall, wall_error = mean_ratio([(a.images / a.wall) / (b.images / b.wall) for a, b in pairs])
    cpu, cpu_error = mean_ratio([(a.images / a.trainer) / (b.images / b.trainer) for a, b in pairs])
    share = sum(a.monitor for a in turns[True]) / sum(a.wall for a in turns[True])
    trainer_share = sum(a.trainer for a in turns[True]) / sum(a.wall for a in turns[True])
    cores = os.cpu_count() or 1
    left = cpu * (1 - share / cores)
    print(f"{len(pairs)} pairs of turns of {given.seconds:g} s, {cores} cores, load {os.getloadavg()[0]:.1f}")
    print(f"the trainer had {trainer_share:.2f} cores")
    print(f"images a second              {wall:.4f} +- {wall_error:.4f}  watched over held")
    print(f"images a second of CPU time  {cpu:.4f} +- {cpu_error:.4f}")
    print(f"share of a core              {share:.4f}")
    print(f"the same, as the preset says {as_preset.monitor / as_preset.wall:.4f}")
    print(f"left with all cores busy     {left:.4f} +- {cpu_error:.4f}  target >= {TARGET:g}")
    return int(left + 2 * cpu_error < TARGET or wall + 2 * wall_error < TARGET)


if __name__ == "__main__":
    sys.exit(main())
