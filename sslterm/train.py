"""The trainer process: `python -m sslterm.train RUN` trains, or goes on with, a run directory.

It is what `sslterm train` and `sslterm resume` start, and what torchrun starts once per rank:

    torchrun --nproc-per-node 8 -m sslterm.train runs/vae-mnist-1

All it needs to know stands in the run's config.toml; all it does is written into the run directory.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import platform
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from sslterm import __version__, augment
from sslterm.config.schema import Experiment
from sslterm.data.oddities import oddities
from sslterm.data.source import Source, load_source
from sslterm.engine import distributed
from sslterm.engine.build import describe_device, find_device
from sslterm.engine.checkpoint import newest_checkpoint
from sslterm.engine.controls import Controls
from sslterm.engine.initial import begin_with, read_weights
from sslterm.engine.load import read_experiment
from sslterm.engine.loop import Trainer
from sslterm.engine.scribe import Report, Scribe
from sslterm.errors import DataError, DeviceError, DivergedError, ExitCode, SsltermError
from sslterm.mirror.tensorboard import Mirror
from sslterm.render.png import write_png
from sslterm.rows import rank
from sslterm.run.control import refuse_older
from sslterm.run.files import replace_file
from sslterm.run.layout import RunDirectory
from sslterm.run.lock import hold
from sslterm.run.status import Status

MIRROR_SECONDS = 5.0


def train_run(run: RunDirectory, *, device: str = "auto", report: Report = lambda status: None) -> ExitCode:
    """Train `run` to its end in this process, or until it is asked to stop.

    Returns:
        OK when finished, STOPPED when asked to stop after saving.

    Raises:
        SsltermError: it could not go on; the run directory says why as well.
    """
    experiment = read_experiment(run)
    with ExitStack() as stack:
        here = find_device(device)
        if int(os.environ.get("RANK", "0")) == 0:
            stack.enter_context(hold(run))
        stack.callback(distributed.leave)
        here = distributed.join(here)
        mirror = stack.enter_context(_mirrored(run)) if rank() == 0 else None
        scribe = Scribe(
            run,
            Status(
                state="starting",
                total_images=experiment.train.images,
                started=time.time(),
                device=describe_device(here),
            ),
            draw=write_png,
            report=report if mirror is None else _both(report, mirror),
            active=rank() == 0,
        )
        try:
            with _said_plainly(run):
                scribe.start()
                state = _train(run, experiment, scribe, here)
                scribe.event(state, step=scribe.status.step, images=scribe.status.images)
        except SsltermError as error:
            state = "diverged" if isinstance(error, DivergedError) else "failed"
            scribe.close(state=state, message=error.message)
            if scribe.active:
                with suppress(OSError):
                    trace = "".join(traceback.format_exception(error.__cause__)) if error.__cause__ else ""
                    scribe.event(
                        "failed",
                        message=error.message,
                        hint=error.hint,
                        exit_code=int(error.exit_code),
                        trace=trace,
                    )
            raise
        scribe.close(state=state)
        return ExitCode.OK if state == "finished" else ExitCode.STOPPED


@contextmanager
def _mirrored(run: RunDirectory) -> Iterator[Mirror | None]:
    """A mirror in TensorBoard's form where the run has a folder for it; what hinders it hinders no training."""
    mirror = None
    if run.tensorboard.is_dir():
        try:
            mirror = Mirror(run, run.tensorboard)
        except (SsltermError, OSError) as error:
            print(f"warning: no TensorBoard events: {error}", file=sys.stderr)
    try:
        yield mirror
    finally:
        if mirror is not None:
            with suppress(OSError):
                mirror.close()


def _both(report: Report, mirror: Mirror) -> Report:
    """Report, and write what is new into the mirror, at most every few seconds."""
    due = 0.0

    def told(status: Status) -> None:
        nonlocal due
        report(status)
        if time.monotonic() >= due:
            with suppress(OSError):
                mirror.refresh()
            due = time.monotonic() + MIRROR_SECONDS

    return told


def _train(run: RunDirectory, experiment: Experiment, scribe: Scribe, device: torch.device) -> str:
    controls = Controls(run, experiment, active=scribe.active)
    with controls.signals():
        source = _load_source(experiment, scribe)
        checkpoint, complaints = newest_checkpoint(run)
        for complaint in complaints:
            scribe.event(
                "warning",
                text=f"{complaint}; using the one before",
                step=checkpoint.step if checkpoint else 0,
            )
            print(f"warning: {complaint}; using the one before", file=sys.stderr)
        if scribe.active:
            refuse_older(run, scribe.status.started)
            _keep_augmentation(run, scribe)
            _write_meta(run, device)
        trainer = Trainer(experiment, source, scribe, controls, device=device)
        if checkpoint is None:
            _begin_with_what_was_given(run, trainer, scribe)
        trainer.prepare(checkpoint)
        return trainer.train()


def _begin_with_what_was_given(run: RunDirectory, trainer: Trainer, scribe: Scribe) -> None:
    """Take the weights that lie in the run directory for its beginning, if there are any."""
    path = run.initial()
    if path is None:
        return
    taken = begin_with(trainer.method, read_weights(path), trainer.train_store.batch(torch.arange(2)).images)
    origin = str(_read_meta(run).get("initial", path.name))
    scribe.event("initialised", what=taken.what, tensors=taken.tensors, origin=origin)


def _keep_augmentation(run: RunDirectory, scribe: Scribe) -> None:
    """Make views the way this run has made them so far: the ways agree to 1e-6, and resuming is to the bit."""
    before = _read_meta(run).get("augment")
    if before == "eager":
        os.environ.setdefault("SSLTERM_AUGMENT", before)
    elif before is not None and before != augment.backend():
        text = f"views were made by {before} code so far, and are now by {augment.backend()}: the last bits differ"
        scribe.event("warning", text=text, step=0)


def _load_source(experiment: Experiment, scribe: Scribe) -> Source:
    """Load the data; rank 0 goes first, so that it is fetched and decoded once."""

    def progress(what: str, done: int, total: int) -> None:
        scribe.note(message=f"{what}: {done:,} of {total:,}" if total else what)

    with distributed.first_before_others():
        source = load_source(experiment.data, progress)
    for note in (*source.notes, *oddities(source.train, experiment.augment)):
        scribe.event("warning", text=note, step=0)
        if scribe.active:
            print(f"warning: {note}", file=sys.stderr)
    train, test = len(source.train.images), len(source.test.images)
    *_, channels, height, width = source.train.images.shape
    scribe.note(message=f"{train:,} train and {test:,} test images of {width}x{height}x{channels}")
    return source


@contextmanager
def _said_plainly(run: RunDirectory) -> Iterator[None]:
    """Turn what the system and the device throw into errors a person can act on."""
    try:
        yield
    except SsltermError:
        raise
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            "out of memory on the device",
            "lower train.batch, or raise train.micro_batches where the method allows it",
        ) from error
    except OSError as error:
        if error.errno in (errno.EROFS, errno.EACCES):
            raise DataError(f"cannot write to {error.filename or run.path}: {error.strerror}") from error
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SsltermError(
                f"the disk of {run.path} is full; the last checkpoint is intact",
                f"make room, then: sslterm resume {run.name}",
            ) from error
        raise SsltermError(
            f"the system refused: {error}", f"the last checkpoint of {run.name} is intact"
        ) from error
    except Exception as error:
        first_line = f"{type(error).__name__}: {error}".splitlines()[0]
        raise SsltermError(first_line, f"the whole trace is in {run.events}") from error


def _write_meta(run: RunDirectory, device: torch.device) -> None:
    """Add to meta.json what is known about this machine; what is there already (argv) stays."""
    known = _read_meta(run) | {
        "sslterm": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": _commit(),
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "device": describe_device(device),
        "threads": torch.get_num_threads(),
        "augment": augment.backend(),
    }
    replace_file(run.meta, json.dumps(known, indent=1).encode())


def _read_meta(run: RunDirectory) -> dict[str, Any]:
    try:
        known = json.loads(run.meta.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _commit() -> str:
    """The commit of the checkout this runs from, or "" where it is installed."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    with suppress(OSError, subprocess.SubprocessError):
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=5).stdout.strip()
    return ""


def exit_code_of(work: Callable[[], ExitCode]) -> int:
    """Run `work`; say errors on stderr; return the exit code."""
    try:
        return int(work())
    except SsltermError as error:
        print(f"error: {error}", file=sys.stderr)
        return int(error.exit_code)


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m sslterm.train RUN [--device D]`."""
    parser = argparse.ArgumentParser(prog="python -m sslterm.train", description="Train a run directory.")
    parser.add_argument("run", type=Path, help="the run directory, with its config.toml")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")
    given = parser.parse_args(arguments)
    run = RunDirectory(given.run.resolve())
    return exit_code_of(lambda: train_run(run, device=given.device))


if __name__ == "__main__":
    sys.exit(main())
