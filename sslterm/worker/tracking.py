"""`track`: following the objects of a first frame through a clip."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sslterm.data.decode import UnreadableError, decode_mask
from sslterm.data.pictures import frame_files, load_clip
from sslterm.data.sequences import FRAME_FOLDERS, MASK_FOLDERS
from sslterm.data.source import Footage
from sslterm.errors import DataError, UsageError
from sslterm.evaluate.features import choose
from sslterm.evaluate.segmentation import contour, region_similarity
from sslterm.evaluate.tracking import agreement, can_be_measured, objects_of
from sslterm.evaluate.tracking import track as follow
from sslterm.methods.base import Tracks
from sslterm.run.panels import Panel
from sslterm.worker.clips import beside, resized, resized_labels, same_size, working_size
from sslterm.worker.desk import Desk
from sslterm.worker.outputs import Report, stages, to_bytes, write_output
from sslterm.worker.requests import Track

STRIP_FRAMES = 8
"""Frames of a strip."""
STRIP_SIDE, GIF_SIDE = 192, 384
"""Longest side of a frame, in pixels, in a strip and in an animation."""
COLOURS = (
    (0.95, 0.30, 0.25), (0.20, 0.65, 0.95), (0.35, 0.80, 0.30), (0.95, 0.75, 0.15),
    (0.75, 0.40, 0.90), (0.15, 0.80, 0.75), (0.95, 0.50, 0.70), (0.60, 0.50, 0.30),
)  # fmt: skip
"""Of objects 1, 2, ..., again and again."""
COVER = 0.5
"""How much of a pixel its object's colour takes."""


def track(desk: Desk, request: Track, report: Report) -> dict[str, Any]:
    """Follow the objects of first frames; an overlay as a strip and as a GIF, and J and F where truth is known."""
    method, progress = desk.loaded.method, stages(report)
    if not isinstance(method, Tracks):
        raise desk.cannot("track")
    if request.clip:
        footages = [_read_footage(desk, request)]
        stem = f"track-{desk.loaded.images}-{Path(request.clip).stem}"
    elif request.mask:
        raise UsageError(
            "--mask is the first mask of a clip, and none is named", "name the clip: track RUN CLIP"
        )
    else:
        footages = _held_out(desk, request, report)
        stem = f"track-{desk.loaded.images}-seed{request.seed}"
    rows, films, results, labels = [], [], [], Tensor()
    for number, footage in enumerate(footages):
        progress(f"tracking through {footage.name}", number, len(footages))
        assert footage.masks is not None
        working = _at_scale_of_training(desk, footage)
        assert working.masks is not None
        labels = resized_labels(follow(method, working.images, working.masks[0]), footage.images.shape[2:])
        labels[0] = footage.masks[0]
        results.append(_result(footage, labels))
        shown = _spread(len(footage.images))
        rows.append(_drawn(footage.images[shown], labels[shown], STRIP_SIDE))
        if can_be_measured(footage) and (footage.masked is None or bool(footage.masked[shown].all())):
            rows.append(_drawn(footage.images[shown], footage.masks[shown], STRIP_SIDE))
        films.append(_drawn(footage.images, labels, GIF_SIDE))
    frames = beside(films)
    path = write_output(
        desk.run, _strip(rows, results, footages), stem, request.out,
        also={"masks": labels.numpy()} if request.clip else None, frames=to_bytes(frames), back=False,
    )  # fmt: skip
    known = [one for one in results if one["J"] is not None]
    means = {
        name: sum(one[name] for one in known) / len(known) if known else None
        for name in ("J", "F", "J_identity", "F_identity")
    }
    gif = str(Path(path).with_suffix(".gif"))
    return {"path": path, "gif": gif, "n": len(results), **means, "results": results}


def _held_out(desk: Desk, request: Track, report: Report) -> list[Footage]:
    usable = [footage for footage in desk.footage(stages(report)) if can_be_measured(footage)]
    if not usable:
        raise UsageError(
            f"the held-out video of {desk.data} has no masks to begin with",
            "track RUN CLIP --mask FIRST_MASK",
        )
    return [usable[place] for place in choose(len(usable), request.n, seed=request.seed).tolist()]


def _read_footage(desk: Desk, request: Track) -> Footage:
    """A person's clip with the masks that are known: that of the first frame, and those beside the frames."""
    path = Path(request.clip)
    images = load_clip(path, channels=desk.loaded.inputs.channels, most_frames=request.frames or None)
    masks = torch.zeros(len(images), *images.shape[2:], dtype=torch.uint8)
    masked = torch.zeros(len(images), dtype=torch.bool)
    folder = _masks_beside(path)
    for number, file in enumerate(frame_files(path)[: len(images)] if folder else ()):
        assert folder is not None
        found = folder / f"{file.stem}.png"
        if found.exists():
            masks[number], masked[number] = _read_mask(found, images), True
    if request.mask:
        first = _read_mask(Path(request.mask), images)
        if bool(masked[0]) and not _same_objects(first, masks[0]):
            masked[1:] = False  # what is known is where other objects are
        masks[0], masked[0] = first, True
    elif not bool(masked[0]):
        raise UsageError(f"what is to be followed in {path}?", "give a mask of the first frame: --mask FILE")
    _check_mask(masks[0], request.mask or str(path))
    return Footage(path.name, images, masks, masked)


def _same_objects(one: Tensor, other: Tensor) -> bool:
    """Whether two masks of a frame say of the same objects where they are, more or less."""
    numbers = objects_of(one)
    return torch.equal(numbers, objects_of(other)) and all(
        float(region_similarity((one == k)[None], (other == k)[None])) > 0.5 for k in numbers
    )


def _masks_beside(clip: Path) -> Path | None:
    """The folder of masks of a folder of frames, as in .../frames/SEQUENCE and .../masks/SEQUENCE."""
    frames = clip.parent
    if not clip.is_dir() or frames.name not in FRAME_FOLDERS:
        return None
    folders = (frames.parent / name / clip.name for name in MASK_FOLDERS)
    return next((folder for folder in folders if folder.is_dir()), None)


def _read_mask(path: Path, images: Tensor) -> Tensor:
    height, width = images.shape[2:]
    if not path.is_file():
        raise DataError(f"{path}: there is no such file")
    try:
        mask = torch.from_numpy(decode_mask(path))
    except UnreadableError as error:
        raise DataError(f"cannot read the mask {path}: {error}") from error
    if mask.shape != (height, width):
        raise UsageError(
            f"the mask {path} has {mask.shape[1]}x{mask.shape[0]} pixels, and the frames {width}x{height}",
            "a mask has the size of the frame that it belongs to",
        )
    return mask


def _check_mask(mask: Tensor, where: str) -> None:
    if not bool(mask.any()):
        raise UsageError(f"the first mask of {where} is empty: there is nothing to follow")
    if bool((mask == mask.flatten()[0]).all()):
        raise UsageError(f"the first mask of {where} covers the whole frame: there is nothing to tell apart")


def _at_scale_of_training(desk: Desk, footage: Footage) -> Footage:
    """With the shorter side that the run was trained on; the form stays."""
    shape = working_size(desk, footage.images)
    if shape == tuple(footage.images.shape[2:]):
        return footage
    assert footage.masks is not None
    return Footage(footage.name, resized(footage.images, shape), resized_labels(footage.masks[:1], shape))


def _result(footage: Footage, labels: Tensor) -> dict[str, Any]:
    assert footage.masks is not None
    about = {
        "clip": footage.name, "frames": len(labels), "objects": len(objects_of(labels[0])),
        "J": None, "F": None, "J_identity": None, "F_identity": None,
    }  # fmt: skip
    if can_be_measured(footage):
        about["J"], about["F"] = agreement(labels, footage)
        about["J_identity"], about["F_identity"] = agreement(labels[:1].expand_as(labels), footage)
    return about


def _drawn(images: Tensor, labels: Tensor, side: int) -> Tensor:
    """Frames [T, C, H, W] with their objects in colour, the longer side near `side`: [T, 3, h, w] in [0, 1]."""
    height, width = images.shape[2:]
    scale = side / max(height, width)
    if scale >= 2:  # by whole pixels
        zoom = int(scale)
        small = images.repeat_interleave(zoom, 2).repeat_interleave(zoom, 3).float()
        objects = labels.repeat_interleave(zoom, 1).repeat_interleave(zoom, 2)
    else:
        shape = (max(1, round(height * min(scale, 1))), max(1, round(width * min(scale, 1))))
        small, objects = resized(images, shape).float(), resized_labels(labels, shape)
    small = small.expand(-1, 3, -1, -1) / 255
    palette = torch.tensor(COLOURS)[(objects.long() - 1) % len(COLOURS)].movedim(3, 1)  # [T, 3, h, w]
    inside = (objects > 0).float().unsqueeze(1)
    edge = contour_of(objects).float().unsqueeze(1)
    covered = small + COVER * inside * (palette - small)
    return covered + edge * (1 - covered)


def contour_of(labels: Tensor) -> Tensor:
    """Pixels where one object ends, [T, H, W] bool."""
    edges = torch.zeros_like(labels, dtype=torch.bool)
    for number in objects_of(labels):
        edges |= contour(labels == number)
    return edges


def _spread(total: int) -> Tensor:
    return torch.linspace(0, total - 1, min(total, STRIP_FRAMES)).round().long()


def _strip(rows: Sequence[Tensor], results: Sequence[dict[str, Any]], footages: Sequence[Footage]) -> Panel:
    columns = min(len(row) for row in rows)
    names = ", ".join(footage.name for footage in footages)
    caption = f"objects of the first frame followed through {names}"
    if len(rows) > len(footages):
        scores = "; ".join(f"J {one['J']:.3f}, F {one['F']:.3f}" for one in results if one["J"] is not None)
        caption += f", the truth below: {scores}"
    return Panel(
        name="tracks",
        kind="images",
        array=torch.cat([row[:columns] for row in same_size(rows)]).numpy(),
        caption=caption,
        columns=columns,
        labels=tuple(f"frame {place}" for place in _spread(len(footages[0].images)).tolist()),
        low=0.0,
        high=1.0,
    )
