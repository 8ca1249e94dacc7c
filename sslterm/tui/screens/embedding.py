"""The embedding map: where an encoder puts held-out images, and what lies near each of them."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from textual.events import Resize

from sslterm.render.field import StripItem, as_images
from sslterm.render.map import map_panel
from sslterm.render.palette import GROUND, categorical
from sslterm.run.layout import RunDirectory
from sslterm.run.packed import unpack
from sslterm.run.worker_thread import Answer
from sslterm.tui.key import bindings
from sslterm.tui.keys import EMBEDDING_KEYS
from sslterm.tui.map_cursor import nearest_towards
from sslterm.tui.screens.explorer import ExplorerScreen, StartWorker, start_worker
from sslterm.tui.widgets.canvas import Canvas
from sslterm.tui.widgets.map_view import MapView
from sslterm.tui.widgets.strips import Strip, Strips

IMAGES = 2000
"""Held-out images on the map, as far as there are so many."""
NEIGHBOURS = 10
_NAMES = {"pca": "PCA", "tsne": "t-SNE"}


class EmbeddingScreen(ExplorerScreen):
    """Explores the embedding of a run: anything that encodes.

    Labels are looked at for colours and names only, and it is said where they are.
    """

    needs = "encode"
    lacks = "encodes nothing: it has no embedding to look at"
    key_table = EMBEDDING_KEYS
    BINDINGS = bindings(EMBEDDING_KEYS)

    def __init__(self, run: RunDirectory, start: StartWorker = start_worker) -> None:
        super().__init__(run, start)
        self.map_view = MapView()
        self.method = "pca"
        """The map that is shown, or asked for."""
        self.labels: list[int] | None = None
        """None where classes are not known."""
        self.class_names: list[str] = []
        self.dimensions = 0
        self.places: list[int] = []
        """Neighbours of the image that is shown, the nearest first."""
        self._random = random.Random(0)

    @property
    def left(self) -> Canvas:
        return self.map_view

    def on_resize(self, event: Resize) -> None:
        self.share_out(*event.size, strips=True, square=False)

    # -- what is asked, and what comes back

    def first_question(self) -> None:
        self._ask_map()

    def _ask_map(self, *, save: bool = False) -> None:
        self.ask(
            "save" if save else "map", "embed", about=self.method, method=self.method, n=IMAGES, save=save
        )

    def ask_image(self) -> None:
        """Have the image at the cursor shown, and its neighbours."""
        place = self.map_view.cursor
        self.ask("image", "neighbours", about=place, place=place, k=NEIGHBOURS, n=IMAGES)

    def answered(self, answer: Answer, result: dict[str, Any]) -> None:
        key = answer.question.key
        if key == "map" and answer.question.about == self.method:
            self._show_map(result)
            self.ask_image()
        elif key == "save":
            self.say_saved(str(result["path"]), ".npz")
        elif key == "image":
            self._show_image(answer.question.about, result)

    def _show_map(self, result: dict[str, Any]) -> None:
        panel = map_panel(result)
        self.images, self.dimensions = int(result["images"]), int(result["dimensions"])
        self.labels, self.class_names = result["labels"], list(result["class_names"])
        how = "codes" if self.method == "pca" and self.dimensions == 2 else _NAMES[self.method]
        title = f"embedding · {how} · {len(panel.array):,} held-out images"
        self.map_view.show(panel, title, min(self.map_view.cursor, len(panel.array) - 1))

    def _show_image(self, place: int, result: dict[str, Any]) -> None:
        images = as_images(unpack(result["images"]))
        self.places = [int(near) for near in result["places"]]
        self.picture.image = images[0]
        self.picture.title = f"test[{int(result['index'][0])}]{self._class_of(place)}"
        self.picture.redraw()
        items = [
            StripItem(image, self._neighbour_text(near, float(similarity)), self._tint(near))
            for near, similarity, image in zip(self.places, result["similarities"], images[1:], strict=True)
        ]
        self.strips.image = (images.shape[2], images.shape[3])
        self.strips.strips = [Strip("neighbours", self._strip_title(place), items)] if items else []
        self.strips.redraw()
        if place == self.map_view.cursor:
            self.map_view.near = self.places
            self.map_view.redraw()

    def _label_of(self, place: int) -> str:
        """The class of an image; "" where it is not known."""
        if self.labels is None:
            return ""
        label = self.labels[place]
        return self.class_names[label] if label < len(self.class_names) else str(label)

    def _class_of(self, place: int) -> str:
        return f" · class {self._label_of(place)}" if self.labels is not None else ""

    def _neighbour_text(self, place: int, similarity: float) -> str:
        return f"{self._label_of(place)} {similarity:.2f}".strip()

    def _tint(self, place: int) -> int:
        if self.labels is None or not self.map_view.in_color:
            return GROUND
        return categorical(self.labels[place])

    def _strip_title(self, place: int) -> str:
        title = f"nearest neighbours by cosine in {self.dimensions:,} dimensions"
        if self.labels is None:
            return title
        same = sum(self.labels[near] == self.labels[place] for near in self.places)
        return f"{title} · {same} of {len(self.places)} of its class (uses labels)"

    # -- what is shown

    def show_trouble(self) -> None:
        for view in (self.map_view, self.picture):
            if view.message != self.message:
                view.message = self.message
                view.redraw()

    def about(self) -> list[tuple[int, str]]:
        return [(1, f"embedding of {self.dimensions:,} dimensions" if self.dimensions else "embedding")]

    # -- what keys and the mouse do

    def go(self, place: int) -> None:
        """Put the cursor on another image."""
        self.hush()
        if place != self.map_view.cursor:
            self.map_view.cursor, self.map_view.near = place, ()
            self.map_view.redraw()
            self.ask_image()

    def action_move(self, x: int, y: int) -> None:
        """To the nearest point in a direction that is seen at another place."""
        self._towards(x, y, least=0.5)

    def action_leap(self, x: int, y: int) -> None:
        """At least an eighth of the map further, or as far as there are points."""
        if self.map_view.panel is not None:
            extent = np.ptp(self.map_view.dots(), axis=0)
            least = float(extent[0] if x else extent[1]) / 8
            if not self._towards(x, y, least=least):
                self._towards(x, y, least=0.5)

    def _towards(self, x: int, y: int, *, least: float) -> bool:
        """Whether there was a point to go to."""
        self.hush()
        if self.map_view.panel is None:
            return False
        before = self.map_view.cursor
        self.go(nearest_towards(self.map_view.dots(), before, (x, -y), least=least))
        return self.map_view.cursor != before

    def on_map_view_pointed(self, event: MapView.Pointed) -> None:
        event.stop()
        self.go(event.index)

    def on_strips_chosen(self, event: Strips.Chosen) -> None:
        event.stop()
        if event.index < len(self.places):
            self.go(self.places[event.index])

    def action_neighbour(self, number: int) -> None:
        """Go to a neighbour: 1 is the nearest."""
        if self.map_view.near and len(self.places) >= number:
            self.go(self.places[number - 1])

    def action_random(self) -> None:
        if self.map_view.panel is not None:
            self.go(self._random.randrange(len(self.map_view.panel.array)))

    def action_method(self) -> None:
        self.hush()
        if self.map_view.panel is not None:
            self.method = "tsne" if self.method == "pca" else "pca"
            self._ask_map()

    def action_save(self) -> None:
        self.hush()
        if self.map_view.panel is not None:
            self._ask_map(save=True)
