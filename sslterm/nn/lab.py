"""Colours in CIE L*a*b*, and the grid of their two colour axes.

sRGB (IEC 61966-2-1) under its white, D65 of the 2 degree observer. L is lightness in [0, 100]; a runs from
green to red and b from blue to yellow, both within [-110, 100]; distances are about those that people see.

Shapes: images [..., 3, H, W]; sRGB in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sslterm.nn.precision import in_float32

CELL = 10.0
"""Side of a cell of the grid, in units of a and b."""

_CELLS_OF_B = (
    (8, 8), (4, 8), (2, 9), (0, 9), (-2, 9), (-3, 9), (-4, 9), (-4, 9), (-5, 9), (-6, 9), (-7, 8), (-7, 8),
    (-8, 8), (-9, 8), (-9, 7), (-10, 7), (-11, 7), (-11, 7), (-9, 0), (-7, -5),
)  # fmt: skip
"""First and last cell along b that some 8-bit sRGB colour falls into, for a = -90, -80, ..., 100."""

_XYZ_OF_RGB = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
_RGB_OF_XYZ: list[list[float]] = torch.linalg.inv(torch.tensor(_XYZ_OF_RGB, dtype=torch.float64)).tolist()
_WHITE = (0.95047, 1.0, 1.08883)
_DARK = 0.008856
"""Below this share of white the cube root goes over into a straight line."""


@in_float32
def rgb_to_lab(images: Tensor) -> Tensor:
    """sRGB -> L, a, b."""
    linear = torch.where(images > 0.04045, ((images.clamp_min(0) + 0.055) / 1.055) ** 2.4, images / 12.92)
    x, y, z = (
        torch.where(part > _DARK, part.clamp_min(_DARK) ** (1 / 3), 7.787 * part + 16 / 116)
        for part in (
            channel / white for channel, white in zip(_mix(linear, _XYZ_OF_RGB), _WHITE, strict=True)
        )
    )
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), dim=-3)


@in_float32
def lab_to_rgb(lab: Tensor) -> Tensor:
    """L, a, b -> sRGB; what a screen cannot show is clipped to [0, 1]."""
    lightness, a, b = lab.unbind(-3)
    y = (lightness + 16) / 116
    roots = (y + a / 500, y, (y - b / 200).clamp_min(0))
    xyz = [
        white * torch.where(root > _DARK ** (1 / 3), root**3, (root - 16 / 116) / 7.787)
        for root, white in zip(roots, _WHITE, strict=True)
    ]
    linear = torch.stack(_mix(torch.stack(xyz, dim=-3), _RGB_OF_XYZ), dim=-3)
    encoded = 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055
    return torch.where(linear > 0.0031308, encoded, 12.92 * linear).clamp(0, 1)


def grey_of(lab: Tensor) -> Tensor:
    """The grey picture of the same lightness, [..., 1, H, W] in [0, 1]."""
    lightness, colours = lab.split((1, 2), dim=-3)
    return lab_to_rgb(torch.cat((lightness, torch.zeros_like(colours)), dim=-3)).narrow(-3, 0, 1)


def _mix(channels: Tensor, matrix: Sequence[Sequence[float]]) -> list[Tensor]:
    first, second, third = channels.unbind(-3)
    return [row[0] * first + row[1] * second + row[2] * third for row in matrix]


def cells() -> Tensor:
    """Centres (a, b) of the cells that sRGB colours fall into: [261, 2]."""
    rows = enumerate(_CELLS_OF_B, start=-9)
    return CELL * torch.tensor([(a, b) for a, (low, high) in rows for b in range(low, high + 1)])
