"""Features for others: of a whole data set, written to a file; and what is nearest in them to a picture."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sslterm.data.source import Source, Split
from sslterm.data.store import Store
from sslterm.errors import DataError, UsageError, did_you_mean
from sslterm.evaluate.features import batches, evaluating, flat_features, own_randomness
from sslterm.evaluate.panels import images_panel
from sslterm.methods.base import Encodes
from sslterm.worker.desk import Desk, other_source, read_image
from sslterm.worker.feature_files import Part, check_ending, write_features
from sslterm.worker.kept_features import Kept, read_features, require_of
from sslterm.worker.outputs import Report, Stage, stages, write_output
from sslterm.worker.requests import Features, Search

SEED = 0
"""Of encoders that draw at random; features are to be the same every time."""
MOST_NEIGHBOURS = 1000
SHOWN = 16
"""Neighbours in the picture."""


@dataclass(frozen=True)
class Gallery:
    """Images that features are wanted of.

    Attributes:
        name: of the data.
        class_names: of the labels.
        splits: (name, what is in it, the same as a store).
    """

    name: str
    class_names: tuple[str, ...]
    splits: tuple[tuple[str, Split, Store], ...]

    def __len__(self) -> int:
        return sum(self.lengths().values())

    def lengths(self) -> dict[str, int]:
        """Images of every split, by its name."""
        return {name: len(split) for name, split, _ in self.splits}


def write_all(desk: Desk, request: Features, report: Report) -> dict[str, Any]:
    """Encode all images and write what comes out, a batch at a time.

    Raises:
        UsageError: the method cannot encode, there is no such layer, or no such format.
        OSError: the file cannot be written.
    """
    method = desk.loaded.method
    if not isinstance(method, Encodes):
        raise desk.cannot("embed")
    progress = stages(report)
    path = _file_of(desk, request)
    check_ending(path)
    gallery = gallery_of(desk, request.data, request.split, progress)
    about = {
        "run": desk.run.name,
        "method": desk.loaded.experiment.run.method,
        "images": desk.loaded.images,
        "layer": request.layer or "encoding",
        "data": gallery.name,
        "class_names": list(gallery.class_names),
    }
    with own_randomness(desk.device, SEED):
        parts = _parts(method, gallery, request.layer, progress)
        dimensions = write_features(path, len(gallery), parts, about)
    return {
        "path": str(path),
        "n": len(gallery),
        "dimensions": dimensions,
        "layer": about["layer"],
        "data": gallery.name,
        "splits": gallery.lengths(),
        "images": desk.loaded.images,
    }


def _file_of(desk: Desk, request: Features) -> Path:
    path = Path(request.out).expanduser()
    if path.is_dir():
        stem = f"{desk.run.name}-{desk.loaded.images}" + (f"-{request.layer}" if request.layer else "")
        path = path / f"{stem}.npz"
    return path


def gallery_of(desk: Desk, data: str, which: str, progress: Stage) -> Gallery:
    """The images of the run's data, or of other data (a name or a folder), or of one split ("all": of both).

    Raises:
        DataError: there is no such data.
    """
    source: Source = other_source(desk, data, progress) if data else desk.loaded.source
    wanted = ("train", "test") if which == "all" else (which,)
    stores = {} if data else {"train": lambda: desk.train, "test": lambda: desk.test}
    splits = []
    for name in wanted:
        split: Split = getattr(source, name)
        splits.append((name, split, stores[name]() if stores else Store(split, desk.device)))
    return Gallery(source.name, source.class_names, tuple(splits))


def _parts(method: Encodes, gallery: Gallery, layer: str, progress: Stage) -> Iterator[Part]:
    """Features of all images, split after split, a batch at a time."""
    assert isinstance(method, nn.Module)
    done = 0
    for name, split, store in gallery.splits:
        at = 0
        for batch in batches(store):
            with evaluating(method):
                features = _features(method, batch.images, layer)
            rows = slice(at, at + len(batch))
            columns: dict[str, Any] = {
                "label": batch.label.cpu().numpy(),
                "held_out": np.full(len(batch), name == "test"),
                "index": np.arange(rows.start, rows.stop),
            }
            if split.names is not None:
                columns["file"] = split.names[rows]
            yield Part(features.cpu().numpy(), columns)
            at, done = rows.stop, done + len(batch)
            progress("encoding", done, len(gallery))


def _features(method: Encodes, images: Tensor, layer: str) -> Tensor:
    """[B, D] float32."""
    if not layer:
        return method.encode(images).float()
    layers = method.layers(images)
    if layer not in layers:
        raise UsageError(f"there is no layer {layer!r}", did_you_mean(layer, layers))
    return flat_features(layers[layer])


def search(desk: Desk, request: Search, report: Report) -> dict[str, Any]:
    """The images whose features have the largest cosine with those of each picture.

    Raises:
        UsageError: the method cannot encode, more neighbours are wanted than there are, or features that were
            written before are not of this checkpoint and these images.
        DataError: a picture or a file of features cannot be read.
    """
    method = desk.loaded.method
    if not isinstance(method, Encodes):
        raise desk.cannot("neighbors")
    if not request.images:
        raise UsageError("no picture is given", "name one or more: sslterm neighbors RUN IMAGE")
    shape = desk.loaded.inputs.shape
    pictures = torch.cat([read_image(Path(name), shape) for name in request.images]).to(desk.device)
    progress = stages(report)
    kept = read_features(Path(request.features)) if request.features else None
    gallery = gallery_of(desk, request.data, request.split, progress)
    if kept is not None:
        gallery = _kept_gallery(desk, request, kept, gallery)
    k = request.k
    if k > min(len(gallery), MOST_NEIGHBOURS):
        raise UsageError(f"{k:,} neighbours are too many: at most {min(len(gallery), MOST_NEIGHBOURS):,}")
    with own_randomness(desk.device, SEED):
        with evaluating(desk.loaded.method):
            wanted = F.normalize(_features(method, pictures, ""), dim=1)
        if kept is not None and kept.features.shape[1] != wanted.shape[1]:
            wide = f"{kept.features.shape[1]:,} dimensions, not {wanted.shape[1]:,}"
            raise UsageError(f"{request.features} holds features of {wide}", "write them anew")
        parts = _parts(method, gallery, "", progress) if kept is None else kept.parts([*gallery.lengths()])
        values, places = most_similar(wanted, parts, k)
    found = [[_describe(gallery, place) for place in row] for row in places.tolist()]
    shown = torch.stack(
        [
            torch.cat([picture[None], _images(gallery, row[:SHOWN])])
            for picture, row in zip(pictures, places, strict=True)
        ]
    )
    names = " and ".join(Path(name).name for name in request.images[:3])
    panel = images_panel(
        "neighbours",
        shown.flatten(0, 1),
        f"{names}: each picture, then the {min(k, SHOWN)} of {len(gallery):,} images of {gallery.name} that "
        "are most similar by the cosine of their features",
        columns=shown.shape[1],
    )
    stem = f"neighbours-{desk.loaded.images}-{Path(request.images[0]).stem}"
    return {
        "path": write_output(desk.run, panel, stem, request.out),
        "data": gallery.name,
        "n": len(gallery),
        "images": desk.loaded.images,
        "results": [
            {
                "image": name,
                "neighbours": [
                    {"similarity": similarity, **one} for similarity, one in zip(row, about, strict=True)
                ],
            }
            for name, row, about in zip(request.images, values.tolist(), found, strict=True)
        ],
    }


def _kept_gallery(desk: Desk, request: Search, kept: Kept, gallery: Gallery) -> Gallery:
    """What of a gallery there are features of.

    Raises:
        UsageError: they are not of this checkpoint and these images.
    """
    path, here = Path(request.features), kept.splits()
    chosen = dataclasses.replace(gallery, splits=tuple(one for one in gallery.splits if one[0] in here))
    if not chosen.splits:
        raise UsageError(f"{path.name} holds no features of the {request.split} split", "leave --split out")
    require_of(
        kept, path, run=desk.run.name, images=desk.loaded.images, data=gallery.name, lengths=chosen.lengths()
    )
    return chosen


def most_similar(wanted: Tensor, parts: Iterator[Part], k: int) -> tuple[Tensor, Tensor]:
    """The k rows of all parts with the largest cosine, the largest first: cosines and places, [Q, k] each.

    Args:
        wanted: unit vectors [Q, D].
    """
    best = wanted.new_full((len(wanted), 0), 0.0)
    places = torch.zeros((len(wanted), 0), dtype=torch.int64, device=wanted.device)
    seen = 0
    for part in parts:
        rows = F.normalize(torch.from_numpy(part.features).to(wanted.device), dim=1)
        here = torch.arange(seen, seen + len(rows), device=wanted.device).expand(len(wanted), -1)
        best, places = torch.cat((best, wanted @ rows.T), 1), torch.cat((places, here), 1)
        best, order = best.topk(min(k, best.shape[1]), dim=1)
        places, seen = places.gather(1, order), seen + len(rows)
    return best, places


def _describe(gallery: Gallery, place: int) -> dict[str, Any]:
    name, split, index = _find(gallery, place)
    label = int(split.labels[index])
    known = 0 <= label < len(gallery.class_names)
    return {
        "split": name,
        "index": index,
        "label": label if label >= 0 else None,
        "class": gallery.class_names[label] if known else None,
        "file": None if split.names is None else str(split.names[index]),
    }


def _find(gallery: Gallery, place: int) -> tuple[str, Split, int]:
    for name, split, _ in gallery.splits:
        if place < len(split):
            return name, split, place
        place -= len(split)
    raise DataError(f"there is no image {place}")


def _images(gallery: Gallery, places: Tensor) -> Tensor:
    """[n, C, H, W] in [0, 1]."""
    rows = [split.images[index] for _, split, index in (_find(gallery, place) for place in places.tolist())]
    return torch.stack(rows).to(places.device).float() / 255
