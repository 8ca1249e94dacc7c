"""Where the time of a training step goes: its parts by a stopwatch, without a change to any method."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sslterm import augment
from sslterm.data.batch import Batch
from sslterm.data.stream import BatchStream
from sslterm.engine.timing import Steps
from sslterm.engine.turns import POINTS, Variant
from sslterm.engine.update import Updater
from sslterm.methods.base import LossFn

PARTS: Mapping[str, str] = {
    "batch": "getting the images",
    "views": "random views of them",
    "loss": "networks and loss, forward",
    "gradient": "backward, clipping",
    "optimizer": "moving the weights",
    "method": "what else it does: averages, queues, chains",
}


class Stopwatch:
    """Seconds by part; what is inside of another part counts once, for the inner one.

    Args:
        now: seconds of a clock.
        wait: waits for the device, whose work would else be counted where it is waited for.
    """

    def __init__(self, now: Callable[[], float], wait: Callable[[], None]) -> None:
        self.seconds: dict[str, float] = {}
        self._now, self._wait = now, wait
        self._open: list[str] = []
        self._since = 0.0

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        self.enter(part)
        try:
            yield
        finally:
            self.leave()

    def enter(self, part: str) -> None:
        self._charge()
        self._open.append(part)

    def leave(self) -> None:
        self._charge()
        self._open.pop()

    def _charge(self) -> None:
        """Count the time since the last change for the part that it was spent in."""
        self._wait()
        now = self._now()
        if self._open:
            part = self._open[-1]
            self.seconds[part] = self.seconds.get(part, 0.0) + now - self._since
        self._since = now


def parts_of(steps: Steps, variant: Variant, count: int) -> dict[str, float]:
    """The share of each of `PARTS` in a step, over the whole training; in all they are 1.

    A loss that is compiled cannot be looked into: its forward pass and its views count as "gradient".

    Args:
        count: steps at each point.
    """
    watch = Stopwatch(steps.now, steps.wait)
    updater = steps.updater(variant)
    stream, update = _Stream(steps.stream, watch), _Update(updater, watch, compiled=variant.compile)
    with ExitStack() as stack:
        if not variant.compile:
            stack.enter_context(_Views(watch))
        for optimizer in updater.optimizers.values():
            before = optimizer.register_step_pre_hook(lambda *_: watch.enter("optimizer"))
            after = optimizer.register_step_post_hook(lambda *_: watch.leave())
            stack.callback(before.remove)
            stack.callback(after.remove)
        for share in POINTS:
            steps.go_to(share)
            for _ in range(count):
                with watch("method"):
                    steps.method.step(stream, update)
                steps.clock.step += 1
            steps.fetch(updater)
    total = max(sum(watch.seconds.values()), 1e-12)
    return {part: watch.seconds[part] / total for part in PARTS if part in watch.seconds}


class _Stream(Iterator[Batch]):
    """A stream whose batches are timed."""

    def __init__(self, stream: BatchStream, watch: Stopwatch) -> None:
        self.stream, self.watch = stream, watch

    def __next__(self) -> Batch:
        with self.watch("batch"):
            return next(self.stream)

    def through(self, order: Tensor) -> Batch:
        with self.watch("batch"):
            return self.stream.through(order)


class _Update:
    """An update whose loss is timed apart from its gradient."""

    def __init__(self, updater: Updater, watch: Stopwatch, *, compiled: bool) -> None:
        self.updater, self.watch, self.compiled = updater, watch, compiled

    @property
    def step(self) -> int:
        return self.updater.step

    @property
    def images(self) -> int:
        return self.updater.images

    @property
    def progress(self) -> float:
        return self.updater.progress

    def __call__(self, name: str | tuple[str, ...], loss_fn: LossFn, batch: Batch) -> dict[str, Tensor]:
        def timed(batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            with self.watch("loss"):
                return loss_fn(batch)

        with self.watch("gradient"):
            return self.updater(name, loss_fn if self.compiled else timed, batch)

    def forget(self, module: nn.Module) -> None:
        self.updater.forget(module)


class _Views(TorchFunctionMode):
    """Times random views, which are one operation of torch each."""

    def __init__(self, watch: Stopwatch) -> None:
        super().__init__()
        self.watch = watch

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is not augment.RANDOM_VIEW:
            return func(*args, **(kwargs or {}))
        with self.watch("views"):
            return func(*args, **(kwargs or {}))
