"""Features of images as files that others read, written a part at a time: .npz, .safetensors and .parquet.

What is in them, by name:

- features: float32 [N, D]
- label: int64 [N], -1 where unknown
- held_out: bool [N], whether an image belongs to the held-out split
- index: int64 [N], its position in its split
- file: [N] text, where the images come from files (not in .safetensors, which holds no text)
- about: a JSON object: run, method, layer, data, images (trained on), class_names; in .safetensors and .parquet
  it is the metadata
"""

from __future__ import annotations

import json
import os
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sslterm.errors import UsageError
from sslterm.run.files import draft_of


@dataclass(frozen=True)
class Part:
    """Some consecutive rows.

    Attributes:
        features: float32 [n, D].
        columns: the others, [n] each, by name.
    """

    features: NDArray[np.float32]
    columns: Mapping[str, NDArray[Any]]


def write_features(path: Path, rows: int, parts: Iterator[Part], about: Mapping[str, Any]) -> int:
    """Write all parts to `path`, whole or not at all; the number of dimensions is returned.

    Args:
        rows: of all parts together; at least one.

    Raises:
        UsageError: the ending of `path` is not known, or what writes it is not installed.
        OSError: it cannot be written.
    """
    write = _writer_of(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = draft_of(path)
    try:
        dimensions = write(draft, rows, parts, json.dumps(about))
        os.replace(draft, path)
    except BaseException:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise
    return dimensions


def check_ending(path: Path) -> None:
    """Raise UsageError where `write_features` would."""
    _writer_of(path)


def _writer_of(path: Path) -> Callable[[Path, int, Iterator[Part], str], int]:
    writers = {".npz": _write_npz, ".safetensors": _write_safetensors, ".parquet": _write_parquet}
    write = writers.get(path.suffix.lower())
    if write is None:
        raise UsageError(
            f"{path.name}: features are written as {', '.join(writers)}", "end --out in one of them"
        )
    if write is _write_parquet:
        parquet_library()
    return write


def _write_npz(path: Path, rows: int, parts: Iterator[Part], about: str) -> int:
    columns: dict[str, list[NDArray[Any]]] = {}
    dimensions = 0
    with zipfile.ZipFile(path, "x", allowZip64=True) as archive:
        with archive.open("features.npy", "w", force_zip64=True) as file:
            for part in parts:
                if not dimensions:
                    dimensions = part.features.shape[1]
                    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, dimensions)}
                    np.lib.format.write_array_header_1_0(file, header)
                file.write(np.ascontiguousarray(part.features, "<f4").data)
                _collect(columns, part)
        for name, values in columns.items():
            with archive.open(f"{name}.npy", "w") as file:
                _write_array(file, _as_text(np.concatenate(values)))
        with archive.open("about.npy", "w") as file:
            _write_array(file, np.array(about))
    return dimensions


def _write_array(file: IO[bytes], array: NDArray[Any]) -> None:
    np.lib.format.write_array(file, array, allow_pickle=False)


def _as_text(values: NDArray[Any]) -> NDArray[Any]:
    return values.astype(np.str_) if values.dtype == object else values


def _write_safetensors(path: Path, rows: int, parts: Iterator[Part], about: str) -> int:
    """The format: the header's length, the header, all bytes (https://huggingface.co/docs/safetensors)."""
    columns: dict[str, list[NDArray[Any]]] = {}
    first = next(parts)
    dimensions = int(first.features.shape[1])
    sizes: dict[str, tuple[str, list[int], int]] = {
        "features": ("F32", [rows, dimensions], 4 * rows * dimensions)
    }
    kinds = {"int64": ("I64", 8), "bool": ("BOOL", 1)}
    for name, values in first.columns.items():
        if values.dtype != object:
            kind, width = kinds[values.dtype.name]
            sizes[name] = (kind, [rows], width * rows)
    header: dict[str, Any] = {"__metadata__": {"about": about}}
    at = 0
    for name, (kind, shape, length) in sizes.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + length]}
        at += length
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "xb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for part in _again(first, parts):
            file.write(np.ascontiguousarray(part.features, "<f4").data)
            _collect(columns, part)
        for name in list(sizes)[1:]:
            file.write(np.ascontiguousarray(np.concatenate(columns[name])).data)
    return dimensions


def _write_parquet(path: Path, rows: int, parts: Iterator[Part], about: str) -> int:
    arrow, parquet = parquet_library()
    first = next(parts)
    dimensions = int(first.features.shape[1])

    def table_of(part: Part) -> Any:
        features = arrow.FixedSizeListArray.from_arrays(arrow.array(part.features.ravel()), dimensions)
        columns = {name: arrow.array(column) for name, column in part.columns.items()}
        return arrow.table({"features": features, **columns}).replace_schema_metadata({"about": about})

    table = table_of(first)
    with open(path, "xb") as file, parquet.ParquetWriter(file, table.schema) as writer:
        writer.write_table(table)
        for part in parts:
            writer.write_table(table_of(part))
    return dimensions


def _again(first: Part, rest: Iterator[Part]) -> Iterator[Part]:
    yield first
    yield from rest


def _collect(columns: dict[str, list[NDArray[Any]]], part: Part) -> None:
    for name, values in part.columns.items():
        columns.setdefault(name, []).append(values)


def parquet_library() -> tuple[Any, Any]:
    """pyarrow and pyarrow.parquet.

    Raises:
        UsageError: they are not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UsageError(
            ".parquet needs pyarrow, which is not installed",
            "pip install 'sslterm[parquet]', or take .npz or .safetensors",
        ) from error
    return pyarrow, pyarrow.parquet
