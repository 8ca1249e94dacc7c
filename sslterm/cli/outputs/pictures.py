"""What commands that draw with a trained run print with `--json`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

Path_ = Annotated[str, "the picture, or its numbers as .npz"]
Gif = Annotated[str | None, "the animation"]
Known = "null where what it is compared with is not known"


class Sampled(TypedDict):
    run: str
    path: Path_
    n: int
    seed: int
    label: Annotated[int | None, "number of the class asked for"]
    sampling: Annotated[dict[str, Any], "what was chosen of how samples are drawn"]
    rows: Annotated[list[str], "what each row is of; empty for one grid"]


class Term(TypedDict):
    sign: Literal[1, -1]
    of: Annotated[list[str], "what is averaged"]


class Traversed(TypedDict):
    run: str
    path: Path_
    latent_dim: int
    rows: int
    columns: int
    caption: str
    gif: NotRequired[Annotated[str | None, "of a path (--from, --to): with --gif the animation"]]
    kind: NotRequired[Annotated[Literal["linear", "spherical"], "of a path: its form"]]
    ends: NotRequired[
        Annotated[Literal["prior", "codes"], "of a path or of --arithmetic: where codes are from"]
    ]
    terms: NotRequired[Annotated[list[Term], "of --arithmetic"]]


class Reconstruction(TypedDict):
    image: str
    path: str
    mse: Annotated[float, "squared error of values in [0, 1]"]


class Reconstructed(TypedDict):
    run: str
    n: int
    mse: Annotated[float, "mean of the results"]
    results: list[Reconstruction]


class Completion(TypedDict):
    image: str
    hidden: Annotated[float, "share of the picture"]
    mse: Annotated[float, "squared error of hidden values in [0, 1] against the picture as it was given"]
    mse_border: Annotated[float, "the same of the mean colour of the border"]
    path: str


class Completed(TypedDict):
    run: str
    n: int
    mask: str
    mse: float
    mse_border: float
    results: list[Completion]


class Coloured(TypedDict):
    image: str
    chroma: Annotated[float, "mean distance from grey in CIE Lab, of the new colours"]
    chroma_before: Annotated[float, "of those that the picture had; 0: it was grey"]
    path: str


class Colorized(TypedDict):
    run: str
    n: int
    chroma: float
    chroma_before: float
    results: list[Coloured]


class TrackedFigures(TypedDict):
    J: Annotated[float | None, f"region similarity, a share; {Known}"]
    F: Annotated[float | None, "contour accuracy, a share"]
    J_identity: Annotated[float | None, "of copying the first mask"]
    F_identity: Annotated[float | None, "of copying the first mask"]


class TrackedClip(TrackedFigures):
    clip: str
    frames: int
    objects: int


class Tracked(TrackedFigures):
    """Figures are means over the clips whose masks are known."""

    run: str
    path: Path_
    gif: Gif
    n: Annotated[int, "clips"]
    results: list[TrackedClip]


class PredictedFigures(TypedDict):
    mse: Annotated[float | None, f"squared error of values in [0, 1]; {Known}"]
    mse_copy_last: Annotated[float | None, "of copying the last frame"]


class PredictedClip(PredictedFigures):
    clip: str
    frames: int


class Predicted(PredictedFigures):
    """Figures are means over the clips whose end is known."""

    run: str
    path: Path_
    gif: Gif
    n: Annotated[int, "clips"]
    results: list[PredictedClip]
