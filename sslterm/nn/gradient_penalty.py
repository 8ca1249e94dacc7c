"""The gradient penalty that holds a critic near Lipschitz constant 1.

Gulrajani et al. 2017, arXiv:1704.00028, §4. It differentiates twice: losses that use it are `@eager`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def interpolate(real: Tensor, fake: Tensor, share: Tensor) -> Tensor:
    """On the straight lines between pairs of images [B, C, H, W], where `share` [B] of the real one is left."""
    share = share.view(-1, *(1,) * (real.ndim - 1))
    return share * real + (1 - share) * fake


def gradient_norms(critic: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """|d f(x) / d x| at every image [B, C, H, W]: [B], itself differentiable in the critic's weights.

    In full precision whatever surrounds it. `critic` must judge every image by itself: a BatchNorm would
    make f(x) depend on the others.
    """
    with torch.enable_grad(), torch.autocast(images.device.type, enabled=False):
        x = images.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
        norms: Tensor = gradient.flatten(1).norm(dim=1)
        return norms


def two_sided(norms: Tensor) -> Tensor:
    """E (|gradient| - 1)^2 of gradient norms [B]."""
    return (norms - 1).square().mean()
