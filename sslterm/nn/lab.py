"""Between sRGB and CIE Lab under daylight (D65, 2 degrees), differentiable.

IEC 61966-2-1 for sRGB, CIE 15 for Lab; the constants are those of scikit-image.
"""

from __future__ import annotations

import torch
from torch import Tensor

XYZ_OF_RGB = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
WHITE = (0.95047, 1.0, 1.08883)
"""XYZ of white."""


def rgb_to_lab(rgb: Tensor) -> Tensor:
    """[..., 3, H, W] in [0, 1] -> L in [0, 100], a and b in about [-107, 107]."""
    linear = torch.where(rgb > 0.04045, ((rgb.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    ratio = _mix(linear, torch.tensor(XYZ_OF_RGB) / torch.tensor(WHITE)[:, None])
    root = torch.where(ratio > 0.008856, ratio.clamp_min(0.008856) ** (1 / 3), 7.787 * ratio + 16 / 116)
    x, y, z = root.unbind(-3)
    return torch.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), dim=-3)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """The reverse; colours that sRGB does not have are cut to [0, 1]."""
    light, a, b = lab.unbind(-3)
    y = (light + 16) / 116
    root = torch.stack((a / 500 + y, y, (y - b / 200).clamp_min(0)), dim=-3)
    ratio = torch.where(root > 0.2068966, root**3, (root - 16 / 116) / 7.787)
    rgb_of_xyz = torch.linalg.inv(torch.tensor(XYZ_OF_RGB, dtype=torch.float64)).float()
    linear = _mix(ratio, rgb_of_xyz * torch.tensor(WHITE)).clamp_min(0)
    rgb = torch.where(
        linear > 0.0031308, 1.055 * linear.clamp_min(0.0031308) ** (1 / 2.4) - 0.055, 12.92 * linear
    )
    return rgb.clamp(0, 1)


def _mix(images: Tensor, matrix: Tensor) -> Tensor:
    """A matrix applied to the channels of [..., 3, H, W]."""
    return torch.einsum("ij,...jhw->...ihw", matrix.to(images), images)
