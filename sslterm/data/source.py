"""What a data source gives: images, labels and factors of a training and a held-out split."""

from __future__ import annotations

import importlib
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslterm.config.schema import ClipConfig, DataConfig
from sslterm.data.catalog import SOURCES, Entry
from sslterm.data.progress import Progress, on_stderr
from sslterm.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Split:
    """Images that are trained on, or images that are held out.

    Attributes:
        images: uint8 [N, C, H, W]; clips are [N, T, C, H, W]. May be memory-mapped.
        labels: int64 [N], -1 where unknown.
        factors: float32 [N, F], what a procedural source drew, as `Source.factor_names` say; or None.
        masks: uint8 [N, T, H, W] of a video source: 0 is background, k is its k-th object; or None.
        names: str objects [N], the files that the images come from, below the folder; or None.
    """

    images: Tensor
    labels: Tensor
    factors: Tensor | None = None
    masks: Tensor | None = None
    names: NDArray[np.object_] | None = None

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8 or self.images.ndim not in (4, 5):
            raise ValueError(
                f"images are uint8 [N, (T,) C, H, W], not {self.images.dtype} {tuple(self.images.shape)}"
            )
        for name in ("labels", "factors", "masks", "names"):
            value: Tensor | NDArray[np.object_] | None = getattr(self, name)
            if value is not None and len(value) != len(self.images):
                raise ValueError(f"{len(value)} {name} for {len(self.images)} images")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Tensor | slice) -> Split:
        """The rows at `index`: views for a slice, copies for a tensor."""
        return Split(
            self.images[index],
            self.labels[index],
            None if self.factors is None else self.factors[index],
            None if self.masks is None else self.masks[index],
            None if self.names is None else self.names[index if isinstance(index, slice) else index.numpy()],
        )


@dataclass(frozen=True)
class Footage:
    """A sequence of video, whole.

    Attributes:
        images: uint8 [T, C, H, W].
        masks: uint8 [T, H, W]: 0 is background, k is the k-th object; or None.
        masked: bool [T], which frames have a mask; None where all or none of them have.
    """

    name: str
    images: Tensor
    masks: Tensor | None = None
    masked: Tensor | None = None


@dataclass(frozen=True)
class Source:
    """A data set, ready to be put into a `Store`.

    Attributes:
        name: its name in the catalog.
        class_names: of the labels 0, 1, ...; empty where there are none.
        factor_names: of the columns of `factors`; empty where there are none.
        notes: what a person should know about how it was read ("3 of 200 files were left out: ...").
    """

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...] = ()
    factor_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def load_source(config: DataConfig, progress: Progress | None = None) -> Source:
    """Read, draw or fetch the data that `[data]` names.

    Args:
        progress: called with (what is being done, how much is done, how much there is; 0 where unknown);
            without it, progress goes to stderr.

    Raises:
        UsageError: no such source, or it cannot have this size or number of images.
        DataError: its files are missing, damaged or cannot be fetched.
    """
    entry = SOURCES.get(config.name)
    if entry is None:
        raise UsageError(f"data.name = {config.name!r}: no such data", did_you_mean(config.name, SOURCES))
    _check(entry, config)
    module, _, function = entry.target.partition(":")
    source = getattr(importlib.import_module(module), function)(config, progress or on_stderr)
    assert isinstance(source, Source)
    return source


def load_footage(config: ClipConfig, progress: Progress | None = None) -> list[Footage]:
    """The held-out video that `[data]` names, not cut into clips.

    Raises as `load_source` does.
    """
    module, _, _ = SOURCES[config.name].target.partition(":")
    found: list[Footage] = importlib.import_module(module).load_footage(config, progress or on_stderr)
    return found


def _check(entry: Entry, config: DataConfig) -> None:
    if entry.kind == "clips" and not isinstance(config, ClipConfig):
        raise UsageError(
            f"data.name = {entry.name!r} is video, but [data] has no `frames` and `stride`",
            "use a preset of a video method, or a source of images: "
            + ", ".join(name for name, other in SOURCES.items() if other.kind == "images"),
        )
    if entry.kind == "images" and isinstance(config, ClipConfig):
        raise UsageError(
            f"data.name = {entry.name!r} has still images, but [data] asks for clips of frames",
            "sources of video: "
            + ", ".join(name for name, other in SOURCES.items() if other.kind == "clips"),
        )
    if config.size and entry.sizes and config.size not in entry.sizes:
        raise UsageError(
            f"data.size = {config.size}: {entry.name} is made at {' or '.join(map(str, entry.sizes))} pixels"
        )
    if not entry.takes_path and config.path:
        raise UsageError(
            f"data.path = {config.path!r}: {entry.name} takes no path",
            'set data.name="folder" or data.path=""',
        )


def seeded(*key: int) -> torch.Generator:
    """A generator on the CPU that is a function of `key` alone; different keys give unrelated streams."""
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(state[0]))


def balanced_order(labels: Tensor, *key: int) -> Tensor:
    """A seeded permutation of which every prefix has the classes in their proportions, as far as possible.

    Args:
        labels: int64 [N].
        key: what the permutation is a function of.

    Returns:
        int64 [N]: positions into `labels`.
    """
    order = torch.randperm(len(labels), generator=seeded(*key))
    shuffled = labels[order]
    by_class = torch.argsort(shuffled, stable=True)
    counts = torch.unique_consecutive(shuffled[by_class], return_counts=True)[1]
    starts = (counts.cumsum(0) - counts).repeat_interleave(counts)
    share = torch.empty(len(labels), dtype=torch.float64)
    # The i-th of the n images of a class stands at (i + 1/2) / n of the way.
    share[by_class] = (torch.arange(len(labels)) - starts + 0.5).double() / counts.repeat_interleave(counts)
    return order[torch.argsort(share, stable=True)]


def choose(split: Split, asked: int, key: str, *seed: int) -> Split:
    """`asked` rows of a split, drawn with the classes in their proportions, in order; all of them for 0.

    Raises:
        UsageError: there are fewer; `key` names the setting.
    """
    if asked > len(split):
        raise UsageError(
            f"{key} = {asked:,}: there are only {len(split):,}", f"set {key}=0 to take all there are"
        )
    if asked in (0, len(split)):
        return split
    return split[balanced_order(split.labels, *seed)[:asked].sort().values]
