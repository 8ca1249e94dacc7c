"""How well a method follows objects through video, beside copying the first mask and matching raw pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from sslterm.data.source import Footage
from sslterm.errors import DataError
from sslterm.evaluate.features import Progress, device_of, evaluating, no_progress
from sslterm.evaluate.segmentation import contour_accuracy, region_similarity
from sslterm.methods.base import Tracks

TRACKERS: Mapping[str, str] = {
    "": "tracked",
    "_identity": "the first mask copied",
    "_pixels": "raw pixels matched in place of features",
}
"""By the end of a figure's name: whose masks are measured."""


def track(method: Tracks, clip: Tensor, first: Tensor, *, pixels: bool = False) -> Tensor:
    """Follow the objects of the first frame.

    Args:
        clip: uint8 [T, C, H, W].
        first: uint8 [H, W], 0 is background, k is the k-th object.
        pixels: match raw pixels in place of the method's features.

    Returns:
        uint8 [T, H, W] on the CPU; the first is `first`.
    """
    assert isinstance(method, nn.Module)
    device = device_of(method)
    objects = objects_of(first)
    masks = (first == objects[:, None, None]).float().to(device)  # [K, H, W]
    with evaluating(method):
        follow = method.track_pixels if pixels else method.track
        return strongest(follow(clip.to(device).float() / 255, masks), objects)


def strongest(masks: Tensor, objects: Tensor) -> Tensor:
    """The object, or the background, that has most of each pixel: [T, K, H, W] -> uint8 [T, H, W]."""
    background = 1 - masks.sum(1, keepdim=True)
    most = torch.cat((background, masks), dim=1).argmax(1).cpu()
    return torch.cat((objects.new_zeros(1), objects))[most]


def objects_of(mask: Tensor) -> Tensor:
    """The numbers of the objects in a mask, rising."""
    numbers: Tensor = mask.unique()
    return numbers[numbers > 0]


def agreement(tracked: Tensor, footage: Footage) -> tuple[float, float]:
    """J and F, mean over the objects of the first frame and over the frames after it that have a mask.

    Args:
        tracked: uint8 [T, H, W].
    """
    assert footage.masks is not None
    later = slice(1, None)
    truth, tracked = footage.masks[later], tracked[later]
    if footage.masked is not None:
        truth, tracked = truth[footage.masked[later]], tracked[footage.masked[later]]
    scores = [
        (region_similarity(tracked == k, truth == k), contour_accuracy(tracked == k, truth == k))
        for k in objects_of(footage.masks[0])
    ]
    regions, contours = zip(*scores, strict=True)
    return float(torch.stack(regions).mean()), float(torch.stack(contours).mean())


def measure(
    method: Tracks, footage: Footage, *, baselines: Sequence[str] = tuple(TRACKERS)
) -> dict[str, float]:
    """{J, F, J_identity, F_identity, ...} of one sequence with masks."""
    assert footage.masks is not None
    first = footage.masks[0]
    made: Mapping[str, Callable[[], Tensor]] = {
        "": lambda: track(method, footage.images, first),
        "_identity": lambda: first.expand(len(footage.images), -1, -1),
        "_pixels": lambda: track(method, footage.images, first, pixels=True),
    }
    figures = {}
    for end in baselines:
        figures[f"J{end}"], figures[f"F{end}"] = agreement(made[end](), footage)
    return figures


def tracking(
    method: Tracks, sequences: Sequence[Footage], *, progress: Progress = no_progress
) -> Iterator[dict[str, object]]:
    """J, F and their mean over held-out sequences, each beside the two baselines.

    Every sequence counts alike, and every frame after the first. The tables of DAVIS 2017 are means over the objects
    of all sequences, without their last frames: a little different figures of the same masks.

    Raises:
        DataError: no sequence has an object in its first frame, and a mask after it.
    """
    usable = [footage for footage in sequences if can_be_measured(footage)]
    if not usable:
        raise DataError("the held-out video has no masks to compare with")
    figures = []
    for number, footage in enumerate(usable):
        progress(f"tracking {footage.name}", number, len(usable))
        figures.append(measure(method, footage))
    about = {"kind": "exact", "n": len(usable), "split": "test", "sequences": [one.name for one in usable]}
    for end, whose in TRACKERS.items():
        for name, mean in (("J", "J{}"), ("F", "F{}"), ("J&F", "")):
            columns = [mean.format(end)] if mean else [f"J{end}", f"F{end}"]
            values = torch.tensor(
                [sum(one[key] for key in columns) / len(columns) for one in figures]
            ).double()
            error = float(values.std() / len(values) ** 0.5) if len(values) > 1 else None
            unit = f"share, {whose}"
            yield {
                "name": name + end,
                "value": float(values.mean()),
                "unit": unit,
                "standard_error": error,
                **about,
            }


def can_be_measured(footage: Footage) -> bool:
    """There is an object in the first frame, and a mask after it."""
    if footage.masks is None or len(footage.images) < 2 or not bool(footage.masks[0].any()):
        return False
    return footage.masked is None or bool(footage.masked[0] and footage.masked[1:].any())
