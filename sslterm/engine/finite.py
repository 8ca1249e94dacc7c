"""Divergence: found before it is saved, and named by its step and its tensor."""

from __future__ import annotations

import torch
from torch import nn

from sslterm.engine import distributed
from sslterm.engine.checkpoint import list_checkpoints
from sslterm.engine.update import NotFiniteError, Window
from sslterm.errors import DivergedError
from sslterm.run.layout import RunDirectory


def check(method: nn.Module, window: Window, *, step: int, run: RunDirectory) -> None:
    """Make sure that nothing pending or stored is NaN or infinite, on any rank.

    Raises:
        DivergedError: something is.
    """
    problem: NotFiniteError | None = None
    try:
        window.check()
        if (name := first_bad_tensor(method)) is not None:
            problem = NotFiniteError(name, step)
    except NotFiniteError as error:
        problem = error
    device = next(method.parameters()).device
    if distributed.agree([problem is not None], device)[0]:
        raise diverged(problem or NotFiniteError("a value on another rank", step), method, run)


def first_bad_tensor(method: nn.Module) -> str | None:
    """The first parameter or buffer, in order, that is not finite."""
    tensors = {name: value for name, value in method.state_dict().items() if value.is_floating_point()}
    if not tensors:
        return None
    bad = torch.stack([(~torch.isfinite(value)).any() for value in tensors.values()]).tolist()
    return next((name for name, is_bad in zip(tensors, bad, strict=True) if is_bad), None)


def diverged(problem: NotFiniteError, method: nn.Module, run: RunDirectory) -> DivergedError:
    """What a person is told: where it happened, what is left, and what to try."""
    tensor = first_bad_tensor(method)
    also = f"; first bad weight: {tensor}" if tensor and tensor != problem.name else ""
    good = list_checkpoints(run)
    kept = f"the last good checkpoint, at {good[-1]:,} images, is kept; " if good else ""
    return DivergedError(
        f"step {problem.step:,}: {problem.name} is NaN or infinite{also}",
        f"{kept}try a lower rate (--set optim.*.lr), a longer warm-up, or train.clip_norm = 1",
    )
