"""The plane of a latent space as a field of images, with a cursor that can be moved by the mouse."""

from __future__ import annotations

from textual.message import Message

from sslterm.render.cells import Cells, fit
from sslterm.render.field import Bytes, Field, draw_field, lay_out
from sslterm.render.palette import GROUND, MUTED
from sslterm.tui.widgets.dragged import Dragged
from sslterm.tui.widgets.message import message_cells


class PlaneView(Dragged):
    """Images at even places of a plane; a frame shows where the cursor is, and may be between them."""

    class Pointed(Message):
        """A person points at a place of the plane."""

        def __init__(self, x: float, y: float) -> None:
            super().__init__()
            self.x, self.y = x, y

    def __init__(self) -> None:
        super().__init__()
        self.images: Bytes | None = None
        self.steps = 0
        self.cursor: tuple[float, float] | None = None
        self.title = ""
        self.axes = ""
        self.message = ""
        self._inset: tuple[Bytes, tuple[float, float]] | None = None
        """What is decoded at a place."""
        self._field: Field | None = None

    def show_inset(self, image: Bytes, place: tuple[float, float]) -> None:
        """Within the frame, show the image of its very place, which may be between those of the field."""
        self._inset = image, place
        self.redraw()

    @property
    def room(self) -> tuple[int, int]:
        """Columns and rows for the field."""
        width, height = self.size
        return width, height - self._above(height) - self._below(height)

    @staticmethod
    def _above(height: int) -> int:
        return 1 if height >= 4 else 0

    @staticmethod
    def _below(height: int) -> int:
        return 1 if height >= 8 else 0

    def draw(self, width: int, height: int) -> Cells:
        cells = Cells.blank(width, height)
        above, below = self._above(height), self._below(height)
        if self.images is None:
            return message_cells(self.message, width, height, MUTED if self.in_color else GROUND)
        if above:
            cells.put(fit(self.title, width), 0, 0)
        if below:
            cells.put(fit(self.axes, width), height - 1, 0, MUTED if self.in_color else GROUND)
        rows = height - above - below
        self._field = lay_out((self.images.shape[2], self.images.shape[3]), self.steps, width, rows)
        if self._field is not None:
            inset = self._inset[0] if self._inset and self._inset[1] == self.cursor else None
            drawn = draw_field(
                self.images, self._field, self.cursor, width, rows, color=self.in_color, inset=inset
            )
            cells.paste(drawn, above, 0)
        return cells

    def point_at(self, column: int, row: int) -> None:
        if self._field is not None and self.images is not None:
            pixel = 2 * (row - self._above(self.size.height)) + 1
            self.post_message(self.Pointed(*self._field.place(pixel, column + 0.5)))
