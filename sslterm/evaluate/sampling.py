"""Samples of a method, as many as are asked for, in portions."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from sslterm.errors import UsageError
from sslterm.evaluate.features import Progress, device_of, evaluating, no_progress, own_randomness, seeded
from sslterm.methods.base import Samples

SAMPLES = 1000
"""Samples that are judged where no number is asked for."""
LEAST = 100
"""Fewest samples and held-out images that say anything; a Fréchet distance needs more in most spaces."""
_BATCH = 250


def draw_samples(
    method: Samples,
    n: int,
    *,
    seed: int,
    label: int | None = None,
    progress: Progress = no_progress,
    watch: Callable[[Tensor], None] = lambda partial: None,
) -> Tensor:
    """Final samples, [n, C, H, W] in [0, 1], in portions; the random state outside stays untouched.

    Args:
        label: class of all of them, for a class-conditional method.
        watch: shown every partial portion, [up to 250, C, H, W].
    """
    labels = None if label is None else torch.full((n,), label)
    return torch.cat(list(_portions(method, n, seed, labels, progress, "sampling", watch)))


def draw_bytes(
    method: Samples,
    n: int,
    *,
    seed: int,
    labels: Tensor | None = None,
    progress: Progress = no_progress,
    stage: str = "sampling",
) -> Tensor:
    """Final samples as they would be saved, uint8 [n, C, H, W]: real images have 8 bits too.

    Args:
        labels: [n] the class of each, for a class-conditional method.

    Raises:
        UsageError: samples are not finite.
    """
    parts, broken = [], 0
    for images in _portions(method, n, seed, labels, progress, stage, lambda partial: None):
        broken += int((~images.flatten(1).isfinite().all(1)).sum())
        parts.append((images.nan_to_num().clamp(0, 1) * 255).round().to(torch.uint8))
    if broken:
        raise UsageError(
            f"{broken:,} of {n:,} samples hold numbers that are not finite: the network has diverged",
            "take an earlier --checkpoint, or train again at a lower rate",
        )
    return torch.cat(parts)


def _portions(
    method: Samples,
    n: int,
    seed: int,
    labels: Tensor | None,
    progress: Progress,
    stage: str,
    watch: Callable[[Tensor], None],
) -> Iterator[Tensor]:
    """Final samples, up to 250 at a time."""
    assert isinstance(method, nn.Module)
    device = device_of(method)
    generator = seeded(device, seed)
    with evaluating(method), own_randomness(device, seed):
        for start in range(0, n, _BATCH):
            count = min(_BATCH, n - start)
            wanted = None if labels is None else labels[start : start + count].to(device)
            final = None
            for partial in method.sample(count, generator, wanted):
                final = partial
                watch(partial)
            assert final is not None, "a sampler yields at least its final images"
            progress(stage, start + count, n)
            yield final.float()


def require_samples(n: int, held_out: int) -> None:
    """Refuse to judge by so few images that every figure would be noise.

    Raises:
        UsageError: there are fewer than 100 samples or held-out images.
    """
    if n < LEAST:
        raise UsageError(f"{n} samples are too few to judge a generator by", f"take --n {SAMPLES}")
    if held_out < LEAST:
        raise UsageError(
            f"{held_out} held-out images are too few to judge samples by",
            f"hold out {LEAST} or more: data.test_images",
        )
