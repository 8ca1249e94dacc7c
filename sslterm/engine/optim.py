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
    weights = [parameter for parameter in parameters if parameter.ndim > 1]
    vectors = [parameter for parameter in parameters if parameter.ndim <= 1]
    bias_lr = config.bias_lr if isinstance(config, LARSConfig) else config.lr
    decays_vectors = not isinstance(config, LARSConfig) and config.decay_biases_and_norms
    groups: list[dict[str, Any]] = [
        {"params": weights, "base_lr": config.lr, "lr": config.lr, "weight_decay": config.weight_decay},
        {
            "params": vectors,
            "base_lr": bias_lr,
            "lr": bias_lr,
            "weight_decay": config.weight_decay if decays_vectors else 0.0,
        },
    ]
    if isinstance(config, LARSConfig):
        groups[1]["adapt"] = False
    groups = [group for group in groups if group["params"]]
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


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Scale every group's base rate."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
