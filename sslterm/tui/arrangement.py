"""Which tiles a person wants to see of a method's runs, and in which order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

CHART, PANEL = "chart:", "panel:"
"""How keys of tiles begin."""


@dataclass(frozen=True)
class Arrangement:
    """Changes to the order that a run's tiles have of themselves.

    Attributes:
        first: keys that come before all others, in this order.
        hidden: keys that are not shown.
    """

    first: tuple[str, ...] = ()
    hidden: frozenset[str] = frozenset()

    def of(self, keys: Iterable[str]) -> list[str]:
        """Those of `keys` that are shown, in order."""
        shown = [key for key in keys if key not in self.hidden]
        return [key for key in self.first if key in shown] + [key for key in shown if key not in self.first]

    def moved(self, key: str, by: int, among: Sequence[str]) -> Arrangement:
        """`key` moved by a number of places among those of its kind that are shown."""
        order = self.of(among)
        if key not in order:
            return self
        place = min(max(order.index(key) + by, 0), len(order) - 1)
        order.remove(key)
        order.insert(place, key)
        others = [other for other in self.first if other not in order]
        return replace(self, first=(*others, *order))

    def swapped(self, key: str, other: str, among: Sequence[str]) -> Arrangement:
        """Two of those of a kind that are shown in each other's place."""
        order = self.of(among)
        if key not in order or other not in order:
            return self
        at, there = order.index(key), order.index(other)
        order[at], order[there] = other, key
        others = [one for one in self.first if one not in order]
        return replace(self, first=(*others, *order))

    def without(self, key: str) -> Arrangement:
        return replace(self, hidden=self.hidden | {key})

    def with_(self, key: str) -> Arrangement:
        return replace(self, hidden=self.hidden - {key})

    def table(self) -> dict[str, list[str]]:
        """As it is stored."""
        return {"first": list(self.first), "hidden": sorted(self.hidden)}


def read_arrangement(table: Any) -> Arrangement:
    """What `table()` gave; what is no arrangement is the one that changes nothing."""
    if not isinstance(table, Mapping):
        return Arrangement()
    first, hidden = (table.get(name, []) for name in ("first", "hidden"))
    known = [value for value in (first, hidden) if isinstance(value, list)]
    if len(known) != 2 or not all(isinstance(key, str) for value in known for key in value):
        return Arrangement()
    return Arrangement(tuple(dict.fromkeys(first)), frozenset(hidden))
