"""Held-out likelihood: mean nats and bits/dim with their standard error, and what kind of number it is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
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
)
from sslterm.evaluate.independent import independent_log_probs, noise_of
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
            generator = noise_of(device, seed, number)
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
    train: Store | None = None,
    untrained: Likelihood | None = None,
    progress: Progress = no_progress,
) -> Iterator[dict[str, object]]:
    """Held-out negative log-likelihood of `n` images drawn with `seed` (all of them without n).

    Args:
        k: also the importance-weighted bound of k samples, where the method offers it.
        train: gives the baseline of pixels that are independent, with the frequencies that they have there.
        untrained: gives the baseline of the same network before training.

    Yields:
        {name, value, unit, kind, n, split, protocol, seed, standard_error}: in nats per image, then in
        bits/dim (nats / (C H W ln 2), of the same density: `protocol` says which); with {baseline_independent,
        baseline_untrained}, in the same unit on the same images, where they are known.
    """
    index = choose(len(test), n, seed=seed)
    values = math.prod(test.shape)
    about = {"n": len(index), "split": "test", "protocol": method.likelihood_protocol, "seed": seed}
    name, kind = NAMES[method.likelihood_kind], method.likelihood_kind
    nats = -log_probs(method, test, index, seed=seed, progress=progress)
    baselines = dict(_baselines(method.likelihood_protocol, train, untrained, test, index, seed=seed))
    yield _result(name, nats, "nats", kind, about | baselines)
    bits = 1 / (values * math.log(2))
    in_bits = {key: value * bits for key, value in baselines.items()}
    yield _result(name.replace("nats", "bits_per_dim"), nats * bits, "bits/dim", kind, about | in_bits)
    if k is not None and isinstance(method, ImportanceWeighted):
        nats = -log_probs(method, test, index, seed=seed, k=k, progress=progress)
        baselines.pop("baseline_untrained", None)  # its bound of k samples costs as much as the trained one's
        yield _result(f"iw_nll_nats@{k}", nats, "nats", "bound", about | baselines)


def _baselines(
    protocol: str, train: Store | None, untrained: Likelihood | None, test: Store, index: Tensor, *, seed: int
) -> Iterator[tuple[str, float]]:
    """In nats per image: what costs nothing to reach, and where the training began."""
    if train is not None:
        independent = independent_log_probs(protocol, train, test, index, seed=seed, size=BATCH)
        if independent is not None:
            yield "baseline_independent", -float(independent.mean())
    if untrained is not None:
        yield "baseline_untrained", -float(log_probs(untrained, test, index, seed=seed).mean())


def _result(
    name: str, values: Tensor, unit: str, kind: str, about: Mapping[str, object]
) -> dict[str, object]:
    error = float(values.std() / len(values) ** 0.5) if len(values) > 1 else None
    return {
        "name": name,
        "value": float(values.mean()),
        "unit": unit,
        "kind": kind,
        **about,
        "standard_error": error,
    }
