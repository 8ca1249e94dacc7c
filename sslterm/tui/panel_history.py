"""One panel of a run through its history: the newest drawing, or one that was gone back to."""

from __future__ import annotations

from dataclasses import dataclass

from sslterm.errors import DataError
from sslterm.render.quantity import amount
from sslterm.run.panels import Panel
from sslterm.run.reader import RunReader


@dataclass(frozen=True)
class Drawing:
    """A panel as it was at some number of images: at which place (from 1) of `count`."""

    images: int
    place: int
    count: int

    @property
    def when(self) -> str:
        """For a title: "at 512 k images (3 of 4)", the place only where it is not the newest."""
        return f"at {amount(self.images)} images" + (
            f" ({self.place} of {self.count})" if self.place < self.count else ""
        )


@dataclass(frozen=True)
class Found:
    """A drawing, and the one before it, which was made at `since` ("512 k images")."""

    panel: Panel
    before: Panel | None
    since: str


class PanelHistory:
    """Which drawing of a panel is looked at; its data is read once."""

    def __init__(self, reader: RunReader, name: str) -> None:
        self.reader = reader
        self.name = name
        self._images: int | None = None
        """None follows the newest."""
        self._read: dict[int, Panel | None] = {}
        """The drawing that is shown, and the one before it."""

    @property
    def counts(self) -> list[int]:
        return self.reader.panels.get(self.name, [])

    def shown(self) -> Drawing | None:
        """What to show now; None where nothing was drawn."""
        counts = self.counts
        if not counts:
            return None
        images = self._images if self._images in counts else counts[-1]
        assert images is not None
        return Drawing(images, counts.index(images) + 1, len(counts))

    def go(self, by: int) -> None:
        """Choose the drawing `by` places later; the last one follows the training."""
        now = self.shown()
        if now is not None:
            place = min(max(now.place + by, 1), now.count)
            self._images = None if place == now.count else self.counts[place - 1]

    def go_to(self, images: int) -> None:
        """Choose the newest drawing that is not later than `images`."""
        earlier = [count for count in self.counts if count <= images] or self.counts[:1]
        self._images = None if earlier == self.counts else earlier[-1]

    def load(self) -> Found | None:
        """The drawing to show, and the one before it; None where nothing was drawn.

        Raises:
            DataError: the drawing is damaged, or gone.
        """
        now = self.shown()
        if now is None:
            return None
        wanted = self.counts[max(now.place - 2, 0) : now.place]
        self._read = {
            images: self._read.get(images) or self._load(images, needed=images == now.images)
            for images in wanted
        }
        shown = self._read[now.images]
        assert shown is not None
        before = self._read[wanted[0]] if len(wanted) > 1 else None
        return Found(shown, before, f"{amount(wanted[0])} images" if before is not None else "")

    def _load(self, images: int, *, needed: bool) -> Panel | None:
        try:
            return self.reader.panel(self.name, images)
        except DataError:
            if needed:
                raise
            return None

    def picture(self) -> str:
        """Where the picture of the drawing lies; "" where it does not (yet)."""
        now = self.shown()
        if now is None:
            return ""
        try:
            path = self.reader.panel_png(self.name, now.images)
        except DataError:
            return ""
        return str(path) if path.exists() else ""
