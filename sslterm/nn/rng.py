"""The random state of an accelerator, beside that of the CPU."""

from __future__ import annotations

import torch
from torch import Tensor


def random_state_on(device: torch.device) -> Tensor | None:
    """The state of the device's own generator; None for the CPU, whose state is `torch.get_rng_state()`."""
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.mps.get_rng_state() if device.type == "mps" else None


def set_random_state_on(device: torch.device, state: Tensor | None) -> None:
    """Go on from `state`; without one, or with one of another kind of device, nothing changes."""
    if state is None:
        return
    if device.type == "cuda":
        torch.cuda.set_rng_state(state, device)
    elif device.type == "mps":
        torch.mps.set_rng_state(state)
