"""Pictures restored: holes filled and greys coloured, of held-out images or of a person's own of any size.

A person's picture is brought to the size that the network was trained at, and what the network says of it back
to the picture's own size: to be coloured the whole picture, and to be filled the square around the hole, so that
the hole is to the network what it was in training. What was known stays as it was, to the last bit: the pixels
beside a hole, and the lightness of a picture (as far as a screen can show the colour at that lightness).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

from sslterm.data.decode import UnreadableError, picture_size
from sslterm.data.pictures import load_mask
from sslterm.errors import DataError, UsageError, did_you_mean
from sslterm.evaluate.features import choose, evaluating, own_randomness, seeded
from sslterm.evaluate.panels import images_panel
from sslterm.methods.base import Colorizes, Completes
from sslterm.nn.lab import grey_of, lab_to_rgb, rgb_to_lab
from sslterm.nn.masks import NOISE_SIDE, MaskKind, fill_with_border, hidden_error, make_masks
from sslterm.run.panels import Panel
from sslterm.worker.desk import Desk, read_image
from sslterm.worker.outputs import Report, check_out, partial_reporter, stages, write_output, write_picture
from sslterm.worker.requests import Colorize, Complete

MASK_KINDS: tuple[MaskKind, ...] = get_args(MaskKind)

Fill = Callable[[Tensor, Tensor], Tensor]
"""Images and their masks -> images of which what was hidden is filled."""


def complete(desk: Desk, request: Complete, report: Report) -> dict[str, Any]:
    """Fill what a mask hides, and compare it with what was there."""
    method = desk.loaded.method
    if not isinstance(method, Completes):
        raise desk.cannot("complete")
    watch = partial_reporter(report) if request.watch else None

    def fill(images: Tensor, masks: Tensor) -> Tensor:
        for partial in method.complete(images, masks, seeded(desk.device, request.seed)):
            if watch is not None:
                watch(partial)
        return partial

    check_out(request.out, request.images)
    with evaluating(desk.loaded.method), own_randomness(desk.device, request.seed):
        if request.images:
            results = [
                _complete_picture(desk, request, fill, image, name)
                for image, name in _pictures(desk, request.images, "completing", report)
            ]
        else:
            results = _complete_held_out(desk, request, fill)
    errors = {key: _mean(results, key) for key in ("mse", "mse_border")}
    return {"n": len(results), "mask": request.mask, **errors, "results": results}


def _complete_held_out(desk: Desk, request: Complete, fill: Fill) -> list[dict[str, Any]]:
    """A grid of what is seen of held-out images, what it is filled with, and the truth."""
    names, images = _held_out(desk, request.n, request.seed)
    masks, kind = _masks(request, images), Path(request.mask).stem
    filled = fill(images, masks)
    results = _compared(filled, images, masks, names)
    caption = (
        f"{len(images)} held-out images, mask {kind}, seed {request.seed}: what is seen, filled, the truth; "
        f"squared error of hidden values {_mean(results, 'mse'):.4g}, "
        f"with the mean colour of the border {_mean(results, 'mse_border'):.4g}"
    )
    panel = _triples("completed", (_hidden(images, masks), filled, images), caption)
    stem = f"complete-{desk.loaded.images}-{kind}-seed{request.seed}"
    path = write_output(desk.run, panel, stem, request.out)
    return [{**row, "path": path} for row in results]


def _complete_picture(desk: Desk, request: Complete, fill: Fill, image: Tensor, name: str) -> dict[str, Any]:
    """A person's picture, its hidden pixels filled."""
    mask = _masks(request, image, name)
    rows, columns = _window(mask[0, 0], desk.loaded.inputs.height)
    part, hole = image[:, :, rows, columns], mask[:, :, rows, columns]
    answer = _resize(fill(*_shrunk(part, hole, desk.loaded.inputs.shape)), part.shape[2:])
    filled = image.clone()
    filled[:, :, rows, columns] = torch.where(hole > 0.5, answer, part)
    stem = f"complete-{desk.loaded.images}-{Path(name).stem}"
    (row,) = _compared(filled, image, mask, [name])
    return {**row, "path": write_picture(desk.run, filled[0], stem, request.out)}


def colorize(desk: Desk, request: Colorize, report: Report) -> dict[str, Any]:
    """Give a picture's lightness new colours, and say how colourful they are beside its own."""
    method = desk.loaded.method
    if not isinstance(method, Colorizes):
        raise desk.cannot("colorize")
    check_out(request.out, request.images)
    with evaluating(desk.loaded.method), own_randomness(desk.device, request.seed):
        if request.images:
            results = [
                _colorize_picture(desk, request, method, image, name)
                for image, name in _pictures(desk, request.images, "colouring", report)
            ]
        else:
            results = _colorize_held_out(desk, request, method)
    chroma = {key: _mean(results, key) for key in ("chroma", "chroma_before")}
    return {"n": len(results), **chroma, "results": results}


def _colorize_held_out(desk: Desk, request: Colorize, method: Colorizes) -> list[dict[str, Any]]:
    """A grid of the lightness of held-out images, what it is coloured to, and the truth."""
    names, images = _held_out(desk, request.n, request.seed)
    grey = grey_of(rgb_to_lab(images))
    coloured = method.colorize(grey)
    results = _colourfulness(coloured, images, names)
    caption = (
        f"{len(images)} held-out images, seed {request.seed}: their lightness, coloured, the truth; "
        f"mean chroma {_mean(results, 'chroma'):.3g}, of the truth {_mean(results, 'chroma_before'):.3g}"
    )
    panel = _triples("coloured", (grey.expand_as(images), coloured, images), caption)
    path = write_output(desk.run, panel, f"colorize-{desk.loaded.images}-seed{request.seed}", request.out)
    return [{**row, "path": path} for row in results]


def _colorize_picture(
    desk: Desk, request: Colorize, method: Colorizes, image: Tensor, name: str
) -> dict[str, Any]:
    """A person's picture: its own lightness in full, and new colours."""
    lab = rgb_to_lab(image)
    small = _resize(grey_of(lab), desk.loaded.inputs.shape[1:])
    ab = _resize(rgb_to_lab(method.colorize(small))[:, 1:], image.shape[2:], clip=False)
    coloured = lab_to_rgb(torch.cat((lab[:, :1], ab), 1))
    stem = f"colorize-{desk.loaded.images}-{Path(name).stem}"
    (row,) = _colourfulness(coloured, image, [name])
    return {**row, "path": write_picture(desk.run, coloured[0], stem, request.out)}


# -- masks


def _masks(request: Complete, images: Tensor, name: str = "") -> Tensor:
    """What the request hides of pictures [N, C, H, W]: [N, 1, H, W].

    Raises:
        UsageError: there is neither such a kind of mask nor such a file.
        DataError: the file is no picture, has another size, or hides all or nothing.
    """
    height, width = images.shape[2:]
    what = name or "the held-out images"
    for kind in MASK_KINDS:
        if kind == request.mask:
            generator = torch.Generator().manual_seed(request.seed)
            noise = torch.randn(len(images), 1, NOISE_SIDE, NOISE_SIDE, generator=generator)
            masks = make_masks(kind, noise.to(images.device), height, width)
            break
    else:
        masks = (
            _mask_of_file(Path(request.mask), height, width, what).to(images).expand(len(images), -1, -1, -1)
        )
    if masks.amin() == masks.amax():
        raise DataError(
            f"the mask {request.mask} hides {'all' if masks.amax() else 'nothing'} of {what} ({width}x{height} pixels)",
            "a mask is white where a picture is to be filled, and black where it is kept",
        )
    return masks


def _mask_of_file(path: Path, height: int, width: int, what: str) -> Tensor:
    if not path.is_file():
        raise UsageError(
            f"--mask {path}: neither a file nor a kind of mask", did_you_mean(str(path), MASK_KINDS)
        )
    try:
        own = picture_size(path)
    except UnreadableError as error:
        raise DataError(f"cannot read the mask {path}: {error}") from error
    if own != (height, width):
        raise DataError(
            f"the mask {path} has {own[1]}x{own[0]} pixels, and {what} {width}x{height}",
            "give a mask of the picture's own size, white where it is to be filled",
        )
    return load_mask(path, height=height, width=width)[None]


def _window(mask: Tensor, least: int) -> tuple[slice, slice]:
    """Rows and columns of the square, twice as wide as what is hidden, that the network is shown.

    It is `least` pixels wide at least, and the whole picture where it would not fit into it.

    Args:
        mask: [H, W].
    """
    found = [mask.amax(axis).nonzero().squeeze(1) for axis in (1, 0)]
    ends = [(int(places[0]), int(places[-1]) + 1) for places in found]
    side = max(least, 2 * max(last - first for first, last in ends))
    side = max(min(side, *mask.shape), *(last - first for first, last in ends))
    if side > min(mask.shape):
        return slice(None), slice(None)
    starts = [
        min(max((first + last - side) // 2, 0), length - side)
        for (first, last), length in zip(ends, mask.shape, strict=True)
    ]
    return slice(starts[0], starts[0] + side), slice(starts[1], starts[1] + side)


def _shrunk(image: Tensor, mask: Tensor, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """A picture [1, C, H, W] and its mask at the size of the network, nothing hidden mixed into what is seen.

    A place is hidden where half of it or more is; where no place is, those of which most is.
    """
    size = shape[1:]
    seen = 1 - mask
    weight = F.interpolate(seen, size=size, mode="bilinear", antialias=True)
    small = F.interpolate(image * seen, size=size, mode="bilinear", antialias=True) / weight.clamp_min(1e-6)
    share = F.adaptive_avg_pool2d(mask, size)
    hole = (share >= min(0.5, float(share.max()))).to(mask.dtype)
    return (small * (1 - hole)).clamp(0, 1), hole


# -- pictures


def _held_out(desk: Desk, n: int, seed: int) -> tuple[list[str], Tensor]:
    """`n` held-out images, drawn, after their names."""
    index = choose(len(desk.test), n, seed=seed)
    return [f"test[{position}]" for position in index.tolist()], desk.test.batch(index).images


def _pictures(desk: Desk, names: Sequence[str], what: str, report: Report) -> Iterator[tuple[Tensor, str]]:
    """A person's pictures at their own size, [1, C, H, W], with their names."""
    stage, channels = stages(report), desk.loaded.inputs.channels
    for number, name in enumerate(names):
        stage(what, number, len(names))
        yield read_image(Path(name), (channels, 0, 0)).to(desk.device), name


def _resize(images: Tensor, size: Sequence[int], *, clip: bool = True) -> Tensor:
    """[N, C, H, W] to another (height, width), antialiased; as they are where they have it."""
    if tuple(images.shape[2:]) == tuple(size):
        return images
    resized = F.interpolate(images, size=tuple(size), mode="bicubic", antialias=True)
    return resized.clamp(0, 1) if clip else resized


def _hidden(images: Tensor, masks: Tensor) -> Tensor:
    """What is seen, for a person: hidden pixels are grey."""
    return torch.where(masks > 0.5, torch.full_like(images, 0.5), images)


def _triples(name: str, parts: Sequence[Tensor], caption: str) -> Panel:
    """A grid, about square, of pictures in three states beside each other."""
    rows = torch.stack(tuple(parts), 1).flatten(0, 1)
    columns = 3 * max(1, int((len(rows) / 9) ** 0.5 + 0.5))
    return images_panel(name, rows, caption, columns=columns)


# -- figures


def _compared(filled: Tensor, images: Tensor, masks: Tensor, names: Sequence[str]) -> list[dict[str, Any]]:
    """Of every picture: how much was hidden, and the squared error there, beside that of the naive answer."""
    errors = hidden_error(filled, images, masks).tolist()
    naive = hidden_error(fill_with_border(images, masks), images, masks).tolist()
    shares = masks.mean((1, 2, 3)).tolist()
    return [
        {"image": name, "hidden": share, "mse": error, "mse_border": border}
        for name, share, error, border in zip(names, shares, errors, naive, strict=True)
    ]


def _colourfulness(coloured: Tensor, images: Tensor, names: Sequence[str]) -> list[dict[str, Any]]:
    """Of every picture: the mean chroma of what it was given, and of what it was."""
    given, true = (rgb_to_lab(part)[:, 1:].norm(dim=1).mean((1, 2)).tolist() for part in (coloured, images))
    return [
        {"image": name, "chroma": chroma, "chroma_before": own}
        for name, chroma, own in zip(names, given, true, strict=True)
    ]


def _mean(results: Sequence[dict[str, Any]], key: str) -> float:
    return float(sum(row[key] for row in results) / len(results))
