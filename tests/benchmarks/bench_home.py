"""What the list of runs costs: `python tests/benchmarks/bench_home.py`.

Targets: 1,000 runs are listed in under half a second of process time, and looked at again in under 50 ms; a monitor
with 50 runs of 20,000 lines of metrics each on its screen stays under 100 MB of memory.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sslterm.run.layout import RunDirectory
from sslterm.run.metrics import MetricsWriter
from sslterm.run.status import Status, write_status

LISTED_SECONDS, AGAIN_SECONDS, MEMORY_MB = 0.5, 0.05, 100.0
HERE = Path(__file__).parents[2]


def make_runs(root: Path, count: int, lines: int) -> None:
    """Finished runs; their logs are copies of one."""
    log = root / "metrics.jsonl"
    writer = MetricsWriter(log)
    for step in range(lines):
        values = {
            "main/loss": 1 / (1 + step),
            "main/neg_elbo_nats": 2.0,
            "main/kl_nats": 1.0,
            "main/lr": 1e-3,
        }
        writer.write(step=step, images=step * 128, seconds=step * 0.01, values=values)
    preset = (HERE / "presets/vae/digits.toml").read_text()
    for number in range(count):
        run = RunDirectory(root / "runs" / f"vae-digits-{number}")
        run.path.mkdir(parents=True)
        run.config.write_text(preset)
        shutil.copy(log, run.metrics) if lines else None
        last = {"main/loss": 0.1, "test/neg_elbo_nats": 100.0 + number}
        status = Status(
            state="finished", images=10, total_images=10, started=1.0 + number, heartbeat=2.0, last=last
        )
        write_status(run.status, status)


def timed(act: Callable[[], object]) -> float:
    """Seconds of process time."""
    before = time.process_time()
    act()
    return time.process_time() - before


def memory_mb() -> float:
    """Resident memory of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1000
    return 0.0


def show(root: Path, seconds: float) -> tuple[float, float, float]:
    """Of a monitor on a screen of 60 rows: process time to the first list, of a tick, and memory at the end."""
    before = time.process_time()
    from sslterm.tui.app import MonitorApp
    from sslterm.tui.screens.home import HomeScreen

    home = HomeScreen(root)

    async def play() -> tuple[float, float, float]:
        async with MonitorApp([home]).run_test(size=(120, 60)) as pilot:
            await pilot.pause()
            first = time.process_time() - before
            await asyncio.sleep(seconds)
            tick = min(timed(home.tick) for _ in range(5))
            return first, tick, memory_mb()

    return asyncio.run(play())


def main() -> int:
    from sslterm.run.index import RunIndex
    from sslterm.run.query import parse

    missed = False
    with tempfile.TemporaryDirectory() as folder:
        many, busy = Path(folder) / "many", Path(folder) / "busy"
        for root, count, lines in ((many, 1000, 0), (busy, 50, 20_000)):
            root.mkdir()
            make_runs(root, count, lines)
        index = RunIndex(many / "runs")
        first, again = timed(index.refresh), min(timed(index.refresh) for _ in range(3))
        query = parse("method = vae and optim.main.lr > 1e-4")
        asked = [timed(lambda: [query.matches(run.facts(0.0)) for run in index.runs]) for _ in range(2)]
        missed |= first > LISTED_SECONDS or again > AGAIN_SECONDS
        print(f"1,000 runs: listed in {1e3 * first:.0f} ms (target {1e3 * LISTED_SECONDS:.0f})")
        print(f"            again in {1e3 * again:.0f} ms (target {1e3 * AGAIN_SECONDS:.0f})")
        print(f"            a query of configurations {1e3 * asked[0]:.0f} ms, then {1e3 * asked[1]:.0f} ms")
        first, tick, used = show(busy / "runs", 12.0)
        missed |= used > MEMORY_MB
        print(f"50 runs of 20,000 lines: first list {first:.2f} s of process time with imports")
        print(f"            a tick {1e3 * tick:.1f} ms, memory {used:.0f} MB (target {MEMORY_MB:.0f})")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
