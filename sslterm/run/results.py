"""results.jsonl: what was measured of a run's checkpoints afterwards, one JSON object a line, as events are.

Kind "probe": {data, images, results: [{protocol, layer, accuracy, ...}]}, as `sslterm probe --json` prints it.
Kind "evaluate": {data, images, results: [{name, value, floor, baseline_untrained, ...}]}, as `sslterm evaluate
--json` prints it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sslterm.run.events import Event

PROBE = "probe"
"""The kind of result, and where its measures are said to be from."""
EVALUATE = "evaluate"
AFTERWARDS = frozenset({PROBE, EVALUATE})
"""Where metrics are from that have one value and no course."""
ENCODER = "encode"
"""The layer that stands for what a method's `encode` gives."""


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """A figure of a checkpoint, as it was last measured.

    Attributes:
        figure: "FD"; `space` and `n` say in which space and of how many samples or images.
        kind: "exact", "bound", "estimate" or "distance".
        protocol: of a likelihood, what its nats are nats of, and how they were found; else "".
        error: its standard error.
        floor: the same of real images; `untrained` of the network before training; `independent` of pixels that
            know nothing of each other.
        images: training images that the checkpoint had seen.
    """

    figure: str
    space: str
    n: int
    value: float
    kind: str
    protocol: str
    error: float | None
    floor: float | None
    independent: float | None
    untrained: float | None
    images: int

    @property
    def key(self) -> str:
        """Its name as a metric: "evaluate/FD[digits-16px-judge32-v1-1a2b3c, n 1000]"."""
        of = ", ".join(part for part in (self.space, f"n {self.n}") if part)
        return f"{EVALUATE}/{self.figure}[{of}]"


def measured(results: Iterable[Event]) -> dict[str, tuple[float, int]]:
    """The newest value of each measure of the encoder, and of each figure, by name, and after how many images.

    Names say the data: "probe/knn[patterns]", "probe/linear[cifar10]"; and what was done with which layers,
    where that was said: "probe/finetune[cifar10; conv1=frozen]". What is damaged is passed over.
    """
    found: dict[str, tuple[float, int]] = {}
    for result, row, images in _rows(results):
        if result.get("kind") == EVALUATE:
            if (figure := _evaluated(row, images)) is not None:
                found[figure.key] = (figure.value, images)
            continue
        accuracy = finite(row.get("accuracy"))
        if row.get("layer") == ENCODER and accuracy is not None:
            of = "; ".join(str(part) for part in (result.get("data"), row.get("layers")) if part)
            found[f"{PROBE}/{row.get('protocol')}[{of}]"] = (accuracy, images)
    return found


def probed(results: Iterable[str]) -> list[str]:
    """Of the names of measures those that probes gave: few, and worth a column wherever runs are compared."""
    return [name for name in results if name.startswith(f"{PROBE}/")]


def evaluated(results: Iterable[Event]) -> dict[str, Evaluated]:
    """The newest of each figure of `sslterm evaluate`, by its key, in the order of the last time."""
    found: dict[str, Evaluated] = {}
    for result, row, images in _rows(results):
        if result.get("kind") == EVALUATE and (figure := _evaluated(row, images)) is not None:
            found.pop(figure.key, None)
            found[figure.key] = figure
    return found


def _rows(results: Iterable[Event]) -> Iterator[tuple[Event, Mapping[str, Any], int]]:
    """Every result with each of its rows, and after how many training images.

    Figures of samples that were drawn in a way of their own ("steps": 5) stay in the file: they do not compare.
    """
    for result in results:
        rows, images = result.get("results"), result.get("images")
        if (
            not result.get("sampling")
            and result.get("kind") in AFTERWARDS
            and isinstance(rows, list)
            and isinstance(images, int)
        ):
            yield from ((result, row, images) for row in rows if isinstance(row, dict))


def _evaluated(row: Mapping[str, Any], images: int) -> Evaluated | None:
    """A row of `evaluate`; None where it is damaged."""
    name, n, value = row.get("name"), row.get("n"), finite(row.get("value"))
    if not isinstance(name, str) or not isinstance(n, int) or value is None:
        return None
    protocol = str(row.get("protocol") or "")
    if not protocol:  # behind the name of a likelihood stands the number of draws
        name = name.removesuffix(f"@{n}")
    figure, _, rest = name.partition("[")
    space, digest = rest.removesuffix("]"), row.get("space_sha256")
    if isinstance(digest, str):  # numbers in a space of the same name and other weights do not compare
        space += f"-{digest[:6]}"
    return Evaluated(
        figure=figure,
        space=space,
        n=n,
        value=value,
        kind=str(row.get("kind") or ""),
        protocol=protocol,
        error=finite(row.get("standard_error")),
        floor=finite(row.get("floor")),
        independent=finite(row.get("baseline_independent")),
        untrained=finite(row.get("baseline_untrained")),
        images=images,
    )


def finite(value: object) -> float | None:
    """A number that is one; None for anything else, as files may hold it."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return None
