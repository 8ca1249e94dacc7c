"""What the video methods share: clips and still images alike as frames, and frames as panels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
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
