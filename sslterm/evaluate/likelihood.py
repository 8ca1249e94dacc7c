"""Held-out likelihood: mean nats and bits/dim with their standard error, and what kind of number it is."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Protocol, runtime_checkable

import numpy as np
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
from sslterm.evaluate.independent import binarization_of, independent_log_probs, noise_of
from sslterm.methods.base import Likelihood
from sslterm.nn.ais import BETAS, CHAINS, LogZ
from sslterm.nn.bits import binarize

BATCH = 100
"""Images in a forward pass. Fixed, and every pass has its own seed, so that the bound and the
importance-weighted bound of the same images see the same binarization."""

FEW_BETAS = 1_000
"""Of the untrained network's log Z: it is nearly that of the base, which annealing starts from."""

NAMES = {"exact": "nll_nats", "bound": "neg_elbo_nats", "estimate": "nll_estimate_nats"}
"""Name of the negative log-likelihood by its kind."""


@runtime_checkable
class ImportanceWeighted(Protocol):
    """A likelihood whose bound tightens with more samples (Burda et al. 2016, arXiv:1509.00519, Eq. 8)."""

    def importance_log_prob(self, images: Tensor, k: int, generator: torch.Generator) -> Tensor:
        """[B, C, H, W] -> [B] nats: the bound of k samples; cuts k into portions that fit into memory."""


@runtime_checkable
class Unnormalized(Protocol):
    """A density that is known up to its constant Z, which annealed importance sampling estimates."""

    def log_unnormalized(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """[B, C, H, W] -> [B] nats: log p + log Z."""

    def estimate_log_z(
        self, generator: torch.Generator, *, betas: int, chains: int, progress: Callable[[int, int], None]
    ) -> LogZ:
        """Anneal `chains` chains in `betas` steps."""


def log_z_of(
    method: Unnormalized,
    *,
    seed: int,
    betas: int = BETAS,
    chains: int = CHAINS,
    progress: Progress = no_progress,
) -> LogZ:
    """log Z, the same for a seed; the random state outside stays untouched."""
    assert isinstance(method, nn.Module)
    device = device_of(method)
    with evaluating(method), own_randomness(device, seed):
        return method.estimate_log_z(
            seeded(device, seed), betas=betas, chains=chains, progress=partial(progress, "annealing")
        )


def name_of(method: Likelihood) -> str:
    """What its negative log-likelihood is called: by its kind, or as the method says (`likelihood_name`)."""
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
    log_z: LogZ | None = None,
    progress: Progress = no_progress,
) -> Tensor:
    """Log-likelihood of the images at `index` in nats, [N] float64 on the CPU.

    A method that draws without its generator is repeatable too; the random state outside stays untouched.

    Args:
        k: gives the importance-weighted bound of k samples in place of `log_prob`.
        log_z: of an unnormalized density, instead of one estimate for every batch.
    """
    assert isinstance(method, nn.Module)
    device = device_of(method)
    values: list[Tensor] = []
    with evaluating(method), own_randomness(device, seed):
        for number, batch in enumerate(batches(store, index, size=BATCH)):
            generator = noise_of(device, seed, number)
            if k is None and log_z is not None:
                assert isinstance(method, Unnormalized)
                nats = method.log_unnormalized(batch.images, generator) - log_z.value
            elif k is None:
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
    betas: int = BETAS,
    chains: int = CHAINS,
    seed: int = 0,
    train: Store | None = None,
    untrained: Likelihood | None = None,
    progress: Progress = no_progress,
) -> Iterator[dict[str, Any]]:
    """Held-out negative log-likelihood of `n` images drawn with `seed` (all of them without n).

    Args:
        k: also the importance-weighted bound of k samples, where the method offers it.
        betas, chains: of the estimate of log Z, where the method needs one.
        train: gives the baseline of pixels that are independent, with the frequencies that they have there.
        untrained: gives the baseline of the same network before training.

    Yields:
        {name, value, unit, kind, n, split, protocol, seed, standard_error}: in nats per image, then in
        bits/dim (nats / (C H W ln 2), of the same density: `protocol` says which); with {baseline_independent,
        baseline_untrained}, in the same unit on the same images, where they are known. Where log Z is estimated,
        its error is part of theirs, and it follows itself, with the number of chains that carry its weight.
    """
    index = choose(len(test), n, seed=seed)
    values = math.prod(test.shape)
    about: dict[str, Any] = {
        "n": len(index),
        "split": "test",
        "protocol": method.likelihood_protocol,
        "seed": seed,
    }
    name, kind = name_of(method), method.likelihood_kind
    log_z = None
    if isinstance(method, Unnormalized):
        log_z = log_z_of(method, seed=seed, betas=betas, chains=chains, progress=progress)
        about["protocol"] = f"{method.likelihood_protocol}; log Z by AIS, {betas:,} betas, {chains:,} chains"
    if binarization_of(method.likelihood_protocol) == "fixed":
        about["protocol"] += f"; bits of these images sha256 {_digest_of_bits(test, index)[:12]}"
    nats = -log_probs(method, test, index, seed=seed, log_z=log_z, progress=progress)
    baselines = dict(_baselines(method.likelihood_protocol, train, untrained, test, index, seed=seed))
    for title, unit, factor in (
        (name, "nats", 1.0),
        (in_bits_per_dim(name), "bits/dim", 1 / (values * math.log(2))),
    ):
        beside = {key: factor * value for key, value in baselines.items()}
        row = _result(title, factor * nats, unit, kind, about | beside)
        if log_z is not None:
            of_images = row["standard_error"] or 0.0
            row["standard_error"] = math.hypot(of_images, factor * log_z.standard_error)
        yield row
    if log_z is not None:
        of_z = about | {"kind": "estimate", "n": log_z.chains}
        yield {
            "name": "log_z_nats", "value": log_z.value, "unit": "nats", **of_z,
            "standard_error": log_z.standard_error,
        }  # fmt: skip
        yield {"name": "ais_effective_chains", "value": log_z.effective_chains, "unit": "chains", **of_z}
    if k is not None and isinstance(method, ImportanceWeighted):
        nats = -log_probs(method, test, index, seed=seed, k=k, progress=progress)
        baselines.pop("baseline_untrained", None)  # its bound of k samples costs as much as the trained one's
        yield _result(f"iw_nll_nats@{k}", nats, "nats", "bound", about | baselines)


def _digest_of_bits(test: Store, index: Tensor) -> str:
    """SHA-256 of the fixed bits of images in the order of the data set: eight to a byte, a new byte for each image."""
    digest = hashlib.sha256()
    for batch in batches(test, index.sort().values, size=BATCH):
        bits = binarize(batch.images, "fixed").flatten(1).cpu().numpy().astype(bool)
        digest.update(np.packbits(bits, axis=1).tobytes())
    return digest.hexdigest()


def _baselines(
    protocol: str, train: Store | None, untrained: Likelihood | None, test: Store, index: Tensor, *, seed: int
) -> Iterator[tuple[str, float]]:
    """In nats per image: what costs nothing to reach, and where the training began."""
    if train is not None:
        independent = independent_log_probs(protocol, train, test, index, seed=seed, size=BATCH)
        if independent is not None:
            yield "baseline_independent", -float(independent.mean())
    if untrained is not None:
        log_z = (
            log_z_of(untrained, seed=seed, betas=FEW_BETAS) if isinstance(untrained, Unnormalized) else None
        )
        nats = log_probs(untrained, test, index, seed=seed, log_z=log_z)
        yield "baseline_untrained", -float(nats.mean())


def _result(name: str, values: Tensor, unit: str, kind: str, about: dict[str, Any]) -> dict[str, Any]:
    error = float(values.std() / len(values) ** 0.5) if len(values) > 1 else None
    return {
        "name": name,
        "value": float(values.mean()),
        "unit": unit,
        "kind": kind,
        **about,
        "standard_error": error,
    }
