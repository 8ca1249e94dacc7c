"""The first principal components of wide features, without all the others."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from sslterm.evaluate.panels import principal_plane


def leading_components(features: Tensor, count: int) -> tuple[Tensor, list[float]]:
    """[N, D] -> coordinates along the first `count` components [N, count] float64, and their shares of the variance.

    The same as `principal_plane`, its signs too, but by Lanczos iterations (ARPACK): for a map of 2,000 images by
    3,072 features a full decomposition takes tens of seconds, this a fraction of one. What is not finite is 0.
    """
    from sklearn.decomposition import PCA

    found = features.detach().cpu().double().nan_to_num(0.0, 0.0, 0.0)
    if min(found.shape) <= count + 1:  # ARPACK leaves the last one out
        points, shares = principal_plane(found)
        return points[:, :count], list(shares)[:count]
    if bool((found == found[0]).all()):  # collapsed to a point: there is no direction
        return torch.zeros(len(found), count, dtype=torch.float64), [0.0] * count
    pca = PCA(count, svd_solver="arpack", random_state=0)
    points = torch.from_numpy(np.ascontiguousarray(pca.fit_transform(found.numpy())))
    largest = np.abs(pca.components_).argmax(axis=1)
    signs = np.sign(pca.components_[np.arange(count), largest])
    return points * torch.from_numpy(signs), [float(share) for share in pca.explained_variance_ratio_]
