"""The judge of samples: a small classifier of the real images; its features are the space to compare in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslterm.data.store import Store
from sslterm.evaluate.features import Progress, batches, choose, evaluating, no_progress, own_randomness

JUDGE_VERSION = 1
"""Raised with any change to the judge's network or training: numbers then do not compare with older ones."""
_EPOCHS, _LEAST_IMAGES, _MOST_IMAGES, _BATCH = 10, 15_000, 60_000, 50


class Judge(nn.Module):
    """A small conv classifier, [B, C, H, W] in [0, 1] -> [B, classes]; `features` is its last hidden part."""

    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__()

        def block(inputs: int, outputs: int) -> list[nn.Module]:
            convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False)
            return [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]

        self.features = nn.Sequential(
            *block(channels, 32), *block(32, 64), *block(64, 64),
            nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(256, width), nn.ReLU(),
        )  # fmt: skip
        self.classify = nn.Linear(width, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.classify(self.features(images))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Space:
    """A feature space to judge samples in.

    Attributes:
        name: as it stands in the names of results.
        judge: trained on real data, or with random weights where there are no labels.
        dimensions: width of its features.
        classes: 0 where there are no labels.
        accuracy: of the judge on held-out real images; None where there are no labels.
        digest: of its weights; numbers compare only where it is the same.
    """

    name: str
    judge: Judge
    dimensions: int
    classes: int
    accuracy: float | None
    digest: str


def make_space(
    data: str, train: Store, test: Store, *, device: torch.device, progress: Progress = no_progress
) -> Space:
    """Train the judge of a data set (seed 0), or take random weights where the images have no labels.

    Args:
        data: name of the data, for the name of the space.
    """
    channels, height = train.shape[-3], train.shape[-2]
    width = 64 if len(test) >= 1000 else 32
    labelled = (train.labels.cpu() >= 0).nonzero().squeeze(1)
    classes = int(train.labels.max()) + 1 if len(labelled) else 0
    with own_randomness(device, 0):
        judge = Judge(channels, max(classes, 1), width).to(device)
        if classes >= 2:
            _train_judge(judge, train, labelled, progress)
    judge.eval()
    kind = f"judge{width}-v{JUDGE_VERSION}" if classes >= 2 else f"random-conv{width}-seed0"
    accuracy = _accuracy(judge, test) if classes >= 2 else None
    digest = hashlib.sha256()
    for tensor in judge.state_dict().values():
        digest.update(tensor.cpu().numpy().tobytes())
    name = f"{data}-{height}px-{kind}"
    return Space(name, judge, width, classes if classes >= 2 else 0, accuracy, digest.hexdigest()[:12])


def _train_judge(judge: Judge, train: Store, labelled: Tensor, progress: Progress) -> None:
    """Ten epochs of Adam (15,000 to 60,000 images), the rate falling linearly to 0."""
    batch = min(_BATCH, len(labelled))
    steps = min(max(_EPOCHS * len(labelled), _LEAST_IMAGES), _MOST_IMAGES) // batch
    optimizer = torch.optim.Adam(judge.parameters(), lr=2e-3)
    order = torch.empty(0, dtype=torch.int64)
    epoch = 0
    for step in range(steps):
        if len(order) < batch:
            order = labelled[choose(len(labelled), None, seed=epoch)]
            epoch += 1
        rows, order = order[:batch], order[batch:]
        part = train.batch(rows)
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * (1 - step / steps)
        optimizer.zero_grad()
        with torch.enable_grad():
            loss = F.cross_entropy(judge(part.images), part.label)
        loss.backward()
        optimizer.step()
        if step % 20 == 0:
            progress("training the judge", step * batch, steps * batch)


def _accuracy(judge: Judge, test: Store) -> float:
    right = total = 0
    with evaluating(judge):
        for batch in batches(test):
            known = batch.label >= 0
            right += int((judge(batch.images).argmax(1) == batch.label)[known].sum())
            total += int(known.sum())
    return right / total if total else float("nan")


@dataclass(frozen=True)
class Judged:
    """What a judge sees in a set of images.

    Attributes:
        features: [N, D].
        histogram: [classes] share of the images in each class; empty where the space has no classes.
    """

    features: Tensor
    histogram: Tensor


def judge_images(space: Space, images: Tensor) -> Judged:
    """Features and classes of images [N, C, H, W] in [0, 1]."""
    features = []
    with evaluating(space.judge):
        for part in torch.split(images, 500):
            features.append(space.judge.features(part))
        joined = torch.cat(features)
        if not space.classes:
            return Judged(joined, torch.empty(0))
        classes = space.judge.classify(joined).argmax(1)
    return Judged(joined, torch.bincount(classes, minlength=space.classes) / len(classes))
