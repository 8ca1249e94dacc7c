"""The training loop: steps, and between them what is due by the number of images seen.

Everything that decides what happens next is a function of the clock, and all that must survive is in a checkpoint; so
a run that was killed and resumed does what it would have done, to the bit on a CPU.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from sslterm.config.schema import Experiment
from sslterm.data.source import Source
from sslterm.data.store import Store
from sslterm.data.stream import BatchStream
from sslterm.engine import distributed, finite
from sslterm.engine.build import build_method, inputs_of, place
from sslterm.engine.checkpoint import Checkpoint, save_checkpoint
from sslterm.engine.controls import Controls, obey
from sslterm.engine.precision import choose_precision
from sslterm.engine.scribe import Scribe
from sslterm.engine.sweep import sweep_over
from sslterm.engine.update import Clock, NotFiniteError, Updater
from sslterm.evaluate.duel import Referee
from sslterm.evaluate.embedding import Watchdog
from sslterm.evaluate.features import fitting
from sslterm.evaluate.online import online_metrics, raw_pixel_metrics
from sslterm.evaluate.panels import capability_panels
from sslterm.methods.base import Method
from sslterm.nn.rng import random_state_on, set_random_state_on
from sslterm.rows import rank, world_size

PANEL_IMAGES = 256
"""Held-out images that panels are made of."""


class Trainer:
    """Trains one run directory from where its newest checkpoint stands."""

    def __init__(
        self,
        experiment: Experiment,
        source: Source,
        scribe: Scribe,
        controls: Controls,
        *,
        device: torch.device,
    ) -> None:
        self.experiment = experiment
        self.scribe = scribe
        self.controls = controls
        self.device = device
        self.class_names = source.class_names
        self.train_store = Store(source.train, device)
        self.test_store = Store(source.test, device)
        self.method = place(build_method(experiment, inputs_of(experiment, source)), device)
        self.clock = Clock(total_images=experiment.train.images)
        self.stream = BatchStream(
            self.train_store,
            batch=experiment.train.batch,
            seed=experiment.run.seed,
            rank=rank(),
            world=world_size(),
        )
        self.updater: Updater
        self.watchdog = Watchdog()
        self.referee = Referee()
        self.epoch_begun = -1
        self.saved_images = -1
        """Where the newest checkpoint of this process stands."""
        self.elapsed_seconds = 0.0
        self._stretch_images, self._stretch_seconds = 0, 0.0
        """Pure training since the last log line."""

    # -- where a training begins

    def prepare(self, checkpoint: Checkpoint | None) -> None:
        """Start anew from the seed, or from a checkpoint."""
        torch.manual_seed(self.experiment.run.seed)
        if checkpoint is None:
            first = self.train_store.batch(
                torch.arange(min(self.experiment.train.batch, len(self.train_store)))
            )
            asked = self.experiment.train.precision
            precision = choose_precision(asked, self.method, first, self.device)
            if distributed.agree([precision == "float32"], self.device)[0]:  # ranks probe for themselves
                precision = "float32"
            self._build_updater(precision)
            distributed.copy_from_first(self.method)
            self.scribe.event("started", device=str(self.device), precision=self.updater.precision)
        else:
            self._restore(checkpoint)
            self.scribe.resumed(self.clock.step)
            self.scribe.event("resumed", from_step=self.clock.step, images=self.clock.images)
        self._note_clock()
        parameters = sum(parameter.numel() for parameter in self.method.parameters())
        self.scribe.announce(state="running", precision=self.updater.precision, parameters=parameters)
        if checkpoint is None:
            self.evaluate()
            self.draw_panels()
            self.save()

    def _build_updater(self, precision: str) -> None:
        self.updater = Updater(
            self.method, self.experiment, device=self.device, precision=precision, clock=self.clock
        )

    def _restore(self, checkpoint: Checkpoint) -> None:
        state = checkpoint.trainer_state()
        self.method.load_state_dict(checkpoint.model_state())
        self._build_updater(state["precision"])
        self.updater.restore(state["updater"])
        self.clock.step, self.clock.images = state["step"], state["images"]
        self.saved_images = state["images"]
        self.stream.position = state["images"]
        self.epoch_begun = state["epoch_begun"]
        self.elapsed_seconds = state["elapsed_seconds"]
        torch.set_rng_state(state["random_state"])
        if state.get("device") == self.device.type:
            set_random_state_on(self.device, state["device_random_state"])

    # -- the loop

    def train(self) -> str:
        """Train to the end, or until asked to stop; returns "finished" or "stopped"."""
        self.method.train()
        while self.clock.images < self.clock.total_images:
            if self._asked_to_stop():
                if self.saved_images != self.clock.images:
                    self.save()
                return "stopped"
            began, before = time.perf_counter(), self.clock.images
            self._maybe_begin_epoch()
            self.method.step(self.stream, self.updater)
            self.clock.step += 1
            self.clock.images = self.stream.position
            stepped = time.perf_counter()
            self._stretch_images += self.clock.images - before
            self._stretch_seconds += stepped - began
            self.elapsed_seconds += stepped - began
            self._note_clock()
            self._do_what_is_due(before)
            self.elapsed_seconds += time.perf_counter() - stepped
        return "finished"

    def _do_what_is_due(self, before: int) -> None:
        watch, now = self.experiment.watch, self.clock.images
        done = now >= self.clock.total_images

        def due(every_images: int) -> bool:
            return done or before // every_images != now // every_images

        if due(watch.log_every_images):
            self.log()
        if due(watch.evaluate_every_images):
            self.evaluate()
        if due(watch.panels_every_images):
            self.draw_panels()
        if due(watch.checkpoint_every_images):
            self.save()

    def _maybe_begin_epoch(self) -> None:
        epoch = self.stream.epoch
        if epoch == self.epoch_begun:
            return
        self.epoch_begun = epoch
        if type(self.method).begin_epoch is not Method.begin_epoch:
            sweep = partial(sweep_over, self.train_store, size=self.experiment.train.batch)
            self.method.begin_epoch(sweep, self.updater)
            distributed.copy_from_first(self.method)

    # -- what happens between steps

    def log(self) -> None:
        """Write the means of the values since the last log line.

        Raises:
            DivergedError: one of them is not finite.
        """
        try:
            values = self.updater.window.means()
        except NotFiniteError as error:
            raise finite.diverged(error, self.method, self.scribe.run) from error
        values |= {
            f"{name}/lr": config.lr * self.updater.rate_factor(name)
            for name, config in self.experiment.optim.items()
        }
        rate = self._stretch_images / max(self._stretch_seconds, 1e-9)
        self._stretch_images, self._stretch_seconds = 0, 0.0
        self.scribe.note(images_per_second=rate, elapsed_seconds=self.elapsed_seconds)
        self.scribe.metrics({**values, "speed/images_per_second": rate}, seconds=self.elapsed_seconds)
        if warning := self.referee.look(values):
            self.scribe.event("warning", step=self.clock.step, text=warning)

    def evaluate(self) -> None:
        """Measure on held-out images, without touching the training's random state."""
        with self._aside("measuring"):
            seed = self.experiment.run.seed
            values = dict(online_metrics(self.method, self.train_store, self.test_store, seed=seed))
            if self.clock.step == 0 and "test/knn" in values:  # a baseline, which never changes
                values |= raw_pixel_metrics(self.train_store, self.test_store, seed=seed)
        self.scribe.metrics(values, seconds=self.elapsed_seconds)
        self.scribe.event("evaluation", step=self.clock.step, **values)
        if self.clock.step and (warning := self.watchdog.look(values)):
            self.scribe.event("warning", step=self.clock.step, text=warning)

    def draw_panels(self) -> None:
        """Draw what is worth watching, from the same held-out images every time."""
        count = min(fitting(PANEL_IMAGES, self.test_store.shape), len(self.test_store))
        with self._aside("drawing"):
            batch = self.test_store.batch(torch.arange(count))
            for panel in (
                *self.method.panels(batch),
                *capability_panels(
                    self.method, batch, seed=self.experiment.run.seed, class_names=self.class_names
                ),
            ):
                self.scribe.panel(panel)

    def save(self) -> None:
        """Save a checkpoint, unless something in it is not finite.

        Raises:
            DivergedError: a weight or a pending loss is NaN or infinite.
            OSError: the disk is full or read-only; earlier checkpoints are untouched.
        """
        finite.check(self.method, self.updater.window, step=self.clock.step, run=self.scribe.run)
        if rank() == 0:
            state: dict[str, Any] = {
                "step": self.clock.step,
                "images": self.clock.images,
                "epoch_begun": self.epoch_begun,
                "elapsed_seconds": self.elapsed_seconds,
                "precision": self.updater.precision,
                "updater": self.updater.state(),
                "random_state": torch.get_rng_state(),
                "device": self.device.type,
                "device_random_state": random_state_on(self.device),
            }
            save_checkpoint(
                self.scribe.run,
                step=self.clock.step,
                images=self.clock.images,
                model=self.method.state_dict(),
                trainer=state,
                keep=self.experiment.watch.keep_checkpoints,
            )
            self.scribe.event("checkpoint", step=self.clock.step, images=self.clock.images)
        self.saved_images = self.clock.images
        distributed.barrier()

    @contextmanager
    def _aside(self, doing: str) -> Iterator[None]:
        """Evaluation mode without gradients; the training's random state is untouched, and time does not count."""
        self.scribe.note(between_steps=doing)
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), torch.no_grad():
            torch.manual_seed(self.experiment.run.seed)
            self.method.eval()
            try:
                yield
            finally:
                self.method.train()
                self.scribe.note(between_steps="")

    def _note_clock(self) -> None:
        self.scribe.note(
            step=self.clock.step,
            images=self.clock.images,
            epoch=self.stream.position // len(self.train_store),
            images_per_epoch=len(self.train_store),
            elapsed_seconds=self.elapsed_seconds,
        )

    # -- what was asked for

    def _asked_to_stop(self) -> bool:
        return obey(
            self.controls,
            step=self.clock.step,
            device=self.device,
            actions={"checkpoint": self.save, "sample": self.draw_panels, "probe": self.evaluate},
            set_rate=self._set_rate,
            paused=self._paused,
        )

    def _set_rate(self, group: str, rate: float) -> None:
        self.updater.rate_factors[group] = rate / self.experiment.optim[group].lr
        self.saved_images = -1
        self.scribe.event("rate", step=self.clock.step, group=group, lr=rate)

    def _paused(self, paused: bool) -> None:
        self.scribe.event("paused" if paused else "continued", step=self.clock.step)
        self.scribe.announce(state="paused" if paused else "running")
