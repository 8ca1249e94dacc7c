"""Arrays on a line of JSON: {"shape": [...], "uint8" or "float32": base64 of its bytes, little-endian}."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_KINDS: Mapping[str, np.dtype[Any]] = {"uint8": np.dtype("u1"), "float32": np.dtype("<f4")}


def pack(array: NDArray[Any]) -> dict[str, Any]:
    """An array of uint8 as it is, any other as float32."""
    kind = "uint8" if array.dtype == np.uint8 else "float32"
    return {"shape": list(array.shape), kind: _text(array.astype(_KINDS[kind]))}


def unpack(packed: Mapping[str, Any]) -> NDArray[Any]:
    """What `pack` has packed.

    Raises:
        ValueError: it is not such a thing.
    """
    for kind, dtype in _KINDS.items():
        if kind in packed:
            array: NDArray[Any] = np.frombuffer(_bytes(packed[kind]), dtype=dtype)
            return array.reshape(packed["shape"]).copy()
    raise ValueError("neither uint8 nor float32 is there")


def pack_rows(rows: NDArray[Any]) -> str:
    """[N, D] numbers as the text that `unpack_rows` reads."""
    return _text(rows.astype(_KINDS["float32"]))


def unpack_rows(text: str, width: int) -> NDArray[np.float32]:
    """[N, width] float32, N >= 1.

    Raises:
        ValueError: it is not base64, or not of whole rows.
    """
    content = _bytes(text)
    if not content or width < 1 or len(content) % (4 * width):
        raise ValueError(f"{len(content)} bytes are no whole rows of {width} numbers")
    rows: NDArray[Any] = np.frombuffer(content, dtype=_KINDS["float32"])
    return rows.reshape(-1, width).astype(np.float32)


def _text(array: NDArray[Any]) -> str:
    return base64.b64encode(array.tobytes()).decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("it is not base64") from error
