"""What an encoder is asked: a map of its embedding, and what lies near an image in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from sslterm.data.store import Store
from sslterm.errors import UsageError
from sslterm.evaluate.components import leading_components
from sslterm.evaluate.features import Features, choose, encode, encode_layers, own_randomness, stills
from sslterm.evaluate.panels import HELD_OUT, component_axes, flat_map, pca_words
from sslterm.evaluate.tsne import tsne_map
from sslterm.methods.base import Encodes
from sslterm.nn.precision import double
from sslterm.run.packed import pack
from sslterm.run.panels import Panel
from sslterm.worker.desk import Desk, one_thread
from sslterm.worker.features import gallery_of
from sslterm.worker.outputs import Report, Stage, pack_images, stages, within_bounds, write_output
from sslterm.worker.requests import Embed, Neighbours

MOST_NEIGHBOURS = 64


@dataclass(frozen=True)
class Embedding:
    """Embedded images.

    Attributes:
        index: [N] their positions in their splits.
        held_out: [N] whether that is the held-out split.
        features: [N, D] float32.
        labels: [N] classes, -1 where unknown.
        class_names: of the labels.
        of: what they are of, in words.
    """

    index: Tensor
    held_out: Tensor
    features: Tensor
    labels: Tensor
    class_names: tuple[str, ...]
    of: str


def embed(desk: Desk, request: Embed, report: Report) -> dict[str, Any]:
    """A map of the embedding: a point for each image, with its class where that is known."""
    embedding = _embedding(desk, request, stages(report))
    points, what, axes = _map(desk, request, embedding, stages(report))
    names = embedding.class_names
    known = bool((embedding.labels >= 0).all())
    caption = what + (", coloured by class (uses labels)" if known else "")
    path = None
    if request.save:
        columns = [points, embedding.labels[:, None].cpu().double()] if known else [points]
        panel = Panel(
            name="embedding-map", kind="scatter", array=torch.cat(columns, 1).float().numpy(),
            caption=caption, labels=names if known else (), x_label=axes[0], y_label=axes[1],
        )  # fmt: skip
        stem = f"embedding-{request.method}-{desk.loaded.images}-seed{request.seed}"
        also = {"index": embedding.index.numpy(), "held_out": embedding.held_out.numpy()}
        path = write_output(desk.run, panel, stem, request.out, also=also)
    return {
        "points": pack(points.float().numpy()),
        "labels": embedding.labels.tolist() if known else None,
        "class_names": list(names),
        "caption": caption,
        "x_label": axes[0],
        "y_label": axes[1],
        "n": len(points),
        "dimensions": embedding.features.shape[1],
        "images": desk.loaded.images,
        "path": path,
    }


_WORDS = {"all": "images", "train": "training images", "test": HELD_OUT}


def _embedding(desk: Desk, request: Embed, progress: Stage) -> Embedding:
    """The images that are asked for, embedded once for all maps and all questions about them."""
    method, data, layer = desk.loaded.method, request.data, request.layer
    key = ("embedding", data, request.split, layer, request.n, request.seed)
    if not isinstance(method, Encodes):
        raise desk.cannot("embed")
    if key not in desk.maps:
        gallery = gallery_of(desk, data, request.split, progress)
        chosen = choose(len(gallery), request.n, seed=request.seed)
        progress(f"encoding {len(chosen):,} images", 0, 1)
        parts, start = [], 0
        for name, split, store in gallery.splits:
            index = chosen[(chosen >= start) & (chosen < start + len(split))] - start
            start += len(split)
            if not len(index):
                continue
            with own_randomness(desk.device, request.seed):
                found = _features(method, store, index, layer)
            parts.append((index, torch.full_like(index, name == "test", dtype=torch.bool), found))
        of = (
            _WORDS[request.split]
            + (f" of {gallery.name}" if data else "")
            + (f", layer {layer}" if layer else "")
        )
        desk.maps[key] = Embedding(
            torch.cat([index for index, _, _ in parts]),
            torch.cat([held_out for _, held_out, _ in parts]),
            torch.cat([found.values for *_, found in parts]),
            torch.cat([found.labels for *_, found in parts]).cpu(),
            tuple(gallery.class_names),
            of,
        )
    embedding: Embedding = desk.maps[key]
    return embedding


def _features(method: Encodes, store: Store, index: Tensor, layer: str) -> Features:
    return (
        encode_layers(method, store, index, names=(layer,))[layer] if layer else encode(method, store, index)
    )


def _map(
    desk: Desk, request: Embed, embedding: Embedding, progress: Stage
) -> tuple[Tensor, str, tuple[str, str]]:
    """[N, 2] on the CPU, what it shows, and its axes."""
    key = (request.method, request.data, request.split, request.layer, request.n, request.seed)
    if key not in desk.maps:
        features = double(embedding.features)
        if request.method == "tsne":
            points, what = tsne_map(features, seed=request.seed, of=embedding.of, progress=progress)
            desk.maps[key] = points, what, ("t-SNE 1", "t-SNE 2")
        else:
            desk.maps[key] = _flat(features, embedding.of)
    made: tuple[Tensor, str, tuple[str, str]] = desk.maps[key]
    return made


def _flat(features: Tensor, of: str) -> tuple[Tensor, str, tuple[str, str]]:
    if features.shape[1] <= 2:
        points, what, axes = flat_map(features, of)
        return points.cpu(), what, axes
    points, shares = leading_components(features, 2)
    return points, pca_words(features, shares, of), component_axes(shares)


def neighbours(desk: Desk, request: Neighbours, report: Report) -> dict[str, Any]:
    """An image of the map, then its nearest neighbours by cosine similarity over all dimensions."""
    embedding = _embedding(desk, Embed(n=request.n, seed=request.seed), stages(report))
    if request.place >= len(embedding.index):
        raise UsageError(f"there is no image {request.place} among {len(embedding.index)}")
    if request.k > MOST_NEIGHBOURS:
        raise UsageError(f"{request.k} neighbours are too many: at most {MOST_NEIGHBOURS}")
    with one_thread():
        places, similarities = nearest(embedding.features, request.place, request.k)
        shown = torch.tensor([request.place, *places])
        images = stills(desk.test.batch(embedding.index[shown]).images)
    return {
        "places": places,
        "similarities": similarities,
        "index": embedding.index[shown].tolist(),
        "images": pack_images(within_bounds(images)),
    }


def nearest(features: Tensor, place: int, k: int) -> tuple[list[int], list[float]]:
    """The k rows of [N, D] most similar to row `place` by cosine, without itself, the most similar first."""
    unit = F.normalize(features.float().nan_to_num(), dim=1)
    similarity = unit @ unit[place]
    similarity[place] = -torch.inf
    found = similarity.topk(min(k, len(unit) - 1))
    return found.indices.tolist(), found.values.tolist()
