"""Weighted k nearest neighbours, as in Wu et al. 2018 (arXiv:1805.01978, §3.4)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from sslterm.evaluate.features import Features

NEIGHBOURS = 20
TEMPERATURE = 0.07
_CHUNK = 2**25
"""Similarities that are held at a time (128 MiB in float32)."""


@torch.no_grad()
def knn_predict(
    queries: Tensor,
    gallery: Tensor,
    labels: Tensor,
    *,
    k: int = NEIGHBOURS,
    temperature: float = TEMPERATURE,
) -> Tensor:
    """The class with the largest sum of exp(cosine / temperature) over the k nearest of the gallery.

    Args:
        queries: [Q, D].
        gallery: [N, D].
        labels: [N] classes of the gallery, 0, 1, ...
        k: neighbours that vote; all of the gallery where it is smaller.

    Returns:
        [Q] predicted classes, int64.
    """
    k = min(k, len(gallery))
    gallery = F.normalize(gallery.float(), dim=1)
    classes = int(labels.max()) + 1
    predicted = []
    queries = F.normalize(queries.float(), dim=1)
    for part in torch.split(queries, max(1, _CHUNK // len(gallery))):
        similarity, nearest = (part @ gallery.T).topk(k, dim=1)  # [q, k]
        weight = (
            (similarity - similarity[:, :1]) / temperature
        ).exp()  # a common factor does not change the vote
        votes = weight.new_zeros(len(part), classes).scatter_add_(1, labels[nearest], weight)
        predicted.append(votes.argmax(1))
    return torch.cat(predicted)


def knn_accuracy(
    train: Features, test: Features, *, k: int = NEIGHBOURS, temperature: float = TEMPERATURE
) -> float:
    """Share of `test` that its neighbours in `train` classify correctly; unlabelled images take no part."""
    train, test = train.labelled(), test.labelled()
    predicted = knn_predict(test.values, train.values, train.labels, k=k, temperature=temperature)
    return float((predicted == test.labels).float().mean())


def centred(train: Features, test: Features) -> tuple[Features, Features]:
    """Both minus the mean of `train`: for raw pixels a stronger baseline under the cosine."""
    mean = train.values.mean(0)
    return Features(train.values - mean, train.labels), Features(test.values - mean, test.labels)
