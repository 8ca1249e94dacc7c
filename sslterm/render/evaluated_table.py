"""A table of what `sslterm evaluate` has found of several runs, whatever it measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sslterm.run.results import Evaluated

UNTRAINED = "untrained"
SIGNS: Mapping[str, str] = {"higher": "↑", "lower": "↓", "": ""}
"""Which way is better, behind the name of a figure."""


@dataclass(frozen=True)
class Judged:
    """A run of a comparison.

    Attributes:
        place: its colour, line style and letter stay with it.
        figures: by their keys, as a reader has them.
        data: the images that it was measured on, as far as its configuration says: "mnist, 28 pixels".
    """

    place: int
    name: str
    figures: Mapping[str, Evaluated]
    data: str = ""


@dataclass(frozen=True)
class EvaluatedTable:
    """Figures of runs that may stand beside each other.

    Attributes:
        title: what all of them have in common.
        header: "", then the names of columns.
        rows: the first cell says of what; what belongs to the run above begins with a space.
        places: of the run of each row; None of a baseline that is no run.
        words: names of columns that hold words, and so stand at the left.
    """

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    places: tuple[int | None, ...]
    words: frozenset[str] = frozenset()

    @property
    def numbers(self) -> frozenset[str]:
        """Names of columns that hold numbers."""
        return frozenset(self.header[1:]) - self.words


def evaluated_markdown(table: EvaluatedTable) -> str:
    """A table for a document."""
    rules = [":-", *("-:" if name in table.numbers else ":-" for name in table.header[1:])]
    lines = [table.header, rules, *table.rows]
    text = "\n".join(f"| {' | '.join(cell.strip() for cell in line)} |" for line in lines)
    return f"{table.title}:\n\n{text}\n"
