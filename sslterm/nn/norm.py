"""Batch normalization whose statistics are those of the whole batch, over all ranks, on every device.

Ioffe & Szegedy 2015, arXiv:1502.03167. torch's SyncBatchNorm computes the same on GPUs alone; here one
differentiable exchange of means and variances serves every backend, so that two ranks train as one process
would.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sslterm.rows import gather, world_size


class BatchNorm(nn.Module):
    """Batch normalization over all axes but the second, for [B, C] and [B, C, H, W].

    Parameters and buffers are named as in torch, so that state dicts fit. Every rank must hold equally many
    rows.

    Args:
        features: C.
        eps: added to the variance.
        momentum: share of the newest batch in the running statistics, which normalize in evaluation mode.
        affine: learn a scale and a shift for each feature.
    """

    weight: nn.Parameter | None
    bias: nn.Parameter | None
    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self, features: int, *, eps: float = 1e-5, momentum: float = 0.1, affine: bool = True
    ) -> None:
        super().__init__()
        self.features = features
        self.eps = eps
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(features)) if affine else None
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))

    def forward(self, x: Tensor, *, remember: bool = True) -> Tensor:
        """Normalize `x` [B, C, ...]; with `remember`, training moves the running statistics towards its."""
        if not self.training:
            return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        if world_size() > 1:
            return self._over_ranks(x, remember)
        mean, var = (self.running_mean, self.running_var) if remember else (None, None)
        return F.batch_norm(x, mean, var, self.weight, self.bias, True, self.momentum, self.eps)

    def _over_ranks(self, x: Tensor, remember: bool) -> Tensor:
        axes = (0, *range(2, x.ndim))
        values = x.float()
        var, mean = torch.var_mean(values, dim=axes, correction=0)
        means, vars = gather(torch.stack((mean, var)).unsqueeze(0)).unbind(1)  # [W, C] each
        mean = means.mean(0)
        var = vars.mean(0) + (means - mean).square().mean(0)  # within ranks + between them
        if remember:
            count = world_size() * x.numel() / x.shape[1]
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(var * (count / (count - 1)), self.momentum)
        shape = (1, -1, *(1,) * (x.ndim - 2))
        scale = (var + self.eps).rsqrt()
        if self.weight is not None and self.bias is not None:
            scale = scale * self.weight
            normalized = (values - mean.view(shape)) * scale.view(shape) + self.bias.view(shape)
        else:
            normalized = (values - mean.view(shape)) * scale.view(shape)
        return normalized.to(x.dtype)

    def extra_repr(self) -> str:
        return f"{self.features}, eps={self.eps}, momentum={self.momentum}, affine={self.weight is not None}"


def convert_batch_norms(module: nn.Module) -> nn.Module:
    """Replace every torch BatchNorm inside `module` by `BatchNorm` with the same weights and statistics.

    Returns:
        `module` itself, or its replacement where it is one.

    Raises:
        ValueError: one keeps no running statistics, or a cumulative average of them.
    """
    if isinstance(module, _BatchNorm):
        if module.running_mean is None or module.running_var is None or module.momentum is None:
            raise ValueError(f"cannot convert {module}: it keeps no moving average of its statistics")
        norm = BatchNorm(module.num_features, eps=module.eps, momentum=module.momentum, affine=module.affine)
        state = {name: value for name, value in module.state_dict().items() if name != "num_batches_tracked"}
        norm.load_state_dict(state)
        return norm.to(module.running_mean.device).train(module.training)
    for name, child in module.named_children():
        setattr(module, name, convert_batch_norms(child))
    return module


class SplitBatchNorm(BatchNorm):
    """Batch normalization with statistics of their own for each of `portions` equal portions of the whole batch.

    What each GPU of several does without exchange (MoCo, arXiv:1911.05722, §3.3), on any number of ranks. In
    evaluation mode it is ordinary. Portions are consecutive rows; they must not cross ranks.

    Args:
        portions: of the batch of all ranks; a multiple of the ranks.

    Raises (in training):
        ValueError: the rows at hand cannot be divided so.
    """

    def __init__(self, features: int, portions: int, **options: Any) -> None:
        super().__init__(features, **options)
        self.portions = portions

    def forward(self, x: Tensor, *, remember: bool = True) -> Tensor:
        if not self.training:
            return super().forward(x)
        here, left = divmod(self.portions, world_size())
        if left or here == 0 or len(x) % here:
            raise ValueError(
                f"{len(x)} rows on each of {world_size()} ranks cannot be cut into {self.portions} portions"
            )
        normalized, moments = [], []
        for portion in x.chunk(here):
            mean, var = torch.zeros_like(self.running_mean), torch.ones_like(self.running_var)
            normalized.append(
                F.batch_norm(portion, mean, var, self.weight, self.bias, True, momentum=1.0, eps=self.eps)
            )
            moments.append(torch.stack((mean, var)))  # which are the portion's now, the variance unbiased
        if remember:
            with torch.no_grad():
                mean, var = gather(torch.stack(moments)).mean(0)
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(var, self.momentum)
        return torch.cat(normalized)


def split_batch_norms(module: nn.Module, portions: int) -> nn.Module:
    """Replace every `BatchNorm` inside `module` by a `SplitBatchNorm` with the same weights and statistics.

    Returns:
        `module` itself, or its replacement where it is one.
    """
    if type(module) is BatchNorm:
        options = {"eps": module.eps, "momentum": module.momentum, "affine": module.weight is not None}
        norm = SplitBatchNorm(module.features, portions, **options)
        norm.load_state_dict(module.state_dict())
        return norm.to(module.running_mean.device).train(module.training)
    for name, child in module.named_children():
        setattr(module, name, split_batch_norms(child, portions))
    return module
