"""Where pictures go: RUN/outputs, never over an older one, as a PNG beside the numbers it shows."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from sslterm.errors import UsageError
from sslterm.render.animation import write_gif
from sslterm.render.png import save_picture, write_png
from sslterm.run.files import claim_file
from sslterm.run.layout import RunDirectory
from sslterm.run.packed import pack
from sslterm.run.panels import Panel, save_panel

Report = Callable[[dict[str, Any]], None]
"""Told what is being done: {stage, done, total} and, for partial samples, image: {shape, uint8 in base64}."""

Stage = Callable[[str, int, int], None]
"""(what is being done, how much of it is done, how much there is)."""

PARTIAL_SECONDS = 0.25
PARTIAL_SIDE = 48
"""Partial samples are for watching: at most this often, at most this large."""

MOST_VALUES = 1 << 22
"""Values of images that are sent at once; more of them are reduced in size."""


def to_bytes(images: Tensor) -> NDArray[np.uint8]:
    """[N, C, H, W] in [0, 1] -> uint8; what is not a number is black."""
    whole = (images.detach().float().nan_to_num(0.0, 1.0, 0.0).clamp(0, 1) * 255).round().to(torch.uint8)
    bytes_: NDArray[np.uint8] = whole.cpu().numpy()
    return bytes_


def pack_images(images: Tensor) -> dict[str, Any]:
    """Images [N, C, H, W] in [0, 1] as they are sent: {shape, uint8}."""
    return pack(to_bytes(images))


def check_out(out: str, images: Sequence[str]) -> None:
    """One file takes what is made of one image.

    Raises:
        UsageError: there are several.
    """
    if out and len(images) > 1:
        raise UsageError(
            "--out names one file, and there are several images", "leave it out, or give one image"
        )


def within_bounds(images: Tensor, side: int = 0) -> Tensor:
    """Images whose sides are at most `side` (0: any), and whose values are few enough to be sent."""
    most = (MOST_VALUES / max(len(images) * images.shape[1], 1)) ** 0.5
    scale = min(side or most, most) / max(images.shape[2:])
    if scale >= 1:
        return images
    return F.interpolate(images.float(), scale_factor=scale, mode="bilinear", antialias=True)


def stages(report: Report) -> Stage:
    """Reports how far a stage is."""
    return lambda stage, done, total: report({"stage": stage, "done": done, "total": total})


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
        report({"stage": "sampling", "done": 0, "total": 0, "image": pack_images(small)})

    return watch


def write_picture(run: RunDirectory, image: Tensor, stem: str, out: str) -> str:
    """Write a picture [C, H, W] in [0, 1] as it is, pixel by pixel; returns its path.

    Args:
        out: the file that the person named; "" takes a new name in RUN/outputs.

    Raises:
        UsageError: `out` names neither a .png nor a .npz.
        OSError: it cannot be written.
    """
    path = _named(out) if out else None
    if path is None:
        folder = run.path / "outputs"
        folder.mkdir(exist_ok=True)
        path = claim_file(folder, stem, ".png", beside=(".npz", ".gif"))
    if path.suffix.lower() == ".npz":
        array = image[None].float().cpu().numpy()
        save_panel(Panel(name=stem, kind="images", array=array, caption=stem, low=0.0, high=1.0), path)
    else:
        pixels = to_bytes(image)
        save_picture(Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)), path)
    return str(path)


def _named(out: str) -> Path:
    """The file that a person named, in a folder that exists."""
    path = Path(out).expanduser()
    if path.suffix.lower() not in (".png", ".npz"):
        raise UsageError(f"--out {out}: pictures are .png, numbers .npz")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_output(
    run: RunDirectory,
    panel: Panel,
    stem: str,
    out: str,
    *,
    also: Mapping[str, NDArray[Any]] | None = None,
    frames: NDArray[np.uint8] | None = None,
    back: bool = True,
) -> str:
    """Write a panel as a picture and as numbers; returns the path that the person should open.

    Args:
        out: the file that the person named; "" takes a new name in RUN/outputs.
        also: arrays that go into the .npz beside the panel's own.
        frames: [T, C, H, W] of an animation, written beside the picture as a GIF.
        back: it runs forth and back.

    Raises:
        UsageError: `out` names neither a .png nor a .npz.
        OSError: it cannot be written.
    """
    if out:
        path = _named(out)
        if path.suffix.lower() == ".png":
            write_png(panel, path)
        else:
            save_panel(panel, path, also=also)
    else:
        folder = run.path / "outputs"
        folder.mkdir(exist_ok=True)
        path = claim_file(folder, stem, ".png", beside=(".npz", ".gif"))
        write_png(panel, path)
        save_panel(panel, path.with_suffix(".npz"), also=also)
    if frames is not None:
        write_gif(frames, path.with_suffix(".gif"), back=back)
    return str(path)
