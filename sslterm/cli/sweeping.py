"""Training the runs of a sweep, some at a time; what was begun before is gone on with."""

from __future__ import annotations

import os
import subprocess
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sslterm.errors import DataError, SsltermError, UsageError
from sslterm.run import launch
from sslterm.run.layout import RunDirectory, create_run
from sslterm.run.status import read_status, state_now

POLL_SECONDS = 0.5
AT_WORK = ("starting", "running", "paused")
OVER = ("finished", "diverged")
"""States of which no more comes: that a configuration diverges is what a sweep has found of it."""

Say = Callable[[str], None]


@dataclass
class Job:
    """One run of a sweep: its place on disk, its configuration, and the process that trains it.

    `trainer` is None also where an earlier sweep's trainer is at work still.
    """

    run: RunDirectory
    text: str
    trainer: subprocess.Popen[bytes] | None = None
    error: SsltermError | None = None

    @property
    def state(self) -> str:
        """As the run's status says; "new" where it has none."""
        if self.error is not None:
            return "failed"
        if self.trainer is not None and self.trainer.poll() is None:
            return "running"
        status = read_status(self.run.status)
        return state_now(status) if status is not None else "new"


def check_jobs(jobs: Sequence[Job]) -> None:
    """Raise UsageError where a run of a name is there with another configuration."""
    for job in jobs:
        if not job.run.path.exists():
            continue
        try:
            same = tomllib.loads(job.run.config.read_text()) == tomllib.loads(job.text)
        except (OSError, ValueError):
            same = not any(job.run.path.glob("[!.]*"))  # it was killed before it had written anything
        if not same:
            raise UsageError(
                f"there is a run {job.run.name} already, of another configuration",
                "give the sweep another --name, or remove that run: sslterm runs rm " + job.run.name,
            )


def work(
    jobs: Sequence[Job], *, at_once: int, device: str, say: Say, ended: Callable[[], object] = lambda: None
) -> None:
    """Train all that is not over, `at_once` at a time, each in the order of the list.

    On an interrupt, or where `ended`, called after every run, raises, the trainers save and stop.
    """
    if at_once > 1:
        os.environ.setdefault("OMP_NUM_THREADS", str(max((os.cpu_count() or 1) // at_once, 1)))
    waiting = [job for job in jobs if job.state not in OVER]
    done = len(jobs) - len(waiting)
    if done:
        say(f"{done} of {len(jobs)} runs are there already")
    working: list[Job] = []
    try:
        while waiting or working:
            while waiting and len(working) < at_once:
                job = waiting.pop(0)
                say(f"[{len(jobs) - len(waiting)}/{len(jobs)}] {_begin(job, device)}")
                working.append(job)
            time.sleep(POLL_SECONDS)
            for job in [job for job in working if job.state not in AT_WORK or _has_ended(job)]:
                working.remove(job)
                _note_end(job, say)
                ended()
    except (KeyboardInterrupt, SsltermError):
        for job in working:
            if job.trainer is not None and job.trainer.poll() is None:
                job.trainer.terminate()
        for job in working:
            if job.trainer is not None:
                job.trainer.wait()
        if working:
            say("stopped after saving; the same command goes on from here")
        raise


def _begin(job: Job, device: str) -> str:
    """Start or go on with a run; what is being done, in words."""
    state = job.state
    if state in AT_WORK:
        return f"{job.run.name} is at work still"
    if not job.run.config.exists():
        if not job.run.path.exists():
            create_run(job.run.path.parent, "", "", job.run.path.name)
        launch.write_config(job.run, job.text)
    job.trainer = launch.start_trainer(job.run, device=device, processes=1)
    return f"{job.run.name}" + ("" if state == "new" else " goes on")


def _has_ended(job: Job) -> bool:
    """Whether our own trainer is gone; of another's only the status tells."""
    return job.trainer is not None and job.trainer.poll() is not None


def _note_end(job: Job, say: Say) -> None:
    if job.trainer is not None:
        job.error = launch.what_happened(job.run, job.trainer)
    if isinstance(job.error, UsageError | DataError):
        launch.remove_if_untouched(job.run)
    if job.error is not None and job.error.exit_code != 5:
        say(f"{job.run.name}: {job.error.message}")
