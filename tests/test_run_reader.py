"""The reader of a run directory, and its panels: whatever stands there, nothing is run, written or raised."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from sslterm.errors import DataError, UsageError
from sslterm.run.control import pending, request
from sslterm.run.events import append_event
from sslterm.run.layout import RunDirectory, create_run
from sslterm.run.lock import hold
from sslterm.run.metrics import MetricsWriter
from sslterm.run.panels import Kind, Panel, load_panel, save_panel
from sslterm.run.reader import RunReader
from sslterm.run.status import Status, read_status, write_status

SHAPES = {"images": (4, 3, 2, 2), "matrix": (3, 5), "bars": (4,), "scatter": (6, 3), "curve": (2, 7)}


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return create_run(tmp_path, "vae", "digits")


def panel(name: str = "samples", *, value: float = 0.5) -> Panel:
    return Panel(name=name, kind="matrix", array=np.full((2, 2), value, np.float32), caption="two by two")


def fill(run: RunDirectory) -> None:
    """Write a little of everything."""
    run.config.write_text('[run]\nmethod = "vae"\n')
    run.meta.write_text('{"argv": ["sslterm"]}')
    write_status(run.status, Status(state="finished", step=3, images=30))
    MetricsWriter(run.metrics).write(step=3, images=30, seconds=0.5, values={"main/loss": 0.25})
    append_event(run.events, "finished")
    save_panel(panel(), run.panel("samples", 30))


# -- a run as it grows


def test_a_run_is_followed_from_before_it_is_there(run: RunDirectory) -> None:
    reader = RunReader(RunDirectory(run.path.with_name("not-yet")))
    assert not reader.refresh()
    assert reader.state == "died"
    reader = RunReader(run)
    assert not reader.refresh()
    assert (reader.config, reader.meta, reader.status, reader.panels) == ({}, {}, None, {})
    assert reader.state == "starting"

    fill(run)
    assert reader.refresh()
    assert reader.config == {"run": {"method": "vae"}}
    assert reader.meta == {"argv": ["sslterm"]}
    assert reader.status is not None
    assert (reader.state, reader.status.step) == ("finished", 3)
    assert reader.metrics.series["main/loss"].value.tolist() == [0.25]
    assert [event["kind"] for event in reader.events] == ["finished"]
    assert reader.panels == {"samples": [30]}
    assert not reader.refresh()


@pytest.mark.parametrize("part", ["config", "meta", "status", "metrics", "events", "panels"])
def test_each_part_that_changes_is_noticed(run: RunDirectory, part: str) -> None:
    fill(run)
    reader = RunReader(run)
    reader.refresh()
    assert not reader.refresh()
    match part:
        case "config":
            run.config.write_text("[run]\nmethod = 'autoencoder'\n")
        case "meta":
            run.meta.write_text("{}")
        case "status":
            write_status(run.status, Status(state="running", pid=1, host="elsewhere"))
        case "metrics":
            MetricsWriter(run.metrics).resumed(1)
        case "events":
            append_event(run.events, "resumed", from_step=1)
        case "panels":
            save_panel(panel(), run.panel("samples", 40))
    assert reader.refresh()
    assert not reader.refresh()
    fresh = RunReader(run)
    fresh.refresh()
    assert (reader.config, reader.meta, reader.status) == (fresh.config, fresh.meta, fresh.status)
    assert (reader.events, reader.panels) == (fresh.events, fresh.panels)
    assert reader.metrics.series.keys() == fresh.metrics.series.keys()


def test_a_run_without_a_status_starts_and_then_has_died(run: RunDirectory) -> None:
    run.config.write_text("")
    reader = RunReader(run)
    assert reader.state == "starting"
    os.utime(run.config, (1, 1))
    assert reader.state == "died"


def test_what_is_damaged_reads_as_empty(run: RunDirectory) -> None:
    fill(run)
    reader = RunReader(run)
    reader.refresh()
    for path in (run.config, run.meta, run.status):
        path.write_bytes(b'\xff[run\n{"state": ')
    run.metrics.write_bytes(b"\x00\xff\n[1]\n")
    run.events.write_bytes(b"\x00\xff\n[1]\n")
    (run.panels / "samples" / "30.npz").write_bytes(b"PK")
    assert reader.refresh()
    assert (reader.config, reader.meta, reader.events, reader.metrics.series) == ({}, {}, [], {})
    assert reader.status is not None, "the last that was whole"
    with pytest.raises(DataError, match="samples"):
        reader.panel("samples")


def test_folders_and_pipes_in_place_of_files_are_passed_over(run: RunDirectory) -> None:
    for path in (run.config, run.metrics):
        path.mkdir()
    for path in (run.meta, run.status, run.events):
        os.mkfifo(path)
    run.panels.write_text("")
    reader = RunReader(run)
    reader.refresh()
    assert (reader.config, reader.meta, reader.status, reader.events, reader.panels) == ({}, {}, None, [], {})


def test_a_run_that_is_removed_is_what_it_was(run: RunDirectory) -> None:
    fill(run)
    reader = RunReader(run)
    reader.refresh()
    shutil.rmtree(run.path)
    reader.refresh()
    assert reader.status is not None
    assert reader.state == "finished"
    assert reader.metrics.series["main/loss"].value.tolist() == [0.25]
    assert not reader.refresh()


def test_reading_writes_nothing(run: RunDirectory) -> None:
    fill(run)
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    reader = RunReader(run)
    reader.refresh()
    reader.panel("samples")
    reader.panel_png("samples")
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before


# -- where nothing can be written


@contextmanager
def unprivileged() -> Iterator[None]:
    """Act as a user to whom the folder belongs to somebody else, as root can write anywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def read_only_run() -> Iterator[RunDirectory]:
    with tempfile.TemporaryDirectory() as folder:
        run = create_run(Path(folder), "vae", "digits")
        fill(run)
        request(run, "stop")
        paths = [Path(folder), *Path(folder).rglob("*")]
        for path in paths:
            path.chmod(0o555 if path.is_dir() else 0o444)
        yield run
        for path in paths:
            path.chmod(0o755)


def test_a_read_only_run_is_read_and_says_so_when_written(read_only_run: RunDirectory) -> None:
    run, reader = read_only_run, RunReader(read_only_run)
    with unprivileged():
        assert reader.refresh()
        assert reader.panel("samples").caption == "two by two"
        assert [asked.do for asked in pending(run)] == ["stop"]
        with pytest.raises(DataError, match="Permission denied"), hold(run):
            pytest.fail("held")
        with pytest.raises(DataError, match="Permission denied"):
            request(run, "pause")
        with pytest.raises(DataError, match="Permission denied"):
            create_run(run.path.parent, "vae", "digits")
        with pytest.raises(PermissionError):
            write_status(run.status, Status(state="running"))
        with pytest.raises(PermissionError):
            append_event(run.events, "started")
        with pytest.raises(PermissionError):
            MetricsWriter(run.metrics).resumed(1)
        with pytest.raises(PermissionError):
            save_panel(panel(), run.panel("samples", 40))
    assert reader.status == read_status(run.status)
    assert sorted(path.name for path in run.path.iterdir()) == [
        "config.toml", "control", "events.jsonl", "meta.json", "metrics.jsonl", "panels", "status.json",
    ]  # fmt: skip


# -- panels in a run


def test_panels_are_listed_by_name_and_images(run: RunDirectory) -> None:
    reader = RunReader(run)
    for images in (2000, 30, 100):
        save_panel(panel(value=images), run.panel("samples", images))
    save_panel(panel("views"), run.panel("views", 30))
    run.panel("samples", 30, ".png").write_bytes(b"")
    for stranger in ("notes.txt", "x.npz", "-3.npz", "007.npz", "3.5.npz", "²0.npz", ".tmp-ab-7.npz"):
        (run.panels / "samples" / stranger).write_bytes(b"")
    (run.panels / "empty").mkdir()
    (run.panels / "file").write_text("")
    reader.refresh()
    assert reader.panels == {"samples": [30, 100, 2000], "views": [30]}
    assert reader.panel("samples").array[0, 0] == 2000
    assert reader.panel("samples", 100).array[0, 0] == 100
    assert reader.panel_png("samples") == run.path / "panels" / "samples" / "2000.png"
    assert reader.panel_png("samples", 30).exists()
    with pytest.raises(DataError, match="'sample'") as caught:
        reader.panel("sample")
    assert "'samples'" in caught.value.hint
    with pytest.raises(DataError, match="101 images") as caught:
        reader.panel("samples", 101)
    assert "100" in caught.value.hint
    with pytest.raises(DataError, match=r"'\.\./\.\.'"):
        reader.panel("../..")


def test_panels_that_come_within_a_tick_of_the_clock_are_listed(run: RunDirectory) -> None:
    """A folder's time of change may be the same after another file has come."""
    reader = RunReader(run)
    moment = time.time_ns()
    for images in range(1, 10):
        save_panel(panel(), run.panel("samples", images))
        os.utime(run.panels / "samples", ns=(moment, moment))
        assert reader.refresh()
        assert reader.panels["samples"] == list(range(1, images + 1))


def test_folders_that_have_not_changed_are_not_listed_again(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        save_panel(panel(name), run.panel(name, 1))
        os.utime(run.panels / name, (1, 1))
    reader = RunReader(run)
    reader.refresh()
    listed: list[str] = []
    listdir = os.listdir
    monkeypatch.setattr("os.listdir", lambda path: (listed.append(Path(path).name), listdir(path))[1])
    assert not reader.refresh()
    assert listed == []
    save_panel(panel("b"), run.panel("b", 2))
    assert reader.refresh()
    assert listed == ["b"]
    assert reader.panels == {"a": [1], "b": [1, 2]}


# -- panels on their own


@settings(max_examples=40, deadline=None)
@given(data=st.data(), kind=st.sampled_from(list(SHAPES)))
def test_a_panel_comes_back_as_it_was(data: st.DataObject, kind: Kind) -> None:
    array = data.draw(stn.arrays(np.float32, SHAPES[kind]))
    numbers = st.none() | st.floats(allow_nan=False, allow_infinity=False)
    before = Panel(
        name="p", kind=kind, array=array, caption=data.draw(st.text()), columns=data.draw(st.integers(0, 9)),
        low=data.draw(numbers), high=data.draw(numbers), center=data.draw(numbers),
        labels=tuple(data.draw(st.lists(st.text(), max_size=3))), x_label="x", y_label="y (nats)",
        x_range=data.draw(st.none() | st.tuples(st.floats(-1e9, 0), st.floats(1, 1e9))),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        save_panel(before, Path(folder) / "p" / "1.npz")
        save_panel(before, Path(folder) / "p" / "2.npz")
        after = load_panel(Path(folder) / "p" / "1.npz")
        first, second = ((Path(folder) / "p" / name).read_bytes() for name in ("1.npz", "2.npz"))
        assert sorted(os.listdir(Path(folder) / "p")) == ["1.npz", "2.npz"]
    np.testing.assert_array_equal(after.array, before.array)
    assert after.array.dtype == np.float32
    assert {**vars(after), "array": None} == {**vars(before), "array": None}
    assert first == second, "equal panels make equal files"


@pytest.mark.parametrize(
    ("kind", "shape"),
    [
        ("images", (2, 2)),
        ("images", (1, 2, 4, 4)),
        ("scatter", (5, 4)),
        ("bars", (2, 2)),
        ("curve", (3,)),
        ("pie", (3,)),
    ],
)
def test_a_panel_must_have_the_shape_of_its_kind(kind: Kind, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=kind):
        Panel(name="p", kind=kind, array=np.zeros(shape, np.float32))


class Bomb:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.trace,))


def archive(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as file:
        for name, member in members.items():
            file.writestr(f"{name}.npy", member)
    return content.getvalue()


def npy(array: object) -> bytes:
    content = io.BytesIO()
    np.save(content, np.asarray(array), allow_pickle=True)
    return content.getvalue()


ABOUT = npy(np.frombuffer(json.dumps({"name": "p", "kind": "bars"}).encode(), np.uint8))
HEADER_OF_A_PETABYTE = b"\x93NUMPY\x01\x00v\x00" + (
    b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000000,), }".ljust(117) + b"\n"
)


def about(**fields: object) -> bytes:
    table = {"name": "p", "kind": "bars", **fields}
    return npy(np.frombuffer(json.dumps(table).encode(), np.uint8))


def test_a_pickle_bomb_in_place_of_a_panel_runs_nothing(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    bomb = Bomb(trace)
    inside = np.empty(1, dtype=object)
    inside[0] = bomb
    bombs = {
        "pickle": pickle.dumps(bomb),
        "npy": npy(inside),
        "array": archive(array=npy(inside), about=ABOUT),
        "about": archive(array=npy(np.zeros(3)), about=npy(inside)),
        "pickle-in-archive": archive(array=pickle.dumps(bomb), about=ABOUT),
    }
    for name, content in bombs.items():
        path = tmp_path / f"{name}.npz"
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"cannot read the panel .*{name}"):
            load_panel(path)
    assert not trace.exists()
    pickle.loads(bombs["pickle"])
    assert trace.exists(), "the bomb would have worked"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 100,
        b"PK\x03\x04 torn",
        archive(),
        archive(about=ABOUT),
        archive(array=npy(np.zeros(3))),
        archive(array=b"no array", about=ABOUT),
        archive(array=npy(np.zeros(3)), about=b""),
        archive(array=npy(np.zeros((3, 3))), about=ABOUT),
        archive(array=npy(np.array(["x", "y"])), about=ABOUT),
        archive(array=npy(np.zeros(3, dtype=complex)), about=ABOUT),
        archive(array=npy(np.zeros(3)), about=npy(np.frombuffer(b"[1]", np.uint8))),
        archive(array=npy(np.zeros(3)), about=npy(np.frombuffer(b"\xff{", np.uint8))),
        archive(array=npy(np.zeros(3)), about=npy(np.frombuffer(b"[" * 50_000, np.uint8))),
        archive(array=npy(np.zeros(3)), about=about(kind="pie")),
        archive(array=npy(np.zeros(3)), about=about(kind=["bars"])),
        archive(array=npy(np.zeros(3)), about=about(low="low")),
        archive(array=npy(np.zeros(3)), about=about(labels="abc")),
        archive(array=npy(np.zeros(3)), about=about(columns=None)),
        archive(array=npy(np.zeros(3)), about=about(high=10**400)),
        archive(array=HEADER_OF_A_PETABYTE, about=ABOUT),
        archive(array=npy(np.zeros(3)), about=ABOUT)[:-30],
    ],
    ids=lambda content: f"{len(content)}-bytes",
)
def test_a_damaged_panel_is_an_error_of_the_data(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p.npz").write_bytes(content)
    with pytest.raises(DataError, match="cannot read the panel") as caught:
        load_panel(tmp_path / "p.npz")
    assert "\n" not in caught.value.message


def test_every_flipped_byte_is_noticed_or_harmless(tmp_path: Path) -> None:
    save_panel(panel(), tmp_path / "p.npz")
    content = bytearray((tmp_path / "p.npz").read_bytes())
    for at in range(0, len(content), 3):
        damaged = content.copy()
        damaged[at] ^= 0x55
        (tmp_path / "d.npz").write_bytes(damaged)
        try:
            found = load_panel(tmp_path / "d.npz")
        except DataError:
            continue
        assert found.array.tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_a_panel_of_a_later_version_is_read(tmp_path: Path) -> None:
    (tmp_path / "p.npz").write_bytes(
        archive(array=npy(np.array([1e300, 2])), about=about(theme="dark"), more=npy(1))
    )
    assert load_panel(tmp_path / "p.npz").array.tolist() == [np.inf, 2.0]


def test_a_panel_that_unpacks_to_more_than_a_panel_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "p.npz").write_bytes(archive(array=npy(np.zeros(100_000)), about=ABOUT))
    load_panel(tmp_path / "p.npz")
    monkeypatch.setattr("sslterm.run.panels.MOST_BYTES", 100_000)
    with pytest.raises(DataError, match="too large"):
        load_panel(tmp_path / "p.npz")
    monkeypatch.setattr("sslterm.run.panels.MOST_BYTES", 100)
    with pytest.raises(DataError, match="too large"):
        load_panel(tmp_path / "p.npz")


@pytest.mark.parametrize("name", ["missing.npz", "."])
def test_a_panel_that_is_not_there_is_an_error_of_the_data(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="cannot read the panel"):
        load_panel(tmp_path / name)


# -- all of it at once

TRAIN_UNTIL_KILLED = """
import itertools, sys
from pathlib import Path
import numpy as np
from sslterm.run.events import append_event
from sslterm.run.layout import RunDirectory
from sslterm.run.lock import hold
from sslterm.run.metrics import MetricsWriter
from sslterm.run.panels import Panel, save_panel
from sslterm.run.status import Status, write_status
run, first = RunDirectory(Path(sys.argv[1])), int(sys.argv[2])
with hold(run):
    metrics = MetricsWriter(run.metrics)
    metrics.resumed(first)
    print("training", flush=True)
    for step in itertools.count(first + 1):
        metrics.write(step=step, images=step, seconds=step, values={"loss": step})
        append_event(run.events, "step", step=step)
        save_panel(Panel(name="p", kind="bars", array=np.full(9, step)), run.panel("p", step))
        write_status(run.status, Status(state="running", step=step))
"""


def test_a_trainer_killed_at_any_moment_leaves_what_can_be_read_and_continued(run: RunDirectory) -> None:
    reader = RunReader(run)
    step = 0
    for round_ in range(4):
        command = [sys.executable, "-c", TRAIN_UNTIL_KILLED, str(run.path), str(step)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline and (reader.status is None or reader.status.step < step + 20):
                reader.refresh()
                for images in reader.panels.get("p", [])[-2:]:
                    assert reader.panel("p", images).array.tolist() == [images] * 9
            time.sleep(0.003 * round_)
            child.send_signal(signal.SIGKILL)
        reader.refresh()
        steps = reader.metrics.series["loss"].step.tolist()
        assert steps == list(range(1, len(steps) + 1))
        assert reader.status is not None
        assert len(steps) >= reader.status.step >= step + 20
        step = reader.status.step - 10
    fresh = RunReader(run)
    fresh.refresh()
    assert fresh.metrics.series["loss"].step.tolist() == reader.metrics.series["loss"].step.tolist()
    assert fresh.events == reader.events
    with hold(run), pytest.raises(UsageError), hold(run):
        pytest.fail("held twice")
