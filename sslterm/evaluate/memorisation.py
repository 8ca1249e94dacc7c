"""Whether a generator copies its training images: how near samples come to them, beside held-out images.

Three sets are compared, as in Meehan, Chaudhuri & Dasgupta 2020, arXiv:2004.05675: samples come nearer to
training images than held-out images of the same distribution do only where they are copied. The distance is
relative: to the nearest training image, over the mean to the nearest fifty (Carlini et al. 2023,
arXiv:2301.13188, normalise so). Blurred or faint images are near to all training images alike, and no copies.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sslterm.data.store import Store
from sslterm.evaluate.distances import Estimate
from sslterm.evaluate.feature_spaces import pooled_pixels
from sslterm.evaluate.features import Progress, choose, no_progress
from sslterm.evaluate.judge import as_floats
from sslterm.nn.precision import double

EXPECTED = 0.05
"""Share of held-out images that count as near, and so of the samples of a generator that copies nothing."""
HELD_OUT = 1000
"""Most held-out images that say how near is near."""
AROUND = 50
"""Nearest training images that a distance is relative to."""
_BATCH = 2000


@dataclass(frozen=True)
class Nearest:
    """The training image next to each of N images.

    Attributes:
        place: [N] where it stands in the training set.
        relative: [N] distance to it in pixels, over the mean distance to the nearest fifty.
    """

    place: Tensor
    relative: Tensor


def nearest_training(
    images: Tensor, train: Store, *, progress: Progress = no_progress, stage: str = "looking for copies"
) -> Nearest:
    """Look for the training image nearest to each of `images` (uint8 [N, C, H, W])."""
    queries = pooled_pixels(as_floats(images.to(train.device)))
    around = min(AROUND, len(train))
    distance = queries.new_empty(len(queries), 0)
    place = torch.empty(len(queries), 0, dtype=torch.int64, device=queries.device)
    for start in range(0, len(train), _BATCH):
        index = torch.arange(start, min(start + _BATCH, len(train)), device=queries.device)
        pixels = pooled_pixels(train.batch(index).images)
        distance = torch.cat([distance, torch.cdist(queries, pixels)], 1)
        place = torch.cat([place, index.expand(len(queries), -1)], 1)
        distance, kept = distance.topk(min(around, distance.shape[1]), dim=1, largest=False)
        place = place.gather(1, kept)
        progress(stage, start + len(index), len(train))
    return _refined(queries, place, train)


def _refined(queries: Tensor, place: Tensor, train: Store) -> Nearest:
    """The nearest of the candidates at `place` [N, K], by differences: products lose what is small."""
    nearest, relative = [], []
    for rows in torch.arange(len(queries), device=queries.device).split(_BATCH // 20):
        candidates = train.batch(place[rows].flatten()).images
        pixels = pooled_pixels(candidates).unflatten(0, place[rows].shape)  # [R, K, D]
        distance = (pixels - queries[rows, None]).norm(dim=2)
        least, first = distance.min(1)
        relative.append(least / distance.mean(1).clamp_min(torch.finfo(distance.dtype).tiny))
        nearest.append(place[rows].gather(1, first[:, None])[:, 0])
    return Nearest(torch.cat(nearest), torch.cat(relative))


def memorised_share(samples: Nearest, held_out: Nearest) -> Estimate:
    """Share of the samples at least as near to a training image as the nearest 5 % of held-out images are.

    Its error counts both sets: what is near is only known from so many held-out images.
    """
    near = torch.quantile(double(held_out.relative), EXPECTED)
    share = float((double(samples.relative) <= near).double().mean())
    n, m = len(samples.relative), len(held_out.relative)
    return Estimate(share, (share * (1 - share) / n + EXPECTED * (1 - EXPECTED) / m) ** 0.5)


def held_out_images(test: Store, *, seed: int) -> Tensor:
    """Up to 1,000 held-out images, drawn, uint8 [N, C, H, W]."""
    return test.images[choose(len(test), HELD_OUT, seed=seed).to(test.images.device)]
