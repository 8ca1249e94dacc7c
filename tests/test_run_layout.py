"""Run directories: made by several at once, found by what people type, held by one, told alive from dead."""

from __future__ import annotations

import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from sslterm.errors import DataError, UsageError
from sslterm.run.files import append_line, remove_old_drafts, replace_file
from sslterm.run.layout import RunDirectory, create_run, find_run, list_runs, runs_root
from sslterm.run.lock import hold
from sslterm.run.status import Status, is_alive, read_status, state_now, write_status


def make(
    root: Path, name: str, *, started: float | None = None, changed: float | None = None
) -> RunDirectory:
    run = create_run(root, "vae", "digits", name)
    run.config.write_text("[run]\n")
    if changed is not None:
        os.utime(run.config, (changed, changed))
    if started is not None:
        write_status(run.status, Status(state="finished", started=started))
    return run


# -- where runs are, and how one is made


def test_the_root_is_the_flag_then_the_environment_then_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLTERM_RUNS", "/from/environment")
    monkeypatch.setenv("HOME", "/home/someone")
    assert runs_root(Path("given")) == Path("given")
    assert runs_root(Path("~/runs")) == Path("/home/someone/runs")
    assert runs_root() == Path("/from/environment")
    monkeypatch.setenv("SSLTERM_RUNS", "")
    assert runs_root() == Path("runs")
    monkeypatch.delenv("SSLTERM_RUNS")
    assert runs_root() == Path("runs")


def test_numbers_go_up_and_are_not_given_again(tmp_path: Path) -> None:
    assert [create_run(tmp_path / "new", "vae", "digits").name for _ in range(3)] == [
        "vae-digits-1", "vae-digits-2", "vae-digits-3",
    ]  # fmt: skip
    (tmp_path / "new" / "vae-digits-2").rmdir()
    (tmp_path / "new" / "vae-digits-40-copy").mkdir()
    assert create_run(tmp_path / "new", "vae", "digits").name == "vae-digits-4"
    assert create_run(tmp_path / "new", "vae", "digits-2").name == "vae-digits-2-1"


def test_a_given_name_is_taken_once(tmp_path: Path) -> None:
    assert create_run(tmp_path, "vae", "digits", "best").path == tmp_path / "best"
    with pytest.raises(UsageError, match="'best'") as caught:
        create_run(tmp_path, "vae", "digits", "best")
    assert "resume best" in caught.value.hint


@pytest.mark.parametrize(
    "name", ["last", "", ".hidden", "-n", "a/b", "../up", "a b", "a\nb", "x" * 101, "nul\0"]
)
def test_names_that_would_be_trouble_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError):
        create_run(tmp_path, "vae", "digits", name)
    assert list(tmp_path.iterdir()) == []


def test_a_root_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    for name in (None, "best"):
        with pytest.raises(DataError, match="runs"):
            create_run(tmp_path / "runs", "vae", "digits", name)


CREATE_MANY = """
import sys
from pathlib import Path
from sslterm.run.layout import create_run
sys.stdin.readline()
print(*(create_run(Path(sys.argv[1]), "vae", "digits").name for _ in range(30)))
"""


def test_processes_that_create_at_once_get_different_runs(tmp_path: Path) -> None:
    command = [sys.executable, "-c", CREATE_MANY, str(tmp_path / "runs")]
    children = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    names = [name for child in children for name in child.communicate()[0].split()]
    assert sorted(names) == sorted(f"vae-digits-{n}" for n in range(1, 91))


# -- how a run is found


def test_by_name_prefix_path_and_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, ten = make(tmp_path, "vae-digits-1", started=200.0), make(tmp_path, "vae-digits-10", started=100.0)
    gan = make(tmp_path, "dcgan-digits-1", started=50.0)
    assert find_run("vae-digits-1", tmp_path) == one, "a name, though another run begins with it"
    assert find_run("vae-digits-10", tmp_path) == ten
    assert find_run("dc", tmp_path) == gan
    assert find_run("last", tmp_path) == one
    assert find_run(str(gan.path), tmp_path / "elsewhere") == gan
    monkeypatch.chdir(gan.path)
    assert find_run(".", tmp_path).name == "dcgan-digits-1"
    assert [run.name for run in list_runs(tmp_path)] == ["vae-digits-1", "vae-digits-10", "dcgan-digits-1"]


def test_a_shared_prefix_names_the_candidates(tmp_path: Path) -> None:
    for number in range(1, 12):
        make(tmp_path, f"vae-digits-{number}", started=float(number))
    with pytest.raises(UsageError, match=r"vae-digits-11, vae-digits-10, .* and 3 more"):
        find_run("vae", tmp_path)


def test_what_is_not_there_suggests_what_is(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no runs") as caught:
        find_run("last", tmp_path / "missing")
    assert "sslterm train" in caught.value.hint
    make(tmp_path, "vae-digits-1")
    with pytest.raises(DataError, match="'vea-digits-1'") as caught:
        find_run("vea-digits-1", tmp_path)
    assert caught.value.hint == "did you mean 'vae-digits-1'?"
    with pytest.raises(DataError):
        find_run("", tmp_path)
    with pytest.raises(DataError):
        find_run("nul\0", tmp_path)
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match="not a run directory"):
        find_run(str(tmp_path / "other"), tmp_path)


def test_last_counts_runs_whose_status_is_missing_or_foreign(tmp_path: Path) -> None:
    """Without a status, the time at which the configuration was written stands for the start."""
    make(tmp_path, "old", started=1_000.0, changed=999.0)
    make(tmp_path, "never-started", changed=2_000.0)
    assert find_run("last", tmp_path).name == "never-started"
    foreign = make(tmp_path, "foreign", changed=3_000.0)
    foreign.status.write_text('{"state": "running", "started": "yesterday"}')
    torn = make(tmp_path, "torn", changed=2_500.0)
    torn.status.write_text('{"state": "runn')
    assert [run.name for run in list_runs(tmp_path)] == ["foreign", "torn", "never-started", "old"]


def test_what_is_no_run_is_not_listed(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    (tmp_path / "empty").mkdir()
    hidden = tmp_path / ".hidden"
    hidden.mkdir()
    (hidden / "config.toml").write_text("")
    assert list_runs(tmp_path) == []
    assert list_runs(tmp_path / "notes.txt") == []


# -- one trainer a run

HOLD_UNTIL_KILLED = """
import sys, time
from pathlib import Path
from sslterm.run.layout import RunDirectory
from sslterm.run.lock import hold
with hold(RunDirectory(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_trainer_is_refused_until_the_first_dies(tmp_path: Path) -> None:
    run = make(tmp_path, "run")
    command = [sys.executable, "-c", HOLD_UNTIL_KILLED, str(run.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match=f"process {child.pid}"), hold(run):
            pytest.fail("held twice")
        child.send_signal(signal.SIGKILL)
    with hold(run):
        with pytest.raises(UsageError, match=str(os.getpid())), hold(run):
            pytest.fail("held twice")
        assert (run.path / ".lock").read_text() == f"{os.getpid()}\n"
    with hold(run):
        pass


def test_holding_a_missing_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"), hold(RunDirectory(tmp_path / "missing")):
        pytest.fail("held what is not there")


def test_holding_clears_what_killed_writers_left(tmp_path: Path) -> None:
    run = make(tmp_path, "run")
    (run.panels / "samples").mkdir(parents=True)
    for folder in (run.path, run.panels / "samples"):
        (folder / ".tmp-old").write_text("")
        os.utime(folder / ".tmp-old", (1, 1))
        (folder / ".tmp-being-written").write_text("")
    with hold(run):
        left = sorted(str(path.relative_to(run.path)) for path in run.path.rglob(".tmp-*"))
    assert left == [".tmp-being-written", "panels/samples/.tmp-being-written"]
    remove_old_drafts(tmp_path / "missing")


def test_where_the_file_system_knows_no_locks_the_heartbeat_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(descriptor: int, operation: int) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("fcntl.flock", no_locks)
    run = make(tmp_path, "run")
    with hold(run):
        pass
    write_status(run.status, Status(pid=1, host="elsewhere", state="running", heartbeat=time.time()))
    with pytest.raises(UsageError, match="process 1"), hold(run):
        pytest.fail("held twice")


# -- status.json

FULL = Status(
    pid=7, host="h", state="running", step=3, images=768, total_images=1000, epoch=1, images_per_second=116.0,
    elapsed_seconds=6.5, heartbeat=1e9, started=9e8, device="cpu", precision="float32", parameters=42,
    message="hello", last={"main/loss": 0.25},
)  # fmt: skip


def test_a_status_comes_back(tmp_path: Path) -> None:
    write_status(tmp_path / "s", FULL)
    assert read_status(tmp_path / "s") == FULL
    assert FULL.seconds_left == 2.0
    assert replace(FULL, images_per_second=0.0).seconds_left is None
    assert replace(FULL, images=2000).seconds_left == 0.0
    write_status(tmp_path / "s", replace(FULL, last={"x": math.inf}, images_per_second=math.nan))
    json.loads((tmp_path / "s").read_text(), parse_constant=pytest.fail)
    status = read_status(tmp_path / "s")
    assert status is not None
    assert math.isnan(status.last["x"])
    assert status.images_per_second == 0.0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"7",
        b"{}",
        b'{"unrelated": 1}',
        b"\xff\x00",
        b"[" * 100_000,
        b"x" * (5 << 20),
    ],
)
def test_what_is_no_status_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s").write_bytes(content)
    assert read_status(tmp_path / "s") is None


def test_a_status_that_is_missing_a_folder_or_a_pipe_is_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert [read_status(tmp_path / name) for name in ("missing", "pipe", ".")] == [None, None, None]


def test_wrong_types_take_defaults_and_unknown_keys_are_ignored(tmp_path: Path) -> None:
    table = asdict(FULL) | {
        "pid": "7", "step": True, "images": 1.5, "host": None, "message": ["x"], "heartbeat": "now",
        "started": None, "elapsed_seconds": 10**400, "from_the_future": {"x": 1},
        "last": {"a": 1, "b": None, "c": "x", "d": True, "e": [1]},
    }  # fmt: skip
    (tmp_path / "s").write_text(json.dumps(table))
    status = read_status(tmp_path / "s")
    assert status is not None
    assert (status.pid, status.step, status.images, status.host, status.message) == (0, 0, 0, "", "")
    assert (status.heartbeat, status.started, status.elapsed_seconds) == (0.0, 0.0, 0.0)
    assert status.last.keys() == {"a", "b"}
    assert (status.state, status.parameters) == ("running", 42)
    (tmp_path / "s").write_text(json.dumps(table | {"last": 3}))
    assert read_status(tmp_path / "s") == replace(status, last={})


def test_a_reader_never_sees_a_status_in_the_making(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from sslterm.run.status import *\n"
        "while True: write_status(Path(sys.argv[1]), Status(state='running', message='x' * 100_000))"
    )
    path = tmp_path / "s"
    with subprocess.Popen([sys.executable, "-c", script, str(path)]) as child:
        deadline = time.monotonic() + 30
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        seen = [read_status(path) for _ in range(200)]
        child.send_signal(signal.SIGKILL)
    assert all(status is not None and len(status.message) == 100_000 for status in seen)
    assert read_status(path) is not None


def now(**changes: object) -> Status:
    return replace(
        Status(pid=os.getpid(), host=socket.gethostname(), state="running", heartbeat=time.time()), **changes
    )


def test_a_silent_process_that_is_there_has_not_died(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sslterm.run.status.STALE_SECONDS", -1.0)
    assert state_now(now()) == "running"


def test_died_means_a_stale_heartbeat_of_a_process_that_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    gone, long_ago = child.pid, time.time() - 60
    assert state_now(now()) == "running"
    assert state_now(now(pid=gone)) == "running", "its last heartbeat was a moment ago"
    assert state_now(now(pid=gone, heartbeat=long_ago)) == "died"
    assert state_now(now(pid=gone, heartbeat=long_ago, state="paused")) == "died"
    assert state_now(now(pid=gone, heartbeat=long_ago, state="finished")) == "finished"
    assert state_now(now(pid=gone, heartbeat=long_ago, state="from the future")) == "from the future"
    assert state_now(now(pid=gone, heartbeat=long_ago, host="elsewhere")) == "running", "clocks differ"
    assert state_now(now(heartbeat=time.time() - 600, host="elsewhere")) == "died"
    assert state_now(now(pid=0, heartbeat=0.0)) == "died"
    assert state_now(now(pid=2**70, heartbeat=0.0)) == "died"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system tells no process's age")
def test_a_pid_given_to_another_process_since_is_not_the_trainer() -> None:
    """This process is younger than the heartbeat it is asked about."""
    assert is_alive(os.getpid(), seen=time.time())
    assert not is_alive(os.getpid(), seen=time.time() - 10 * 365 * 86400)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system tells no process's state")
def test_a_process_that_nobody_has_waited_for_is_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not is_alive(child.pid, seen=time.time())


# -- files


def test_a_file_that_cannot_be_replaced_stands_and_leaves_no_draft(tmp_path: Path) -> None:
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="folder"):
        replace_file(tmp_path / "folder", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_files_have_the_permissions_of_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        replace_file(tmp_path / "replaced", b"")
        append_line(tmp_path / "appended", b"")
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("replaced", "appended")] == [0o640, 0o640]
