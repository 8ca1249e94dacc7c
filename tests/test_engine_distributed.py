"""Several processes wait for each other."""

from __future__ import annotations

import time
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from sslterm.engine.distributed import first_before_others

PATIENCE_OF_THE_GROUP, LOADING_SECONDS = timedelta(seconds=2), 3.0


def _load(rank: int, meeting: str, out: str) -> None:
    dist.init_process_group(
        "gloo", init_method=f"file://{meeting}", rank=rank, world_size=2, timeout=PATIENCE_OF_THE_GROUP
    )
    with first_before_others():
        if rank == 0:
            time.sleep(LOADING_SECONDS)
        (Path(out) / str(rank)).write_text(str(time.monotonic()))
    dist.destroy_process_group()


def test_the_first_rank_loads_for_longer_than_a_barrier_waits(tmp_path: Path) -> None:
    spawn(_load, (str(tmp_path / "meeting"), str(tmp_path)), nprocs=2)
    first, second = (float((tmp_path / str(rank)).read_text()) for rank in range(2))
    assert first < second


def test_a_process_alone_waits_for_nobody() -> None:
    with first_before_others():
        pass
