"""Keys, and what their table is turned into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.binding import Binding


@dataclass(frozen=True)
class Key:
    """Keys that do one thing.

    Attributes:
        keys: as Textual names them, comma-separated; "" for keys that a widget takes by itself.
        action: of the screen.
        sign: what is printed on the keys.
        label: in the footer, short; "" leaves it out there.
        help: in the help, a sentence; "" where the key before it says it all.
    """

    keys: str
    action: str
    sign: str
    label: str
    help: str


def bindings(keys: Sequence[Key]) -> list[Binding | tuple[str, str] | tuple[str, str, str]]:
    """What Textual wants to know; all keys work on top of its own."""
    return [
        Binding(one, key.action, key.help, show=False, priority=True)
        for key in keys
        for one in key.keys.split(",")
        if one
    ]


def keys_of(screen: object) -> Sequence[Key]:
    """The keys that a screen has in this file: those its footer is made of."""
    bar = getattr(screen, "key_bar", None)
    found: Sequence[Key] = getattr(bar, "all_keys", ())
    return found
