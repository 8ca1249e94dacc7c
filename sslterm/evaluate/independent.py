"""The density whose pixels know nothing of each other: what every likelihood is to be read beside."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.data.store import Store
from sslterm.evaluate.features import batches, seeded
from sslterm.nn.bits import PROTOCOLS, Binarization, binarize

LEVELS = 256
EIGHT_BITS = "8-bit pixels"
"""How the protocols begin whose pixels are no bits."""


def noise_of(device: torch.device, seed: int, number: int) -> torch.Generator:
    """What is handed to `log_prob` with batch `number`: the same for all densities under the same seed."""
    return seeded(device, seed * 1_000_003 + number)


def independent_log_probs(
    protocol: str, train: Store, test: Store, index: Tensor, *, seed: int, size: int
) -> Tensor | None:
    """Log-likelihood of the test images at `index` in nats, [N] float64; None under a protocol not known here.

    A pixel has the frequencies that it has over the training images, each possible value counted once more
    (Laplace's rule of succession), so that nothing is impossible.

    Args:
        protocol: a method's `likelihood_protocol`.
        seed, size: of the draws, and images in one, as in `log_probs`: the bits are those that the methods see.
    """
    if protocol.startswith(EIGHT_BITS):
        table = _level_log_probs(train)  # [D, 256]
        pixels = torch.arange(len(table), device=table.device)
        parts = [
            table[pixels, test.images[part.to(test.images.device)].flatten(1).to(table.device).long()].sum(1)
            for part in torch.split(index, size)
        ]
        return torch.cat(parts).cpu().double()
    how = binarization_of(protocol)
    if how is None:
        return None
    logits = _bit_logits(train, how)
    parts = []
    for number, batch in enumerate(batches(test, index, size=size)):
        generator = noise_of(batch.images.device, seed, number)
        bits = binarize(batch.images, how, generator)
        log_p = -F.binary_cross_entropy_with_logits(logits.expand_as(bits), bits, reduction="none")
        parts.append(log_p.flatten(1).sum(1))
    return torch.cat(parts).cpu().double()


def binarization_of(protocol: str) -> Binarization | None:
    """How a protocol makes bits; None where its pixels are none."""
    return next((how for how, name in PROTOCOLS.items() if protocol.startswith(name)), None)


def _bit_logits(train: Store, how: Binarization) -> Tensor:
    """Of every pixel being 1, [C, H, W] float32."""
    ones = torch.zeros(train.shape, device=train.device)
    for batch in batches(train):
        ones += (batch.images if how == "dynamic" else binarize(batch.images, how)).sum(0)
    return ((ones + 1) / (len(train) + 1 - ones)).log()


def _level_log_probs(train: Store) -> Tensor:
    """Of every value of every pixel, [C H W, 256] float32."""
    counts: Tensor | None = None
    for part in torch.split(train.images, 1000):
        values = part.to(train.device).flatten(1)
        places = torch.arange(values.shape[1], device=values.device) * LEVELS
        found = torch.bincount((places + values).flatten(), minlength=values.shape[1] * LEVELS)
        counts = found if counts is None else counts + found
    assert counts is not None
    return ((counts + 1) / (len(train) + LEVELS)).log().view(-1, LEVELS)
