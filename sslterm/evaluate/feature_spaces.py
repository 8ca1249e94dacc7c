"""Spaces to judge samples in that need no labels: principal components of pixels, and encoders trained before."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslterm.data.store import Store
from sslterm.evaluate.features import batches, choose, evaluating
from sslterm.evaluate.judge import Space, digest_of, width_for
from sslterm.methods.base import Encodes
from sslterm.nn.precision import double

_MOST_SIDE = 32
"""Larger images are reduced to this before their pixels are compared."""
_IMAGES = 2000
"""Training images whose principal components are taken."""
_LUMA = (0.299, 0.587, 0.114)
"""Of ITU-R 601."""


def pixel_space(data: str, train: Store, test: Store) -> Space:
    """The first principal components of pixels of training images: colour and layout, and little texture.

    Args:
        data: name of the data, for the name of the space.
        test: many held-out images give 64 dimensions, few 32, as for the judge.
    """
    some = batches(train, choose(len(train), _IMAGES, seed=0))
    pixels = torch.cat([pooled_pixels(batch.images) for batch in some])
    dimensions = min(width_for(test), *pixels.shape)
    mean = double(pixels).mean(0)
    axes = torch.linalg.svd(double(pixels) - mean, full_matrices=False).Vh[:dimensions]  # [dimensions, D]
    largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    axes = axes * largest.sign()  # which of its two signs a component has is up to the solver
    digest = hashlib.sha256(torch.cat([mean[None], axes]).float().cpu().numpy().tobytes()).hexdigest()[:12]

    def embed(images: Tensor) -> Tensor:
        features: Tensor = (double(pooled_pixels(images)) - mean) @ axes.T
        return features

    return Space(f"{data}-{train.shape[-2]}px-pixels-pca{dimensions}", embed, dimensions, digest)


def pooled_pixels(images: Tensor) -> Tensor:
    """Pixels as features, [B, C, H, W] -> [B, D], of at most 32 a side."""
    height, width = (min(side, _MOST_SIDE) for side in images.shape[2:])
    return F.adaptive_avg_pool2d(images, (height, width)).flatten(1)


def encoder_space(name: str, encoder: Encodes, shape: tuple[int, int, int], device: torch.device) -> Space:
    """What an encoder makes of images.

    Args:
        name: of the run it comes from.
        encoder: an `nn.Module` on `device`.
        shape: (C, H, W) of the images it was trained on; others are brought to it.
    """
    assert isinstance(encoder, nn.Module)

    def embed(images: Tensor) -> Tensor:
        with evaluating(encoder):
            features: Tensor = encoder.encode(brought_to(images, shape)).float()
            return features

    dimensions = embed(torch.zeros(2, *shape, device=device)).shape[1]
    return Space(name, embed, dimensions, digest_of(encoder))


def brought_to(images: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """Images [B, C, H, W] with the channels and the size of `shape`."""
    channels, height, width = shape
    if images.shape[1] != channels:
        luma = torch.tensor(_LUMA, device=images.device).view(1, 3, 1, 1)
        images = images.expand(-1, 3, -1, -1) if channels == 3 else (images * luma).sum(1, keepdim=True)
    if images.shape[2:] != (height, width):
        images = F.interpolate(images, (height, width), mode="bilinear", antialias=True)
    return images
