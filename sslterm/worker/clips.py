"""Clips of any size on their way into a method, and out of it into pictures."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from sslterm.evaluate.features import fitting
from sslterm.evaluate.tracking import objects_of
from sslterm.worker.desk import Desk


def working_size(desk: Desk, images: Tensor) -> tuple[int, int]:
    """(height, width) of frames [T, C, H, W] brought to the shorter side that the run was trained on."""
    height, width = images.shape[2:]
    scale = min(desk.loaded.inputs.shape[1:]) / min(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def resized(images: Tensor, shape: tuple[int, int]) -> Tensor:
    """uint8 [T, C, H, W] -> uint8 [T, C, *shape], antialiased."""
    parts = [
        F.interpolate(part.float(), shape, mode="bilinear", antialias=True)
        .round()
        .clamp(0, 255)
        .to(torch.uint8)
        for part in images.split(fitting(len(images), images.shape[1:]))
    ]
    return torch.cat(parts)


def resized_labels(labels: Tensor, shape: Sequence[int]) -> Tensor:
    """uint8 [T, H, W] -> uint8 [T, *shape]: of each pixel the object that has most of it."""
    if tuple(labels.shape[1:]) == tuple(shape):
        return labels
    objects = torch.cat((labels.new_zeros(1), objects_of(labels)))
    most = [
        F.interpolate(
            (frame == objects[:, None, None]).float()[None], tuple(shape), mode="bilinear", antialias=True
        )
        .squeeze(0)
        .argmax(0)
        for frame in labels
    ]
    return objects[torch.stack(most)]


def beside(films: Sequence[Tensor]) -> Tensor:
    """Clips [T, 3, H, W] side by side, as long as the shortest."""
    shortest, height = min(map(len, films)), max(film.shape[2] for film in films)
    return torch.cat([F.pad(film[:shortest], (0, 0, 0, height - film.shape[2])) for film in films], dim=3)


def same_size(rows: Sequence[Tensor]) -> list[Tensor]:
    """Rows of frames [N, C, H, W], all as large as the largest, padded with black."""
    height, width = (max(row.shape[side] for row in rows) for side in (2, 3))
    return [F.pad(row, (0, width - row.shape[3], 0, height - row.shape[2])) for row in rows]
