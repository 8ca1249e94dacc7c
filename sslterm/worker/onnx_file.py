"""A network as ONNX, for any number of images at once."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from sslterm.errors import UsageError
from sslterm.methods.base import Method


def with_numbers(method: Method) -> Method:
    """A copy whose own buffers of one number are numbers: what depends on them is settled when it is written.

    How far a network has grown, say, is a buffer, so that it survives, and decides which layers there are.
    """
    copied = copy.deepcopy(method)
    for name, buffer in list(copied.named_buffers(recurse=False)):
        if buffer.ndim == 0:
            delattr(copied, name)
            setattr(copied, name, buffer.item())
    return copied


GIVEN = {"encoder": ("images",), "decoder": ("z",), "generator": ("z", "label")}
"""What a part takes."""


def write_onnx(network: nn.Module, example: tuple[Tensor, ...], part: str, path: Path) -> None:
    """Write the "encoder" (images -> features), "decoder" (z -> images) or "generator" (z, label -> images).

    Raises:
        UsageError: torch's exporter cannot.
    """
    given, rows = list(GIVEN[part]), {0: torch.export.Dim("N")}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the exporter, on its own ways
            torch.onnx.export(
                network.eval(), example, path, dynamo=True, external_data=False,
                input_names=given, output_names=["features" if part == "encoder" else "images"], verbose=False,
                dynamic_shapes=(tuple(rows for _ in given),),  # of `forward(*values)`
            )  # fmt: skip
    except Exception as error:  # the exporter has no end of its own errors
        cause = error.__cause__ or error
        first = next((line.strip() for line in str(cause).splitlines() if line.strip()), type(cause).__name__)
        raise UsageError(f"ONNX cannot hold this {part}: {first[:160]}", "use --to safetensors") from error
