"""Pixels as densities are trained on them, and judged by: bits, or 8-bit values spread over their bins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from sslterm.rows import bernoulli, rand

Binarization = Literal["dynamic", "fixed", "threshold"]
"""dynamic: every grey is the probability of its bit, drawn anew each time; fixed: drawn once for all, the same in every
training and evaluation; threshold: greys above 0.5 are 1."""

PROTOCOLS: Mapping[Binarization, str] = {
    "dynamic": "dynamic binarization",
    "fixed": "fixed binarization",
    "threshold": "binarized at 0.5",
}
"""What the nats are nats of. They differ by tens: figures under two protocols never share a column."""
_WORD = 0xFFFFFFFF


def binarize(images: Tensor, how: Binarization, generator: torch.Generator | None = None) -> Tensor:
    """Greys in [0, 1] -> bits of the same shape, float32.

    Args:
        generator: of the draw; without it, the training's own, an image at a time (`sslterm.rows`). Evaluations
            draw bits before anything else, so that all densities see the same ones under the same seed.
    """
    if how == "threshold":
        return (images > 0.5).float()
    if how == "fixed":
        return (_fixed_uniforms(images) < images).float()
    if generator is None:
        return bernoulli(images)
    uniform = torch.rand(images.shape, generator=generator, device=images.device)
    return (uniform < images).float()


def _fixed_uniforms(images: Tensor) -> Tensor:
    """Numbers in [0, 1) that depend on an image's 8-bit values and the place of a pixel alone, of the same shape.

    So the bits of an image are the same in any order, batch and process, on any device. They are not those of the
    binarized MNIST that Larochelle & Murray 2011 drew: figures of that file do not compare.
    """
    values = (images * 255).round().long().flatten(1)  # [B, D]
    place = torch.arange(values.shape[1], device=values.device)
    image = _mix((_mix(values + 256 * place)).sum(1, keepdim=True) & _WORD)  # [B, 1]
    return ((_mix(image ^ _mix(place)) >> 8).to(images) / 2**24).view_as(images)  # exact in float32


def _mix(x: Tensor) -> Tensor:
    """An integer of 32 bits from another, all bits depending on all: the finalizer of a multiplicative hash."""
    x = x & _WORD
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & _WORD
    x = ((x ^ (x >> 15)) * 0x846CA68B) & _WORD
    return x ^ (x >> 16)


def dequantize(images: Tensor, noise: Tensor) -> Tensor:
    """8-bit values i, given as i / 255, -> (i + noise) / 256, in [0, 1) as `noise` is (Theis et al. 2016, §3.1)."""
    return (images * 255 + noise) / 256


def dequantize_at_random(images: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """With uniform noise; `generator` as of `binarize`."""
    if generator is None:
        return dequantize(images, rand(len(images), *images.shape[1:], like=images))
    return dequantize(images, torch.rand(images.shape, generator=generator, device=images.device))
