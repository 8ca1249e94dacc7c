"""The table of contents: every method, without importing any of them.

A method is listed here only when it passes the conformance suite (`tests/test_conformance.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

from sslterm.catalog import densities, implicit, pretext, representation
from sslterm.catalog.entry import USES, Capability, Entry
from sslterm.errors import UsageError, did_you_mean

__all__ = ["CATALOG", "USES", "Capability", "Entry", "find_method"]

CATALOG: Mapping[str, Entry] = {
    entry.name: entry for topic in (pretext, representation, densities, implicit) for entry in topic.ENTRIES
}


def find_method(name: str) -> Entry:
    """The catalog's entry for `name`.

    Raises:
        UsageError: no such method.
    """
    if name not in CATALOG:
        raise UsageError(f"there is no method {name!r}", did_you_mean(name, CATALOG))
    return CATALOG[name]
