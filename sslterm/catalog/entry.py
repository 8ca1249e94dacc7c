"""What the catalog says of a method."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Capability = Literal[
    "encode", "sample", "reconstruct", "decode", "decode_class", "log_prob", "complete", "colorize", "track",
    "predict",
]  # fmt: skip

USES: Final[Mapping[Capability, str]] = {
    "sample": "sample", "decode": "traverse", "decode_class": "traverse", "reconstruct": "reconstruct",
    "complete": "complete", "colorize": "colorize", "track": "track", "predict": "predict", "encode": "probe",
}  # fmt: skip
"""What can be done with a trained method: the command for a capability."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One method of the catalog."""

    name: str
    """Catalog key = file name (with `-` for `_`) = preset folder = test id."""
    topic: Literal["pretext", "representation", "generative"]
    family: str
    """Where the method stands in its topic, e.g. "explicit, approximate"."""
    title: str
    authors: str
    year: int
    paper: str
    """arXiv identifier, DOI or address of the paper."""
    target: str
    """"module:Class", imported only when the method is built."""
    capabilities: tuple[Capability, ...]
    headline: str
    """The metric to watch, as it is named in metrics.jsonl."""
    unit: str
    """Its unit, and what kind of number it is."""
    opens_on: tuple[str, ...]
    """Panels worth seeing first."""
    curves: tuple[str, ...] = ()
    """Quantities whose curves are worth seeing next to the headline, before its losses and all else, as their
    metrics are named behind the "/"."""
    uses_labels: bool = False
    """Whether the method may look at labels (evaluations always may)."""
