"""Whether a screen is seen."""

from __future__ import annotations

from typing import Any

from textual.screen import ModalScreen, Screen


def is_seen(screen: Screen[Any]) -> bool:
    """Whether a screen is on top, or has nothing but dialogs over it.

    Textual's `is_current` holds for whatever is directly below the top screen, too, although that covers it: what
    was drawn there would be sent to the terminal as a new drawing of the top screen.
    """
    stack = screen.app.screen_stack
    if screen not in stack:
        return False
    return all(isinstance(above, ModalScreen) for above in stack[stack.index(screen) + 1 :])
