"""Where pictures go: RUN/outputs, never over an older one, as a PNG beside the numbers it shows."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sslterm.errors import UsageError
from sslterm.render.png import write_png
from sslterm.run.layout import RunDirectory
from sslterm.run.panels import Panel, save_panel

Report = Callable[[dict[str, Any]], None]
"""Told what is being done: {stage, done, total} and, for partial samples, image: {shape, uint8 in base64}."""

PARTIAL_SECONDS = 0.25
PARTIAL_SIDE = 48
"""Partial samples are for watching: at most this often, at most this large."""


def partial_reporter(report: Report) -> Callable[[Tensor], None]:
    """Reports partial samples now and then, as small 8-bit images."""
    due = 0.0

    def watch(images: Tensor) -> None:
        nonlocal due
        if time.monotonic() < due:
            return
        due = time.monotonic() + PARTIAL_SECONDS
        small = images[:64].float()
        if max(small.shape[2:]) > PARTIAL_SIDE:
            scale = PARTIAL_SIDE / max(small.shape[2:])
            small = F.interpolate(small, scale_factor=scale, mode="bilinear", antialias=True)
        data = (small.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
        image = {"shape": data.shape, "uint8": base64.b64encode(data.tobytes()).decode()}
        report({"stage": "sampling", "done": 0, "total": 0, "image": image})

    return watch


def write_output(run: RunDirectory, panel: Panel, stem: str, out: str) -> str:
    """Write a panel as a picture and as numbers; returns the path that the person should open.

    Raises:
        UsageError: `out` names neither a .png nor a .npz.
        OSError: it cannot be written.
    """
    if out:
        path = Path(out).expanduser()
        if path.suffix.lower() not in (".png", ".npz"):
            raise UsageError(f"--out {out}: pictures are .png, numbers .npz")
        path.parent.mkdir(parents=True, exist_ok=True)
        (write_png if path.suffix.lower() == ".png" else save_panel)(panel, path)
        return str(path)
    folder = run.path / "outputs"
    folder.mkdir(exist_ok=True)
    path = _claim(folder, stem)
    write_png(panel, path)
    save_panel(panel, path.with_suffix(".npz"))
    return str(path)


def _claim(folder: Path, stem: str) -> Path:
    """A name in `folder` that nobody has: stem.png, stem-2.png, ..."""
    number = 1
    while True:
        path = folder / (f"{stem}.png" if number == 1 else f"{stem}-{number}.png")
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        except FileExistsError:
            number += 1
        else:
            return path
