"""Sums and differences of codes, as pictures: Radford et al. 2016, arXiv:1511.06434, §6.3.2."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sslterm.errors import UsageError
from sslterm.evaluate.features import device_of, evaluating, own_randomness, seeded
from sslterm.evaluate.latent import decode
from sslterm.methods.base import Latent
from sslterm.run.panels import Panel

BESIDE = 8
"""Most pictures beside a term's code, of what that is the mean of."""
LEAST_BESIDE = 3
"""The room that there is for them in any case."""
NOISE = 0.25 * 3**0.5
"""Largest noise of a neighbour, in standard deviations of the codes: the paper adds 0.25 at most to numbers that are
uniform on [-1, 1]."""

SPACED = 'write it with spaces around the signs: "1,4,7 - 2,5,8 + 3,6,9"'
"""How a sum has to be written."""


@dataclass(frozen=True)
class Term:
    """What is added or subtracted.

    Attributes:
        sign: 1 or -1.
        name: as the person wrote it.
        code: [D], the mean of some codes.
        shown: [K, C, H, W] in [0, 1], K <= 8: some of what it is the mean of.
    """

    sign: int
    name: str
    code: Tensor
    shown: Tensor


def parse_sum(text: str) -> list[tuple[int, tuple[str, ...]]]:
    """Signs and what is averaged: "1,4 - 2 + 3" gives [(1, ("1", "4")), (-1, ("2",)), (1, ("3",))].

    Signs stand between spaces, because names may hold a dash.

    Raises:
        UsageError: it is no sum.
    """
    first, *rest = re.split(r"\s+([+-])\s+", text.strip())
    pairs = [("+", first), *zip(rest[::2], rest[1::2], strict=True)]
    terms = [
        (1 if sign == "+" else -1, tuple(part.strip() for part in names.split(","))) for sign, names in pairs
    ]
    if not all(part and part[0] not in "+-" for _, names in terms for part in names):
        raise UsageError(f"{text!r} is no sum of codes", SPACED)
    return terms


def combine(terms: Sequence[Term]) -> Tensor:
    """The sum of the terms' codes, [D]."""
    return torch.stack([term.sign * term.code for term in terms]).sum(0)


def arithmetic_panel(
    method: Latent, terms: Sequence[Term], *, spread: Tensor, seed: int = 0
) -> tuple[Panel, Tensor]:
    """A row for each term, of its code and of what that is the mean of; then two of the sum and its neighbours.

    Args:
        spread: [D] standard deviations of the codes, in which the noise of the neighbours is measured.

    Returns:
        The panel, and the codes [N, D]: of the terms, of the sum, of its neighbours.
    """
    assert isinstance(method, nn.Module)
    device = device_of(method)
    beside = max(LEAST_BESIDE, *(len(term.shown) for term in terms))
    neighbours = 2 * (1 + beside) - 1
    total = combine(terms)
    noise = torch.rand(neighbours, len(total), generator=seeded(torch.device("cpu"), seed))
    around = total + NOISE * (2 * noise - 1) * spread
    codes = torch.stack([*(term.code for term in terms), total, *around])
    with evaluating(method), own_randomness(device, seed):
        decoded = decode(method, codes.to(device)).cpu()
    rows = []
    for term, image in zip(terms, decoded, strict=False):
        empty = torch.full((beside - len(term.shown), *image.shape), 0.5)
        rows += [image[None], term.shown.cpu(), empty]
    written = " ".join(f"{'+' if term.sign > 0 else '-'} {term.name}" for term in terms).removeprefix("+ ")
    panel = Panel(
        name="arithmetic",
        kind="images",
        array=torch.cat([*rows, decoded[len(terms) :]]).numpy(),
        caption=(
            f"{written}: a row for each, its mean code first, then what it is the mean of; below, what comes "
            f"out, and {neighbours} codes around it (noise up to {NOISE:.2g} sd, seed {seed})"
        ),
        columns=1 + beside,
        low=0.0,
        high=1.0,
    )
    return panel, codes
