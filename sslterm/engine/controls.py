"""What a person asks of a running trainer: signals and the run directory's `control/`, obeyed at step boundaries."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

from sslterm.config.schema import Experiment
from sslterm.engine import distributed
from sslterm.errors import ExitCode
from sslterm.rows import world_size
from sslterm.run.control import Request, acknowledge, pending
from sslterm.run.layout import RunDirectory

POLL_SECONDS = 0.2

AGREE_EVERY_STEPS = 8
"""How often several ranks compare what was asked of them."""


@dataclass
class Orders:
    """What is to be done now, the same on all ranks."""

    stop: bool = False
    pause: bool | None = None
    """True to pause, False to go on, None to leave it."""
    actions: list[str] = field(default_factory=list)
    """Of "checkpoint", "sample", "probe", in the order asked for."""
    rates: dict[str, float] = field(default_factory=dict)
    """New base rates by parameter group."""
    outcomes: list[tuple[Request, str]] = field(default_factory=list)
    """What is said back, once it is done (rank 0 only)."""


class Controls:
    """Turns signals and requests into orders."""

    def __init__(self, run: RunDirectory, experiment: Experiment, *, active: bool) -> None:
        self.run = run
        self.experiment = experiment
        self.active = active
        self.interrupted = False
        self._next_poll = 0.0

    @contextmanager
    def signals(self) -> Iterator[None]:
        """SIGINT or SIGTERM asks to save and stop, a second one exits at once; SIGHUP means nothing."""
        handlers: dict[int, Any] = {
            signal.SIGINT: self._interrupt,
            signal.SIGTERM: self._interrupt,
            signal.SIGHUP: signal.SIG_IGN,
        }
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self.interrupted:
            os._exit(ExitCode.STOPPED)
        self.interrupted = True

    def orders(self, *, step: int, waiting: bool, device: torch.device) -> Orders | None:
        """What has been asked for since the last look; None where it is not yet time to look.

        One process looks a few times a second; several look together, every few steps.
        """
        if world_size() == 1:
            if not self.interrupted and time.monotonic() < self._next_poll:
                return None
        elif step % AGREE_EVERY_STEPS and not waiting:
            return None
        self._next_poll = time.monotonic() + POLL_SECONDS
        orders = self._read() if self.active else Orders()
        orders.stop |= self.interrupted
        if world_size() > 1:
            stop = distributed.agree([orders.stop], device)[0]
            said = [(orders.pause, orders.actions, orders.rates)]
            dist.broadcast_object_list(said, src=0, device=device)
            (orders.pause, orders.actions, orders.rates), orders.stop = said[0], stop
        return orders

    def done(self, orders: Orders) -> None:
        """Say that the orders have been carried out."""
        for request, outcome in orders.outcomes:
            acknowledge(self.run, request, outcome)

    def _read(self) -> Orders:
        orders = Orders()
        for request in pending(self.run):
            outcome = "done"
            match request.do:
                case "stop":
                    orders.stop = True
                case "pause" | "continue":
                    orders.pause = request.do == "pause"
                case "checkpoint" | "sample" | "probe":
                    orders.actions.append(request.do)
                case "set":
                    outcome = self._set(request, orders)
                case _:
                    outcome = f"refused: {request.do!r} is unknown"
            orders.outcomes.append((request, outcome))
        return orders

    def _set(self, request: Request, orders: Orders) -> str:
        """Change a rate while running: `optim.<group>.lr`. Everything else is fixed for the length of a run."""
        key, value = str(request.arguments.get("key", "")), request.arguments.get("value")
        rates = {f"optim.{name}.lr": name for name in self.experiment.optim}
        if key not in rates:
            return f"refused: {key!r} cannot be changed while running; {', '.join(rates)} can"
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
            or value <= 0
        ):
            return f"refused: {key} must be a positive number, not {value!r}"
        orders.rates[rates[key]] = float(value)
        return "done"


def obey(
    controls: Controls,
    *,
    step: int,
    device: torch.device,
    actions: dict[str, Callable[[], None]],
    set_rate: Callable[[str, float], None],
    paused: Callable[[bool], None],
) -> bool:
    """Carry out what has been asked for, waiting here while paused; true where that is to stop.

    Args:
        actions: what "checkpoint", "sample" and "probe" do.
        set_rate: changes the base rate of a parameter group.
        paused: told when the training is paused (True) and goes on (False).
    """
    waiting = False
    while True:
        orders = controls.orders(step=step, waiting=waiting, device=device)
        if orders is not None:
            for group, rate in orders.rates.items():
                set_rate(group, rate)
            for action in orders.actions:
                actions[action]()
            pause = bool(orders.pause if orders.pause is not None else waiting) and not orders.stop
            if pause != waiting:
                waiting = pause
                paused(waiting)
            controls.done(orders)
            if orders.stop:
                return True
        if not waiting:
            return False
        time.sleep(0.1)
