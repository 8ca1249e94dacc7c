"""Starting a trainer in a session of its own, which outlives the terminal, and learning what became of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from sslterm.errors import DataError, ExitCode, SsltermError, UsageError
from sslterm.run.events import EventsReader
from sslterm.run.files import draft_of, read_file, replace_file
from sslterm.run.json_values import parse_object
from sslterm.run.layout import INITIAL, INITIAL_SUFFIXES, RunDirectory
from sslterm.run.lock import hold, holder
from sslterm.run.metrics import MetricsReader
from sslterm.run.status import LIVE_STATES, Status, is_alive, read_status


class TrainerProcess(subprocess.Popen[bytes]):
    """A trainer that was started from here.

    Attributes:
        launched: Unix time; what is older in the run directory is not of it.
    """

    launched = 0.0


def command_of(run: RunDirectory, *, device: str, processes: int) -> list[str]:
    """The command line of the trainer process(es)."""
    start = [sys.executable, "-m"]
    if processes > 1:
        start += ["torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "-m"]
    return [*start, "sslterm.train", str(run.path), "--device", device]


def start_trainer(run: RunDirectory, *, device: str, processes: int) -> TrainerProcess:
    """Start the trainer in its own session: it outlives this terminal, and its output goes to trainer.log."""
    launched = time.time()
    with run.log.open("ab") as log:
        trainer = TrainerProcess(
            command_of(run, device=device, processes=processes),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
    trainer.launched = launched
    return trainer


def own_status(run: RunDirectory, trainer: subprocess.Popen[bytes]) -> Status | None:
    """What the trainer has written of itself; None before it has. Of several ranks the first writes."""
    status = read_status(run.status)
    launched = getattr(trainer, "launched", 0.0)
    return status if status is not None and status.started >= launched else None


def kill_trainer(run: RunDirectory) -> None:
    """End the trainer of a run at once, by SIGKILL: what it has done since its last checkpoint is lost.

    Its process group goes with it where the trainer was started in a session of its own.

    Raises:
        UsageError: there is no trainer at work, it is on another host, or the process is not the run's trainer.
        SsltermError: the process belongs to somebody else.
    """
    status = read_status(run.status)
    if status is None or status.state not in LIVE_STATES:
        raise UsageError(f"no trainer is at work on {run.name}")
    if status.host != socket.gethostname():
        raise UsageError(
            f"{run.name} is trained on {status.host}", f"end it there: ssh {status.host} kill -9 {status.pid}"
        )
    if holder(run) != status.pid or not is_alive(status.pid, seen=status.heartbeat):
        raise UsageError(f"the trainer of {run.name} is gone: there is nothing to kill")
    try:
        group = os.getpgid(status.pid)
        if group == os.getsid(status.pid) and group != os.getsid(0) and _is_trainer(group):
            os.killpg(group, signal.SIGKILL)
        else:
            os.kill(status.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    except OSError as error:
        raise SsltermError(f"cannot kill the trainer of {run.name}: {error.strerror}") from error


def _is_trainer(pid: int) -> bool:
    """Whether a process was started by `command_of`; false also where that cannot be told."""
    try:
        return b"sslterm.train" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def raise_what_happened(run: RunDirectory, trainer: subprocess.Popen[bytes]) -> None:
    """Raise the error that ended the trainer, as it is told in the run directory; a run never trained is removed."""
    error = what_happened(run, trainer)
    if error is not None:
        remove_if_untouched(run)
        raise error


def what_happened(run: RunDirectory, trainer: subprocess.Popen[bytes]) -> SsltermError | None:
    """The error that ended the trainer, as it is told in the run directory; None where there was none."""
    code = trainer.poll()
    if code in (None, ExitCode.OK, ExitCode.STOPPED):
        return None
    launched, status = getattr(trainer, "launched", 0.0), own_status(run, trainer)
    if launched and status is not None and status.state in ("finished", "stopped"):
        return None  # torchrun has codes of its own
    events = EventsReader(run.events)
    events.refresh()
    failures = [
        event for event in events.events if event.get("kind") == "failed" and event.get("time", 0) >= launched
    ]
    if not failures:
        tail = run.log.read_text(errors="replace").strip().splitlines()[-1:] if run.log.exists() else []
        how = f"ended with code {code}" if code > 0 else f"was killed by signal {-code}"
        return SsltermError(f"the trainer of {run.name} {how}: {''.join(tail)}", f"see {run.log}")
    last = failures[-1]
    error = SsltermError(str(last.get("message", "the trainer failed")), str(last.get("hint", "")))
    known = [int(value) for value in ExitCode]
    error.exit_code = ExitCode(last["exit_code"]) if last.get("exit_code") in known else ExitCode.FAILED
    return error


def remove_if_untouched(run: RunDirectory) -> None:
    """Drop a run directory in which nothing was ever trained, so that a mistake leaves no litter."""
    if run.checkpoints.is_dir() and any(run.checkpoints.iterdir()):
        return
    metrics = MetricsReader(run.metrics)
    metrics.refresh()
    if not metrics.series:
        with suppress(SsltermError), hold(run):  # another trainer may be loading the data for it
            shutil.rmtree(run.path, ignore_errors=True)


def copy_initial(run: RunDirectory, weights: Path, origin: str) -> None:
    """Give a new run the weights that it is to begin with, and say in meta.json where they are from.

    Raises:
        DataError: they cannot be copied.
    """
    suffix = weights.suffix if weights.suffix == INITIAL_SUFFIXES[0] else INITIAL_SUFFIXES[1]
    target = run.path / f"{INITIAL}{suffix}"
    draft = draft_of(target)
    try:
        shutil.copyfile(weights, draft)
        draft.replace(target)
        meta = parse_object(read_file(run.meta)) or {}
        replace_file(run.meta, json.dumps(meta | {"initial": origin}, indent=1).encode())
    except OSError as error:
        raise DataError(f"cannot copy {weights}: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)


def write_config(run: RunDirectory, text: str) -> None:
    """Write config.toml and the command line into a new run directory."""
    for path, content in ((run.config, text), (run.meta, json.dumps({"argv": sys.argv}, indent=1))):
        try:
            replace_file(path, content.encode())
        except OSError as error:
            raise DataError(f"cannot write {path}: {error.strerror}") from error
