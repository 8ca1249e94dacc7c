"""What the video methods share: clips and still images alike as frames, and frames as panels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.rows import randint
from sslterm.run.panels import Panel


def check_frames(method: str, inputs: Inputs, needed: int, why: str) -> None:
    """Refuse still images, and clips that are shorter than `needed`.

    Raises:
        UsageError: what there is, and what would do.
    """
    if not inputs.frames:
        raise UsageError(f"{method} learns from clips, and the data has still images", "use --data sprites")
    if inputs.frames < needed:
        raise UsageError(
            f"data.frames = {inputs.frames}: {method} needs {needed} frames of a clip, {why}",
            f"set data.frames={needed} or more",
        )


def as_clips(images: Tensor) -> Tensor:
    """Clips [B, T, C, H, W] as they are; still images [B, C, H, W] as clips of one frame."""
    return images if images.ndim == 5 else images.unsqueeze(1)


def over_frames(network: Callable[[Tensor], Mapping[str, Tensor]], clips: Tensor) -> dict[str, Tensor]:
    """What `network` makes of each frame of [B, T, C, H, W], by name, averaged over frames: [B, ...] each."""
    count = clips.shape[1]
    return {
        name: layer.unflatten(0, (-1, count)).mean(1) for name, layer in network(clips.flatten(0, 1)).items()
    }


def random_cuts(images: Tensor, height: int, width: int) -> Tensor:
    """A part of each of [N, C, H, W] at a place of its own: [N, C, height, width]."""
    rows = randint(images.shape[2] - height + 1, len(images), like=images)[:, None]
    columns = randint(images.shape[3] - width + 1, len(images), like=images)[:, None]
    rows = rows + torch.arange(height, device=images.device)  # [N, height]
    columns = columns + torch.arange(width, device=images.device)
    which = torch.arange(len(images), device=images.device)[:, None, None]
    return images.movedim(1, 3)[which, rows[:, :, None], columns[:, None]].movedim(3, 1)


def grid_panel(name: str, rows: Sequence[Tensor], caption: str, *, labels: Sequence[str] = ()) -> Panel:
    """Rows of frames, [N, C, H, W] each with equal N, under the names of the columns."""
    array = torch.cat(list(rows)).detach().float().clamp(0, 1).cpu().numpy()
    return Panel(
        name=name,
        kind="images",
        array=array,
        caption=caption,
        columns=len(rows[0]),
        labels=tuple(labels),
        low=0.0,
        high=1.0,
    )


def framed(images: Tensor, color: Tensor, width: int = 1) -> Tensor:
    """Images [N, 3, H, W] with a border of `width` pixels in color [N, 3] around them."""
    bordered = F.pad(images, (width, width, width, width), value=-1.0)
    return torch.where(bordered < 0, color[:, :, None, None].to(bordered), bordered)


def lit(frames: Tensor, heat: Tensor, color: Sequence[float]) -> Tensor:
    """Frames [T, C, H, W] in dim grey, and heat [T, 1, h, w] in [0, 1] over them in a colour: [T, 3, H, W]."""
    dim = 0.5 * frames.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    spread = F.interpolate(heat, tuple(frames.shape[2:]), mode="nearest")
    return dim + spread * (dim.new_tensor(color).view(1, 3, 1, 1) - dim)
