"""Which arithmetic to train in: bfloat16 only where it is measured to pay."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator

import torch
from torch import Tensor

from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import LossFn, Method


def choose_precision(asked: str, method: Method, batch: Batch, device: torch.device) -> str:
    """What `train.precision` resolves to on this machine; "auto" is decided by a probe of about a second.

    The probe leaves weights, buffers and random state as they were.

    Raises:
        UsageError: float16 was asked for without a GPU, where it has no fast kernels.
    """
    if asked == "float16" and device.type != "cuda":
        raise UsageError(
            f"train.precision = float16 needs a CUDA device, not {device.type}", "use bfloat16 or auto"
        )
    if asked != "auto":
        return asked
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    if device.type != "cpu" or not has_bfloat16_units():
        return "float32"
    with torch.random.fork_rng(devices=[]):
        plain, half = _seconds_per_step(method, batch)
    return "bfloat16" if half < 0.9 * plain else "float32"


def has_bfloat16_units() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; emulation is slower than float32."""
    flags = (
        getattr(torch.cpu, name, lambda: False)
        for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )
    return any(flag() for flag in flags)


def _seconds_per_step(
    method: Method, batch: Batch, *, rounds: int = 4, seconds: float = 1.0
) -> tuple[float, float]:
    """(float32, bfloat16) seconds of a step's forward and backward passes, the best of interleaved rounds."""
    probe = copy.deepcopy(method).train()
    best = [float("inf"), float("inf")]
    deadline = time.perf_counter() + seconds
    for turn in range(rounds + 1):
        for half in (False, True):
            start = time.perf_counter()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
                probe.step(_Repeated(batch), _Probe(probe, half=half))
            if turn:  # the first round warms up
                best[half] = min(best[half], time.perf_counter() - start)
        if turn and time.perf_counter() > deadline:
            break
    return best[0], best[1]


class _Repeated(Iterator[Batch]):
    """A `Stream` of one batch, over and over."""

    def __init__(self, batch: Batch) -> None:
        self.batch = batch

    def __next__(self) -> Batch:
        return self.batch

    def through(self, order: Tensor) -> Batch:
        return self.batch


class _Probe:
    """An `Update` that differentiates and takes no step."""

    step, images, progress = 0, 0, 0.0

    def __init__(self, method: Method, *, half: bool) -> None:
        self.groups = method.parameter_groups()
        self.half = half

    def __call__(self, name: str | tuple[str, ...], loss_fn: LossFn, batch: Batch) -> dict[str, Tensor]:
        names = (name,) if isinstance(name, str) else name
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.half):
            loss, aux = loss_fn(batch)
        parameters = [p for each in names for p in self.groups[each] if p.requires_grad]
        loss.backward(inputs=parameters)
        for parameter in parameters:
            parameter.grad = None
        return {key: value.detach() for key, value in aux.items() if value.ndim}

    def forget(self, module: torch.nn.Module) -> None:
        pass
