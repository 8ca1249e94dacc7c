"""Where one is in a latent space, in words and numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sslterm.tui.latent_plane import HIGH, LOW, Axis, Code, Plane, Space

_MOST_LINES = 8


def plane_title(space: Space, plane: Plane) -> str:
    """What the plane is: "latent plane · z1 x z2 · normal quantiles 0.01-0.99"."""
    axes = f"{plane.x.name} x {plane.y.name}" if plane.y.name else plane.x.name
    scale = "normal quantiles" if plane.x.quantiles is None else f"quantiles of {space.codes:,} codes"
    return f"latent plane · {axes} · {scale} {LOW:g}-{HIGH:g}"


def axes_line(plane: Plane) -> str:
    """How far both axes reach."""
    parts = []
    for sign, axis in (("→", plane.x), ("↑", plane.y)):
        if axis.name:
            low, high = axis.ends
            parts.append(f"{sign} {axis.name} from {low:.2f} to {high:.2f}")
    return " · ".join(parts)


def code_title(space: Space, plane: Plane, z: Code, whose: str) -> str:
    """What is decoded: "decoded at z = (-0.82, 1.34)", or the two coordinates of the plane, and whose code it is."""
    axes = [axis for axis in (plane.x, plane.y) if axis.name]
    if space.dimensions <= 2:
        at = "z = (" + ", ".join(f"{float(z @ axis.vector):.2f}" for axis in axes) + ")"
    elif whose:  # the coordinates stand in the lines below
        return f"decoded · {whose}"
    else:
        at = ", ".join(f"{short_name(axis)} = {float(z @ axis.vector):.2f}" for axis in axes)
    return f"decoded at {at}" + (f" · {whose}" if whose else "")


def code_lines(space: Space, plane: Plane, axes: Sequence[Axis], z: Code) -> list[str]:
    """Coordinates with their quantiles: of the plane's axes, then of the most important other directions."""
    first = [plane.x, plane.y]
    others = [axis for axis in axes if axis is not plane.x and axis is not plane.y]
    lines = []
    named = [axis for axis in first + others if axis.name][:_MOST_LINES]
    wide = max(len(short_name(axis)) for axis in named)
    for axis in named:
        value = float(z @ axis.vector)
        sign = "→" if axis is plane.x else "↑" if axis is plane.y else " "
        lines.append(
            f"{sign} {short_name(axis):<{wide}} {value:7.2f}   quantile {axis.quantile(value):.3f} "
            f"{_bar(axis.quantile(value))}"
        )
    if space.prior == "normal" and space.dimensions > 2:
        length, typical = float(np.linalg.norm(z)), space.dimensions**0.5
        lines.insert(2, f"  |z| {length:.2f}; draws from the prior: {typical:.2f} ± 0.71")
    return lines


def short_name(axis: Axis) -> str:
    """ "PC1 (31 %)" -> "PC1"."""
    return axis.name.partition(" ")[0]


def _bar(share: float, width: int = 11) -> str:
    """A mark on a scale from 0 to 1."""
    place = round(min(max(share, 0.0), 1.0) * (width - 1))
    return "·" * place + "●" + "·" * (width - 1 - place)
