"""Whether what was exported is what the run computes: its load.py is run, and compared."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sslterm.errors import SsltermError, UsageError
from sslterm.worker.desk import Desk
from sslterm.worker.encoders import Encoder
from sslterm.worker.export_parts import FUNCTIONS, IMAGES, computation, held_out, random_codes

TOLERANCE = 1e-4
"""Most that a value may differ, over the largest of all (or 1 where that is less)."""


@dataclass(frozen=True)
class Checked:
    """How far what was exported is from the run."""

    part: str
    inputs: str
    n: int
    largest_difference: float
    largest_value: float


def check(desk: Desk, folder: Path, encoder: Encoder, parts: list[str], to: str) -> list[Checked]:
    """Run load.py, and compare.

    Raises:
        SsltermError: what comes out is something else.
    """
    program = runpy.run_path(str(folder / "load.py"))
    checks = []
    for part in parts:
        compute, _ = computation(desk, encoder.method, part)
        given: dict[str, tuple[Tensor, ...]]
        if part == "encoder":
            images = held_out(desk)
            noise = torch.rand(images.shape, generator=torch.Generator().manual_seed(0))
            given = {"held-out images": (images,), "random images": (noise,)}
        else:
            given = {"random codes": random_codes(encoder.method, IMAGES)}
        for what, values in given.items():
            truth = compute(*values)
            found = _called(program[FUNCTIONS[part]], values, to)
            if found.shape != truth.shape or distance(found, truth) > TOLERANCE:
                raise SsltermError(
                    f"the exported {part} differs from the run on {what}: nothing was written",
                    "this is a mistake in sslterm; another --to may do",
                )
            largest = float((found - truth).abs().max())
            checks.append(Checked(part, what, len(truth), largest, float(truth.abs().max())))
    return checks


def _called(program: Callable[..., Any], values: tuple[Tensor, ...], to: str) -> Tensor:
    """What load.py makes of some inputs."""
    if to != "onnx":
        found: Tensor = program(*values)
        return found
    try:
        return torch.from_numpy(program(*(each.numpy() for each in values)))
    except Exception as error:  # onnxruntime's own, which it shares with nobody
        raise UsageError(
            "ONNX cannot hold this network for any number of images at once", "use --to safetensors"
        ) from error


def distance(found: Tensor, truth: Tensor) -> float:
    """The largest difference, over the largest value or 1."""
    if found.shape != truth.shape or not bool(found.isfinite().all()):
        return float("inf")
    return float((found - truth).abs().max() / truth.abs().max().clamp_min(1))
