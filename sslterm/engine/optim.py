"""Optimizers from a preset's `[optim.<group>]`."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from sslterm.config.schema import AdamConfig, LARSConfig, OptimConfig, RMSPropConfig, SGDConfig
from sslterm.engine.lars import LARS


def make_optimizer(
    config: OptimConfig, parameters: list[nn.Parameter], device: torch.device
) -> torch.optim.Optimizer:
    """The optimizer of one parameter group. Every torch group carries `base_lr`, which schedules scale."""
    groups = _torch_groups(config, parameters)
    fused = device.type in ("cpu", "cuda")  # one kernel for all weights
    match config:
        case SGDConfig():
            return torch.optim.SGD(
                groups, lr=config.lr, momentum=config.momentum, nesterov=config.nesterov, fused=fused
            )
        case AdamConfig(name="adamax"):
            return torch.optim.Adamax(groups, lr=config.lr, betas=config.betas, eps=config.eps)
        case AdamConfig():
            kind = torch.optim.Adam if config.name == "adam" else torch.optim.AdamW
            return kind(groups, lr=config.lr, betas=config.betas, eps=config.eps, fused=fused)
        case RMSPropConfig():
            return torch.optim.RMSprop(
                groups, lr=config.lr, alpha=config.alpha, eps=config.eps, momentum=config.momentum
            )
        case LARSConfig():
            return LARS(groups, lr=config.lr, momentum=config.momentum, trust=config.trust)


def _torch_groups(config: OptimConfig, parameters: list[nn.Parameter]) -> list[dict[str, Any]]:
    """Weights, and biases with the scales of norms, apart where they are treated differently; else as one."""
    weights = [parameter for parameter in parameters if parameter.ndim > 1]
    vectors = [parameter for parameter in parameters if parameter.ndim <= 1]
    of_weights = {"base_lr": config.lr, "lr": config.lr, "weight_decay": config.weight_decay}
    if isinstance(config, LARSConfig):
        of_vectors = {"base_lr": config.bias_lr, "lr": config.bias_lr, "weight_decay": 0.0, "adapt": False}
    elif config.decay_biases_and_norms or config.weight_decay == 0:
        return [{"params": parameters, **of_weights}]
    else:
        of_vectors = {**of_weights, "weight_decay": 0.0}
    groups = ({"params": weights, **of_weights}, {"params": vectors, **of_vectors})
    return [group for group in groups if group["params"]]


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Scale every group's base rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
