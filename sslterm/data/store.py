"""Images where they are needed: uint8 on the training device when they fit, made floats a batch at a time."""

from __future__ import annotations

from typing import Literal

import psutil
import torch
from torch import Tensor

from sslterm.data.batch import Batch
from sslterm.data.source import Split

SHARE_OF_FREE_MEMORY = 0.6
"""Images go to where they take at most this share of what is free; the rest is for the model."""


class Store:
    """The images of a split, by index.

    Where they lie (`placement`):

    - "device": uint8 on the training device; a batch is one gather there. On a CPU this is where they were
      read to, memory-mapped files included.
    - "pinned": too large for the device; gathered in page-locked host memory, copied while it computes.
    - "host": too large for page-locked memory as well, so left where they were read (a memory-mapped file);
      only the batch passes through page-locked memory.

    Args:
        split: what to keep.
        device: where batches are wanted.

    Attributes:
        labels: int64 [N] on the device.
        placement: see above.
    """

    def __init__(self, split: Split, device: torch.device) -> None:
        self.device = device
        self.placement: Literal["device", "pinned", "host"] = _choose_placement(split.images, device)
        self.images = split.images
        if self.placement == "device":
            self.images = split.images.to(device)
        elif self.placement == "pinned":
            self.images = split.images.pin_memory()
        self.labels = split.labels.to(device)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) of an image, (T, C, H, W) of a clip."""
        return tuple(self.images.shape[1:])

    def batch(self, index: Tensor) -> Batch:
        """The images at `index`, int64 [B] on any device, as float32 in [0, 1] on the store's device."""
        here = index.to(self.device, non_blocking=True)
        if self.placement == "device":
            bytes_ = self.images.index_select(0, here)
        else:
            gathered = torch.empty(len(index), *self.shape, dtype=torch.uint8, pin_memory=True)
            torch.index_select(self.images, 0, index.cpu(), out=gathered)
            bytes_ = gathered.to(self.device, non_blocking=True)
        return Batch(bytes_.float().div_(255), here, self.labels.index_select(0, here))


def _choose_placement(images: Tensor, device: torch.device) -> Literal["device", "pinned", "host"]:
    if device.type != "cuda":
        return "device"  # the CPU, or memory that is shared with it
    if images.nbytes <= SHARE_OF_FREE_MEMORY * torch.cuda.mem_get_info(device)[0]:
        return "device"
    return "pinned" if images.nbytes <= SHARE_OF_FREE_MEMORY * psutil.virtual_memory().available else "host"
