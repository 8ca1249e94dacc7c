"""How long a metrics log of a million lines takes to open: `python tests/benchmarks/bench_reader.py [LINES]`.

Target: under one second of process time for a million lines of one metric (four numbers a line). The other
log is what a training writes: two values a line, an evaluation every fifty lines, and a resume half-way.
Reading every line by `json` is timed beside, on a tenth of the lines.
"""

from __future__ import annotations

import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sslterm.run.metrics import MetricsReader

TARGET_SECONDS = 1.0


def clocks(step: int) -> str:
    return f'{{"step":{step},"images":{step * 256},"seconds":{step * 0.0123:.3f}'


def one_metric(lines: int) -> Iterator[str]:
    for step in range(lines):
        yield f'{clocks(step)},"main/loss":{random.random():.9g}}}\n'


def training(lines: int) -> Iterator[str]:
    for step in range(lines):
        if step % 50 == 0:
            yield f'{clocks(step)},"test/knn":{random.random():.4f},"test/mse":{random.random():.9g}}}\n'
        elif step == lines // 2:
            yield f'{{"resumed":{step - 100}}}\n'
        else:
            rate = 1e-4 * (1 - step / lines)
            yield f'{clocks(step)},"main/loss":{random.random() * 100:.9g},"main/lr":{rate:.9g}}}\n'


def open_log(path: Path) -> tuple[float, int]:
    """Seconds of process time to open a log, and the points in it."""
    before = time.process_time()
    reader = MetricsReader(path)
    reader.refresh()
    return time.process_time() - before, sum(map(len, reader.series.values()))


def by_json(path: Path, lines: int) -> float:
    """Seconds of process time to read the first lines by `json`."""
    with path.open("rb") as file:
        text = [file.readline() for _ in range(lines)]
    before = time.process_time()
    for line in text:
        json.loads(line)
    return time.process_time() - before


def main(lines: int) -> int:
    missed = False
    with tempfile.TemporaryDirectory() as folder:
        for name, make, target in (
            ("one metric", one_metric, TARGET_SECONDS),
            ("a training", training, None),
        ):
            path = Path(folder) / "metrics.jsonl"
            random.seed(0)
            with path.open("w") as file:
                file.writelines(make(lines))
            seconds, points = min(open_log(path) for _ in range(3))
            plain = 10 * by_json(path, lines // 10)
            verdict = "" if target is None else f"   (target {target:.1f} s)"
            missed |= target is not None and seconds > target
            print(
                f"{name}: {lines:,} lines, {points:,} points, {path.stat().st_size / 1e6:.0f} MB: "
                f"{seconds:.2f} s, by json {plain:.2f} s{verdict}"
            )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
