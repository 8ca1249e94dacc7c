"""Random views of images."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from sslterm.augment import backends
from sslterm.augment.table import Table, sample, view_shape
from sslterm.config.schema import ViewConfig
from sslterm.errors import UsageError


class View:
    """One kind of random view, `[augment.<name>]` of a preset.

    A call is one opaque operation to torch.compile: it breaks no graph, and draws the same random numbers
    compiled or not.

    Args:
        config: what is done, how strongly, and how often.
    """

    def __init__(self, config: ViewConfig) -> None:
        self.config = config
        self._key = json.dumps(asdict(config))  # what an operation of torch can be told

    def __repr__(self) -> str:
        return f"View({self.config})"

    def sample(self, n: int, height: int, width: int, *, device: torch.device) -> Table:
        """Parameters of `n` views of images of `height` x `width` pixels; the only place where chance enters.

        Raises:
            UsageError: quarter turns of images that are not square.
        """
        return sample(self.config, n, height, width, device=device)

    @torch.no_grad()
    def apply(self, images: Tensor, table: Table) -> Tensor:
        """The views that `table` describes.

        Args:
            images: [B, C, H, W] float32 in [0, 1].
            table: one row for each image, of this view's `sample`.

        Returns:
            [B, C, H', W'] float32 in [0, 1], contiguous; never `images` itself. H' and W' are the
            configuration's `size`, or H and W.

        Raises:
            UsageError: colour operations on images of neither 1 nor 3 channels.
        """
        channels = images.shape[1]
        if channels not in (1, 3) and (self.config.jitter or self.config.grey or self.config.sobel):
            raise UsageError(
                f"colour operations need images of 1 or 3 channels, and these have {channels}",
                "set the view's jitter, grey and sobel to 0",
            )
        return backends.apply(self.config, images, table)

    def __call__(self, images: Tensor) -> Tensor:
        """A new random view of each of `images` [B, C, H, W] float32 in [0, 1]."""
        view: Tensor = _random_view(images.detach(), self._key)
        return view


@lru_cache
def _view(key: str) -> View:
    fields = json.loads(key).items()
    table: dict[str, Any] = {name: tuple(x) if isinstance(x, list) else x for name, x in fields}
    return View(ViewConfig(**table))


@torch.library.custom_op("sslterm::random_view", mutates_args=(), tags=(torch.Tag.nondeterministic_seeded,))
def _random_view(images: Tensor, key: str) -> Tensor:
    view, (n, _, height, width) = _view(key), images.shape
    return view.apply(images, view.sample(n, height, width, device=images.device))


@_random_view.register_fake
def _(images: Tensor, key: str) -> Tensor:
    return images.new_empty(*images.shape[:2], *view_shape(_view(key).config, *images.shape[2:]))


RANDOM_VIEW = torch.ops.sslterm.random_view.default
"""The operation, for who looks at what torch is asked for."""
