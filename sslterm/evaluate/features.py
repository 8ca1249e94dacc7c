"""Features of a frozen network over a store, and the conditions that every evaluation runs under."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslterm.data.batch import Batch
from sslterm.data.store import Store
from sslterm.errors import UsageError, did_you_mean
from sslterm.methods.base import Encodes
from sslterm.nn.precision import double
from sslterm.nn.rng import random_state_on, set_random_state_on

Progress = Callable[[str, int, int], None]
"""(what is being done, how much of it is done, how much there is)."""

BATCH = 500
"""Most images in a forward pass."""
BATCH_VALUES = 1 << 25
"""Most numbers in them: of clips and of large images it takes fewer."""


def no_progress(stage: str, done: int, total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True)
class Features:
    """What a network makes of N images.

    Attributes:
        values: [N, D] float32.
        labels: [N] int64, -1 where unknown.
    """

    values: Tensor
    labels: Tensor

    def labelled(self) -> Features:
        """Those whose class is known."""
        known = self.labels >= 0
        return self if bool(known.all()) else Features(self.values[known], self.labels[known])


def device_of(module: nn.Module) -> torch.device:
    """The device of a module's parameters (or buffers)."""
    for tensor in (*module.parameters(), *module.buffers()):
        return tensor.device
    return torch.device("cpu")


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode, no gradients, full precision; afterwards every submodule is in the mode it was in."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad(), torch.autocast(device_of(module).type, enabled=False):
            yield
    finally:
        for part, training in modes:
            part.training = training


@contextmanager
def own_randomness(device: torch.device, seed: int) -> Iterator[None]:
    """Draws inside start from `seed`; the random state outside is untouched, on the CPU and on `device`."""
    cpu_state = torch.get_rng_state()
    device_state = random_state_on(device)
    try:
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        elif device.type == "mps":
            torch.mps.manual_seed(seed)
        yield
    finally:
        torch.set_rng_state(cpu_state)
        set_random_state_on(device, device_state)


def seeded(device: torch.device, seed: int) -> torch.Generator:
    """A generator on `device` that starts at `seed`."""
    return torch.Generator(device=device).manual_seed(seed)


def choose(total: int, n: int | None, *, seed: int) -> Tensor:
    """`n` positions out of `total`, drawn without repeats, [n] int64 on the CPU; a smaller n gives a prefix.

    The first images of a split are often not typical of it, so that a part is always drawn.
    """
    return torch.randperm(total, generator=torch.Generator().manual_seed(seed))[:n]


def choose_by_class(labels: Tensor, amount: str, *, seed: int) -> Tensor:
    """Positions of a few images of every class, drawn, int64 on the device of `labels` [N].

    Args:
        amount: of each class: a number ("10"), or a share ("1%", at least one image).
    """
    order = choose(len(labels), None, seed=seed).to(labels.device)
    members = [order[labels[order] == label] for label in torch.unique(labels).tolist()]
    return torch.cat([of_class[: _how_many(amount, len(of_class))] for of_class in members])


def _how_many(amount: str, total: int) -> int:
    """Images of a class of `total` that an amount means."""
    return max(1, round(total * float(amount[:-1]) / 100)) if amount.endswith("%") else int(amount)


def batches(store: Store, index: Tensor | None = None, *, size: int = BATCH) -> Iterator[Batch]:
    """The images at `index` (all, in order, without it) in batches of `size`, or of as many as memory likes."""
    index = torch.arange(len(store)) if index is None else index
    for part in torch.split(index, fitting(size, store.shape)):
        yield store.batch(part)


def fitting(size: int, shape: Sequence[int]) -> int:
    """Of `size` images or clips of `shape` as many as a forward pass may hold, at least one."""
    return max(1, min(size, BATCH_VALUES // math.prod(shape)))


def stills(images: Tensor) -> Tensor:
    """Images as they are; the middle frames of clips [B, T, C, H, W]."""
    return images[:, images.shape[1] // 2] if images.ndim == 5 else images


def encode(method: Encodes, store: Store, index: Tensor | None = None) -> Features:
    """`method.encode` over a store, frozen, in float32.

    Args:
        method: an `nn.Module` that can encode.
        index: [N] which images, in which order; all of them without it.
    """
    assert isinstance(method, nn.Module)
    with evaluating(method):
        parts = [(method.encode(batch.images).float(), batch.label) for batch in batches(store, index)]
    return _join(parts)


def encode_layers(
    method: Encodes,
    store: Store,
    index: Tensor | None = None,
    *,
    names: Sequence[str] = (),
    progress: Progress = no_progress,
    stage: str = "encoding",
) -> dict[str, Features]:
    """Features of several layers in one pass; feature maps are average-pooled to 2x2, tokens are averaged.

    Args:
        names: which layers; all of them without it.

    Raises:
        UsageError: there is no layer of that name.
    """
    assert isinstance(method, nn.Module)
    parts: dict[str, list[tuple[Tensor, Tensor]]] = {}
    total = len(store) if index is None else len(index)
    done = 0
    with evaluating(method):
        for batch in batches(store, index):
            layers = method.layers(batch.images)
            for name in names or layers:
                if name not in layers:
                    raise UsageError(f"there is no layer {name!r}", did_you_mean(name, layers))
                parts.setdefault(name, []).append((flat_features(layers[name]), batch.label))
            done += len(batch)
            progress(stage, done, total)
    return {name: _join(rows) for name, rows in parts.items()}


def flat_features(layer: Tensor) -> Tensor:
    """[B, D] as it is; [B, C, H, W] pooled to at most 2x2; [B, T, D] averaged over T -> [B, D'] float32."""
    layer = layer.float()
    if layer.ndim == 4:
        grid = (min(2, layer.shape[2]), min(2, layer.shape[3]))
        return F.adaptive_avg_pool2d(layer, grid).flatten(1)
    if layer.ndim == 3:
        return layer.mean(1)
    return layer.flatten(1)


def pixels(store: Store, index: Tensor | None = None) -> Features:
    """The images themselves as features, [N, C * H * W] in [0, 1]: the baseline of every encoder.

    Of clips it is their middle frame, as encoders give features of frames.
    """
    return _join([(stills(batch.images).flatten(1), batch.label) for batch in batches(store, index)])


def _join(parts: list[tuple[Tensor, Tensor]]) -> Features:
    values = torch.cat([value for value, _ in parts])
    return Features(values, torch.cat([label for _, label in parts]).to(values.device))


def rankme(features: Tensor) -> float:
    """Effective rank: exp of the entropy of the normalised singular values.

    Garrido et al. 2023, arXiv:2210.02885, Eq. 1-2.

    Args:
        features: [N, D], not centred.

    Returns:
        between 1 (collapsed to a line) and min(N, D).
    """
    sigma = singular_values(features)
    share = sigma / sigma.sum().clamp_min(torch.finfo(sigma.dtype).tiny) + 1e-7
    return float((-(share * share.log()).sum()).exp())


def singular_values(features: Tensor) -> Tensor:
    """Singular values of [N, D], falling, [min(N, D)] float64; NaN where a feature is not finite."""
    z = double(features)
    if not bool(z.isfinite().all()):  # a diverged network: say NaN, where a solver would raise
        return z.new_full((min(z.shape),), float("nan"))
    gram = z.T @ z if z.shape[1] <= z.shape[0] else z @ z.T
    values: Tensor = torch.linalg.eigvalsh(gram)
    return values.flip(0).clamp_min(0).sqrt()


def relative_std(features: Tensor) -> float:
    """Mean standard deviation per dimension of the l2-normalised features, over 1/sqrt(D).

    1 where they spread evenly over the sphere, 0 where they have collapsed
    (Chen & He 2021, arXiv:2011.10566, §4.1).
    """
    unit = F.normalize(features.float(), dim=1)
    return float(unit.std(0, correction=0).mean() * features.shape[1] ** 0.5)
