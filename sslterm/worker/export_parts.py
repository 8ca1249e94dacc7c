"""What of a run is exported: its encoder and its decoder, each as a network of its own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sslterm.methods.base import Encodes, Inputs, Latent, Method
from sslterm.worker.desk import Desk

IMAGES = 16
"""Held-out images, and as many of noise, that an export is checked with."""


class Part(nn.Module):
    """One computation of a method as a network of its own."""

    def __init__(self, method: Method, compute: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.method = method
        self._compute = compute

    def forward(self, values: Tensor) -> Tensor:
        return self._compute(values)


def shape_of(inputs: Inputs) -> str:
    """What goes in, as it is written: "[N, 3, 32, 32]"."""
    frames = f"{inputs.frames}, " if inputs.frames else ""
    return f"[N, {frames}{inputs.channels}, {inputs.height}, {inputs.width}]"


def held_out(desk: Desk) -> Tensor:
    """Images to try an encoder with, the same every time."""
    return desk.held_out(min(IMAGES, len(desk.test)), seed=0)


def computation(desk: Desk, method: Method, part: str) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """`encode` or `decode`, and two rows of what it takes."""
    if part == "encoder":
        assert isinstance(method, Encodes)
        return method.encode, held_out(desk)[:2]
    assert isinstance(method, Latent)
    return method.decode, torch.randn(2, method.latent_dim)


def instead(method: Method) -> str:
    """The targets that hold all of a method's networks."""
    return "use --to safetensors" if method.onnx_lacks else "use --to onnx or --to safetensors"
