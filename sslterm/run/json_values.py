"""JSON as it stands in run directories: strict when written, and doubted when read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def finite(value: Any) -> Any:
    """`value` with every NaN and infinity in it replaced by None, which JSON can hold."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def parse_object(content: bytes | None) -> dict[str, Any] | None:
    """The JSON object in `content`; None where it is torn, or anything else."""
    if not content:
        return None
    try:
        table = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return table if isinstance(table, dict) else None


def number(value: Any) -> float | None:
    """A JSON value as a number, NaN for null and for what no double holds; None where it is no number."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else math.nan
    except OverflowError:
        return math.nan
