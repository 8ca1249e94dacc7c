"""Against chromatic aberration: a lens magnifies colours differently, which tells where in a photograph a patch lies.

Doersch, Gupta & Efros 2015, arXiv:1505.05192, §3: both ways leave too little of the colours to read it off.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sslterm.rows import randint, randn


def project(images: Tensor) -> Tensor:
    """Take out the green-magenta axis: B = I - a^T a / (a a^T), a = [-1, 2, -1].

    Args:
        images: [..., 3, h, w].

    Returns:
        the same, with green in the middle between red and blue; values may leave [0, 1].
    """
    a = torch.tensor([-1.0, 2.0, -1.0], device=images.device, dtype=images.dtype)[:, None, None]
    return images - a * ((a * images).sum(-3, keepdim=True) / 6)


def drop(patches: Tensor, mean: Tensor) -> Tensor:
    """Keep one random channel of every patch; noise around the mean pixel takes the place of the others.

    Args:
        patches: [B, n, C, h, w].
        mean: of the data, [C, 1, 1] or [1, 1, 1].

    Returns:
        [B, n, C, h, w]; the noise has a hundredth of the standard deviation of the channel that stays.
    """
    b, n, c, h, w = patches.shape
    kept = randint(c, b, n, like=patches)[:, :, None, None, None]
    is_kept = torch.arange(c, device=patches.device).view(1, 1, c, 1, 1) == kept
    spread = (patches.flatten(3).std(3, correction=0)[..., None, None] * is_kept).sum(2, keepdim=True)
    noise = mean + 0.01 * spread * randn(b, n, c, h, w, like=patches)
    return torch.where(is_kept, patches, noise)
