"""results.jsonl: what was measured of a run's checkpoints afterwards, one JSON object a line, as events are.

Kind "probe": {data, images, results: [{protocol, layer, accuracy, ...}]}, as `sslterm probe --json` prints it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from sslterm.run.events import Event

PROBE = "probe"
"""The kind of result, and where its measures are said to be from."""
ENCODER = "encode"
"""The layer that stands for what a method's `encode` gives."""


def measured(results: Iterable[Event]) -> dict[str, tuple[float, int]]:
    """The newest value of each measure of the encoder, by name, and after how many training images.

    Names say the data: "probe/knn[patterns]", "probe/linear[cifar10]"; and what was done with which layers,
    where that was said: "probe/finetune[cifar10; conv1=frozen]". What is damaged is passed over.
    """
    found: dict[str, tuple[float, int]] = {}
    for result in results:
        rows, images = result.get("results"), result.get("images")
        if result.get("kind") != PROBE or not isinstance(rows, list) or not isinstance(images, int):
            continue
        for row in rows:
            if not isinstance(row, dict) or row.get("layer") != ENCODER:
                continue
            accuracy = row.get("accuracy")
            if isinstance(accuracy, int | float) and math.isfinite(accuracy):
                of = "; ".join(str(part) for part in (result.get("data"), row.get("layers")) if part)
                found[f"{PROBE}/{row.get('protocol')}[{of}]"] = (float(accuracy), images)
    return found
