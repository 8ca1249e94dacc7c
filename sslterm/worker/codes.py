"""Codes of a run's latent space, from images and into images, for all who ask for pictures of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sslterm.errors import UsageError
from sslterm.evaluate.features import evaluating, own_randomness
from sslterm.evaluate.latent import codes_of, decode
from sslterm.methods.base import ClassLatent, Latent
from sslterm.run.panels import Panel
from sslterm.worker.desk import Desk, one_thread
from sslterm.worker.sampling import class_number

CODES = 2000
"""Held-out images whose codes tell the range and the directions of a latent space."""


class OfClass(nn.Module):
    """The latent space of a method that is told which class to draw, seen as one class has it."""

    latent_prior: Literal["normal", "none"] = "normal"

    def __init__(self, method: ClassLatent, label: int) -> None:
        super().__init__()
        assert isinstance(method, nn.Module)
        self.method = method
        self.latent_dim = method.latent_dim
        self.label = label

    def decode(self, z: Tensor) -> Tensor:
        """[B, latent_dim] -> [B, C, H, W] in [0, 1]."""
        images: Tensor = self.method.decode_class(z, torch.full((len(z),), self.label, device=z.device))
        return images


def latent_of(desk: Desk, *, label: str = "") -> Latent:
    """The run's method as one that decodes.

    Args:
        label: number or name of the class that is drawn; "" for the first, where classes are told apart.

    Raises:
        UsageError: it does not; there is no such class.
    """
    method = desk.loaded.method
    if isinstance(method, ClassLatent):
        return OfClass(method, class_number(desk, label) if label else 0)
    if not isinstance(method, Latent):
        raise desk.cannot("traverse")
    if label:
        raise UsageError(
            f"{desk.loaded.experiment.run.method} is not told which class to draw", "leave --class out"
        )
    return method


def of_class(desk: Desk, method: Latent, panel: Panel, stem: str) -> tuple[Panel, str]:
    """A picture of a latent space and what it is called, which say the class that is drawn, where one is."""
    if not isinstance(method, OfClass):
        return panel, stem
    name = desk.loaded.source.class_names[method.label]
    return replace(panel, caption=f"{panel.caption} · class {name}"), f"{stem}-class{method.label}"


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
