"""Panels: what is worth looking at, as data. `render` draws them; here they are only stored.

A panel is kept as `panels/<name>/<images>.npz` beside the picture `panels/<name>/<images>.png`,
where `<images>` is the number of images trained on, so that history can be scrubbed.
"""

from __future__ import annotations

import io
import json
import lzma
import math
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from sslterm.errors import DataError
from sslterm.run.files import read_file, replace_file

Kind = Literal["images", "matrix", "bars", "scatter", "curve"]

MOST_BYTES = 1 << 28
"""Larger files, and larger arrays packed into small files, are not read as panels."""


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
        points: names of the points of a curve, where they are no numbers.
        x_label, y_label: what the axes are, with units.
        x_range: where the first and the last point of a curve stand; None numbers the points from 0.
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
    points: tuple[str, ...] = ()
    x_label: str = ""
    y_label: str = ""
    x_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"unknown kind of panel {self.kind!r}")
        shape = self.array.shape
        fits = {
            "images": len(shape) == 4 and shape[1] in (1, 3),
            "matrix": len(shape) == 2,
            "bars": len(shape) == 1,
            "scatter": len(shape) == 2 and shape[1] in (2, 3),
            "curve": len(shape) == 2,
        }
        if not fits[self.kind]:
            raise ValueError(f"panel {self.name!r} of kind {self.kind} cannot have shape {shape}")


def save_panel(panel: Panel, path: Path, *, also: Mapping[str, NDArray[Any]] | None = None) -> None:
    """Write `panel` to `path` (an .npz), whole or not at all. Equal panels make equal files.

    Args:
        also: further arrays that the file is to hold for a person; `load_panel` leaves them alone.

    Raises:
        OSError: the run directory is read-only, or the disk is full.
    """
    about = {field.name: getattr(panel, field.name) for field in fields(Panel) if field.name != "array"}
    content = io.BytesIO()
    np.savez_compressed(
        content,
        array=np.asarray(panel.array, dtype=np.float32),
        about=np.frombuffer(json.dumps(about).encode(), np.uint8),
        **dict[str, Any](also or {}),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, content.getvalue())


def load_panel(path: Path) -> Panel:
    """Read a panel back. No code in the file can run: pickles are refused. What a later version added is
    ignored.

    Raises:
        DataError: the file is missing, damaged, too large, or not a panel.
    """
    content = read_file(path, most_bytes=MOST_BYTES)
    if content is None:
        raise DataError(f"cannot read the panel {path}: it is missing, or too large to be one")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            about = json.loads(_member(archive, "about").tobytes())
            array = _member(archive, "array")
            if array.dtype.kind not in "fiu":
                raise ValueError(f"its array is of type {array.dtype}")
            with np.errstate(over="ignore"):
                return Panel(array=array.astype(np.float32), **_checked(about))
    except (
        ValueError, KeyError, TypeError, AttributeError, OSError, EOFError, RuntimeError, MemoryError,
        OverflowError, zipfile.BadZipFile, zlib.error, lzma.LZMAError,
    ) as error:  # fmt: skip
        raise DataError(f"cannot read the panel {path}: {str(error) or type(error).__name__}") from error


def _member(archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    """An array of an .npz, as long as it is not larger than a panel can be."""
    if archive.getinfo(f"{name}.npy").file_size > MOST_BYTES:
        raise ValueError(f"its {name} is too large")
    array: NDArray[Any] = np.load(io.BytesIO(archive.read(f"{name}.npy")), allow_pickle=False)
    return array


def _checked(about: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a panel besides its array, all of the types they should have."""
    texts = ("name", "kind", "caption", "x_label", "y_label")
    taken = {key: str(about[key]) for key in texts if key in about}
    columns, labels, points = about.get("columns", 0), about.get("labels", []), about.get("points", [])
    if not isinstance(columns, int) or not isinstance(labels, list) or not isinstance(points, list):
        raise ValueError("its description is damaged")
    ranges: dict[str, Any] = {
        key: None if about.get(key) is None else float(about[key]) for key in ("low", "high", "center")
    }
    between = about.get("x_range")
    if between is not None:
        first, last = map(float, between)
        ranges["x_range"] = (first, last) if math.isfinite(last - first) and first != last else None
    names = {"labels": tuple(map(str, labels)), "points": tuple(map(str, points))}
    return {**taken, **ranges, **names, "columns": max(0, columns)}
