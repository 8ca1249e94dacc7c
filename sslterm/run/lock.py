"""A run directory is held by one trainer at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sslterm.errors import DataError, UsageError
from sslterm.run.files import DRAFT, remove_old_drafts
from sslterm.run.layout import RunDirectory
from sslterm.run.status import LIVE_STATES, Status, is_alive, read_status, state_now


@contextmanager
def hold(run: RunDirectory) -> Iterator[None]:
    """Hold a run for training: a second trainer is refused until this one ends, however it ends.

    The kernel drops the lock with the process. Where the file system knows no locks, a heartbeat decides.

    Raises:
        UsageError: another process trains it; the message names its pid.
        DataError: the run directory is missing or read-only.
    """
    try:
        descriptor = os.open(run.path / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise DataError(f"cannot write to the run directory {run.path}: {error.strerror}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _held(run, os.pread(descriptor, 20, 0).decode(errors="replace").strip()) from error
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
                raise DataError(f"cannot lock the run directory {run.path}: {error.strerror}") from error
            _check_heartbeat(run)
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            raise DataError(f"cannot write to the run directory {run.path}: {error.strerror}") from error
        for folder in (run.path, run.control, *run.panels.glob("*")):
            remove_old_drafts(folder)
        _clear_checkpoints(run)
        yield
    finally:
        os.close(descriptor)


def _clear_checkpoints(run: RunDirectory) -> None:
    """Remove unfinished checkpoints, which a killed trainer left; one that is newer than all others takes its place.

    It is whole if its manifest says so, which is read when it is opened.
    """
    kept = max((int(path.name) for path in run.checkpoints.glob("[0-9]*") if path.name.isdigit()), default=-1)
    for draft in run.checkpoints.glob(f"{DRAFT}*"):
        images = draft.name.rpartition("-")[2]
        if images.isdigit() and int(images) > kept and (draft / "manifest.json").is_file():
            with suppress(OSError):
                draft.rename(run.checkpoints / images)
                kept = int(images)
        else:
            shutil.rmtree(draft, ignore_errors=True)


def trainer_of(run: RunDirectory, status: Status | None) -> int | None:
    """The pid of the process that trains a run, or is about to; None where none does.

    A trainer that was killed is gone at once, and not when its heartbeat is stale: nobody holds the run, and no
    process on this host has its pid.
    """
    held, pid = _lock_of(run)
    if pid is not None:
        return pid
    if status is None or state_now(status) not in LIVE_STATES:
        return None
    here = status.host == socket.gethostname()
    gone = held is False and here and not is_alive(status.pid, seen=status.heartbeat)
    return None if gone else status.pid


def holder(run: RunDirectory) -> int | None:
    """The pid of the process on this host that holds a run for training; None where none does, or none can tell."""
    return _lock_of(run)[1]


def _lock_of(run: RunDirectory) -> tuple[bool | None, int | None]:
    """Whether a run is held for training, None where nobody can tell, and by which process."""
    try:
        descriptor = os.open(run.path / ".lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None, None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
        return True, int(pid) if pid.isascii() and pid.isdecimal() else None
    except OSError:
        return None, None
    finally:
        os.close(descriptor)
    return False, None


def _held(run: RunDirectory, pid: str) -> UsageError:
    by = f" by process {pid}" if pid else ""
    return UsageError(
        f"{run.name} is being trained already{by}",
        f"watch it: sslterm monitor {run.name}; end it: sslterm stop {run.name}",
    )


def _check_heartbeat(run: RunDirectory) -> None:
    status = read_status(run.status)
    if status is not None and status.pid != os.getpid() and state_now(status) in LIVE_STATES:
        raise _held(run, str(status.pid))
