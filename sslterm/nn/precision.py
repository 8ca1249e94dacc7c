"""Full precision for what must not be rounded, whatever arithmetic surrounds it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


def in_float32(function: Callable[..., T]) -> Callable[..., T]:
    """Decorator: the function's tensors are float32 (float64 stays), and autocast is off inside of it.

    Under autocast a matrix product of float32 tensors is computed in half precision; losses that subtract
    large numbers from each other cannot afford that. The first argument must be a tensor.
    """

    @wraps(function)
    def full(*args: object, **kwargs: object) -> T:
        first = args[0]
        assert isinstance(first, Tensor)
        with torch.autocast(first.device.type, enabled=False):
            return function(*map(_widen, args), **{name: _widen(value) for name, value in kwargs.items()})

    return full


def has_float64(device: torch.device) -> bool:
    """Metal computes in float32 at most."""
    return device.type != "mps"


def double(tensor: Tensor) -> Tensor:
    """In float64, on the CPU where the device has none."""
    return (tensor if has_float64(tensor.device) else tensor.cpu()).double()


def _widen(value: object) -> object:
    if isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16):
        return value.float()
    return value
