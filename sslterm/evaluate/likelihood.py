"""Held-out likelihood: mean nats and bits/dim with their standard error, and what kind of number it is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from sslterm.data.store import Store
from sslterm.evaluate.features import (
    Progress,
    batches,
    choose,
    device_of,
    evaluating,
    no_progress,
    own_randomness,
    seeded,
)
from sslterm.methods.base import Likelihood

BATCH = 100
"""Images in a forward pass. Fixed, and every pass has its own seed, so that the bound and the
importance-weighted bound of the same images see the same binarization."""

NAMES = {"exact": "nll_nats", "bound": "neg_elbo_nats", "estimate": "nll_estimate_nats"}
"""Name of the negative log-likelihood by its kind."""


@runtime_checkable
class ImportanceWeighted(Protocol):
    """A likelihood whose bound tightens with more samples (Burda et al. 2016, arXiv:1509.00519, Eq. 8)."""

    def importance_log_prob(self, images: Tensor, k: int, generator: torch.Generator) -> Tensor:
        """[B, C, H, W] -> [B] nats: the bound of k samples; cuts k into portions that fit into memory."""


def name_of(method: Likelihood) -> str:
    """What the negative log-likelihood of a method is called: by its kind, or as the method says (`likelihood_name`)."""
    name: str = getattr(method, "likelihood_name", NAMES[method.likelihood_kind])
    return name


def in_bits_per_dim(name: str) -> str:
    """The same quantity in its other unit: nll_nats -> nll_bits_per_dim."""
    return name.replace("nats", "bits_per_dim")


def in_bits(method: Likelihood) -> bool:
    """Whether bits/dim are the unit people know: for densities of 8-bit pixels."""
    return method.likelihood_protocol.startswith("8-bit")


def log_probs(
    method: Likelihood,
    store: Store,
    index: Tensor,
    *,
    seed: int,
    k: int | None = None,
    progress: Progress = no_progress,
) -> Tensor:
    """Log-likelihood of the images at `index` in nats, [N] float64 on the CPU.

    A method that draws without its generator is repeatable too; the random state outside stays untouched.

    Args:
        k: gives the importance-weighted bound of k samples in place of `log_prob`.
    """
    assert isinstance(method, nn.Module)
    device = device_of(method)
    values: list[Tensor] = []
    with evaluating(method), own_randomness(device, seed):
        for number, batch in enumerate(batches(store, index, size=BATCH)):
            generator = seeded(device, seed * 1_000_003 + number)
            if k is None:
                nats = method.log_prob(batch.images, generator)
            else:
                assert isinstance(method, ImportanceWeighted)
                nats = method.importance_log_prob(batch.images, k, generator)
            values.append(nats.detach().cpu().double())
            progress(
                "likelihood" if k is None else f"bound of {k} samples",
                number * BATCH + len(batch),
                len(index),
            )
    return torch.cat(values)


def likelihood(
    method: Likelihood,
    test: Store,
    *,
    n: int | None = None,
    k: int | None = None,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Iterator[dict[str, object]]:
    """Held-out negative log-likelihood of `n` images drawn with `seed` (all of them without n).

    Args:
        k: also the importance-weighted bound of k samples, where the method offers it.

    Yields:
        {name, value, unit, kind, n, split, protocol, seed, standard_error}: in nats per image, then in
        bits/dim (nats / (C H W ln 2), of the same density: `protocol` says which).
    """
    index = choose(len(test), n, seed=seed)
    values = math.prod(test.shape)
    about = {"n": len(index), "split": "test", "protocol": method.likelihood_protocol, "seed": seed}
    name, kind = name_of(method), method.likelihood_kind
    nats = -log_probs(method, test, index, seed=seed, progress=progress)
    yield _result(name, nats, "nats", kind, about)
    yield _result(
        in_bits_per_dim(name), nats / (values * math.log(2)), "bits/dim", kind, about
    )
    if k is not None and isinstance(method, ImportanceWeighted):
        nats = -log_probs(method, test, index, seed=seed, k=k, progress=progress)
        yield _result(f"iw_nll_nats@{k}", nats, "nats", "bound", about)


def _result(name: str, values: Tensor, unit: str, kind: str, about: dict[str, object]) -> dict[str, object]:
    error = float(values.std() / len(values) ** 0.5) if len(values) > 1 else None
    return {
        "name": name,
        "value": float(values.mean()),
        "unit": unit,
        "kind": kind,
        **about,
        "standard_error": error,
    }
