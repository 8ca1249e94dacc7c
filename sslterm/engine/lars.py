"""LARS: layer-wise adaptive rate scaling.

You, Gitman & Ginsburg, "Large Batch Training of Convolutional Networks", 2017, arXiv:1708.03888, Alg. 1; biases and
normalization parameters are excluded from adaptation, as in SimCLR and Barlow Twins. As in their code, the weight decay
is added to the gradient before its norm is taken; the paper adds the two norms.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class LARS(torch.optim.Optimizer):
    """Momentum SGD whose rate is scaled per weight by `trust * |w| / |g + decay * w|`.

    Groups with `adapt = False` take plain momentum steps.
    """

    def __init__(self, groups: list[dict[str, Any]], *, lr: float, momentum: float, trust: float) -> None:
        super().__init__(
            groups, {"lr": lr, "momentum": momentum, "trust": trust, "weight_decay": 0.0, "adapt": True}
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            weights: list[Tensor] = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            gradients = [weight.grad.clone() for weight in weights if weight.grad is not None]
            if group["weight_decay"]:
                torch._foreach_add_(gradients, weights, alpha=group["weight_decay"])
            if group["adapt"]:
                weight_norms = torch._foreach_norm(weights)
                gradient_norms = torch._foreach_norm(gradients)
                for gradient, weight_norm, gradient_norm in zip(
                    gradients, weight_norms, gradient_norms, strict=True
                ):
                    usable = (weight_norm > 0) & (gradient_norm > 0)
                    rate = group["trust"] * weight_norm / gradient_norm.clamp_min(1e-30)
                    gradient.mul_(torch.where(usable, rate, torch.ones_like(rate)))
            velocities = []
            for weight in weights:
                state = self.state[weight]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(weight)
                velocities.append(state["momentum_buffer"])
            torch._foreach_mul_(velocities, group["momentum"])
            torch._foreach_add_(velocities, gradients)
            torch._foreach_add_(weights, velocities, alpha=-group["lr"])
