"""A network with a linear head on one of its layers, and the training of the two on labelled images.

On the device, without a data loader, in full precision; images are mirrored and shifted at random.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.data.store import Store
from sslterm.errors import DivergedError
from sslterm.evaluate.features import (
    Progress,
    batches,
    device_of,
    evaluating,
    flat_features,
    no_progress,
    seeded,
)
from sslterm.evaluate.treatment import Plan, set_modes
from sslterm.methods.base import Encodes, Method
from sslterm.nn.norm import BatchNorm
from sslterm.run.results import ENCODER

RATE = 1e-3
"""Of AdamW at a batch of 128, for the layers that are not told otherwise."""
HEAD_FACTOR = 10.0
"""The head starts from nothing, and learns faster than what is below it by this."""
WEIGHT_DECAY = 0.05
BATCH = 128
EPOCHS = 10
LEAST_STEPS = 500
"""Where images are so few that the epochs are short, there are more of them."""
WARMUP = 0.05
"""Share of the steps over which the rates rise; afterwards they fall along half a cosine."""
SHIFT = 1 / 8
"""Furthest shift, as a share of the side."""


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """How networks are fine-tuned.

    Attributes:
        layers: what is done with which, as `treatment.make_plan` reads it; others learn at `rate`.
        rate: of AdamW, highest in its schedule; the head's is ten times as high.
        epochs: 0 takes 10, or more where they are short.
        flip: mirror half of the images.
        shift: move every image, by up to an eighth of its side in both directions.
    """

    layers: tuple[str, ...] = ()
    rate: float = RATE
    epochs: int = 0
    flip: bool = True
    shift: bool = True

    def epochs_of(self, images: int) -> int:
        """How often `images` are gone through."""
        steps = max(1, images // BATCH)
        return self.epochs or max(EPOCHS, math.ceil(LEAST_STEPS / steps))


class Classifier(nn.Module):
    """A network, and a linear head on the normalised features of one of its layers (He et al. 2022,
    arXiv:2111.06377, App. A.1, normalises so: features of different networks differ in scale)."""

    def __init__(self, network: Method, layer: str, images: Tensor, classes: int) -> None:
        """`images` [B, C, H, W] show how wide the layer is."""
        super().__init__()
        self.network = network
        self.layer = layer
        with evaluating(network):
            features = self.features(images).shape[1]
        self.norm = BatchNorm(features, affine=False)
        self.head = nn.Linear(features, classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, images: Tensor) -> Tensor:
        """[B, C, H, W] -> logits [B, classes]."""
        logits: Tensor = self.head(self.norm(self.features(images)))
        return logits

    def features(self, images: Tensor) -> Tensor:
        """What the head looks at, [B, D]: pooled as for other probes."""
        network = self.network
        assert isinstance(network, Encodes)
        return flat_features(
            network.encode(images) if self.layer == ENCODER else network.layers(images)[self.layer]
        )


def fine_tune(
    classifier: Classifier,
    plan: Plan,
    store: Store,
    index: Tensor,
    tuning: Tuning,
    *,
    seed: int,
    progress: Progress = no_progress,
    stage: str = "fine-tuning",
) -> None:
    """Train a head and what the plan lets learn on the labelled images at `index` [N].

    AdamW at a rate that rises, then falls to 0; the last weights count, and none are chosen by their accuracy.

    Raises:
        DivergedError: it did.
    """
    device, size = device_of(classifier), min(BATCH, len(index))
    order, draws = torch.Generator().manual_seed(seed), seeded(device, seed)
    optimizer = torch.optim.AdamW(
        _groups(classifier, plan, tuning.rate), fused=device.type in ("cpu", "cuda")
    )
    epochs = tuning.epochs_of(len(index))
    steps, step, loss = epochs * (len(index) // size), 0, torch.zeros(())
    set_modes(classifier.network)
    classifier.norm.train()
    for epoch in range(epochs):
        shuffled = index[torch.randperm(len(index), generator=order)]
        for part in shuffled[: len(index) // size * size].split(size):
            if step % 10 == 0:
                progress(f"{stage}, epoch {epoch + 1} of {epochs}", step, steps)
            for group in optimizer.param_groups:
                group["lr"] = group["rate"] * schedule(step / steps)
            batch = store.batch(part)
            with torch.enable_grad():
                loss = F.cross_entropy(classifier(vary(batch.images, tuning, draws)), batch.label)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
    if not bool(torch.isfinite(loss)):
        raise DivergedError(f"{stage}: it diverged at a rate of {tuning.rate:g}", "lower --rate")


def schedule(share: float) -> float:
    """The factor of the rates after a share of the steps."""
    return min(1.0, (share + 1e-3) / WARMUP) * 0.5 * (1 + math.cos(math.pi * share))


def _groups(classifier: Classifier, plan: Plan, rate: float) -> list[dict[str, object]]:
    """Parameters by rate; what has fewer than two dimensions does not decay."""
    by_kind: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in classifier.network.named_parameters():
        if parameter.requires_grad:
            by_kind.setdefault((plan.rates[name], parameter.ndim > 1), []).append(parameter)
    for parameter in classifier.head.parameters():
        by_kind.setdefault((HEAD_FACTOR * rate, parameter.ndim > 1), []).append(parameter)
    return [
        {"params": members, "rate": rate, "weight_decay": WEIGHT_DECAY * decays}
        for (rate, decays), members in by_kind.items()
    ]


def vary(images: Tensor, tuning: Tuning, generator: torch.Generator) -> Tensor:
    """Images [B, (T,) C, H, W], mirrored and shifted at random as `tuning` says; what a shift bares is mirrored.

    All frames of a clip move alike.
    """
    shape, device = images.shape, images.device
    images = images.flatten(1, -3)
    count, channels, height, width = images.shape
    if tuning.flip:
        mirrored = torch.rand(count, 1, 1, 1, generator=generator, device=device) < 0.5
        images = torch.where(mirrored, images.flip(3), images)
    if tuning.shift:
        down, right = max(1, round(SHIFT * height)), max(1, round(SHIFT * width))
        padded = F.pad(images, (right, right, down, down), mode="reflect")
        y, x = (
            torch.randint(2 * most + 1, (count, 1), generator=generator, device=device)
            + torch.arange(side, device=device)
            for most, side in ((down, height), (right, width))
        )
        image = torch.arange(count, device=device)[:, None, None, None]
        channel = torch.arange(channels, device=device)[None, :, None, None]
        images = padded[image, channel, y[:, None, :, None], x[:, None, None, :]]
    return images.view(shape)


def accuracy(classifier: Classifier, store: Store, index: Tensor) -> float:
    """Share of the labelled images at `index` that are classified correctly."""
    with evaluating(classifier):
        right = sum(
            int((classifier(batch.images).argmax(1) == batch.label).sum()) for batch in batches(store, index)
        )
    return right / len(index)
