"""One optimizer step: the only place that knows precision, micro-batches, gradient exchange, clipping and compilation.

micro-batches -> autocast -> (compiled) loss -> backward on the group's parameters -> mean over ranks -> clip -> rate
-> step. Losses stay on the device; `Window` fetches them when something is logged.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sslterm.config.schema import Experiment
from sslterm.data.batch import Batch
from sslterm.engine import distributed, schedule
from sslterm.engine.optim import make_optimizer, set_rate
from sslterm.methods.base import LossFn, Method
from sslterm.nn.precision import double
from sslterm.nn.rng import random_state_on, set_random_state_on
from sslterm.rows import rank, rows, world_size

AUTOCAST = {"bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass
class Clock:
    """Where the training stands, at the beginning of a step."""

    step: int = 0
    images: int = 0
    total_images: int = 1

    @property
    def progress(self) -> float:
        return min(self.images / self.total_images, 1.0)


class NotFiniteError(Exception):
    """A logged value is NaN or infinite."""

    def __init__(self, name: str, step: int) -> None:
        super().__init__(f"{name} is not finite at step {step}")
        self.name = name
        self.step = step


class Window:
    """Values of the steps since the last log line, kept on the device until then."""

    def __init__(self) -> None:
        self.values: dict[str, list[Tensor]] = {}
        self.steps: dict[str, list[int]] = {}

    def add(self, name: str, value: Tensor, step: int) -> None:
        self.values.setdefault(name, []).append(value)
        self.steps.setdefault(name, []).append(step)

    def check(self) -> None:
        """Raise NotFiniteError for the first value that is not finite, in order of steps."""
        bad = []
        for name, values in self.values.items():
            finite = torch.isfinite(torch.stack(values))
            if not bool(finite.all()):
                bad.append((self.steps[name][finite.tolist().index(False)], name))
        if bad:
            step, name = min(bad)
            raise NotFiniteError(name, step)

    def means(self) -> dict[str, float]:
        """The mean of every value over the window and over ranks; leaves the window empty.

        Raises:
            NotFiniteError: a value is not finite, on any rank.
        """
        if not self.values:
            return {}
        columns = [double(torch.stack(values)).mean() for values in self.values.values()]
        means = distributed.average(torch.stack(columns)).tolist()
        if not all(map(math.isfinite, means)):
            self.check()
            name = next(
                name for name, mean in zip(self.values, means, strict=True) if not math.isfinite(mean)
            )
            raise NotFiniteError(name, self.steps[name][-1])  # it happened on another rank
        names = list(self.values)
        self.values, self.steps = {}, {}
        return dict(zip(names, means, strict=True))

    def state(self) -> dict[str, Any]:
        return {name: (torch.stack(values).cpu(), self.steps[name]) for name, values in self.values.items()}

    def restore(self, state: Mapping[str, Any], device: torch.device) -> None:
        self.values = {name: list(values.to(device).unbind()) for name, (values, _) in state.items()}
        self.steps = {name: list(steps) for name, (_, steps) in state.items()}


class Updater:
    """Implements `methods.base.Update`."""

    def __init__(
        self, method: Method, experiment: Experiment, *, device: torch.device, precision: str, clock: Clock
    ) -> None:
        self.experiment = experiment
        self.device = device
        self.precision = precision
        self.clock = clock
        self.window = Window()
        self.groups = method.parameter_groups()
        self.optimizers = {
            name: make_optimizer(experiment.optim[name], parameters, device)
            for name, parameters in self.groups.items()
        }
        self.rate_factors = dict.fromkeys(self.groups, 1.0)
        """What a person at the terminal has multiplied the rates by."""
        self.scaler = torch.amp.GradScaler(device.type) if precision == "float16" else None
        self._compiled: dict[Any, LossFn] = {}

    @property
    def step(self) -> int:
        return self.clock.step

    @property
    def images(self) -> int:
        return self.clock.images

    @property
    def progress(self) -> float:
        return self.clock.progress

    @property
    def compiles(self) -> bool:
        """Whether any loss was compiled so far."""
        return bool(self._compiled)

    def __call__(self, name: str | tuple[str, ...], loss_fn: LossFn, batch: Batch) -> dict[str, Tensor]:
        names = (name,) if isinstance(name, str) else name
        optimizers = [self.optimizers[each] for each in names]
        parameters = [p for each in names for p in self.groups[each] if p.requires_grad]
        handed_back = self._backward(names[0], loss_fn, batch, parameters)
        distributed.average_gradients(parameters)
        if self.scaler is not None:  # after the exchange, so that all ranks see what overflowed on one
            for optimizer in optimizers:
                self.scaler.unscale_(optimizer)
        if self.experiment.train.clip_norm:
            norm = nn.utils.clip_grad_norm_(parameters, self.experiment.train.clip_norm)
            if self.scaler is None:  # which takes an overflow for a reason to step back, and not for the end
                self.window.add(f"{names[0]}/grad_norm", norm.detach(), self.step)
        elif len(self.groups) > 1 and self.scaler is None:  # networks of which one may stop to learn
            norm = nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
            self.window.add(f"{names[0]}/grad_norm", norm, self.step)
        for each, optimizer in zip(names, optimizers, strict=True):
            set_rate(optimizer, self.rate_factor(each))
            if self.scaler is not None:
                self.scaler.step(optimizer)
            else:
                optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if self.scaler is not None:
            self.scaler.update()
        return handed_back

    def rate_factor(self, name: str) -> float:
        """The schedule's factor for the update at hand: by the images drawn once it is done."""
        images = self.clock.images + self.experiment.train.batch
        factor = schedule.factor(
            self.experiment.optim[name].schedule, images=images, total_images=self.clock.total_images
        )
        return factor * self.rate_factors[name]

    def _backward(
        self, name: str, loss_fn: LossFn, batch: Batch, parameters: list[nn.Parameter]
    ) -> dict[str, Tensor]:
        """Accumulate the gradient of the mean loss, portion by portion; log scalars, collect batched aux."""
        loss_of = self._maybe_compiled(loss_fn)
        local, portions = len(batch), self.experiment.train.micro_batches
        first, total = rank() * local, world_size() * local
        bounds = [local * portion // portions for portion in range(portions + 1)]
        random_state = _random_state(self.device) if portions > 1 else None
        scalars: dict[str, Tensor] = {}
        batched: dict[str, list[Tensor]] = {}
        for start, stop in itertools.pairwise(bounds):
            if (
                start and random_state is not None
            ):  # every portion draws for the whole batch from the same state
                _set_random_state(random_state, self.device)
            portion = batch if portions == 1 else batch[start:stop]
            share = (stop - start) / local
            with rows(first + start, first + stop, total), self._autocast():
                loss, aux = loss_of(portion)
            scaled = loss if portions == 1 else loss * share
            (scaled if self.scaler is None else self.scaler.scale(scaled)).backward(inputs=parameters)
            for key, value in {"loss": loss, **aux}.items():
                if value.ndim == 0:
                    value = value.detach().float()
                    scalars[key] = value if portions == 1 else scalars.get(key, 0.0) + value * share
                else:
                    batched.setdefault(key, []).append(value.detach())
        for key, value in scalars.items():
            self.window.add(f"{name}/{key}", value, self.step)
        return {key: values[0] if portions == 1 else torch.cat(values) for key, values in batched.items()}

    def _autocast(self) -> Any:
        dtype = AUTOCAST.get(self.precision)
        return nullcontext() if dtype is None else torch.autocast(self.device.type, dtype=dtype)

    def _maybe_compiled(self, loss_fn: LossFn) -> LossFn:
        """The loss, compiled once per function where the preset asks for it and `@eager` does not forbid it."""
        if not self.experiment.train.compile or getattr(loss_fn, "eager", False):
            return loss_fn
        key = getattr(loss_fn, "__func__", loss_fn)
        if key not in self._compiled:
            self._compiled[key] = torch.compile(loss_fn, dynamic=False)
        return self._compiled[key]

    def forget(self, module: nn.Module) -> None:
        """Drop the optimizer state of a module whose weights were drawn anew."""
        for optimizer in self.optimizers.values():
            for parameter in module.parameters():
                optimizer.state.pop(parameter, None)

    def state(self) -> dict[str, Any]:
        return {
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
            "scaler": self.scaler.state_dict() if self.scaler is not None else {},
            "window": self.window.state(),
            "rate_factors": dict(self.rate_factors),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])
        self.window.restore(state["window"], self.device)
        self.rate_factors.update(state["rate_factors"])


def _random_state(device: torch.device) -> tuple[Tensor, Tensor | None]:
    return torch.get_rng_state(), random_state_on(device)


def _set_random_state(state: tuple[Tensor, Tensor | None], device: torch.device) -> None:
    torch.set_rng_state(state[0])
    set_random_state_on(device, state[1])
