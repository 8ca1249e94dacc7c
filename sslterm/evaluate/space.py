"""What there is to explore in a latent space: where its middle is, and which directions matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sslterm.errors import UsageError
from sslterm.evaluate.features import device_of, evaluating, own_randomness
from sslterm.evaluate.latent import Directions, by_effect, by_variance, codes_of, principal
from sslterm.methods.base import Latent

MOST_DIRECTIONS = 128
QUANTILE_STEPS = 101


@dataclass(frozen=True)
class Family:
    """Directions of one kind, the most important first.

    Attributes:
        names: e.g. "z17", "PC1 (31 %)".
        vectors: [K, D] of length 1, at right angles to each other.
        quantiles: [K, 101] of the codes' coordinates along them, at even shares from 0 to 1; None where
            coordinates are standard normal a priori.
        order: what they are ordered by.
    """

    names: tuple[str, ...]
    vectors: Tensor
    quantiles: Tensor | None
    order: str


@dataclass(frozen=True)
class LatentSpace:
    """A latent space, described by its prior and by codes.

    Attributes:
        origin: [D] the middle: of the prior, or of the codes.
        families: "dimensions", and "principal" (directions of the codes) where images have codes.
        codes: how many codes the description rests on; 0 where nothing encodes into this space.
    """

    dimensions: int
    prior: str
    origin: Tensor
    families: Mapping[str, Family]
    codes: int


def describe_space(method: Latent, images: Tensor, *, seed: int = 0) -> LatentSpace:
    """Look at a latent space through the codes of `images` [B, C, H, W], where they have any.

    Raises:
        UsageError: it has neither a prior nor codes, so that nobody knows where in it to look.
    """
    assert isinstance(method, nn.Module)
    device = device_of(method)
    with evaluating(method), own_randomness(device, seed):
        codes = codes_of(method, images)
        if codes is not None and not bool(codes.isfinite().all()):  # of a diverged network
            codes = None
        normal = method.latent_prior == "normal"
        if codes is None and not normal:
            raise UsageError("this latent space has neither a prior nor codes, so that its range is unknown")
        found = by_effect(method, seed) if codes is None else by_variance(method, codes, seed)
        if method.latent_dim == 2:
            found = _in_their_own_order(found)
        families = {"dimensions": _family(found, None if normal else codes)}
        if codes is not None and method.latent_dim > 2:
            families["principal"] = _family(principal(codes, seed), codes)
        origin = torch.zeros(method.latent_dim) if normal or codes is None else codes.mean(0)
    return LatentSpace(
        method.latent_dim, method.latent_prior, origin, families, 0 if codes is None else len(codes)
    )


def _in_their_own_order(found: Directions) -> Directions:
    unit = torch.eye(2, device=found.vectors.device)
    return Directions(
        base=found.base,
        center=found.center,
        vectors=unit,
        stds=found.stds,
        names=("z1", "z2"),
        order="number",
    )


def _family(found: Directions, codes: Tensor | None) -> Family:
    vectors = found.vectors[:MOST_DIRECTIONS]
    quantiles = None
    if codes is not None:
        shares = torch.linspace(0, 1, QUANTILE_STEPS, dtype=torch.float64)
        quantiles = torch.quantile((codes.cpu().double() @ vectors.cpu().double().T), shares, dim=0).T
    return Family(found.names[: len(vectors)], vectors, quantiles, found.order)
