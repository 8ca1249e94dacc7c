"""How unlike the images of a training a picture is to its density: scores for what is out of distribution.

The likelihood alone misleads: densities of 8-bit pixels find simple images of other data more likely than their own
(Nalisnick et al. 2019, arXiv:1810.09136). Beside it stand how far it is from what is usual, and what is left of it
when the simplicity of the image is taken off. All scores are higher for what is more unlike.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sslterm.errors import UsageError

SCORES = ("likelihood", "typicality", "complexity")
NATS_OF_A_BIT = float(np.log(2))


@dataclass(frozen=True)
class Scored:
    """Images under a density.

    Attributes:
        nats: negative log-likelihoods, [N] float64.
        bits: what each image takes compressed, [N] float64; None where the density is not of 8-bit pixels.
    """

    nats: Tensor
    bits: Tensor | None


def scores_of(images: Scored, held_out: Scored) -> dict[str, Tensor]:
    """The scores of images, [N] each.

    - likelihood: -log p.
    - typicality: its distance from the mean of held-out images (Nalisnick et al. 2019, arXiv:1906.02994, Eq. 8, of
      single images).
    - complexity: -log2 p less what the image takes compressed, in bits (Serra et al. 2020, arXiv:1909.11480, Eq. 3).
    """
    scores = {"likelihood": images.nats, "typicality": (images.nats - held_out.nats.mean()).abs()}
    if images.bits is not None:
        scores["complexity"] = images.nats / NATS_OF_A_BIT - images.bits
    return scores


def share_as_unlike(score: float, held_out: Tensor) -> float:
    """The share of held-out images whose score is at least as high: 0.05 is as unlike as one in twenty."""
    return float((held_out >= score).double().mean())


def area_under_roc(other: Tensor, held_out: Tensor) -> tuple[float, float]:
    """How often an image of other data scores higher than a held-out one, ties being half, and its standard error.

    The error is that of DeLong et al. 1988: from the spread of placements on either side.

    Raises:
        UsageError: fewer than two images on a side.
    """
    if min(len(other), len(held_out)) < 2:
        raise UsageError("two images of each data set are needed to tell them apart", "give a larger -n")
    above = _share_below(other, held_out)  # of every other image, the share of held-out ones below it
    below = 1 - _share_below(held_out, other)
    variance = above.var() / len(above) + below.var() / len(below)
    return float(above.mean()), float(variance.sqrt())


def _share_below(values: Tensor, reference: Tensor) -> Tensor:
    """Of each value the share of `reference` below it, equals counting half, [N] float64."""
    ordered = reference.double().sort().values
    left, right = (torch.searchsorted(ordered, values.double(), right=side) for side in (False, True))
    return (left + right).double() / (2 * len(ordered))


def compressed_bits(images: Tensor) -> Tensor:
    """What images take as PNG, without its header: [N, C, H, W] uint8 -> [N] float64 bits."""
    return torch.tensor([8.0 * (_png_bytes(image) - _HEADER) for image in images.cpu()], dtype=torch.float64)


def _png_bytes(image: Tensor) -> int:
    pixels = image.permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(file, "PNG", optimize=True)
    return file.tell()


_HEADER = 57
"""Bytes of a PNG that hold no pixels: signature, IHDR, IEND, and the frame of one IDAT."""
