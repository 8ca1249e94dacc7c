"""What commands that train print with `--json`."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

State = Literal["new", "starting", "running", "paused", "stopped", "finished", "failed", "diverged", "died"]
Metrics = Annotated[dict[str, float | None], "the newest value of each metric; null is not finite"]
Tables = dict[str, Any]


class Progress(TypedDict):
    """A line of a training, written now and then."""

    run: str
    state: State
    step: int
    images: Annotated[int, "images trained on so far"]
    total_images: int
    images_per_second: float
    elapsed_seconds: float
    metrics: Metrics


class Configuration(TypedDict):
    """The tables of a complete preset."""

    run: Tables
    data: Tables
    train: Tables
    watch: Tables
    optim: Annotated[Tables, "a table for each group of parameters"]
    augment: NotRequired[Annotated[Tables, "a table for each view"]]
    method: Tables


class Asked(TypedDict):
    """What became of a request to a trainer."""

    run: str
    do: Literal["pause", "continue", "stop", "checkpoint"]
    outcome: Annotated[str, "the trainer's answer: done, or why not"]
    state: Annotated[State, "how the run stands now"]


class SweptMetric(TypedDict):
    values: Annotated[list[float | None], "by seed; null where the run has not finished"]
    mean: Annotated[float | None, "over those that have"]
    std: Annotated[float | None, "of a sample (n - 1); null of fewer than two"]


class SweptSetting(TypedDict):
    values: Annotated[dict[str, str], "what --grid set: key to value"]
    runs: Annotated[list[str], "by seed"]
    states: Annotated[list[State], "by seed"]
    metrics: dict[str, SweptMetric]


class Swept(TypedDict):
    """All runs of a sweep, by setting and seed."""

    method: str
    preset: str
    seeds: int
    metrics: list[str]
    better: Annotated[dict[str, Literal["higher", "lower", ""]], "which way a metric is better"]
    settings: list[SweptSetting]


class ReproducedMetric(TypedDict):
    metric: str
    points: Annotated[int, "how many both runs have"]
    last: Annotated[float | None, "the last of these of the first run"]
    again: Annotated[float | None, "and of the second"]
    difference: Annotated[float | None, "the largest between two points, as a share; 0: the same to the bit"]
    first_step: Annotated[int | None, "where they differ first"]


class Reproduced(TypedDict):
    """Whether a second training came to the same; lines of its progress come before."""

    run: str
    again: Annotated[str, "the second run"]
    verdict: Literal["equal", "close", "different"]
    tolerance: float
    changed: Annotated[dict[str, list[Any]], "versions, device, threads: [was, is]"]
    metrics: list[ReproducedMetric]


class SweptRuns(TypedDict):
    """With --dry-run: the runs that would be trained."""

    method: str
    preset: str
    runs: list[str]
