"""The standard data sets, read by torchvision and fetched on first use.

They lie below `catalog.data_root()` in the layout that torchvision gives them (`MNIST/raw/...`,
`cifar-10-batches-py/...`), so that a folder that torchvision filled works here, and the other way round.
"""

from __future__ import annotations

import contextlib
import gzip
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision import datasets

from sslterm.config.schema import DataConfig
from sslterm.data.catalog import SOURCES, WITHOUT_DOWNLOAD, Entry, data_root
from sslterm.data.download import DownloadError, RemoteFile, fetch
from sslterm.data.progress import Progress
from sslterm.data.resize import resize
from sslterm.data.source import Source, Split, choose
from sslterm.errors import DataError


@dataclass(frozen=True)
class _Reader:
    """How torchvision reads and fetches a data set.

    Attributes:
        dataset: its class.
        splits: the arguments that select the training and the held-out part.
        files: what is downloaded.
    """

    dataset: type[Any]
    splits: tuple[dict[str, Any], dict[str, Any]]
    files: Callable[[], list[RemoteFile]]


def _idx_files(dataset: type[Any]) -> list[RemoteFile]:
    folder = f"{dataset.__name__}/raw"
    return [
        RemoteFile(f"{folder}/{name}", tuple(mirror + name for mirror in dataset.mirrors), md5)
        for name, md5 in dataset.resources
    ]


def _archive(dataset: type[Any]) -> list[RemoteFile]:
    return [RemoteFile(dataset.filename, (dataset.url,), dataset.tgz_md5)]


def _svhn_files() -> list[RemoteFile]:
    splits = (datasets.SVHN.split_list[split] for split in ("train", "test"))
    return [RemoteFile(name, (url,), md5) for url, name, md5 in splits]


def _mnist_like(dataset: type[Any]) -> _Reader:
    return _Reader(dataset, ({"train": True}, {"train": False}), lambda: _idx_files(dataset))


_READERS = {
    "mnist": _mnist_like(datasets.MNIST),
    "fashion-mnist": _mnist_like(datasets.FashionMNIST),
    "kmnist": _mnist_like(datasets.KMNIST),
    "cifar10": _Reader(
        datasets.CIFAR10, ({"train": True}, {"train": False}), lambda: _archive(datasets.CIFAR10)
    ),
    "cifar100": _Reader(
        datasets.CIFAR100, ({"train": True}, {"train": False}), lambda: _archive(datasets.CIFAR100)
    ),
    "svhn": _Reader(datasets.SVHN, ({"split": "train"}, {"split": "test"}), _svhn_files),
    "stl10": _Reader(
        datasets.STL10, ({"split": "train+unlabeled"}, {"split": "test"}), lambda: _archive(datasets.STL10)
    ),
}


def load(config: DataConfig, progress: Progress) -> Source:
    """Read a standard data set from the data folder; fetch it before, where it is not there.

    Raises:
        DataError: it cannot be fetched, or what lies there is damaged.
    """
    entry, reader, root = SOURCES[config.name], _READERS[config.name], data_root()
    if not entry.is_ready:
        _get(entry, reader, root, progress)
    progress(f"reading {entry.name}", 0, 0)
    try:
        parts = _read(reader, root, config.size)
    except _DamagedError:
        if not all((root / file.path).is_file() for file in reader.files()):
            raise _damaged(entry, root) from None
        _get(
            entry, reader, root, progress
        )  # unpacking was cut short, or a downloaded file is not what it was
        try:
            parts = _read(reader, root, config.size)
        except _DamagedError:
            raise _damaged(entry, root) from None
    (train, names), (test, _) = parts
    return Source(
        name=entry.name,
        train=choose(train, config.train_images, "data.train_images", config.seed, 0),
        test=choose(test, config.test_images, "data.test_images", config.seed, 1),
        class_names=entry.class_names or names,
    )


class _DamagedError(Exception):
    """What lies there cannot be read."""


def _damaged(entry: Entry, root: Path) -> DataError:
    return DataError(
        f"{entry.name} in {root} is damaged",
        f"delete {root / entry.files[0].split('/')[0]} and fetch it again: sslterm data get {entry.name}",
    )


def _get(entry: Entry, reader: _Reader, root: Path, progress: Progress) -> None:
    """Fetch, verify and unpack."""
    files = reader.files()
    try:
        fetch(files, root, progress)
        progress(f"unpacking {entry.name}", 0, 0)
        for file in files:
            if file.path.endswith(".gz") and not file.path.endswith(".tar.gz"):
                _gunzip(root / file.path)
        for split in reader.splits:
            with contextlib.redirect_stdout(sys.stderr):
                reader.dataset(root, download=True, **split)  # verifies what is there, and unpacks archives
    except (DownloadError, RuntimeError) as error:
        raise DataError(
            f"cannot download {entry.name}: {_first_line(error)}", _by_hand(files, root)
        ) from error
    except OSError as error:
        raise DataError(
            f"cannot write {entry.name} to {root}: {error.strerror or error}",
            "set SSLTERM_DATA to a folder with room",
        ) from error


def _gunzip(path: Path) -> None:
    """Unpack beside the file, whole or not at all."""
    target = path.with_suffix("")
    draft = target.with_name(target.name + ".part")
    with gzip.open(path, "rb") as packed, draft.open("wb") as stream:
        shutil.copyfileobj(packed, stream)
    draft.replace(target)


def _by_hand(files: list[RemoteFile], root: Path) -> str:
    where = root / Path(files[0].path).parent
    names = ", ".join(f"{Path(file.path).name}" for file in files)
    source = files[0].urls[0].rsplit("/", 1)[0]
    return (
        f"put {names} (from {source}) into {where}, or point SSLTERM_DATA at a folder that has it; "
        f"presets on {', '.join(WITHOUT_DOWNLOAD)} need no download"
    )


def _read(reader: _Reader, root: Path, size: int) -> list[tuple[Split, tuple[str, ...]]]:
    """Both splits as tensors, each with the names of the classes.

    Raises:
        _DamagedError: one of them is not as published.
    """
    try:
        with contextlib.redirect_stdout(sys.stderr):
            parts = [reader.dataset(root, download=False, **split) for split in reader.splits]
        return [_convert(part, size) for part in parts]
    except Exception as error:  # torchvision asserts, and lets through what NumPy, SciPy and pickle raise
        raise _DamagedError from error


def _convert(dataset: Any, size: int) -> tuple[Split, tuple[str, ...]]:
    data = torch.as_tensor(dataset.data)
    labels = torch.as_tensor(np.asarray(dataset.targets if hasattr(dataset, "targets") else dataset.labels))
    if data.ndim == 3:  # grey, [N, H, W]
        data = data.unsqueeze(1)
    elif data.shape[-1] == 3:  # [N, H, W, C]
        data = data.permute(0, 3, 1, 2)
    return Split(_fit(data, size).contiguous(), labels.long()), tuple(getattr(dataset, "classes", ()))


def _fit(images: Tensor, size: int) -> Tensor:
    """Resized to `size`; 28x28 becomes 32x32 by a black border, as in LeCun et al. 1998."""
    if size == 32 and images.shape[-2:] == (28, 28):
        return F.pad(images, (2, 2, 2, 2))
    return resize(images, size)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
