"""Which panel of a run is looked at, and as it was when."""

from __future__ import annotations

from dataclasses import dataclass

from sslterm.render.quantity import amount
from sslterm.run.reader import RunReader
from sslterm.tui.facts import entry_of


@dataclass(frozen=True)
class Shown:
    """One drawing of a panel: made at how many images, at which place (from 1) of `count`."""

    name: str
    images: int
    place: int
    count: int

    @property
    def when(self) -> str:
        """For a title: "at 512 k images (3 of 4)", the place only where it is not the newest."""
        return f"at {amount(self.images)} images" + (
            f" ({self.place} of {self.count})" if self.place < self.count else ""
        )


class PanelChoice:
    """The panel most worth seeing, until one is chosen; its newest drawing, until one goes back in time."""

    def __init__(self, reader: RunReader) -> None:
        self.reader = reader
        self._name = ""
        """"" follows the panel most worth seeing."""
        self._images: int | None = None
        """None follows the newest drawing."""

    def names(self) -> list[str]:
        """Panels that there are, those that the method opens on before the others."""
        entry = entry_of(self.reader.config)
        made = [name for name, history in self.reader.panels.items() if history]
        first = [name for name in (entry.opens_on if entry else ()) if name in made]
        return first + sorted(set(made) - set(first))

    def shown(self) -> Shown | None:
        """What to show now; None where there are no panels."""
        names = self.names()
        if not names:
            return None
        name = self._name if self._name in names else names[0]
        history = self.reader.panels[name]
        images = self._images if self._images in history else history[-1]
        assert images is not None
        return Shown(name, images, history.index(images) + 1, len(history))

    def turn(self, by: int) -> None:
        """Choose the panel `by` places further; its newest drawing."""
        now = self.shown()
        if now is not None:
            names = self.names()
            self._name, self._images = names[(names.index(now.name) + by) % len(names)], None

    def go(self, by: int) -> None:
        """Choose the drawing `by` places later; the last one follows the training."""
        now = self.shown()
        if now is not None:
            place = min(max(now.place + by, 1), now.count)
            self._name = now.name
            self._images = None if place == now.count else self.reader.panels[now.name][place - 1]
