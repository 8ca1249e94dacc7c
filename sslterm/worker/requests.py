"""What a worker can be asked, with every argument's type, range and default."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sslterm.config.read import parse
from sslterm.config.schema import Count, Natural
from sslterm.errors import UsageError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class Sample:
    n: Count = 64
    seed: Natural = 0
    label: str = ""
    """Number or name of a class; "" leaves it to the method."""
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
class Probe:
    protocols: tuple[str, ...] = ("knn", "linear")
    layers: tuple[str, ...] = ()
    """Names of layers, or "all"; without any, what the method's `encode` gives."""
    data: str = ""
    """Another data set, by name, or a folder."""
    seed: Natural = 0


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    n: Natural = 0
    """Held-out images, and samples; 0 takes all images and 1,000 samples."""
    samples: Natural = 0
    """Importance samples of the bound; 0 leaves it out."""
    seed: Natural = 0


Request = Sample | Traverse | Reconstruct | Probe | Evaluate
REQUESTS: Mapping[str, type[Request]] = {
    "sample": Sample,
    "traverse": Traverse,
    "reconstruct": Reconstruct,
    "probe": Probe,
    "evaluate": Evaluate,
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
    defaults = {field.name: field.default for field in dataclasses.fields(cls)}
    return parse(cls, defaults | dict(arguments), do)
