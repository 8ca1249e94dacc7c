"""t-SNE of an embedding, by scikit-learn, with progress."""

from __future__ import annotations

import contextlib
import io
import re
import warnings

import numpy as np
import torch
from torch import Tensor

from sslterm.errors import DataError
from sslterm.evaluate.components import leading_components
from sslterm.evaluate.features import Progress, no_progress
from sslterm.evaluate.panels import HELD_OUT

PERPLEXITY = 30.0
_ITERATIONS = 1000
_DIMENSIONS = 50
"""Wider features are reduced to as many principal components (van der Maaten & Hinton 2008, §4.2)."""


class _Listener(io.TextIOBase):
    """Reads how far scikit-learn is from what it prints, and keeps it off the screen."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def write(self, text: str) -> int:
        for found in re.finditer(r"Iteration (\d+):", text):
            self.progress("t-SNE", min(int(found[1]), _ITERATIONS), _ITERATIONS)
        return len(text)


def tsne_map(
    features: Tensor, *, seed: int, of: str = HELD_OUT, progress: Progress = no_progress
) -> tuple[Tensor, str]:
    """[N, D] -> [N, 2] float64 on the CPU, and what it shows; `of` says what the features are of.

    Distances within a cluster mean something, those between clusters and their sizes hardly do.

    Raises:
        DataError: fewer than 8 images, or features that are not finite.
    """
    from sklearn.manifold import TSNE

    if len(features) < 8:
        raise DataError(f"{len(features)} images are too few for t-SNE")
    if not bool(features.isfinite().all()):
        raise DataError("the embedding is not finite: there is no t-SNE of it")
    wide = features.shape[1]
    reduce = min(features.shape) > _DIMENSIONS + 1
    reduced = leading_components(features, _DIMENSIONS)[0] if reduce else features
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    progress("t-SNE", 0, _ITERATIONS)
    estimator = TSNE(
        init="pca", perplexity=perplexity, random_state=seed, verbose=2, n_jobs=torch.get_num_threads()
    )
    with contextlib.redirect_stdout(_Listener(progress)), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of points that coincide
        points = estimator.fit_transform(reduced.cpu().numpy().astype(np.float32))
    first = f"the first {_DIMENSIONS} principal components of " if reduce else ""
    what = (
        f"t-SNE (perplexity {perplexity:.3g}, seed {seed}) of {first}the {wide}-dimensional embedding "
        f"of {len(features)} {of}"
    )
    return torch.from_numpy(points).double(), what
