"""What of a run is exported: its encoder, and its decoder or generator, each as a network of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from sslterm.methods.base import ClassLatent, Encodes, Inputs, Latent, Method
from sslterm.worker.desk import Desk

IMAGES = 16
"""Held-out images, and as many of noise, that an export is checked with."""
Compute = Callable[..., Tensor]
FUNCTIONS: Mapping[str, str] = {"encoder": "encode", "decoder": "decode", "generator": "generate"}
"""What load.py calls the computation of a part."""


class Part(nn.Module):
    """One computation of a method as a network of its own."""

    def __init__(self, method: Method, compute: Compute) -> None:
        super().__init__()
        self.method = method
        self._compute = compute

    def forward(self, *values: Tensor) -> Tensor:
        return self._compute(*values)


def parts_of(method: Method) -> list[str]:
    """The networks that a method has for others."""
    kinds = {"encoder": Encodes, "decoder": Latent, "generator": ClassLatent}
    return [part for part, kind in kinds.items() if isinstance(method, kind)]


def shape_of(inputs: Inputs) -> str:
    """What goes in, as it is written: "[N, 3, 32, 32]"."""
    frames = f"{inputs.frames}, " if inputs.frames else ""
    return f"[N, {frames}{inputs.channels}, {inputs.height}, {inputs.width}]"


def held_out(desk: Desk) -> Tensor:
    """Images to try an encoder with, the same every time."""
    return desk.held_out(min(IMAGES, len(desk.test)), seed=0)


def computation(desk: Desk, method: Method, part: str) -> tuple[Compute, tuple[Tensor, ...]]:
    """`encode`, `decode` or `decode_class`, and two rows of what it takes."""
    if part == "encoder":
        assert isinstance(method, Encodes)
        return method.encode, (held_out(desk)[:2],)
    if part == "decoder":
        assert isinstance(method, Latent)
        return method.decode, random_codes(method, 2)
    assert isinstance(method, ClassLatent)
    return method.decode_class, random_codes(method, 2)


def random_codes(method: Method, n: int) -> tuple[Tensor, ...]:
    """[n, Z] codes, the same every time; and [n] classes, where the decoder takes one."""
    assert isinstance(method, Latent | ClassLatent)
    codes = torch.randn(n, method.latent_dim, generator=torch.Generator().manual_seed(0))
    return (codes, torch.arange(n) % method.classes) if isinstance(method, ClassLatent) else (codes,)


def instead(method: Method) -> str:
    """The targets that hold all of a method's networks."""
    return "use --to safetensors" if method.onnx_lacks else "use --to onnx or --to safetensors"
