"""How fast a preset trains on this machine: what `sslterm bench` measures. Nothing of it is kept."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import torch

from sslterm import __version__
from sslterm.config.schema import DataConfig, Experiment
from sslterm.data.source import Source, load_source
from sslterm.engine.breakdown import PARTS, parts_of
from sslterm.engine.build import describe_device, find_device
from sslterm.engine.timing import Progress, Steps, time_variants, variants_of
from sslterm.engine.turns import POINTS, Timing
from sslterm.errors import DeviceError, SsltermError

OUT_OF_MEMORY = DeviceError(
    "out of memory on the device",
    "lower train.batch, or raise train.micro_batches where the method allows it",
)
COMPILED_PART = "networks and loss, forward and backward; clipping"


class Bench:
    """A device to time presets on; data that several of them share is loaded once.

    Args:
        device: as `--device`.
        now: seconds of a clock.

    Raises:
        SsltermError: there is no such device.
    """

    def __init__(self, device: str, *, now: Callable[[], float] = time.perf_counter) -> None:
        self.device = find_device(device)
        self.now = now
        self._sources: dict[DataConfig, Source] = {}

    @property
    def machine(self) -> dict[str, Any]:
        """{device, threads, torch, sslterm}."""
        return {
            "device": describe_device(self.device),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "sslterm": __version__,
        }

    def measure(
        self, experiment: Experiment, progress: Progress, *, seconds: float, compare: bool
    ) -> dict[str, Any]:
        """Time the steps of an experiment, for about so many seconds in each precision.

        An interrupt ends it early; what was measured until then is returned.

        Args:
            progress: told what is being done.
            compare: also time the other precisions, and look where the time of a step goes.

        Raises:
            SsltermError: it cannot be trained here, as `sslterm train` says.
            KeyboardInterrupt: nothing was measured yet.
        """
        others = _Others()
        with _said_plainly():
            steps = Steps(experiment, self._load(experiment.data, progress), self.device, now=self.now)
            timings: list[Timing] = []
            parts: dict[str, float] = {}
            interrupted = False
            try:
                variants = variants_of(steps) if compare else [steps.taken]
                time_variants(steps, variants, seconds=seconds, timings=timings, progress=progress)
                memory = _most_memory()
                if not any(timing.turns for timing in timings):
                    raise _nothing_measured(timings)
                mine = next(timing for timing in timings if timing.variant == steps.taken)
                if compare and mine.turns:
                    progress("looking where the time goes", 0, 0)
                    parts = parts_of(steps, steps.taken, mine.turns[0].steps)
            except KeyboardInterrupt:
                if not any(timing.turns for timing in timings):
                    raise
                interrupted, memory = True, _most_memory()
        found = _result(steps, timings, parts, memory)
        return found | {"others_share": others.share(), "interrupted": interrupted}

    def _load(self, config: DataConfig, progress: Progress) -> Source:
        if config not in self._sources:
            source = load_source(config, progress)
            for note in source.notes:
                print(f"warning: {note}", file=sys.stderr)
            self._sources[config] = source
        return self._sources[config]


def _result(
    steps: Steps, timings: list[Timing], parts: dict[str, float], memory: int | None
) -> dict[str, Any]:
    """What was measured, as `sslterm.cli.outputs.speed.Benched` has it but for the machine."""
    experiment = steps.experiment
    mine = next((one for one in timings if one.variant == steps.taken and one.turns), None)
    first, each = steps.epoch_seconds
    return {
        "method": experiment.run.method,
        "preset": experiment.run.preset,
        "data": experiment.data.name,
        "shape": list(steps.store.shape),
        "batch": experiment.train.batch,
        "total_images": experiment.train.images,
        "epochs": steps.epochs,
        "parameters": sum(parameter.numel() for parameter in steps.method.parameters()),
        "precision_auto": steps.auto,
        "precision_asked": experiment.train.precision,
        "epoch_begins_seconds": each,
        "timings": [_timing(steps, one, first + each * (steps.epochs - 1)) for one in timings],
        "parts": [
            {
                "part": part,
                "about": PARTS[part] if part != "gradient" or "loss" in parts else COMPILED_PART,
                "share": share,
                "ms": 1000 * share * mine.seconds_per_step,
            }
            for part, share in parts.items()
            if mine is not None
        ],
        "course": [
            {"progress": point, "ms_per_step": 1000 * seconds}
            for point, seconds in zip(POINTS, mine.by_point, strict=True)
        ]
        if mine is not None
        else [],
        "varies": mine is not None and all(one.varies for one in timings if one.turns),
        "process_bytes": memory,
    }


def _timing(steps: Steps, timing: Timing, epochs_seconds: float) -> dict[str, Any]:
    """A variant, and how long the whole training would take in it."""
    variant = timing.variant
    measured = bool(timing.turns)
    rate = timing.images_per_second if measured else None
    return {
        "precision": variant.precision,
        "compile": variant.compile,
        "auto": variant.precision == steps.auto and not variant.compile,
        "taken": variant == steps.taken,
        "images_per_second": rate,
        "ms_per_step": 1000 * timing.seconds_per_step if measured else None,
        "ms_quartiles": [1000 * each for each in timing.quartiles] if measured else None,
        "turns": len(timing.turns),
        "steps": timing.steps,
        "memory_bytes": timing.peak_bytes,
        "preset_seconds": steps.clock.total_images / rate + epochs_seconds if rate is not None else None,
        "fault": timing.fault,
    }


def _nothing_measured(timings: list[Timing]) -> SsltermError:
    """Why none of the variants could be timed."""
    faults = [timing.fault for timing in timings]
    if OUT_OF_MEMORY.message in faults:
        return OUT_OF_MEMORY
    return SsltermError(faults[0], "set train.compile=false")


def _most_memory() -> int | None:
    """Bytes of memory that this process had in use at most; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


class _Others:
    """How busy other processes keep the processors of this machine from now on."""

    def __init__(self) -> None:
        self._began = self._seconds()

    @staticmethod
    def _seconds() -> tuple[float, float, float]:
        """Of all processors: there were, spent on work, and on this process's."""
        times, mine = psutil.cpu_times(), psutil.Process().cpu_times()
        idle = times.idle + getattr(times, "iowait", 0.0)
        total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
        return total, total - idle, mine.user + mine.system

    def share(self) -> float:
        """Their share of what all processors could have done, in [0, 1]."""
        total, busy, mine = (now - then for now, then in zip(self._seconds(), self._began, strict=True))
        return min(max((busy - mine) / total, 0.0), 1.0) if total > 0 else 0.0


@contextmanager
def _said_plainly() -> Iterator[None]:
    """Turn what the system and the device throw into errors a person can act on."""
    try:
        yield
    except (SsltermError, OSError):
        raise
    except torch.OutOfMemoryError as error:
        raise OUT_OF_MEMORY from error
    except Exception as error:
        first_line = f"{type(error).__name__}: {error}".splitlines()[0]
        raise SsltermError(
            first_line, "`sslterm train` with the same options keeps the whole trace"
        ) from error
