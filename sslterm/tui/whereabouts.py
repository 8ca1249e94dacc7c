"""Where a person is in a latent space, and the ways to go on from there."""

from __future__ import annotations

import numpy as np

from sslterm.tui.latent_plane import Axis, Code, Plane, Space, next_direction, step_place

FINER = 8
"""A fine step is this part of a grid step."""


class Whereabouts:
    """A code, and two directions that span the plane through it.

    Moving on the plane does not change it; everything else (a random code, an image's) gives another plane. What
    cannot be done is said by the text that comes back; "" means that it was done.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.z: Code = space.origin
        self.whose = self._middle
        """Where the code comes from; "" where it was moved to."""
        self.family = "dimensions"
        self.chosen = (0, 1)
        """Which directions of the family span the plane."""
        self._draws = 0

    @property
    def _middle(self) -> str:
        return "middle of the prior" if self.space.prior == "normal" else "mean of the codes"

    @property
    def axes(self) -> tuple[Axis, ...]:
        """All directions of the family."""
        return self.space.families[self.family]

    @property
    def plane(self) -> Plane:
        x, y = self.chosen
        return Plane(self.axes[x], self.axes[y])

    @property
    def place(self) -> tuple[float, float]:
        """Where the code lies on its plane."""
        return self.plane.place(self.z)

    def follow(self, space: Space) -> bool:
        """Take another checkpoint's space; whether the code is still one of it."""
        same = space.dimensions == self.space.dimensions
        self.space = space
        if not same or self.family not in space.families:
            self.family, self.chosen = "dimensions", (0, 1)
        if not same:
            self.origin()
        return same

    def go(self, z: Code, whose: str = "") -> None:
        self.z, self.whose = z, whose

    def point(self, x: float, y: float) -> None:
        """Go to a place of the plane."""
        self.go(self.plane.move(self.z, x, y))

    def step(self, x: float, y: float, steps: int) -> None:
        """Move by grid steps of a plane of steps x steps places."""
        at_x, at_y = self.place
        self.point(step_place(at_x, x, steps) if x else at_x, step_place(at_y, y, steps) if y else at_y)

    def origin(self) -> None:
        """Go to the middle of the space."""
        self.go(self.space.origin, self._middle)

    def random(self) -> str:
        """Go to the next draw from the prior."""
        if self.space.prior != "normal":
            return "there is no prior to draw from; e takes the code of a held-out image"
        self.go(self.space.draw(self._draws), f"a draw from the prior (seed {self._draws})")
        self._draws += 1
        return ""

    def turn(self, axis: int, by: int) -> str:
        """Take another direction for the x axis (0) or the y axis (1)."""
        if self.space.dimensions <= 2:
            return "all dimensions of this latent space are shown already"
        x, y = self.chosen
        count = len(self.axes)
        self.chosen = (
            (next_direction(x, y, by, count), y) if axis == 0 else (x, next_direction(y, x, by, count))
        )
        return ""

    def switch(self) -> str:
        """Go over from latent dimensions to principal directions of the codes, or back."""
        if "principal" not in self.space.families:
            if self.space.dimensions <= 2:
                return "all dimensions of this latent space are shown already"
            return "there are no principal directions: nothing encodes images into this latent space"
        self.family = "principal" if self.family == "dimensions" else "dimensions"
        self.chosen = (0, 1)
        return ""

    @property
    def plane_id(self) -> object:
        """Equal for all codes of the same plane."""
        across = self.plane.move(self.z, 0.5, 0.5)
        return (self.family, self.chosen, np.round(across, 6).tobytes())
