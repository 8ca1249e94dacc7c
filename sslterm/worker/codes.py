"""Codes of a run's latent space, from images and into images, for all who ask for pictures of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sslterm.errors import UsageError
from sslterm.evaluate.features import evaluating, own_randomness
from sslterm.evaluate.latent import codes_of, decode
from sslterm.methods.base import Latent
from sslterm.run.panels import Panel
from sslterm.worker.desk import Desk, one_thread

CODES = 2000
"""Held-out images whose codes tell the range and the directions of a latent space."""


def latent_of(desk: Desk) -> Latent:
    """The run's method as one that decodes.

    Raises:
        UsageError: it does not.
    """
    method = desk.loaded.method
    if not isinstance(method, Latent):
        raise desk.cannot("traverse")
    return method


def encoded(desk: Desk, method: Latent, images: Tensor) -> Tensor:
    """[B, latent_dim] on the CPU.

    Raises:
        UsageError: nothing encodes into this latent space.
    """
    with evaluating(desk.loaded.method), own_randomness(desk.device, 0):
        codes = codes_of(method, images)
    if codes is None:
        raise UsageError(
            "nothing encodes images into this latent space",
            "take draws from the prior: --ends prior" if method.latent_prior == "normal" else "",
        )
    return codes.cpu()


def decoded(desk: Desk, method: Latent, z: Tensor) -> Tensor:
    """[N, latent_dim] of any type -> [N, C, H, W] on the CPU."""
    with evaluating(desk.loaded.method), own_randomness(desk.device, 0), one_thread():
        return decode(method, z.float().to(desk.device)).cpu()


def layout_of(method: Latent, panel: Panel) -> dict[str, Any]:
    """What every answer with a picture of the latent space says of it."""
    rows = len(panel.array) // panel.columns
    return {
        "latent_dim": method.latent_dim, "rows": rows, "columns": panel.columns, "caption": panel.caption
    }  # fmt: skip


def flat(z: Tensor) -> NDArray[np.float32]:
    """Codes [..., D] as they are kept beside a picture, [N, D]."""
    array: NDArray[np.float32] = z.flatten(0, -2).float().numpy()
    return array
