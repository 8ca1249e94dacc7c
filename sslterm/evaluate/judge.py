"""The judge of samples: a small classifier of the real images; its features are the space to compare in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslterm.data.store import Store
from sslterm.evaluate.features import (
    BATCH,
    Progress,
    batches,
    choose,
    evaluating,
    no_progress,
    own_randomness,
)

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
        embed: images [B, C, H, W] in [0, 1] -> features [B, dimensions].
        dimensions: width of its features.
        digest: of the weights behind it; numbers compare only where it is the same.
        classify: features -> logits [B, classes]; None where nothing in it knows classes.
        classes: 0 where nothing in it knows classes.
        accuracy: of `classify` on held-out real images; None where there is none.
    """

    name: str
    embed: Callable[[Tensor], Tensor]
    dimensions: int
    digest: str
    classify: Callable[[Tensor], Tensor] | None = None
    classes: int = 0
    accuracy: float | None = None


def make_space(
    data: str, train: Store, test: Store, *, device: torch.device, progress: Progress = no_progress
) -> Space:
    """Train the judge of a data set (seed 0), or take random weights where the images have no labels.

    Args:
        data: name of the data, for the name of the space.
    """
    channels, height = train.shape[-3], train.shape[-2]
    width = width_for(test)
    labelled = (train.labels.cpu() >= 0).nonzero().squeeze(1)
    classes = int(train.labels.max()) + 1 if len(labelled) else 0
    with own_randomness(device, 0):
        judge = Judge(channels, max(classes, 1), width).to(device)
        if classes >= 2:
            train_judge(judge, train, labelled, progress=progress)
    judge.eval()

    def embed(images: Tensor) -> Tensor:
        with evaluating(judge):
            features: Tensor = judge.features(images)
            return features

    if classes < 2:
        return Space(f"{data}-{height}px-random-conv{width}-seed0", embed, width, digest_of(judge))

    def classify(features: Tensor) -> Tensor:
        with evaluating(judge):
            logits: Tensor = judge.classify(features)
            return logits

    name = f"{data}-{height}px-judge{width}-v{JUDGE_VERSION}"
    right, known = count_right(judge, test)
    accuracy = right / known if known else float("nan")
    return Space(name, embed, width, digest_of(judge), classify, classes, accuracy)


def width_for(test: Store) -> int:
    """Features of a judge: fewer where few held-out images are there to be compared with."""
    return 64 if len(test) >= 1000 else 32


def digest_of(network: nn.Module) -> str:
    """A short hash of a network's weights."""
    digest = hashlib.sha256()
    for tensor in network.state_dict().values():
        digest.update(tensor.cpu().numpy().tobytes())
    return digest.hexdigest()[:12]


def train_judge(
    judge: Judge,
    train: Store,
    labelled: Tensor,
    *,
    progress: Progress = no_progress,
    stage: str = "training the judge",
) -> None:
    """Ten epochs of Adam (15,000 to 60,000 images) over the rows `labelled`, the rate falling linearly to 0."""
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
            progress(stage, step * batch, steps * batch)


def count_right(judge: Judge, test: Store) -> tuple[int, int]:
    """How many labelled images are put in their class, and how many there are."""
    right = total = 0
    with evaluating(judge):
        for batch in batches(test):
            known = batch.label >= 0
            right += int((judge(batch.images).argmax(1) == batch.label)[known].sum())
            total += int(known.sum())
    return right, total


@dataclass(frozen=True)
class Judged:
    """What a space makes of a set of images.

    Attributes:
        features: [N, D].
        probabilities: [N, classes]; [N, 0] where the space has no classes.
    """

    features: Tensor
    probabilities: Tensor

    @property
    def classes(self) -> Tensor:
        """The most probable class of each image, [N]."""
        return self.probabilities.argmax(1)

    @property
    def histogram(self) -> Tensor:
        """Share of the images in each class, [classes]; empty where the space has none."""
        classes = self.probabilities.shape[1]
        if not classes:
            return self.probabilities[0]
        return torch.bincount(self.classes, minlength=classes) / len(self.classes)


def judge_images(space: Space, images: Tensor) -> Judged:
    """Features and classes of images [N, C, H, W], in [0, 1] or of 8 bits."""
    return _judged(space, (as_floats(part) for part in torch.split(images, BATCH)))


def judge_store(space: Space, store: Store, n: int | None = None, *, seed: int) -> Judged:
    """Features and classes of `n` images of a store, drawn; of all without n or where there are fewer."""
    index = choose(len(store), n, seed=seed)
    return _judged(space, (batch.images for batch in batches(store, index)))


def as_floats(images: Tensor) -> Tensor:
    """8-bit images in [0, 1]; floats as they are."""
    return images.float() / 255 if images.dtype == torch.uint8 else images


def _judged(space: Space, parts: Iterable[Tensor]) -> Judged:
    features = torch.cat([space.embed(part).float() for part in parts])
    if space.classify is None:
        return Judged(features, features.new_empty(len(features), 0))
    return Judged(features, space.classify(features).softmax(1))
