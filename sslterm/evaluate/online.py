"""Quick held-out numbers while a method trains, by what it can do."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from sslterm.data.store import Store
from sslterm.evaluate.duel import sample_spread
from sslterm.evaluate.embedding import embedding_numbers, used_clusters
from sslterm.evaluate.features import (
    batches,
    choose,
    device_of,
    encode,
    evaluating,
    own_randomness,
    pixels,
    rankme,
    relative_std,
)
from sslterm.evaluate.knn import knn_accuracy
from sslterm.evaluate.likelihood import (
    Unnormalized,
    in_bits,
    in_bits_per_dim,
    log_probs,
    log_z_of,
    name_of,
)
from sslterm.methods.base import (
    Clusters,
    EmbedsViews,
    Encodes,
    Latent,
    Likelihood,
    Method,
    Reconstructs,
    Samples,
    Solves,
)
from sslterm.nn.ais import QUICK_BETAS
from sslterm.nn.precision import double

GALLERY = 10_000
"""Most training images that vote in the online kNN."""
QUERIES = 2_000
"""Most held-out images of an online number."""
FORWARD_PASSES = 10_000
"""Most forward passes of one image each that an online likelihood takes, where one image takes many ..."""
FEWEST_QUERIES = 100
"""... but of so many images at least."""
PAIRS = 1_000
"""Most held-out images whose views are compared."""
USES_LABELS = frozenset({"test/knn"})
"""The metrics that look at labels; no method does, where the catalog does not say so."""


def online_metrics(method: Method, train: Store, test: Store, *, seed: int) -> Iterator[tuple[str, float]]:
    """(name, value) of quick numbers on up to 2,000 held-out images, always the same ones for a seed.

    - Encodes: `test/rankme` (effective rank), `test/relative_std` (of the normalised embedding, over
      1/sqrt(D)), and, where both splits have labels, `test/knn` (accuracy; uses labels)
    - EmbedsViews: `test/alignment`, `test/uniformity`, `test/embedding_std` (over 1/sqrt(D)),
      `test/embedding_scale` (standard deviation as it is) and `test/embedding_rank_share` of what the loss
      compares; Clusters: `test/used_clusters` (a share)
    - Likelihood: `test/nll_nats` (exact), `test/neg_elbo_nats` (bound) or `test/nll_estimate_nats`; of
      8-bit pixels also in bits/dim; where log Z is estimated, by 1,000 betas and 100 chains, also
      `test/log_z_error_nats` (its standard error) and `test/ais_effective_chains` (that carry the weight);
      of fewer images where one takes many forward passes (`likelihood_passes`)
    - Reconstructs: `test/mse`
    - Latent with a prior, but no density: `test/sample_spread` (how far samples are from each other, over the
      same of images)
    - Solves: the figures of its task, e.g. `test/accuracy`

    A function of the method's weights and the seed; the random state and every module's mode stay as they
    were.
    """
    index = choose(len(test), QUERIES, seed=seed)
    if isinstance(method, Encodes):
        with own_randomness(device_of(method), seed):
            numbers = _encoder_metrics(method, train, test, index, seed)
        yield from numbers.items()
    if isinstance(method, EmbedsViews):
        with own_randomness(device_of(method), seed):
            yield from embedding_numbers(*embed_pairs(method, test, index[:PAIRS])).items()
    if isinstance(method, Clusters):
        yield "test/used_clusters", _used_clusters(method, test, index)
    if isinstance(method, Likelihood):
        log_z = log_z_of(method, seed=seed, betas=QUICK_BETAS) if isinstance(method, Unnormalized) else None
        few = index[: max(FEWEST_QUERIES, FORWARD_PASSES // getattr(method, "likelihood_passes", 1))]
        nats = float(-log_probs(method, test, few, seed=seed, log_z=log_z).mean())
        yield f"test/{name_of(method)}", nats
        if in_bits(method):
            yield f"test/{in_bits_per_dim(name_of(method))}", nats / (math.prod(test.shape) * math.log(2))
        if log_z is not None:
            yield "test/log_z_error_nats", log_z.standard_error
            yield "test/ais_effective_chains", log_z.effective_chains
    if isinstance(method, Reconstructs):
        with own_randomness(device_of(method), seed):
            error = reconstruction_error(method, test, index)
        yield "test/mse", error
    if isinstance(method, Samples) and _is_implicit(method):
        yield "test/sample_spread", sample_spread(method, test, seed=seed)
    if isinstance(method, Solves):
        with own_randomness(device_of(method), seed):
            figures = solved(method, test, index)
        yield from ((f"test/{name}", float(values.mean())) for name, values in figures.items())


def _is_implicit(method: Samples) -> bool:
    """Whether samples are codes of a prior, decoded, and nothing says how probable they are."""
    return (
        isinstance(method, Latent) and method.latent_prior == "normal" and not isinstance(method, Likelihood)
    )


def solved(method: Solves, store: Store, index: Tensor | None = None) -> dict[str, Tensor]:
    """The figures of a method's own task on the images at `index`, one for every image: [N] float64 each."""
    assert isinstance(method, nn.Module)
    with evaluating(method):
        parts = [method.solve(batch.images) for batch in batches(store, index)]
    return {name: torch.cat([double(part[name]) for part in parts]) for name in method.solved}


def _encoder_metrics(
    method: Encodes, train: Store, test: Store, index: Tensor, seed: int
) -> dict[str, float]:
    queries = encode(method, test, index)
    numbers = {"test/rankme": rankme(queries.values), "test/relative_std": relative_std(queries.values)}
    voters = _voters(train, seed)
    if len(voters) and bool((queries.labels >= 0).any()):
        numbers["test/knn"] = knn_accuracy(encode(method, train, voters), queries)
    return numbers


def raw_pixel_metrics(train: Store, test: Store, *, seed: int) -> Iterator[tuple[str, float]]:
    """`test/knn_pixels`: what `test/knn` is for raw pixels; it never changes, so take it once."""
    queries, voters = pixels(test, choose(len(test), QUERIES, seed=seed)), _voters(train, seed)
    if len(voters) and bool((queries.labels >= 0).any()):
        yield "test/knn_pixels", knn_accuracy(pixels(train, voters), queries)


def embed_pairs(method: EmbedsViews, store: Store, index: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings of two random views of the images at `index`, [B, D] float32 each."""
    assert isinstance(method, nn.Module)
    with evaluating(method):
        pairs = [method.embed_views(batch.images) for batch in batches(store, index)]
    z_a, z_b = (torch.cat(side).float() for side in zip(*pairs, strict=True))
    return z_a, z_b


def _used_clusters(method: Clusters, store: Store, index: Tensor) -> float:
    assert isinstance(method, nn.Module)
    with evaluating(method):
        assigned = torch.cat([method.assign(batch.images) for batch in batches(store, index)])
    return used_clusters(assigned, method.clusters)


def _voters(train: Store, seed: int) -> Tensor:
    """Up to 10,000 labelled training images."""
    labelled = (train.labels.cpu() >= 0).nonzero().squeeze(1)
    return labelled[choose(len(labelled), GALLERY, seed=seed)]


def reconstruction_error(method: Reconstructs, store: Store, index: Tensor | None = None) -> float:
    """Mean squared error per number of the image; images are in [0, 1]."""
    assert isinstance(method, nn.Module)
    total, count = 0.0, 0
    with evaluating(method):
        for batch in batches(store, index):
            difference = method.reconstruct(batch.images) - batch.images
            total += float(double(difference).square().sum())
            count += difference.numel()
    return total / count
