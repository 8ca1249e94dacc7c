"""What commands that measure, or write what was learned, print with `--json`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

Accuracy = Annotated[float, "in [0, 1]"]


class ProbeResult(TypedDict):
    """A protocol on a layer; accuracies are of held-out images, in [0, 1]."""

    protocol: str
    layer: str
    dimensions: int
    accuracy: Accuracy
    baseline_pixels: Annotated[float, "a linear probe, or kNN, of raw pixels"]
    baseline_pixels_centred: Annotated[
        float | None, "the same without their mean; null where it is not measured"
    ]
    baseline_untrained: Annotated[float, "the same network before training"]
    n_train: int
    n_test: int
    seed: int
    k: NotRequired[Annotated[int, "knn: neighbours that vote"]]
    temperature: NotRequired[Annotated[float, "knn: of their weights"]]
    std: NotRequired[Annotated[float, "of few labelled images: standard deviation over draws"]]
    draws: NotRequired[Annotated[int, "of few labelled images: how often they were drawn"]]
    baseline_frozen: NotRequired[Annotated[float, "finetune: a linear probe of the layer as it is"]]
    layers: NotRequired[Annotated[str, "finetune: what was done with which layers"]]
    lr: NotRequired[Annotated[float, "finetune: learning rate"]]
    epochs: NotRequired[Annotated[int, "finetune"]]
    augment: NotRequired[Annotated[str, "finetune: how images were varied"]]


class ProbePlot(TypedDict):
    protocol: str
    best_layer: str
    accuracy: Accuracy
    path: NotRequired[Annotated[str, "absent where the run's folder cannot be written"]]


class Probed(TypedDict):
    run: str
    data: str
    images: Annotated[int, "images that the network was trained on"]
    results: list[ProbeResult]
    plots: Annotated[list[ProbePlot], "one for each protocol that saw several layers"]


class Measured(TypedDict):
    """One figure, with what is needed to judge it."""

    name: str
    value: float | None
    unit: str
    kind: Annotated[
        Literal["exact", "bound", "estimate", "distance"],
        "an exact value, a bound on it, or an estimate of it",
    ]
    n: Annotated[int, "images, samples or sequences that it was measured on"]
    split: Annotated[str, "which images"]
    seed: NotRequired[int]
    standard_error: NotRequired[float | None]
    interval: NotRequired[Annotated[list[float], "of 95 % confidence"]]
    protocol: NotRequired[Annotated[str, "likelihoods: of which density"]]
    baseline_independent: NotRequired[
        Annotated[float | None, "likelihoods: of pixels that know nothing of each other"]
    ]
    baseline_untrained: NotRequired[Annotated[float | None, "of the network before training"]]
    untrained_seed: NotRequired[Annotated[int, "the seed that this network was built with"]]
    floor: NotRequired[Annotated[float | None, "what real training images get in place of samples"]]
    n_floor: NotRequired[Annotated[int, "how many of them"]]
    n_real: NotRequired[Annotated[int, "held-out images that samples were laid against"]]
    space: NotRequired[Annotated[str, "what samples were judged in"]]
    space_sha256: NotRequired[Annotated[str, "of the weights of that space: only equal ones compare"]]
    dimensions: NotRequired[Annotated[int, "of features"]]
    judge_accuracy: NotRequired[Annotated[float | None, "of the classifier that judges, on held-out images"]]
    histogram: NotRequired[Annotated[list[float], "class_kl: share of each class among samples"]]
    histogram_real: NotRequired[Annotated[list[float], "class_kl: the same among held-out images"]]
    sequences: NotRequired[Annotated[list[str], "tracking: their names"]]


class LeftOut(TypedDict):
    name: str
    reason: str
    hint: str


class Drawn(TypedDict):
    name: str
    path: str
    caption: str


class Evaluated(TypedDict):
    run: str
    data: str
    images: Annotated[int, "images that the network was trained on"]
    sampling: Annotated[dict[str, Any], "what was chosen of how samples are drawn"]
    results: list[Measured]
    skipped: Annotated[list[LeftOut], "what could not be measured, and why"]
    pictures: list[Drawn]


class MeanLikelihood(TypedDict):
    nats: Annotated[float, "negative log-likelihood of an image"]
    bits_per_dim: float


class OfHeldOut(MeanLikelihood):
    n: int


class AsUnlike(TypedDict):
    """The share of held-out images that are at least as unlike, in [0, 1], by each score."""

    likelihood: float
    typicality: Annotated[float, "by the distance from the mean of held-out images"]
    complexity: Annotated[float | None, "without what the image takes compressed; null where pixels are bits"]


class ScoredImage(MeanLikelihood):
    image: str
    as_unlike: AsUnlike


class Area(TypedDict):
    value: Annotated[float, "how often an image of the other data is the more unlike one of a pair"]
    standard_error: float


class Areas(TypedDict):
    likelihood: Area
    typicality: Area
    complexity: Area | None


class OtherData(MeanLikelihood):
    data: str
    n: int
    auroc: Areas


class ScoredImages(TypedDict):
    run: str
    data: str
    images: Annotated[int, "images that the network was trained on"]
    name: Annotated[str, "which likelihood"]
    kind: Literal["exact", "bound", "estimate"]
    protocol: Annotated[str, "of which density"]
    seed: int
    held_out: OfHeldOut
    results: list[ScoredImage]
    other: Annotated[OtherData | None, "with --data"]
    path: Annotated[str | None, "with --data the histogram"]


class DrawnMap(TypedDict):
    path: str
    by: Literal["pca", "tsne"]
    n: Annotated[int, "images on it"]
    dimensions: Annotated[int, "features of each"]
    caption: str
    x_label: str
    y_label: str


class Embedded(TypedDict):
    """What was written; from path to splits all are null without --out."""

    run: str
    path: str | None
    n: Annotated[int | None, "images"]
    dimensions: Annotated[int | None, "features of each"]
    layer: str | None
    data: str | None
    splits: Annotated[dict[str, int] | None, "images of each"]
    images: Annotated[int, "images that the network was trained on"]
    map: Annotated[DrawnMap | None, "null without --map"]


Neighbour = TypedDict(
    "Neighbour",
    {
        "similarity": Annotated[float, "cosine"],
        "split": str,
        "index": Annotated[int, "its place in the split"],
        "label": int | None,
        "class": str | None,
        "file": Annotated[str | None, "null but for folders"],
    },
)


class Found(TypedDict):
    image: str
    neighbours: Annotated[list[Neighbour], "the nearest first"]


class Neighbours(TypedDict):
    run: str
    path: str
    data: str
    n: Annotated[int, "images that were searched"]
    images: Annotated[int, "images that the network was trained on"]
    results: list[Found]


class Checked(TypedDict):
    """How far what was exported is from the run, by its own program."""

    part: str
    inputs: Annotated[str, "what it was given"]
    n: int
    largest_difference: float
    largest_value: float
    tolerance: Annotated[float, "as a share of the largest value"]


class Exported(TypedDict):
    run: str
    path: str
    to: Literal["safetensors", "timm", "torchvision", "onnx"]
    encoder: Annotated[Literal["ema", "online", ""], '"" where the method has but one']
    images: Annotated[int, "images that the network was trained on"]
    files: list[str]
    checked: list[Checked]
