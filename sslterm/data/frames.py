"""`frames`: your own video, as folders of frames or video files, cut into clips, and object masks beside it.

    PATH/SEQUENCE/00000.jpg                 frames alone, or
    PATH/SEQUENCE.mp4                       a video file (or PATH itself is one), or
    PATH/frames/SEQUENCE/00000.jpg          frames (or JPEGImages, or videos), and
    PATH/masks/SEQUENCE/00000.png           masks of the same names (or Annotations)

Sequences are held out whole: those in a `test` (or `val`) folder beside `train`, else some drawn by the seed;
of a single sequence, its end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sslterm.config.schema import ClipConfig, DataConfig
from sslterm.data.listing import (
    File,
    class_names,
    class_of,
    divide,
    list_images,
)
from sslterm.data.pack import Pack, pack
from sslterm.data.progress import Progress
from sslterm.data.sequences import list_frames, stem
from sslterm.data.source import Footage, Source, Split, seeded
from sslterm.errors import DataError, UsageError

HELD_OUT_SHARE = 5
"""One in so many sequences is held out where no folder says which; of a single one, the last fifth."""
MOST_BYTES = 1 << 32
"""Of a split: a clip begins at every frame, or at every n-th where clips would take more than this."""
MOTION_PIXELS = 4
"""Motion is measured on every fourth pixel of every fourth row."""


@dataclass(frozen=True)
class Video:
    """The frames of a sequence, in order; `name` is its folder, as seen from the split it belongs to."""

    name: str
    files: tuple[File, ...]


@dataclass(frozen=True)
class Reel:
    """All that was read.

    Attributes:
        root: the folder of frames.
        train, test: sequences that are long enough.
        packed: the frames of `train`, then those of `test`; `files` says how many were to be packed.
        masks: uint8 [N, H, W] of the packed frames, 0 where one has none; or None.
        masked: bool [N], which of them have one; or None.
        notes: what a person should know of what was left out.
    """

    root: Path
    train: list[Video]
    test: list[Video]
    packed: Pack
    files: int
    masks: Tensor | None
    masked: Tensor | None
    notes: tuple[str, ...]

    @property
    def first_test(self) -> int:
        """Number of the first file of `test`."""
        return sum(len(video.files) for video in self.train)

    def row_of(self) -> NDArray[np.int64]:
        """Which packed frame each file is, [files]; -1 where it cannot be read."""
        rows = np.full(self.files, -1, dtype=np.int64)
        rows[self.packed.rows] = np.arange(len(self.packed.rows))
        return rows


def load(config: DataConfig, progress: Progress) -> Source:
    """Read video as clips of `frames` frames, each `stride` frames of the video after the last.

    Raises:
        UsageError: no folder is named, or more clips are asked for than there are.
        DataError: it is missing or unreadable, or no sequence is long enough.
    """
    assert isinstance(config, ClipConfig)
    reel = _read(config, progress)
    names = class_names([video.name for video in (*reel.train, *reel.test)])
    parts = (
        (reel.train, 0, config.train_images, "data.train_images"),
        (reel.test, reel.first_test, config.test_images, "data.test_images"),
    )
    splits = []
    for videos, first, asked, setting in parts:
        clips, of_video = _moving(*_clips(videos, first, reel, config), reel.packed, config.motion)
        clips, of_video = _choose(clips, of_video, asked, setting)
        if not len(clips):
            raise DataError(
                f"{reel.root}: no clip in {', '.join(video.name for video in videos)} can be read whole"
            )
        labels = torch.tensor([class_of(video.name, names) for video in videos])
        splits.append(
            Split(
                torch.from_numpy(reel.packed.images[clips]),
                labels[torch.from_numpy(of_video)],
                masks=None if reel.masks is None else reel.masks[torch.from_numpy(clips)],
            )
        )
    return Source("frames", splits[0], splits[1], class_names=names, notes=reel.notes)


def load_footage(config: ClipConfig, progress: Progress) -> list[Footage]:
    """The held-out sequences from their first frame to their last; frames that cannot be read are left out."""
    reel = _read(config, progress)
    found, first, row_of = [], reel.first_test, reel.row_of()
    for video in reel.test:
        rows = row_of[first : first + len(video.files)]
        first += len(video.files)
        kept = torch.from_numpy(rows[rows >= 0])
        found.append(
            Footage(
                video.name,
                torch.from_numpy(reel.packed.images[kept.numpy()]),
                None if reel.masks is None else reel.masks[kept],
                None if reel.masked is None else reel.masked[kept],
            )
        )
    return found


def _read(config: ClipConfig, progress: Progress) -> Reel:
    frames_root, masks_root, listed, damaged = list_frames(config.path, progress)
    train, test, notes = _divide(frames_root, listed, config)
    files = [file for video in (*train, *test) for file in video.files]
    packed = pack(frames_root, files, size=config.size, kind="images", progress=progress)
    if packed.skipped:
        path, reason = packed.skipped[0]
        notes.append(
            f"{len(packed.skipped):,} of {len(files):,} frames cannot be read, such as {path} ({reason})"
        )
    masks, masked = (None, None) if masks_root is None else _read_masks(masks_root, files, packed, progress)
    return Reel(frames_root, train, test, packed, len(files), masks, masked, (*damaged, *notes))


def _divide(
    root: Path, files: Sequence[File], config: ClipConfig
) -> tuple[list[Video], list[Video], list[str]]:
    """Train and held-out sequences that are long enough for a clip, and notes on those that are not."""
    division, span, notes = divide(files), _span(config), []
    all_train = _videos(division.train, division.train_files)
    all_test = _videos(division.test, division.test_files)
    train, test = ([video for video in part if len(video.files) >= span] for part in (all_train, all_test))
    short = len(all_train) + len(all_test) - len(train) - len(test)
    if short:
        notes.append(f"{short:,} sequences have fewer than the {span} frames of a clip and were left out")
    if not train or (all_test and not test):
        longest = max(len(video.files) for video in (all_test if train else all_train))
        raise DataError(
            f"a clip spans {span} frames, but the longest sequence in {root} has {longest}",
            "lower data.frames or data.stride",
        )
    if not test and len(train) > 1:
        order = torch.randperm(len(train), generator=seeded(config.seed, 2)).tolist()
        held_out = sorted(order[: max(1, len(train) // HELD_OUT_SHARE)])
        test = [train[number] for number in held_out]
        train = [video for number, video in enumerate(train) if number not in held_out]
    elif not test:
        train, test = _cut_in_time(train[0], span)
    return train, test, notes


def _cut_in_time(video: Video, span: int) -> tuple[list[Video], list[Video]]:
    total = len(video.files)
    held_out = max(span, total // HELD_OUT_SHARE)
    if total - held_out < span:
        raise DataError(
            f"the only sequence has {total} frames: too few to hold some out, where a clip spans {span}",
            "add a sequence, or lower data.frames or data.stride",
        )
    return [Video(video.name, video.files[:-held_out])], [Video(video.name, video.files[-held_out:])]


def _videos(folder: str, files: Sequence[File]) -> list[Video]:
    """Frames by the folder they lie in."""
    by_name: dict[str, list[File]] = {}
    for file in files:
        name = str(PurePosixPath(file.path).parent)
        by_name.setdefault(name, []).append(file.within(folder))
    return [Video(name, tuple(frames)) for name, frames in by_name.items()]


def _span(config: ClipConfig) -> int:
    """Frames of the video from a clip's first to its last."""
    return (config.frames - 1) * config.stride + 1


def _clips(
    videos: Sequence[Video], first: int, reel: Reel, config: ClipConfig
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the pack that make up each clip, [N, T], and which video it is from, [N].

    Args:
        first: number of the first file of `videos` among all that were to be packed.
    """
    span, row_of = _span(config), reel.row_of()
    starts = sum(len(video.files) - span + 1 for video in videos)
    hop = math.ceil(starts * config.frames * reel.packed.images[0].nbytes / MOST_BYTES)
    clips, of_video = [], []
    for number, video in enumerate(videos):
        begin = np.arange(first, first + len(video.files) - span + 1, hop)
        rows = row_of[begin[:, None] + np.arange(config.frames) * config.stride]
        rows = rows[(rows >= 0).all(1)]
        clips.append(rows)
        of_video.append(np.full(len(rows), number, dtype=np.int64))
        first += len(video.files)
    return np.concatenate(clips), np.concatenate(of_video)


def _moving(
    clips: NDArray[np.int64], of_video: NDArray[np.int64], packed: Pack, share: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The `share` of the clips in which most moves, in their order: by the mean difference of successive frames."""
    if share == 1 or not len(clips):
        return clips, of_video
    pairs, place = np.unique(
        np.stack((clips[:, :-1], clips[:, 1:]), axis=2).reshape(-1, 2), axis=0, return_inverse=True
    )
    thin = packed.images[:, :, ::MOTION_PIXELS, ::MOTION_PIXELS].astype(np.int16)
    moved = np.array([np.abs(thin[one] - thin[other]).mean() for one, other in pairs])
    motion = moved[place.reshape(len(clips), -1)].mean(1)
    kept = np.sort(np.argsort(-motion, kind="stable")[: math.ceil(share * len(clips))])
    return clips[kept], of_video[kept]


def _choose(
    clips: NDArray[np.int64], of_video: NDArray[np.int64], asked: int, setting: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """As many as asked for, spread evenly over all of them."""
    if asked > len(clips):
        raise UsageError(
            f"{setting} = {asked:,}: there are only {len(clips):,} clips", f"set {setting}=0 to take all"
        )
    spread = np.arange(asked or len(clips)) * len(clips) // (asked or max(1, len(clips)))
    return clips[spread], of_video[spread]


def _read_masks(root: Path, files: Sequence[File], packed: Pack, progress: Progress) -> tuple[Tensor, Tensor]:
    """The mask of every packed frame, [N, H, W], 0 where it has none; and which have one, bool [N]."""
    height, width = packed.images.shape[2:]
    by_stem = {stem(file.path): file for file in list_images(root)}
    wanted = [by_stem.get(stem(files[row].path)) for row in packed.rows]
    there = [row for row, file in enumerate(wanted) if file is not None]
    masks = torch.zeros(len(wanted), height, width, dtype=torch.uint8)
    if not there:
        raise DataError(
            f"no mask in {root} has the name of a frame",
            "masks lie in folders of the same names, as SEQUENCE/00000.png",
        )
    present = [file for file in wanted if file is not None]
    decoded = pack(root, present, size=(height, width), kind="masks", progress=progress)
    rows = torch.tensor(there)[torch.from_numpy(decoded.rows)]
    masks[rows] = torch.from_numpy(decoded.images).squeeze(1)
    masked = torch.zeros(len(wanted), dtype=torch.bool)
    masked[rows] = True
    return masks, masked
