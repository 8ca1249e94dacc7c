"""`folder`: any folder of images; its folders are classes, or `train` and `test` (or `val`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from sslterm.config.schema import DataConfig
from sslterm.data.listing import Division, File, class_names, class_of, divide, list_images, open_folder
from sslterm.data.pack import pack
from sslterm.data.progress import Progress
from sslterm.data.source import Source, Split, balanced_order
from sslterm.errors import DataError, UsageError

HELD_OUT_SHARE = 10
"""Without a folder for it, one in so many images is held out, at most `HELD_OUT_MOST`."""
HELD_OUT_MOST = 10_000
NAMED = 5
"""How many files that were left out are named."""


def load(config: DataConfig, progress: Progress) -> Source:
    """Read a folder of images, resized and cut to `size`, and split where the folder does not.

    Files are decoded in a seeded order with the classes in their proportions; so both splits, and any number
    of images of them, are slices of one memory-mapped array.

    Raises:
        UsageError: no folder is named, or more images are asked for than there are.
        DataError: it is missing or unreadable, or has too few images.
    """
    root = open_folder(config.path)
    division = divide(list_images(root))
    names = class_names([file.path for file in (*division.train_files, *division.test_files)])
    files, labels, boundary = _in_order(division, names, config.seed)
    packed = pack(root, files, size=config.size, kind="images", progress=progress)
    paths = np.array([files[row].path for row in packed.rows.tolist()], dtype=object)
    whole = Split(torch.from_numpy(packed.images), labels[torch.from_numpy(packed.rows)], names=paths)
    if division.test_files:
        train_count = int((packed.rows < boundary).sum())
        train, test = whole[:train_count], whole[train_count:]
        if not len(train) or not len(test):
            empty = division.train if len(test) else division.test
            raise DataError(f"no image in {root / empty} can be read; {packed.skipped[0][1]}")
        test = _first(test, config.test_images, "data.test_images")
    else:
        held_out = _held_out(len(whole), config)
        train, test = whole[held_out:], whole[:held_out]
    return Source(
        name="folder",
        train=_first(train, config.train_images, "data.train_images"),
        test=test,
        class_names=names,
        notes=_notes(division, len(files), packed.skipped),
    )


def _in_order(division: Division, names: Sequence[str], seed: int) -> tuple[list[File], Tensor, int]:
    """Files as seen from the root, in the order of the pack; their labels; where held-out ones begin."""
    files, labels = [], []
    parts = ((division.train, division.train_files), (division.test, division.test_files))
    for number, (folder, part) in enumerate(parts):
        if not part:
            continue
        label = torch.tensor([class_of(file.path, names) for file in part])
        order = balanced_order(label, seed, number)
        files += [part[row].within(folder) for row in order.tolist()]
        labels.append(label[order])
    return files, torch.cat(labels), len(division.train_files)


def _held_out(count: int, config: DataConfig) -> int:
    if count < 2:
        raise DataError(
            f"{config.path} has one image that can be read; some to train on and one to hold out are needed"
        )
    if config.test_images >= count:
        raise UsageError(f"data.test_images = {config.test_images:,}: there are only {count:,} images in all")
    return config.test_images or min(max(1, count // HELD_OUT_SHARE), HELD_OUT_MOST)


def _first(split: Split, asked: int, setting: str) -> Split:
    if asked > len(split):
        raise UsageError(
            f"{setting} = {asked:,}: there are only {len(split):,}", f"set {setting}=0 to take all"
        )
    return split[: asked or len(split)]


def _notes(division: Division, count: int, skipped: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    notes = []
    if skipped:
        named = ", ".join(f"{path} ({reason})" for path, reason in skipped[:NAMED])
        more = f", and {len(skipped) - NAMED:,} more" if len(skipped) > NAMED else ""
        notes.append(f"{len(skipped):,} of {count:,} image files were left out: {named}{more}")
    if division.left_out:
        notes.append(
            f"{division.left_out:,} images were left out: neither in {division.train} nor in {division.test}"
        )
    return tuple(notes)
