"""Multi-crop: two views of every image, and several small ones that cost little.

Caron et al. 2020, arXiv:2006.09882, §3.2; used by SwAV and by DINO.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.config.schema import Natural
from sslterm.methods.base import Inputs
from sslterm.methods.encoder import EncoderConfig
from sslterm.methods.joint_embedding.embedder import JointEmbedding
from sslterm.nn.precision import in_float32
from sslterm.run.panels import Panel

SHOWN_IMAGES = 8
"""Images in the crops panel."""


@dataclass(frozen=True, kw_only=True)
class MultiCropConfig(EncoderConfig):
    local_crops: Natural
    """Views of each image by [augment.local], besides a and b; with 0, the preset has no such section."""


class MultiCrop(JointEmbedding):
    """Views a and b of every image, then its local ones."""

    def __init__(self, config: MultiCropConfig, inputs: Inputs) -> None:
        super().__init__(config, inputs, views=("a", "b", "local") if config.local_crops else ("a", "b"))
        self.local_crops = config.local_crops

    def crops(self, images: Tensor) -> list[Tensor]:
        """The V views of each image: a, b, and the local ones, [B, C, h, w] each."""
        return [*self.random_views(images), *(self.views["local"](images) for _ in range(self.local_crops))]


def through(network: Callable[[Tensor], Tensor], crops: Sequence[Tensor]) -> Tensor:
    """What a network makes of the crops, [V * B, D]; crops of equal size pass it together.

    So the statistics of its BatchNorms are those of all crops of a size, as in the authors' code.
    """
    groups: list[list[Tensor]] = []
    for crop in crops:
        if groups and groups[-1][0].shape == crop.shape:
            groups[-1].append(crop)
        else:
            groups.append([crop])
    return torch.cat([network(torch.cat(group)) for group in groups])


@in_float32
def scores_of(z: Tensor, prototypes: Tensor) -> Tensor:
    """z C^T, [..., K], in full precision: what comes next divides it by small numbers."""
    return z @ prototypes.T


def cross_entropies(targets: Tensor, logits: Tensor) -> Tensor:
    """-sum_k target log softmax(logits), mean over images and over all pairs of different views.

    Args:
        targets: [A, B, K] distributions, of the first A of the V views.
        logits: [V, B, K].
    """
    (a, n, _), v = targets.shape, len(logits)
    pairs = -torch.einsum("abk,vbk->av", targets, F.log_softmax(logits, dim=2)) / n
    different = 1 - torch.eye(a, v, dtype=pairs.dtype, device=pairs.device)
    return (pairs * different).sum() / (a * (v - 1))


def crops_panel(crops: Sequence[Tensor]) -> Panel:
    """All crops of an image in a row; small ones keep their size in the middle of their place."""
    height, width = (max(crop.shape[side] for crop in crops) for side in (2, 3))
    rows = torch.stack([_framed(crop[:SHOWN_IMAGES].float(), height, width) for crop in crops], dim=1)
    return Panel(
        name="views",
        kind="images",
        array=rows.flatten(0, 1).cpu().numpy(),
        caption=f"views of {len(rows)} held-out images, a row each: a, b and {len(crops) - 2} local crops",
        columns=len(crops),
        low=0.0,
        high=1.0,
    )


def _framed(images: Tensor, height: int, width: int) -> Tensor:
    down, right = height - images.shape[2], width - images.shape[3]
    return F.pad(images, (right // 2, right - right // 2, down // 2, down - down // 2))
