"""Features that `embed` wrote, read back, so that nothing has to be encoded again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sslterm.errors import DataError, UsageError
from sslterm.worker.feature_files import Part, check_ending, parquet_library

ROWS = 1 << 14
"""Of a part."""


@dataclass(frozen=True)
class Kept:
    """What a file of features holds.

    Attributes:
        features: float32 [N, D].
        held_out: bool [N].
        about: as `embed` says it: run, images, layer, data, class_names.
    """

    features: NDArray[np.float32]
    held_out: NDArray[np.bool_]
    about: dict[str, Any]

    def splits(self) -> list[str]:
        """Those that have rows."""
        return [
            name for name, any_ in (("train", ~self.held_out), ("test", self.held_out)) if bool(any_.any())
        ]

    def parts(self, splits: Sequence[str]) -> Iterator[Part]:
        """The rows of splits, one split after the other."""
        for name in splits:
            rows = np.flatnonzero(self.held_out == (name == "test"))
            for start in range(0, len(rows), ROWS):
                yield Part(self.features[rows[start : start + ROWS]], {})


def read_features(path: Path) -> Kept:
    """What is in a file that `embed` wrote.

    Raises:
        UsageError: its ending is of no such file, or what reads it is not installed.
        DataError: it is missing, damaged, or of another program.
    """
    check_ending(path)
    if not path.is_file():
        raise DataError(f"{path}: there is no such file", "sslterm embed writes one")
    read = {".npz": _of_npz, ".safetensors": _of_safetensors, ".parquet": _of_parquet}[path.suffix.lower()]
    try:
        features, held_out, text = read(path)
        about = json.loads(text)
        kept = Kept(np.asarray(features, np.float32), np.asarray(held_out, np.bool_), dict(about))
    except UsageError:
        raise
    except Exception as error:  # each format has its own, and none of them is of a file that `embed` wrote
        raise DataError(f"{path} cannot be read as features: {error}".splitlines()[0]) from error
    if kept.features.ndim != 2 or kept.held_out.shape != kept.features.shape[:1]:
        raise DataError(f"{path} cannot be read as features: its arrays do not go together")
    return kept


def require_of(kept: Kept, path: Path, *, run: str, images: int, data: str, lengths: dict[str, int]) -> None:
    """Refuse features that are not those of a checkpoint's `encode` over some data.

    Args:
        lengths: of the splits that are looked at.

    Raises:
        UsageError: they are of another run, checkpoint, layer or data.
    """
    about = kept.about
    for what, is_, ought, instead in (
        ("of the run", about.get("run"), run, "write them anew"),
        ("of the checkpoint after", about.get("images"), images, "write them anew, or name it with --checkpoint"),
        ("of the layer", about.get("layer"), "encoding", "write them without --layer"),
        ("of", about.get("data"), data, "name the same with --data"),
    ):  # fmt: skip
        if is_ != ought:
            raise UsageError(f"{path.name} holds features {what} {is_}, not {ought}", instead)
    for name, length in lengths.items():
        rows = int((kept.held_out == (name == "test")).sum())
        if rows != length:
            raise UsageError(
                f"{path.name} holds features of {rows:,} {name} images, and {data} has {length:,}",
                "write them anew",
            )


def _of_npz(path: Path) -> tuple[Any, Any, str]:
    with np.load(path, allow_pickle=False) as archive:
        return archive["features"], archive["held_out"], str(archive["about"])


def _of_safetensors(path: Path) -> tuple[Any, Any, str]:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return file.get_tensor("features"), file.get_tensor("held_out"), file.metadata()["about"]


def _of_parquet(path: Path) -> tuple[Any, Any, str]:
    table = parquet_library()[1].read_table(path, columns=["features", "held_out"])
    column = table["features"].combine_chunks()
    features = column.flatten().to_numpy().reshape(len(column), -1)
    return features, table["held_out"].to_numpy(), table.schema.metadata[b"about"].decode()
