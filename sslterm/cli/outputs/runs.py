"""What commands that read runs print with `--json`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypedDict

from sslterm.cli.outputs.training import Metrics, State, Tables

MissingText = Annotated[str, '"" where no trainer has said it yet']


class RunSummary(TypedDict):
    name: str
    method: str
    preset: str
    state: State
    step: int
    images: Annotated[int, "images trained on so far"]
    metrics: Metrics
    path: str


class Warned(TypedDict):
    step: int | None
    text: str


class RunDescription(RunSummary):
    """All that is known of a run without reading panels and checkpoints."""

    total_images: int
    epoch: int
    images_per_second: float
    elapsed_seconds: float
    seconds_left: Annotated[float | None, "null where it is not training"]
    started: Annotated[float | None, "seconds since 1970"]
    pid: int | None
    host: MissingText
    device: MissingText
    precision: MissingText
    parameters: int
    message: str
    checkpoints: Annotated[list[int], "images trained on at each, oldest first"]
    panels: Annotated[dict[str, list[int]], "images trained on at each drawing"]
    warnings: list[Warned]
    bytes: Annotated[int, "of the run's folder"]
    config: Annotated[Tables, "config.toml"]


class Differences(TypedDict):
    """Where runs differ; a list has a value for each run, null where it has none."""

    runs: list[str]
    config: dict[str, list[Any]]
    metrics: dict[str, list[float | None]]


class Removed(TypedDict):
    removed: Annotated[list[str], "names of the runs that are gone"]


class Packed(TypedDict):
    run: str
    path: str
    bytes: int
    contents: Annotated[list[str], "files of the archive or folder; of a CSV the metrics"]


class Unpacked(TypedDict):
    run: str
    path: str
    files: int
    bytes: int
    left_out: Annotated[list[str], "what was no part of a run"]


class Points(TypedDict):
    """A curve: lists of the same length."""

    step: list[int]
    images: list[int]
    seconds: list[float]
    value: list[float | None]


class Plotted(TypedDict):
    run: str
    metrics: dict[str, Points]


class PlotWritten(TypedDict):
    """With --out or --csv."""

    run: str
    path: str
    metrics: list[str]


class Reached(TypedDict):
    last: float | None
    best: float | None
    best_images: Annotated[int | None, "images trained on at the best"]


class JudgedFigure(TypedDict):
    """A figure that `sslterm evaluate` has found."""

    figure: str
    space: Annotated[str, "what images were judged in"]
    n: int
    value: float | None
    kind: Annotated[str, "exact, bound, estimate or distance"]
    protocol: Annotated[str, "likelihoods: of which density, and how it was found"]
    error: Annotated[float | None, "standard error"]
    floor: Annotated[float | None, "of real images"]
    independent: Annotated[float | None, "likelihoods: of pixels that know nothing of each other"]
    untrained: Annotated[float | None, "of the network before training"]
    images: int


class Compared(TypedDict):
    name: str
    letter: Annotated[str, "its sign in overlays"]
    path: str
    method: str
    preset: str
    state: State
    step: int
    images: int
    seconds: float
    metrics: dict[str, Reached]
    evaluated: list[JudgedFigure]


class Common(TypedDict):
    """What all runs share; null where they differ."""

    method: str | None
    preset: str | None


class Comparison(TypedDict):
    """Runs beside each other, sorted."""

    metrics: list[str]
    better: Annotated[dict[str, Literal["higher", "lower", ""]], "which way a metric is better"]
    same_data: Annotated[bool, "whether values may be compared"]
    common: Common
    runs: list[Compared]
    config: Annotated[dict[str, list[Any]], "where configurations differ: a value for each run"]
    files: Annotated[list[str], "what was written"]


class Reported(TypedDict):
    runs: list[str]
    path: str
    bytes: int
