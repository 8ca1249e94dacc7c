"""Runs that were packed elsewhere, taken in whole and nothing else with them; runs that are trained again."""

from __future__ import annotations

import io
import json
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sslterm.errors import DataError, UsageError
from sslterm.run.agreement import agreements, verdict_of
from sslterm.run.events import append_event
from sslterm.run.layout import RunDirectory
from sslterm.run.metrics import Series
from sslterm.run.reader import RunReader
from sslterm.run.unpack import unpack
from tests.cli_program import Cli, cli
from tests.tui.recorded import full_run

__all__ = ["cli"]

CONFIG = b'[run]\nmethod = "vae"\npreset = "digits"\nseed = 0\n'


def archive(path: Path, *entries: tuple[str, bytes] | tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as packed:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                packed.addfile(entry)
                continue
            name, content = entry
            info = tarfile.TarInfo(name)
            info.size = len(content)
            packed.addfile(info, io.BytesIO(content))
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_what_was_packed_comes_back(tmp_path: Path, cli: Cli) -> None:
    run = full_run(tmp_path / "here")
    append_event(run.results, "probe", data="digits", images=3, results=[])
    weights = run.checkpoint(768) / "model.safetensors"
    weights.parent.mkdir(parents=True, exist_ok=True)
    weights.write_bytes(b"weights")
    weights.with_name("trainer.pt").write_bytes(b"state")
    packed = tmp_path / "run.tar.gz"
    assert cli("runs", "export", run.name, "--runs", run.path.parent, "--out", packed).code == 0
    answer = cli("runs", "import", packed, "--runs", tmp_path / "there", "--json")
    assert answer.code == 0, answer.err
    theirs = RunDirectory(Path(answer.json["path"]))
    assert theirs.path == tmp_path / "there" / run.name
    assert answer.json["left_out"] == []
    for part in (
        "config.toml",
        "metrics.jsonl",
        "events.jsonl",
        "results.jsonl",
        "checkpoints/768/model.safetensors",
    ):
        assert (theirs.path / part).read_bytes() == (run.path / part).read_bytes(), part
    readers = [RunReader(run), RunReader(theirs)]
    for reader in readers:
        reader.refresh()
    assert readers[0].panels == readers[1].panels != {}
    assert answer.json["files"] == sum(1 for path in theirs.path.rglob("*") if path.is_file())

    again = cli("runs", "import", packed, "--runs", tmp_path / "there")
    assert again.code == 2
    assert "there is a run" in again.err
    assert cli("runs", "import", packed, "--runs", tmp_path / "there", "--name", "theirs").out == "theirs\n"


EVIL = {
    "absolute": (("/etc/x", b"x"), "leads out of its folder"),
    "parent": (("run/../../x", b"x"), "leads out of its folder"),
    "symlink": (special("run/panels", tarfile.SYMTYPE, "/etc"), "no plain file"),
    "hard link": (special("run/status.json", tarfile.LNKTYPE, "run/config.toml"), "no plain file"),
    "device": (special("run/status.json", tarfile.CHRTYPE), "no plain file"),
    "pipe": (special("run/status.json", tarfile.FIFOTYPE), "no plain file"),
    "two folders": (("other/config.toml", b""), "more than one folder"),
}


@pytest.mark.parametrize("case", EVIL)
def test_what_leads_out_of_the_run_is_refused_and_nothing_is_written(tmp_path: Path, case: str) -> None:
    entry, message = EVIL[case]
    packed = archive(tmp_path / "evil.tar.gz", ("run/config.toml", CONFIG), entry)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=message):
        unpack(packed, tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == []
    assert not (tmp_path / "x").exists()


def test_a_name_that_no_run_can_have_is_refused(tmp_path: Path) -> None:
    packed = archive(tmp_path / "a.tar.gz", (".hidden/config.toml", CONFIG))
    with pytest.raises(UsageError, match="a run cannot be called"):
        unpack(packed, tmp_path / "runs")
    assert unpack(packed, tmp_path / "runs", name="seen").run.name == "seen"


def test_only_what_a_run_consists_of_is_taken(tmp_path: Path) -> None:
    packed = archive(
        tmp_path / "a.tar.gz",
        ("run/config.toml", CONFIG), ("run/.lock", b"1"), ("run/install.sh", b"rm -rf ~"),
        ("run/panels/samples/0.npz", b"p"), ("run/panels/samples/code.py", b"import os"),
    )  # fmt: skip
    taken = unpack(packed, tmp_path / "runs")
    assert taken.left_out == (".lock", "install.sh", "panels/samples/code.py")
    found = {str(path.relative_to(taken.run.path)) for path in taken.run.path.rglob("*") if path.is_file()}
    assert found == {"config.toml", "panels/samples/0.npz"}
    assert (taken.files, taken.bytes) == (2, len(CONFIG) + 1)


def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = archive(
        tmp_path / "a.tar.gz", ("run/config.toml", CONFIG), ("run/metrics.jsonl", bytes(3 << 20))
    )
    assert packed.stat().st_size < 10_000
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 2 << 20})())
    with pytest.raises(DataError, match="more than the disk has room for"):
        unpack(packed, tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == []


def test_what_is_damaged_or_no_archive(tmp_path: Path) -> None:
    whole = archive(
        tmp_path / "a.tar.gz", ("run/config.toml", CONFIG), ("run/metrics.jsonl", bytes(range(256)) * 400)
    )
    cases: dict[str, bytes] = {
        "text": b"no archive",
        "cut": whole.read_bytes()[: whole.stat().st_size // 2],
        "pickle": pickle.dumps({"run": 1}),
        "nothing": b"",
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=name):
            unpack(tmp_path / name, tmp_path / "runs")
    with pytest.raises(DataError, match="no such file"):
        unpack(tmp_path / "missing", tmp_path / "runs")
    with pytest.raises(DataError, match=r"holds no config\.toml"):
        unpack(archive(tmp_path / "b.tar.gz", ("run/status.json", b"{}")), tmp_path / "runs")
    assert list((tmp_path / "runs").iterdir()) == []


# reproduce


@pytest.mark.timeout(300)
def test_a_run_is_reproduced_to_the_bit_and_what_differs_is_told(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    short = [part for key in ("train.images=640", "data.train_images=200", "data.test_images=64", "train.batch=64",
                              "watch.log_every_images=64") for part in ("--set", key)]  # fmt: skip
    trained = cli("train", "vae", "--preset", "digits", *short, "--foreground", "--runs", tmp_path)
    assert trained.code == 0, trained.err
    said = cli("reproduce", "vae-digits-1", "--runs", tmp_path, "--device", "cpu")
    assert said.code == 0, said.err
    assert "reproduced to the bit: every logged number is the same" in said.out

    metrics = RunDirectory(tmp_path / "vae-digits-1").metrics
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    last: dict[str, Any] = next(line for line in reversed(lines) if "test/neg_elbo_nats" in line)
    last["test/neg_elbo_nats"] *= 1.5
    metrics.write_text("".join(json.dumps(line) + "\n" for line in lines))
    answer = cli(
        "reproduce", "vae-digits-1", "--runs", tmp_path, "--device", "cpu", "--name", "third", "--json"
    )
    assert answer.code == 1
    report = json.loads(answer.out.splitlines()[-1])
    assert (report["verdict"], report["again"]) == ("different", "third")
    (changed,) = [one for one in report["metrics"] if one["first_step"] is not None]
    assert changed["metric"] == "test/neg_elbo_nats"
    assert changed["difference"] == pytest.approx(1 / 3)


def series_of(*values: float) -> Series:
    steps = np.arange(1, len(values) + 1)
    return Series(steps, steps * 10, steps * 0.1, np.array(values))


def test_equal_close_and_different() -> None:
    one = {"test/mse": series_of(3.0, 2.0, np.nan, 1.0), "speed/images_per_second": series_of(5.0)}
    same = {"test/mse": series_of(3.0, 2.0, np.nan, 1.0, 0.5), "speed/images_per_second": series_of(7.0)}
    (found,) = agreements(one, same)  # speed is not compared, nor what only one has reached
    assert (found.points, found.difference, found.first_step) == (4, 0.0, None)
    assert verdict_of([found], 0.0) == "equal"
    (found,) = agreements(one, {"test/mse": series_of(3.0, 2.5, np.nan, 1.04)})
    assert (found.first_step, found.last, found.again) == (2, 1.0, 1.04)
    assert found.difference == pytest.approx(0.2)
    assert verdict_of([found], 0.05) == "close"
    assert verdict_of([found], 0.03) == "different"
    twice = Series(*(np.array(row) for row in ([1, 1, 2], [9, 10, 20], [0.1] * 3, [7.0, 3.0, 2.0])))
    (found,) = agreements(one, {"test/mse": twice})  # measured again when asked
    assert (found.points, found.difference) == (2, 0.0)
    (lost,) = agreements(one, {"test/mse": series_of(3.0, np.nan)})
    assert lost.difference == np.inf
    assert verdict_of([lost], 0.5) == "different"
    assert verdict_of(agreements(one, {}), 0.5) == "different"
