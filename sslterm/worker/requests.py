"""What a worker can be asked, with every argument's type, range and default."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sslterm.config.read import parse
from sslterm.config.schema import Count, Natural, Positive
from sslterm.errors import UsageError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Sample:
    n: Natural = 0
    """0 takes 64, or 10 in each row."""
    seed: Natural = 0
    label: str = ""
    """Number or name of a class; "" leaves it to the method, "all" and "0,1,2" give each a row."""
    sampling: tuple[str, ...] = ()
    """What is chosen of the method's `sampling`: "truncation=0.5"; "weights=all", "truncation=2,1" give each a row."""
    out: str = ""
    watch: bool = False
    """Report partial samples too."""


@dataclass(frozen=True, kw_only=True)
class Traverse:
    dims: Natural = 0
    """Rows; 0 shows the plane of a two-dimensional space, and ten rows of any other."""
    steps: Natural = 0
    """Columns; 0 takes 20 for the plane and 11 for rows."""
    pca: bool = False
    between: tuple[Natural, ...] = ()
    """Two seeds: a path between two codes in place of a plane or rows."""
    ends: Literal["auto", "prior", "codes"] = "auto"
    """What the seeds draw: from the prior, or held-out images whose codes are taken; auto: the prior, if any."""
    arithmetic: str = ""
    """"1,4 - 2,5 + 3,6" in place of all that: of the images that `sample` draws (ends = "prior"), or of classes, whose
    code is the mean of held-out images' ("codes"); auto: classes, where images have codes and classes."""
    label: str = ""
    """Number or name of the class that is drawn, where the method is told one; "" takes the first."""
    path: Literal["auto", "linear", "spherical"] = "auto"
    """auto: spherical where the prior is normal in more than two dimensions."""
    gif: bool = False
    """Also an animated GIF of the path."""
    seed: Natural = 0
    out: str = ""


@dataclass(frozen=True, kw_only=True)
class Reconstruct:
    images: tuple[str, ...] = ()
    """Files; without any, `n` held-out images."""
    n: Count = 32
    seed: Natural = 0
    out: str = ""


@dataclass(frozen=True, kw_only=True)
class Complete:
    images: tuple[str, ...] = ()
    """Files; without any, `n` held-out images."""
    mask: str = "center"
    """"center", "bottom" or "random", or a picture of the size of the images, white where they are to be filled."""
    n: Count = 16
    seed: Natural = 0
    out: str = ""
    watch: bool = False
    """Report partial pictures too."""


@dataclass(frozen=True, kw_only=True)
class Colorize:
    images: tuple[str, ...] = ()
    """Files; without any, `n` held-out images."""
    n: Count = 16
    seed: Natural = 0
    out: str = ""


@dataclass(frozen=True, kw_only=True)
class Track:
    clip: str = ""
    """A folder of frames or a video file; without it, `n` held-out sequences."""
    mask: str = ""
    """Of the first frame; without it, the one that lies beside the frames."""
    frames: Natural = 0
    """How many to read of the clip; 0 reads all."""
    n: Count = 3
    seed: Natural = 0
    out: str = ""


@dataclass(frozen=True, kw_only=True)
class Predict:
    clip: str = ""
    """A folder of frames or a video file; without it, `clips` held-out sequences."""
    n: Count = 4
    """Frames to predict."""
    beyond: bool = False
    """Predict what comes after the end, instead of the last frames from those before."""
    clips: Count = 4
    seed: Natural = 0
    out: str = ""


@dataclass(frozen=True, kw_only=True)
class Probe:
    protocols: tuple[str, ...] = ("knn", "linear")
    layers: tuple[str, ...] = ()
    """Names of layers, or "all"; without any, what the method's `encode` gives."""
    data: str = ""
    """Another data set, by name, or a folder."""
    treatments: tuple[str, ...] = ()
    """What `finetune` does with which layers, "conv1=frozen"; see `evaluate.treatment`."""
    rate: Positive = 1e-3
    """Of fine-tuning, for all other layers."""
    epochs: Natural = 0
    """Of fine-tuning; 0 takes 10, or more where images are few."""
    augment: Literal["auto", "none", "flip", "shift", "both"] = "auto"
    """How fine-tuning varies images; auto: both, but digits and letters are not mirrored."""
    seed: Natural = 0


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    n: Natural = 0
    """Held-out images, and samples; 0 takes all images and 1,000 samples."""
    samples: Natural = 0
    """Importance samples of the bound; 0 leaves it out."""
    sampling: tuple[str, ...] = ()
    """What is chosen of the method's `sampling`: "weights=raw"."""
    betas: Natural = 0
    chains: Natural = 0
    """Steps and chains of annealed importance sampling, where log Z is estimated; 0 takes 10,000 and 100."""
    space: str = "judge"
    """What samples are judged in: "judge", "pixels", or the folder of a run that can encode."""
    seed: Natural = 0


@dataclass(frozen=True, kw_only=True)
class Score:
    """-> {name, kind, protocol, held_out, results, other, path}: how unlike held-out images others are."""

    images: tuple[str, ...] = ()
    """Files."""
    data: str = ""
    """Another data set, by name, or a folder."""
    n: Natural = 0
    """Images of a data set; 0 takes 1,000."""
    seed: Natural = 0
    out: str = ""


@dataclass(frozen=True, kw_only=True)
class Explore:
    """-> {dimensions, prior, origin, families, codes, shape, images}: what there is to explore."""

    seed: Natural = 0


@dataclass(frozen=True, kw_only=True)
class Decode:
    """-> {images: packed uint8 [N, C, H, W]}: what codes are decoded to."""

    z: str
    """[N, latent_dim] as `run.packed.pack_rows` writes them; at most 1,024 codes."""
    side: Natural = 0
    """Images with longer sides are reduced to this; 0 leaves them, unless they are too many to be sent."""


@dataclass(frozen=True, kw_only=True)
class Code:
    """-> {z, place, index, label, class_name, image}: a held-out image and its code."""

    place: Natural = 0
    """Its number in a fixed random order; it goes round."""


@dataclass(frozen=True, kw_only=True)
class Interpolate:
    """-> {kind, z, images, path, gif}: codes through points, and what they are decoded to; maybe saved."""

    z: str
    """[K, latent_dim], K >= 2, as in `Decode`."""
    steps: Count = 11
    """Codes from one point to the next, both included."""
    path: Literal["auto", "linear", "spherical"] = "auto"
    names: tuple[str, ...] = ()
    """Of the points."""
    save: bool = False
    """Write a PNG strip, a GIF and an .npz with the codes to RUN/outputs."""


@dataclass(frozen=True, kw_only=True)
class Embed:
    """-> {points, labels, class_names, caption, x_label, y_label, n, images, path}: a map of the embedding."""

    method: Literal["pca", "tsne"] = "pca"
    n: Count = 2000
    """Images, as far as there are so many."""
    data: str = ""
    """Another data set, by name, or a folder."""
    split: Literal["all", "train", "test"] = "test"
    layer: str = ""
    """The name of a layer; without it, what the method's `encode` gives."""
    seed: Natural = 0
    save: bool = False
    """Write it, to `out` or to RUN/outputs."""
    out: str = ""


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """-> {places, similarities, images}: an image of the map, then the k nearest to it by cosine similarity."""

    place: Natural
    """Its number in the map."""
    k: Natural = 8
    n: Count = 2000
    seed: Natural = 0


@dataclass(frozen=True, kw_only=True)
class Features:
    """-> {path, n, dimensions, layer, data, splits}: features of all images, written to a file."""

    out: str
    """A file ending in .npz, .safetensors or .parquet; or a folder, which gets an .npz."""
    data: str = ""
    """Another data set, by name, or a folder."""
    split: Literal["all", "train", "test"] = "all"
    layer: str = ""
    """The name of a layer; without it, what the method's `encode` gives."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """-> {path, data, n, results: [{image, neighbours: [{similarity, split, index, label, file}]}]}"""

    images: tuple[str, ...]
    """Files."""
    data: str = ""
    split: Literal["all", "train", "test"] = "all"
    features: str = ""
    """A file of features of the same data, as `Features` writes them; without it all images are encoded."""
    k: Count = 8
    out: str = ""


@dataclass(frozen=True, kw_only=True)
class Export:
    """-> {path, to, encoder, images, files, checked: [{part, inputs, n, largest_difference, tolerance, ...}]}"""

    to: Literal["safetensors", "timm", "torchvision", "onnx"]
    out: str
    """The folder to be made."""
    encoder: Literal["auto", "ema", "online"] = "auto"
    """auto: what the method encodes with."""
    force: bool = False
    """Replace an earlier export."""


@dataclass(frozen=True, kw_only=True)
class Reload:
    """-> {images}: go over to the newest checkpoint."""


Request = (
    Sample | Traverse | Reconstruct | Complete | Colorize | Track | Predict
    | Probe | Evaluate | Score | Explore | Decode | Code | Interpolate | Embed | Neighbours | Features | Search
    | Export | Reload
)  # fmt: skip
REQUESTS: Mapping[str, type[Request]] = {
    "sample": Sample,
    "traverse": Traverse,
    "reconstruct": Reconstruct,
    "complete": Complete,
    "colorize": Colorize,
    "track": Track,
    "predict": Predict,
    "probe": Probe,
    "evaluate": Evaluate,
    "score": Score,
    "explore": Explore,
    "decode": Decode,
    "code": Code,
    "interpolate": Interpolate,
    "embed": Embed,
    "neighbours": Neighbours,
    "features": Features,
    "search": Search,
    "export": Export,
    "reload": Reload,
}
"""By the request's `do`."""


def read_request(do: object, arguments: Mapping[str, Any]) -> Request:
    """The dataclass of a request.

    Raises:
        UsageError: there is no such request, or an argument is unknown, mistyped or out of range.
    """
    if not isinstance(do, str) or do not in REQUESTS:
        raise UsageError(f"there is no request {do!r}", did_you_mean(str(do), REQUESTS))
    cls = REQUESTS[do]
    defaults = {
        field.name: field.default
        for field in dataclasses.fields(cls)
        if field.default is not dataclasses.MISSING
    }
    return parse(cls, defaults | dict(arguments), do)
