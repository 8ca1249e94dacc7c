"""Run directories as trainers leave them, written by the writers of `run/` alone."""

from __future__ import annotations

import os
import socket
import time
from pathlib import Path

import numpy as np

from sslterm.run.events import append_event
from sslterm.run.layout import RunDirectory
from sslterm.run.metrics import MetricsWriter
from sslterm.run.panels import Panel, save_panel
from sslterm.run.status import Status, write_status

BATCH, TOTAL_STEPS = 256, 5000
CLOCK = 1_700_000_000.0
"""When recorded events happened."""


def new_run(root: Path, name: str = "vae-digits-1", method: str = "vae") -> RunDirectory:
    """A run directory with a configuration and nothing else."""
    run = RunDirectory(root / name)
    run.path.mkdir(parents=True)
    run.config.write_text(f'[run]\nmethod = "{method}"\npreset = "digits"\nseed = 0\n')
    return run


def put_status(
    run: RunDirectory, *, state: str = "running", step: int = 3120, pid: int | None = None, **fields: object
) -> None:
    """A status that is as new as can be."""
    last = {"main/loss": 151.2, "test/neg_elbo_nats": 148.91, "test/knn": 0.842}
    about: dict[str, object] = {
        "pid": os.getpid() if pid is None else pid, "host": socket.gethostname(), "state": state,
        "step": step, "images": step * BATCH, "total_images": TOTAL_STEPS * BATCH,
        "images_per_second": 6500.0,
        "elapsed_seconds": step * BATCH / 6500, "heartbeat": time.time(), "started": CLOCK, "device": "cpu",
        "precision": "float32", "last": last,
    }  # fmt: skip
    write_status(run.status, Status(**{**about, **fields}))  # type: ignore[arg-type]


def put_metrics(run: RunDirectory, steps: int = 3120, *, every: int = 20, start: int = 0) -> None:
    """Falling losses with noise, and held-out values of the same quantity now and then."""
    writer = MetricsWriter(run.metrics)
    noise = np.random.default_rng(start)
    for step in range(start, steps + 1, every):
        loss = 140 + 400 * np.exp(-step / 300) + noise.normal(0, 3)
        values = {
            "main/loss": loss,
            "main/neg_elbo_nats": loss,
            "main/kl_nats": 6 - 5 * np.exp(-step / 500),
            "main/lr": 1e-3,
        }
        values["speed/images_per_second"] = 6500.0
        writer.write(step=step, images=step * BATCH, seconds=step * BATCH / 6500, values=values)
        if step % (every * 10) == 0:
            held_out = {
                "test/neg_elbo_nats": loss + 4,
                "test/knn": 0.85 - 0.5 * np.exp(-step / 600),
                "test/mse": 0.1 / (1 + step),
            }
            writer.write(step=step, images=step * BATCH, seconds=step * BATCH / 6500, values=held_out)


def correlation(share: float, size: int = 64) -> Panel:
    """A cross-correlation matrix on its way to the identity."""
    noise = np.random.default_rng(0).normal(0, 0.3 * (1 - share), (size, size))
    array = (share * np.eye(size) + noise).clip(-1, 1).astype(np.float32)
    caption = f"diagonal {share:.2f}"
    return Panel(
        name="cross-correlation", kind="matrix", array=array, low=-1, high=1, center=0, caption=caption
    )


def digits(count: int = 64, size: int = 16) -> Panel:
    """Discs of growing size in place of digits."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    radius = np.linspace(1, size / 2, count)[:, None, None]
    array = np.clip(radius - np.hypot(x, y), 0, 1)[:, None].astype(np.float32)
    return Panel(
        name="reconstructions", kind="images", array=array, caption=f"{count} held-out images, seed 0"
    )


def put_panels(run: RunDirectory, images: tuple[int, ...] = (0, 256_000, 512_000, 768_000)) -> None:
    """Two kinds of panels with a history; of their pictures only the names."""
    for place, count in enumerate(images):
        for panel in (correlation(place / len(images)), digits()):
            save_panel(panel, run.panel(panel.name, count))
            run.panel(panel.name, count, ".png").touch()


def put_events(run: RunDirectory) -> None:
    append_event(run.events, "started", device="cpu", precision="float32")
    append_event(run.events, "evaluation", step=0, **{"test/neg_elbo_nats": 548.9, "test/knn": 0.31})
    append_event(run.events, "checkpoint", step=2500, images=640_000)
    append_event(
        run.events,
        "warning",
        text="posterior collapse: 3 of 8 dimensions have a KL below 0.01 nats",
        step=2600,
    )


def full_run(root: Path, name: str = "vae-digits-1", method: str = "vae", **status: object) -> RunDirectory:
    """A run in the middle of its training, with all there can be."""
    run = new_run(root, name, method)
    put_metrics(run)
    put_panels(run)
    put_events(run)
    put_status(run, **status)  # type: ignore[arg-type]
    return run
