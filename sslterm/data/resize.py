"""Resizing of image tensors."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

CHUNK_BYTES = 1 << 26
"""Of float32, at once."""


def resize(images: Tensor, size: int) -> Tensor:
    """Bilinear, antialiased, uint8 [N, C, H, W] -> uint8 [N, C, size, size].

    Images come back as they are where `size` is 0 or theirs.
    """
    count, channels, height, width = images.shape
    if size == 0 or (height, width) == (size, size):
        return images
    resized = torch.empty(count, channels, size, size, dtype=torch.uint8)
    step = max(1, CHUNK_BYTES // (4 * channels * max(height * width, size * size)))
    for start in range(0, count, step):
        chunk = images[start : start + step].float()
        floats = F.interpolate(chunk, size=(size, size), mode="bilinear", antialias=True)
        resized[start : start + step] = floats.round().clamp(0, 255)
    return resized
