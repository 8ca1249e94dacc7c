"""An endless stream of batches whose whole state is one integer."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from sslterm.data.batch import Batch
from sslterm.data.source import seeded
from sslterm.data.store import Store
from sslterm.errors import UsageError


class BatchStream(Iterator[Batch]):
    """Epoch after epoch, each a permutation of all images, cut into batches wherever an epoch ends.

    The permutation of an epoch is a function of (seed, epoch) alone: the same on every device, on every
    rank and for any number of ranks. Ranks take consecutive rows: theirs, one after the other, are the
    batch.

    Args:
        store: the images.
        batch: images in a batch, over all ranks.
        seed: of the order.
        position: images drawn before, over all ranks.
        rank, world: this process, of how many.

    Attributes:
        position: images drawn so far, over all ranks; set it to go on from anywhere.

    Raises:
        UsageError: the batch cannot be divided among the ranks.
    """

    def __init__(
        self, store: Store, *, batch: int, seed: int, position: int = 0, rank: int = 0, world: int = 1
    ) -> None:
        if batch % world:
            raise UsageError(
                f"train.batch = {batch} cannot be divided among {world} ranks",
                f"set train.batch to a multiple of {world}, such as {batch - batch % world or world}",
            )
        if len(store) == 0:
            raise ValueError("a stream needs at least one image")
        self.store = store
        self.batch = batch
        self.seed = seed
        self.position = position
        self.rows = batch // world
        self.first_row = rank * self.rows
        self._order: dict[int, Tensor] = {}
        """Permutations of the epochs at hand."""

    @property
    def images_per_epoch(self) -> int:
        """Images in an epoch: all of the store."""
        return len(self.store)

    @property
    def epoch(self) -> int:
        """The epoch that the next image belongs to."""
        return self.position // self.images_per_epoch

    def __next__(self) -> Batch:
        return self.store.batch(self._advance())

    def through(self, order: Tensor) -> Batch:
        """The next batch, with image `order[i]` wherever image i stands in the epoch's permutation.

        Args:
            order: [N] int64, N the images of the store. Repeats and omissions are how an epoch is balanced
                over classes that a method made up.
        """
        index = self._advance()
        return self.store.batch(order[index.to(order.device)])

    def _advance(self) -> Tensor:
        index = self.index(self.position + self.first_row, self.rows)
        self.position += self.batch
        return index

    def index(self, start: int, count: int) -> Tensor:
        """Which images stand at positions `start : start + count` of the endless order, int64 [count]."""
        parts = []
        while count > 0:
            epoch, offset = divmod(start, self.images_per_epoch)
            part = self._permutation(epoch)[offset : offset + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _permutation(self, epoch: int) -> Tensor:
        if epoch not in self._order:
            order = torch.randperm(self.images_per_epoch, generator=seeded(self.seed, epoch))
            kept = {known: self._order[known] for known in self._order if known == epoch - 1}
            home = self.store.device if self.store.placement == "device" else torch.device("cpu")
            self._order = {**kept, epoch: order.to(home)}
        return self._order[epoch]
