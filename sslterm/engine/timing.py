"""How long the training steps of a preset take here, in each precision that the device has.

The steps are the engine's own. What is compared takes turns, so that a busy machine is as fair to one as to the other.
A turn walks through the whole training: what a step does may be a function of the clock (ProGAN's images grow,
VQ-VAE ends with its prior), so that the rate of a whole training is not that of its beginning. The rates of learning
are zero meanwhile: the same is computed, and weights stay what they are everywhere on that walk.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from sslterm.config.schema import Experiment
from sslterm.data.source import Source
from sslterm.data.store import Store
from sslterm.data.stream import BatchStream
from sslterm.engine.build import build_method, inputs_of, place
from sslterm.engine.precision import choose_precision, has_bfloat16_units
from sslterm.engine.sweep import sweep_over
from sslterm.engine.turns import POINTS, Timing, Turn, Variant
from sslterm.engine.update import Clock, NotFiniteError, Updater
from sslterm.errors import DivergedError, SsltermError
from sslterm.methods.base import Method

TURNS = 8
"""Turns that the time is divided into."""
FEWEST_TURNS = 3
"""However long they take."""
Now = Callable[[], float]
Progress = Callable[[str, int, int], None]
"""(what is being done, how much is done, how much there is)."""


class Steps:
    """The training steps of an experiment, to be taken wherever in the training, in one variant or another.

    All variants share weights and the state of the optimizers, so that they need no more memory than one.

    Args:
        now: seconds of a clock.

    Attributes:
        auto: what `train.precision = "auto"` takes here.
        taken: the variant that the experiment is trained in.
        epoch_seconds: what the first and the second epoch begin with, once `begin` was called.

    Raises:
        SsltermError: the experiment cannot be trained, as `sslterm train` says.
    """

    def __init__(
        self, experiment: Experiment, source: Source, device: torch.device, *, now: Now = time.perf_counter
    ) -> None:
        self.experiment = experiment
        self.device = device
        self.now = now
        self.store = Store(source.train, device)
        self.method = place(build_method(experiment, inputs_of(experiment, source)), device)
        self.clock = Clock(total_images=experiment.train.images)
        self.stream = BatchStream(self.store, batch=experiment.train.batch, seed=experiment.run.seed)
        torch.manual_seed(experiment.run.seed)
        first = self.store.batch(torch.arange(min(experiment.train.batch, len(self.store))))
        self.auto = choose_precision("auto", self.method, first, device)
        asked = experiment.train.precision
        precision = self.auto if asked == "auto" else choose_precision(asked, self.method, first, device)
        self.taken = Variant(precision, experiment.train.compile)
        self.epoch_seconds = (0.0, 0.0)
        self._updaters: dict[Variant, Updater] = {}
        self.method.train()

    @property
    def epochs(self) -> int:
        """Epochs of the training, begun ones counted."""
        return -(-self.clock.total_images // len(self.store))

    def updater(self, variant: Variant) -> Updater:
        """The update in a variant; optimizers are the same in all."""
        if variant not in self._updaters:
            changed = replace(self.experiment.train, compile=variant.compile)
            updater = Updater(
                self.method,
                replace(self.experiment, train=changed),
                device=self.device,
                precision=variant.precision,
                clock=self.clock,
            )
            for other in self._updaters.values():
                updater.optimizers = other.optimizers
            updater.rate_factors = dict.fromkeys(updater.groups, 0.0)
            self._updaters[variant] = updater
        return self._updaters[variant]

    def begin(self, variant: Variant, progress: Progress) -> None:
        """Begin the first two epochs, and take the first step: what happens once has then happened."""
        updater, seconds = self.updater(variant), []

        def sweep(fn: Callable[[Tensor], Tensor], index: Tensor | None = None) -> Tensor:
            total, done = len(self.store) if index is None else len(index), 0

            def watched(images: Tensor) -> Tensor:
                nonlocal done
                progress("beginning an epoch", done, total)
                done += len(images)
                return fn(images)

            return sweep_over(self.store, watched, index, size=self.experiment.train.batch)

        for epoch in (0, 1):
            seconds.append(0.0)
            if type(self.method).begin_epoch is not Method.begin_epoch:
                start = self.now()
                self.method.begin_epoch(sweep, updater)
                self.wait()
                seconds[epoch] = self.now() - start
            if epoch == 0:
                self.step(updater)
                self.clock.images = min(len(self.store), self.clock.total_images)
                self.clock.step = max(self.clock.images // self.experiment.train.batch, 1)
        self.epoch_seconds = (seconds[0], seconds[1])

    def step(self, updater: Updater) -> None:
        """One step of the training, as the trainer takes it."""
        before = self.stream.position
        self.method.step(self.stream, updater)
        self.clock.step += 1
        self.clock.images += self.stream.position - before

    def go_to(self, share: float) -> None:
        """Set the clock to a share of the training."""
        batch = self.experiment.train.batch
        self.clock.step = max(int(share * self.clock.total_images) // batch, 1)
        self.clock.images = self.clock.step * batch

    def take_turn(self, variant: Variant, steps: int) -> Turn:
        """Walk through the training, `steps` at each point.

        Raises:
            DivergedError: a loss is not finite.
        """
        updater = self.updater(variant)
        images, seconds = [], []
        for share in POINTS:
            self.go_to(share)
            before, start = self.stream.position, self.now()
            for _ in range(steps):
                self.step(updater)
            self.fetch(updater)
            seconds.append(self.now() - start)
            images.append(self.stream.position - before)
        return Turn(steps, tuple(images), tuple(seconds))

    def fetch(self, updater: Updater) -> None:
        """Fetch what is logged, as the trainer does, which waits for the device.

        Raises:
            DivergedError: a value is not finite.
        """
        try:
            updater.window.means()
        except NotFiniteError as error:
            raise DivergedError(
                f"{error.name} is NaN or infinite with the first weights, in {updater.precision}",
                "there is nothing to time; train it to see more",
            ) from error

    def wait(self) -> None:
        """Wait until the device has done what it was told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()


def variants_of(steps: Steps) -> list[Variant]:
    """What there is to compare: each precision that the device is made for, and compiled where that may pay."""
    half = []
    if steps.device.type == "cuda":
        half = ["bfloat16" if torch.cuda.is_bf16_supported() else "float16"]
    elif steps.device.type == "cpu" and has_bfloat16_units():
        half = ["bfloat16"]
    variants = [Variant(precision) for precision in dict.fromkeys(("float32", *half, steps.taken.precision))]
    if steps.device.type == "cuda" or steps.taken.compile:
        variants.append(Variant(steps.taken.precision, compile=True))
    return variants


def time_variants(
    steps: Steps, variants: Sequence[Variant], *, seconds: float, timings: list[Timing], progress: Progress
) -> None:
    """Time each of `variants` for about so many seconds, and at least `FEWEST_TURNS` turns.

    Args:
        timings: empty; filled as turns are done, so that an interrupt leaves what was measured so far.

    Raises:
        DivergedError: a loss is not finite.
    """
    steps.begin(replace(steps.taken, compile=False), progress)
    timings.extend(Timing(variant) for variant in variants)
    counts: dict[Variant, int] = {}
    for timing in timings:
        progress(f"warming up {timing.variant}", 0, 0)
        counts[timing.variant] = _warm_up(steps, timing, seconds)
        twice = timing.variant.compile and len(timings) > 1 and not timing.fault
        if twice and not steps.updater(timing.variant).compiles:
            timing.fault = "none of its losses can be compiled"
            steps.taken = replace(steps.taken, compile=False)  # which is the same
    turn, spent = 0, 0.0
    while turn < FEWEST_TURNS or (spent < seconds and turn < 2 * TURNS):
        able = [timing for timing in timings if not timing.fault]
        if not able:
            return
        spent += max(
            _take_turn(steps, timing, counts[timing.variant]) for timing in able[:: 1 - 2 * (turn % 2)]
        )
        turn += 1
        total = max(FEWEST_TURNS, turn, round(turn * seconds / max(spent, 1e-9)))
        progress(f"timing {len(able)} ways" if len(able) > 1 else "timing", turn, total)


def _take_turn(steps: Steps, timing: Timing, count: int) -> float:
    """Add a turn; returns its seconds."""
    on_cuda = steps.device.type == "cuda"
    if on_cuda:
        torch.cuda.reset_peak_memory_stats(steps.device)
    turn = steps.take_turn(timing.variant, count)
    if on_cuda:
        timing.peak_bytes = max(timing.peak_bytes or 0, torch.cuda.max_memory_allocated(steps.device))
    timing.turns.append(turn)
    return sum(turn.seconds)


def _warm_up(steps: Steps, timing: Timing, seconds: float) -> int:
    """Take steps that are not counted; returns how many make a turn at each point.

    What cannot be done is noted as the timing's fault.
    """
    variant = timing.variant
    try:
        cold = steps.take_turn(variant, 1)
    except SsltermError:
        raise
    except torch.OutOfMemoryError:
        timing.fault = "out of memory on the device"
        _let_go(steps)
    except Exception as error:
        if not variant.compile:
            raise
        timing.fault = f"cannot be compiled: {type(error).__name__}: {error}".splitlines()[0]
        _let_go(steps)
    if timing.fault:
        return 0
    step = max(statistics.median(cold.seconds), 1e-9)
    return max(int(seconds / TURNS / len(POINTS) / step), 1)


def _let_go(steps: Steps) -> None:
    """Give back what a step that failed had in use."""
    for parameter in steps.method.parameters():
        parameter.grad = None
    if steps.device.type == "cuda":
        torch.cuda.empty_cache()
