"""The latent explorer: a plane of a latent space, what is decoded at the cursor, pins and paths between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from textual.events import Resize

from sslterm.render.field import as_images
from sslterm.run.layout import RunDirectory
from sslterm.run.packed import pack_rows, unpack, unpack_rows
from sslterm.run.worker_thread import Answer
from sslterm.tui.key import bindings
from sslterm.tui.keys import LATENT_KEYS
from sslterm.tui.latent_plane import Space, field_steps, read_space
from sslterm.tui.latent_words import axes_line, code_lines, code_title, plane_title, space_parts
from sslterm.tui.pins import STEPS, Path, Pins
from sslterm.tui.screens.explorer import ExplorerScreen, StartWorker, start_worker
from sslterm.tui.whereabouts import FINER, Whereabouts
from sslterm.tui.widgets.canvas import Canvas
from sslterm.tui.widgets.plane_view import PlaneView
from sslterm.tui.widgets.strips import Strips

_FIELD_SIDE = 32
_PIN_SIDE = 64
"""Pixels a side that images of the field and of pins are sent with, at most."""


class LatentScreen(ExplorerScreen):
    """Explores the latent space of a run: anything that decodes.

    The field is asked for once for each plane; the cursor's own code is decoded live, the newest one first.
    """

    needs = "decode"
    lacks = "decodes nothing: it has no latent space to move in"
    key_table = LATENT_KEYS
    BINDINGS = bindings(LATENT_KEYS)

    def __init__(self, run: RunDirectory, start: StartWorker = start_worker) -> None:
        super().__init__(run, start)
        self.plane_view = PlaneView()
        self.strips.hint = "space pins what the cursor shows; i interpolates between pins"
        self.here: Whereabouts | None = None
        """None until the worker has described the space."""
        self.pins = Pins()
        self.fine = False
        self._example = -1
        """Number of the held-out image that was shown last."""
        self._field_of: object = None
        """What the field was last asked for."""

    @property
    def left(self) -> Canvas:
        return self.plane_view

    def on_resize(self, event: Resize) -> None:
        self.give_room()

    def give_room(self) -> None:
        """Give each widget its room."""
        self.share_out(*self.size, strips=len(self.pins) > 0, square=True)
        self.call_after_refresh(self.ask_field)
        self.call_after_refresh(self.show_strips)

    # -- what is asked, and what comes back

    def first_question(self) -> None:
        self._field_of = None
        self.ask("explore", "explore")

    def answered(self, answer: Answer, result: dict[str, Any]) -> None:
        key, about = answer.question.key, answer.question.about
        if key == "explore":
            self.enter(read_space(result), int(result["images"]))
        elif key == "code":
            self._take_code(result)
        else:
            images = as_images(unpack(result["images"]))
            if key == "cursor":
                place, self.picture.title, self.picture.lines = about
                self.picture.image = images[0]
                self.picture.redraw()
                self.plane_view.show_inset(images[0], place)
            elif key == "field" and about is self._field_of:
                self.plane_view.images, self.plane_view.steps = images, round(len(images) ** 0.5)
                self.show_plane()
            elif key == "pins":
                self.pins.fill(about, images)
                self.show_strips()
            elif key == "path" and about == self.pins.names:
                saved = str(result["path"] or "")
                words = f"saved as {saved.rpartition('/')[2]}, .gif, .npz" if saved else ""
                z = unpack(result["z"]).astype(np.float64)
                self.pins.path = Path(about, str(result["kind"]), z, images, words)
                self.show_strips()
                if saved:
                    self.say_saved(saved, ".gif, .npz")

    def enter(self, space: Space, images: int) -> None:
        """Begin at the middle of a space, or stay where one was in it under another checkpoint."""
        self.images = images
        if self.here is None:
            self.here = Whereabouts(space)
        elif not self.here.follow(space):
            self.pins = Pins()
        self.pins.path = None
        self.strips.image = (space.shape[1], space.shape[2])
        if self.pins:
            self.ask_pins()
        self.give_room()
        self.ask_cursor()

    def _take_code(self, result: dict[str, Any]) -> None:
        if self.here is not None:
            self._example = int(result["place"])
            z = unpack_rows(result["z"], self.here.space.dimensions)[0].astype(np.float64)
            name = f", class {result['class_name']} (uses labels)" if result["class_name"] else ""
            self.here.go(z, f"test[{int(result['index'])}]{name}")
            self.moved()

    def ask_cursor(self) -> None:
        """Have the code at the cursor decoded."""
        here = self.here
        if here is not None:
            title = code_title(here.space, here.plane, here.z, here.whose)
            lines = code_lines(here.space, here.plane, here.axes, here.z)
            self.ask("cursor", "decode", about=(here.place, title, lines), z=pack_rows(here.z[None]))

    def ask_field(self) -> None:
        """Have the plane decoded, where it, or the room for it, is another one than before."""
        width, rows = self.plane_view.room
        if self.here is None or not self.plane_view.display or width < 4 or rows < 2:
            return
        steps = field_steps(self.here.space.shape[1:], width - 2, 2 * rows - 2)
        wanted = (steps, self.here.plane_id)
        if wanted != self._field_of:
            self._field_of = wanted
            z = pack_rows(self.here.plane.grid(self.here.z, steps))
            self.ask("field", "decode", about=wanted, z=z, side=_FIELD_SIDE)

    def ask_pins(self) -> None:
        z = pack_rows(self.pins.codes)
        self.ask("pins", "decode", about=self.pins.names, z=z, side=_PIN_SIDE)

    # -- what is shown

    def show_plane(self) -> None:
        view, here = self.plane_view, self.here
        if here is not None:
            view.title = plane_title(here.space, here.plane)
            view.axes = axes_line(here.plane) + (" · fine steps" if self.fine else "")
            view.cursor = here.place
        view.redraw()

    def show_strips(self) -> None:
        width, height = self.strips.size
        self.strips.strips = self.pins.strips(width, self.strips.rows_of_images(height))
        self.strips.redraw()

    def show_trouble(self) -> None:
        for view in (self.plane_view, self.picture):
            if view.message != self.message:
                view.message = self.message
                view.redraw()

    def about(self) -> list[tuple[int, str]]:
        return space_parts(self.here.space, self.here.family) if self.here else [(1, "latent space")]

    # -- what keys and the mouse do

    def moved(self) -> None:
        """Show where one is now."""
        self.show_plane()
        self.ask_cursor()
        self.ask_field()

    def _done(self, refusal: str) -> None:
        self.say(refusal) if refusal else self.moved()

    def action_move(self, x: float, y: float) -> None:
        """Move by pictures of the plane, or by fine steps."""
        part = FINER if self.fine else 1
        self._step(x / part, y / part)

    def action_finely(self, x: int, y: int) -> None:
        self._step(x / FINER, y / FINER)

    def _step(self, x: float, y: float) -> None:
        self.hush()
        if self.here is not None:
            self.here.step(x, y, max(self.plane_view.steps, 3))
            self.moved()

    def action_fine(self) -> None:
        self.hush()
        self.fine = not self.fine
        self.show_plane()

    def on_plane_view_pointed(self, event: PlaneView.Pointed) -> None:
        event.stop()
        self.hush()
        if self.here is not None:
            self.here.point(event.x, event.y)
            self.moved()

    def action_random(self) -> None:
        self.hush()
        if self.here is not None:
            self._done(self.here.random())

    def action_origin(self) -> None:
        self.hush()
        if self.here is not None:
            self.here.origin()
            self.moved()

    def action_example(self) -> None:
        self.hush()
        if self.here is not None:
            if self.here.space.codes:
                self.ask("code", "code", place=self._example + 1)
            else:
                self.say("nothing encodes images into this latent space; r draws from the prior")

    def action_direction(self, axis: int, by: int) -> None:
        """Another direction for an axis; the code stays, and the plane is turned."""
        self.hush()
        if self.here is not None:
            self._done(self.here.turn(axis, by))

    def action_family(self) -> None:
        self.hush()
        if self.here is not None:
            self._done(self.here.switch())

    def action_pin(self) -> None:
        self.hush()
        if self.pins.full:
            self.say(f"there are {len(self.pins)} pins already; backspace takes the last one away")
        elif self.here is not None:
            self.pins.add(self.here.z)
            self.ask_pins()
            self.give_room()

    def action_unpin(self) -> None:
        self.hush()
        self.pins.drop()
        self.give_room()

    def action_next_pin(self) -> None:
        self.hush()
        if self.here is not None and self.pins:
            pin = self.pins.after(self.here.z)
            self.here.go(pin.z, f"pin {pin.name}")
            self.moved()

    def on_strips_chosen(self, event: Strips.Chosen) -> None:
        event.stop()
        width, height = self.strips.size
        codes = self.pins.shown_codes(width, self.strips.rows_of_images(height))
        if self.here is not None and event.index < len(codes):
            self.hush()
            self.here.go(*codes[event.index])
            self.moved()

    def action_save(self) -> None:
        self.action_interpolate(save=True)

    def action_interpolate(self, save: bool = False) -> None:
        """Have the path through the pins decoded, and perhaps saved."""
        self.hush()
        if len(self.pins) < 2:
            self.say("a path needs two pins: space pins the code at the cursor")
            return
        names, z = self.pins.names, pack_rows(self.pins.codes)
        self.ask("path", "interpolate", about=names, z=z, steps=STEPS, names=list(names), save=save)
