"""Panels that follow from what a method can do."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.data.batch import Batch
from sslterm.evaluate.features import (
    device_of,
    evaluating,
    fitting,
    own_randomness,
    rankme,
    singular_values,
    stills,
)
from sslterm.evaluate.latent import has_plane, latent_plane
from sslterm.evaluate.sampling import draw_samples
from sslterm.methods.base import Encodes, Latent, Method, Reconstructs, Samples
from sslterm.nn.precision import double
from sslterm.run.panels import Panel

SAMPLES = 64
PAIRS = 32
QUERIES = 8
NEIGHBOURS = 7
HELD_OUT = "held-out images"


def capability_panels(
    method: Method, batch: Batch, *, seed: int, class_names: Sequence[str] = ()
) -> Iterator[Panel]:
    """Samples, reconstructions, the latent plane, the embedding's map and spectrum: those that apply.

    Args:
        batch: held-out images, the same every time; a map of hundreds says more than one of dozens.
        seed: of whatever is drawn, so that a history of panels shows the same noise. The random state
            outside stays as it was.
        class_names: of the labels 0, 1, ...
    """
    drawings: list[Callable[[], Panel]] = []
    if isinstance(method, Samples):
        drawings.append(partial(samples_panel, method, SAMPLES, seed=seed))
    if isinstance(method, Reconstructs):
        drawings.append(partial(reconstructions_panel, method, batch.images[:PAIRS]))
    if isinstance(method, Latent) and has_plane(method):
        drawings.append(partial(latent_plane, method, batch.images))
    if isinstance(method, Encodes):
        drawings.append(partial(embedding_map, method, batch, class_names))
        drawings.append(partial(spectrum, method, batch.images))
        drawings.append(partial(neighbours_panel, method, batch.images))
    for draw in drawings:
        with evaluating(method), own_randomness(device_of(method), seed):
            panel = draw()
        yield panel


def samples_panel(method: Samples, n: int, *, seed: int) -> Panel:
    """`n` final samples at a fixed seed."""
    final = draw_samples(method, n, seed=seed)
    return images_panel("samples", final, f"{n} samples, seed {seed}")


def images_panel(name: str, images: Tensor, caption: str, *, columns: int = 0) -> Panel:
    """A grid of images [N, C, H, W] in [0, 1]."""
    array = images.detach().float().cpu().numpy()
    return Panel(name=name, kind="images", array=array, caption=caption, columns=columns, low=0.0, high=1.0)


def reconstructions_panel(method: Reconstructs, images: Tensor) -> Panel:
    """Each image left of its reconstruction."""
    restored = method.reconstruct(images)
    pairs = torch.stack([images, restored], 1).flatten(0, 1)
    error = float((images - restored).square().mean())
    caption = (
        f"{len(images)} held-out images, each left of its reconstruction; mean squared error {error:.4g}"
    )
    columns = 2 * max(1, round((len(images) / 2) ** 0.5))
    return images_panel("reconstructions", pairs, caption, columns=columns)


def embedding_map(method: Encodes, batch: Batch, class_names: Sequence[str] = ()) -> Panel:
    """The first two principal components of the embedding (2-D codes as they are), coloured by class."""
    points, what, axes = flat_map(double(_embedding(method, batch.images)))
    labels = batch.label
    known = bool((labels >= 0).all())
    if known:
        points = torch.cat([points.cpu(), labels[:, None].cpu().double()], 1)
        what += ", coloured by class"
    return Panel(
        name="embedding-map",
        kind="scatter",
        array=points.float().cpu().numpy(),
        caption=what,
        labels=tuple(class_names) if known else (),
        x_label=axes[0],
        y_label=axes[1],
    )


def flat_map(features: Tensor, of: str = HELD_OUT) -> tuple[Tensor, str, tuple[str, str]]:
    """[N, D] float64 -> [N, 2] for a map, what it shows, and its axes: 2-D codes as they are, else PCA.

    Args:
        of: what the features are of.
    """
    if features.shape[1] == 2:
        return features, f"codes of {len(features)} {of}", ("z1", "z2")
    points, shares = principal_plane(features)
    return points, pca_words(features, shares, of), component_axes(shares)


def pca_words(features: Tensor, shares: Sequence[float], of: str = HELD_OUT) -> str:
    """What a map of [N, D] on two principal components shows."""
    return (
        f"PCA of the {features.shape[1]}-dimensional embedding of {len(features)} {of}: "
        f"{100 * shares[0]:.0f} % + {100 * shares[1]:.0f} % of the variance"
    )


def component_axes(shares: Sequence[float]) -> tuple[str, str]:
    """The names of both axes of a map on principal components."""
    first, second = (f"{100 * share:.0f} % of the variance" for share in shares[:2])
    return f"first component, {first}", f"second component, {second}"


def principal_plane(features: Tensor) -> tuple[Tensor, tuple[float, float]]:
    """[N, D] -> [N, 2] on the first two principal components, and their shares of the variance.

    The sign of a component is fixed (its largest entry is positive), so that successive maps do not flip.
    """
    # A diverged network has NaNs, which a solver refuses.
    centred = (features - features.mean(0)).nan_to_num(0.0, 0.0, 0.0)
    wide = centred.shape[0] < centred.shape[1]
    gram = centred @ centred.T if wide else centred.T @ centred  # the smaller one: their spectra are the same
    values, vectors = torch.linalg.eigh(gram)
    values = values.flip(0).clamp_min(0)
    axes = vectors.flip(1)[:, :2]
    if wide:
        axes = F.normalize(centred.T @ axes, dim=0)
    if axes.shape[1] < 2:  # features of one dimension, or one image
        axes, values = (
            torch.cat([axes, torch.zeros_like(axes)], 1),
            torch.cat([values, torch.zeros_like(values)]),
        )
    signs = axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()
    signs = torch.where(signs == 0, torch.ones_like(signs), signs)
    total = float(values.sum()) or 1.0
    return centred @ (axes * signs), (float(values[0]) / total, float(values[1]) / total)


def spectrum(method: Encodes, images: Tensor) -> Panel:
    """Singular values of the embedding over the largest, in powers of ten, with its effective rank."""
    features = _embedding(method, images)
    sigma = singular_values(features)
    relative = (sigma / sigma[0].clamp_min(1e-30)).clamp_min(1e-7).log10()
    most = min(features.shape)
    return Panel(
        name="spectrum",
        kind="curve",
        array=relative.cpu().numpy().astype(np.float32)[None],
        caption=(
            f"singular values of the embedding of {len(features)} held-out images; "
            f"RankMe {rankme(features):.1f} of {most}"
        ),
        labels=("log10 of the singular value over the largest",),
        x_label="singular value",
        y_label="log10",
    )


def neighbours_panel(method: Encodes, images: Tensor) -> Panel:
    """Rows of an image and those nearest to it by the cosine of their features, out of the images at hand."""
    features = F.normalize(_embedding(method, images), dim=1)
    queries, found = min(QUERIES, len(images)), min(NEIGHBOURS, len(images) - 1)
    cosines = (features[:queries] @ features.T).fill_diagonal_(-2.0)  # an image is not its own neighbour
    nearest = cosines.topk(found, dim=1).indices  # [Q, K]
    own = torch.arange(queries, device=nearest.device)[:, None]
    rows = stills(images)[torch.cat((own, nearest), dim=1).flatten()]
    what = "clip (its middle frame)" if images.ndim == 5 else "image"
    caption = (
        f"each row: a held-out {what}, then the {found} nearest of {len(images)} by cosine, nearest first"
    )
    return images_panel("neighbours", rows, caption, columns=found + 1)


def _embedding(method: Encodes, images: Tensor) -> Tensor:
    size = fitting(250, images.shape[1:])
    return torch.cat([method.encode(part).float() for part in torch.split(images, size)])
