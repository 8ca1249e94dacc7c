"""Quality of samples in a named feature space: distance, precision, coverage, classes, beside a floor.

Nothing here is the Inception-FID of the literature, and distances in different spaces cannot be compared;
so every number carries its space: `FD[mnist-28px-judge64-v1]@1000`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from sslterm.data.store import Store
from sslterm.errors import UsageError
from sslterm.evaluate.features import (
    Progress,
    batches,
    choose,
    device_of,
    double,
    evaluating,
    no_progress,
    own_randomness,
    seeded,
)
from sslterm.evaluate.judge import Space, judge_images
from sslterm.methods.base import Samples

IMAGES_PER_DIMENSION = 5
"""Fewest images for a Fréchet distance, per dimension of the space; below, the covariance is mostly noise."""
SAMPLES = 1000
"""Samples that are judged where no number is asked for."""
_BATCH = 250


def fidelity(
    method: Samples,
    space: Space,
    train: Store,
    test: Store,
    *,
    n: int = SAMPLES,
    seed: int = 0,
    progress: Progress = no_progress,
) -> Iterator[dict[str, object]]:
    """Judge `n` samples against held-out images.

    Yields:
        {name, value, unit, kind, n, split, floor, space, n_real, seed, ...}; `floor` is the same number for
        `n` training images (or as many as there are) in place of samples: what a perfect generator would get.

    Raises:
        UsageError: too few samples, or too few held-out images, for the space; or samples that are not finite.
    """
    assert isinstance(method, nn.Module)
    require_enough(n, len(test), space.dimensions)
    samples = draw_samples(method, n, seed=seed, progress=progress)
    if broken := int((~samples.flatten(1).isfinite().all(1)).sum()):
        raise UsageError(
            f"{broken:,} of {n:,} samples hold numbers that are not finite: the network has diverged",
            "take an earlier --checkpoint, or train again at a lower rate",
        )
    fake = judge_images(space, samples)
    known = judge_images(space, real_images(train, n, seed=seed))
    real = judge_images(space, real_images(test, None, seed=seed))
    about = {
        "n": n, "split": "test", "space": space.name, "n_real": len(real.features), "seed": seed,
        "judge_accuracy": space.accuracy, "judge_sha256": space.digest,
    }  # fmt: skip

    def result(name: str, unit: str, kind: str, value: float, floor: float | None) -> dict[str, object]:
        return {
            "name": f"{name}[{space.name}]@{n}",
            "value": value,
            "unit": unit,
            "kind": kind,
            "floor": floor,
            **about,
        }

    floor = None
    if len(known.features) >= IMAGES_PER_DIMENSION * space.dimensions:
        floor = frechet_distance(known.features, real.features)
    yield result("FD", "", "distance", frechet_distance(fake.features, real.features), floor)
    for name, measure in (("precision", precision), ("coverage", coverage)):
        values = (measure(side.features, real.features) for side in (fake, known))
        yield result(name, "share", "estimate", *values)
    if space.classes:
        smallest = (float(side.histogram.min()) for side in (fake, known))
        yield result("smallest_class", "share", "estimate", *smallest)
        divergence = (kl_to_uniform(side.histogram) for side in (fake, known))
        yield result("class_kl", "nats", "estimate", *divergence) | {"histogram": fake.histogram.tolist()}


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
    assert isinstance(method, nn.Module)
    device = device_of(method)
    generator, parts = seeded(device, seed), []
    with evaluating(method), own_randomness(device, seed):
        for start in range(0, n, _BATCH):
            count = min(_BATCH, n - start)
            labels = None if label is None else torch.full((count,), label, device=device)
            final = None
            for partial in method.sample(count, generator, labels):
                final = partial
                watch(partial)
            assert final is not None, "a sampler yields at least its final images"
            parts.append(final.float())
            progress("sampling", start + count, n)
    return torch.cat(parts)


def real_images(store: Store, n: int | None, *, seed: int) -> Tensor:
    """`n` images of a store, drawn; all of them without n or where there are fewer. [N, C, H, W]."""
    return torch.cat([batch.images for batch in batches(store, choose(len(store), n, seed=seed))])


def require_enough(fake: int, real: int, dimensions: int) -> None:
    """Refuse sets that are too small for a Fréchet distance.

    Raises:
        UsageError: a set has fewer than 5 images per dimension.
    """
    least = IMAGES_PER_DIMENSION * dimensions
    if fake < least:
        raise UsageError(
            f"{fake} samples are too few to judge in {dimensions} dimensions", f"take --n {least} or more"
        )
    if real < least:
        raise UsageError(
            f"{real} held-out images are too few to judge samples by in {dimensions} dimensions",
            f"hold out {least} or more: data.test_images",
        )


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Fréchet distance of the Gaussians with the means and covariances of two sets of features.

    |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a^1/2 C_b C_a^1/2)^1/2), in float64; the symmetric product has the
    eigenvalues of C_a C_b, so that no matrix square root can turn complex.

    Args:
        a: [N, D].
        b: [M, D].

    Raises:
        UsageError: a set has fewer than 5 D images.
    """
    require_enough(len(a), len(b), a.shape[1])
    a, b = double(a), double(b)
    covariance_a, covariance_b = torch.cov(a.T), torch.cov(b.T)
    values, vectors = torch.linalg.eigh(covariance_a)
    root = (vectors * values.clamp_min(0).sqrt()) @ vectors.T
    product = torch.linalg.eigvalsh(root @ covariance_b @ root)
    trace = covariance_a.trace() + covariance_b.trace() - 2 * product.clamp_min(0).sqrt().sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + trace.clamp_min(0))


def kl_to_uniform(histogram: Tensor) -> float:
    """KL(histogram || uniform) in nats: 0 where all classes are as frequent, log(classes) for one class."""
    share = histogram.double()
    return float(torch.special.xlogy(share, share * len(share)).sum())


def precision(fake: Tensor, real: Tensor, *, k: int = 3) -> float:
    """Share of the fakes that lie within the distance of a real one to its k-th real neighbour.

    Kynkäänniemi et al. 2019, arXiv:1904.06991, Eq. 1-2.

    Args:
        fake: [N, D].
        real: [M, D].
    """
    return float((torch.cdist(fake, real) <= _radius(real, k)).any(1).float().mean())


def coverage(fake: Tensor, real: Tensor, *, k: int = 5) -> float:
    """Share of the real ones with a fake within the distance of their k-th real neighbour.

    Naeem et al. 2020, arXiv:2002.09797, Eq. 8.
    """
    return float((torch.cdist(real, fake).min(1).values <= _radius(real, k)).float().mean())


def _radius(points: Tensor, k: int) -> Tensor:
    """Distance of each point to its k-th neighbour among the others, [N]."""
    return torch.cdist(points, points).kthvalue(min(k, len(points) - 1) + 1, dim=1).values
