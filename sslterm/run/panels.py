"""Panels: what is worth looking at, as data. `render` draws them; here they are only stored.

A panel is kept as `panels/<name>/<images>.npz` beside the picture `panels/<name>/<images>.png`,
where `<images>` is the number of images trained on, so that history can be scrubbed.
"""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sslterm.errors import DataError

Kind = Literal["images", "matrix", "bars", "scatter", "curve"]


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One picture, as data.

    What `array` holds depends on `kind`:

    - images: [N, C, H, W] float in [0, 1], C = 1 or 3, laid out row by row, `columns` a row
    - matrix: [rows, columns] float
    - bars: [N] float, one bar each, named by `labels` or numbered
    - scatter: [N, 2] or [N, 3] float: x, y and an integer class for the colour
    - curve: [K, N] float: K series over N points; `labels` names the series

    Attributes:
        name: file-safe, e.g. "latent-plane".
        caption: what it shows, with unit, number and seed ("64 held-out images, seed 0").
        columns: images a row; 0 lets the renderer choose (near square).
        low, high: range of the values; None takes the data's own.
        center: value of the neutral colour of a diverging map; None means a sequential map.
        labels: names of bars, series, classes, or of the columns of an image grid.
        x_label, y_label: what the axes are, with units.
    """

    name: str
    kind: Kind
    array: NDArray[np.float32]
    caption: str = ""
    columns: int = 0
    low: float | None = None
    high: float | None = None
    center: float | None = None
    labels: tuple[str, ...] = ()
    x_label: str = ""
    y_label: str = ""

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"unknown kind of panel {self.kind!r}")
        dimensions = {"images": (4,), "matrix": (2,), "bars": (1,), "scatter": (2,), "curve": (2,)}[self.kind]
        if self.array.ndim not in dimensions:
            raise ValueError(f"panel {self.name!r} of kind {self.kind} cannot have shape {self.array.shape}")


def save_panel(panel: Panel, path: Path) -> None:
    """Write `panel` to `path` (an .npz), whole or not at all."""
    about = {
        "name": panel.name, "kind": panel.kind, "caption": panel.caption, "columns": panel.columns,
        "low": panel.low, "high": panel.high, "center": panel.center,
        "labels": list(panel.labels), "x_label": panel.x_label, "y_label": panel.y_label,
    }  # fmt: skip
    array = np.asarray(panel.array, dtype=np.float32)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".tmp-", suffix=".npz")
    try:
        with os.fdopen(descriptor, "wb") as file:
            np.savez_compressed(file, array=array, about=np.frombuffer(json.dumps(about).encode(), np.uint8))
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def load_panel(path: Path) -> Panel:
    """Read a panel back. No code in the file can run: pickles are refused.

    Raises:
        DataError: the file is missing, damaged, or not a panel.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            about: Mapping[str, object] = json.loads(archive["about"].tobytes().decode())
            fields = {key: value for key, value in about.items() if key in Panel.__dataclass_fields__}
            fields["labels"] = tuple(fields.get("labels", ()))  # type: ignore[arg-type]
            return Panel(array=archive["array"], **fields)  # type: ignore[arg-type]
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise DataError(f"cannot read the panel {path}: {error}") from error
