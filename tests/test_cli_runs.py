"""`runs`, `monitor` off a terminal: what they say of run directories, and what they do to them."""

from __future__ import annotations

import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from sslterm.cli import runs as commands
from sslterm.run.layout import RunDirectory
from sslterm.run.lock import hold
from tests.cli_program import Cli, cli
from tests.tui.recorded import full_run, new_run, put_metrics, put_status

__all__ = ["cli"]  # a fixture


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    monkeypatch.setenv("SSLTERM_RUNS", str(folder))
    return folder


def small_run(root: Path, name: str = "vae-digits-1", **status: Any) -> RunDirectory:
    """A run without panels and events."""
    run = new_run(root, name)
    put_metrics(run, steps=400)
    put_status(run, **status)
    return run


def put_checkpoint(run: RunDirectory, images: int, *, whole: bool = True) -> None:
    folder = run.checkpoint(images)
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    if whole:
        (folder / "trainer.pt").write_bytes(b"state")


# list


def test_list_shows_every_run_newest_first(root: Path, cli: Cli) -> None:
    small_run(root, "vae-digits-1", state="finished", started=1.0)
    small_run(root, "vae-digits-2", started=2.0)
    answer = cli("runs")
    header, first, second = answer.out.splitlines()
    assert header.split() == ["RUN", "STATE", "DONE", "IMAGES", "RESULT", "SEEN"]
    assert first.split()[:3] == ["vae-digits-2", "running", "62%"]
    assert second.split()[:3] == ["vae-digits-1", "finished", "62%"]
    assert "test/neg_elbo_nats 148.9" in first
    assert first.endswith("0 s ago")


def names_of(out: str) -> list[str]:
    return [run["name"] for run in json.loads(out)]


def test_list_picks_by_a_query_and_sorts_by_a_key(root: Path, cli: Cli) -> None:
    for number, (state, knn) in enumerate((("finished", 0.8), ("running", 0.9), ("stopped", 0.7)), start=1):
        small_run(root, f"vae-digits-{number}", state=state, started=float(number), last={"test/knn": knn})
    listed = ("runs", "list", "--json")
    assert names_of(cli(*listed, "--where", "test/knn > 0.75").out) == ["vae-digits-2", "vae-digits-1"]
    assert names_of(cli(*listed, "--where", "not state = running", "--sort", "test/knn").out) == [
        "vae-digits-3", "vae-digits-1",
    ]  # fmt: skip
    assert names_of(cli(*listed, "--sort", "-test/knn").out) == [
        "vae-digits-2",
        "vae-digits-1",
        "vae-digits-3",
    ]
    nothing = cli("runs", "list", "--where", "state = died")
    assert (nothing.code, nothing.out) == (0, "")
    assert "none of 3 runs" in nothing.err
    wrong = cli("runs", "list", "--where", "state = ")
    assert wrong.code == 2
    assert "column 8: expected a value after '='" in wrong.err
    assert cli("runs", "list", "--sort", "test/knm").code == 2


def test_list_as_json_has_the_documented_shape(root: Path, cli: Cli) -> None:
    small_run(root, last={"main/loss": 1.5, "test/knn": float("nan")})
    (found,) = cli("runs", "list", "--json").json
    assert found == {
        "name": "vae-digits-1",
        "method": "vae",
        "preset": "digits",
        "state": "running",
        "step": 3120,
        "images": 3120 * 256,
        "metrics": {"main/loss": 1.5, "test/knn": None},
        "path": str(root / "vae-digits-1"),
    }


def test_list_of_nothing(root: Path, cli: Cli) -> None:
    answer = cli("runs", "list")
    assert (answer.code, answer.out) == (0, "")
    assert "sslterm train vae --preset digits" in answer.err
    assert cli("runs", "list", "--json").json == []
    assert cli("runs", "list", "--runs", root / "none", "--json").json == []


def test_list_passes_over_what_is_damaged(root: Path, cli: Cli) -> None:
    torn = new_run(root, "torn-1")
    torn.config.write_bytes(b"\x80\x04 not toml")
    torn.status.write_text('{"state": "runn')
    other = new_run(root, "other-1")
    other.config.write_text("run = 3")
    found = {one["name"]: one for one in cli("runs", "list", "--json").json}
    assert found["torn-1"]["state"] == "new"
    assert found["torn-1"]["method"] == found["other-1"]["method"] == ""
    assert cli("runs").code == 0


def test_a_run_without_a_trainer_has_died(root: Path, cli: Cli) -> None:
    small_run(root, pid=2**22 + 1, heartbeat=1.0)
    assert cli("runs", "list", "--json").json[0]["state"] == "died"


def test_the_flag_goes_before_the_environment(root: Path, tmp_path: Path, cli: Cli) -> None:
    small_run(tmp_path / "elsewhere", "vae-digits-9")
    assert [one["name"] for one in cli("runs", "list", "--runs", tmp_path / "elsewhere", "--json").json] == [
        "vae-digits-9"
    ]


# show


def test_show_says_how_a_run_stands(root: Path, cli: Cli) -> None:
    run = full_run(root)
    put_checkpoint(run, 256_000)
    put_checkpoint(run, 512_000, whole=False)
    text = cli("runs", "show", "last").out
    for part in (
        "798,720 of 1,280,000 images (62%), step 3,120",
        "cross-correlation (4), reconstructions (4)",
        "test/knn            0.8420",
        "warning at step 2600: posterior collapse",
    ):
        assert part in text
    found = cli("runs", "show", "vae", "--json").json
    assert found["checkpoints"] == [256_000]
    assert found["panels"]["reconstructions"] == [0, 256_000, 512_000, 768_000]
    assert found["warnings"][0]["step"] == 2600
    assert found["config"]["run"]["method"] == "vae"
    assert found["seconds_left"] == pytest.approx((5000 - 3120) * 256 / 6500)
    assert found["bytes"] > 1000


def test_show_of_a_run_that_has_only_a_configuration(root: Path, cli: Cli) -> None:
    new_run(root)
    answer = cli("runs", "show", "last")
    assert answer.code == 0
    assert "new" in answer.out
    assert cli("runs", "show", "last", "--json").json["seconds_left"] is None


def test_runs_that_are_not_there(root: Path, cli: Cli) -> None:
    answer = cli("runs", "show", "last")
    assert answer.code == 3
    assert answer.err.startswith(f"error: there are no runs in {root}")
    small_run(root, "vae-digits-1")
    small_run(root, "vae-digits-2")
    answer = cli("runs", "show", "vae-digit")
    assert answer.code == 2
    assert "vae-digits-1" in answer.err
    assert "vae-digits-2" in answer.err
    answer = cli("runs", "show", "vea-digits-1")
    assert answer.code == 3
    assert "did you mean 'vae-digits-1'?" in answer.err


# diff


def test_diff_shows_only_what_differs(root: Path, cli: Cli) -> None:
    one, two = small_run(root, "a-1"), small_run(root, "a-2")
    one.config.write_text('[run]\nmethod = "vae"\n[optim.main]\nlr = 0.001\nbetas = [0.9, 0.999]\n')
    two.config.write_text('[run]\nmethod = "vae"\n[optim.main]\nlr = 0.003\nbetas = [0.9, 0.999]\nnew = 1\n')
    put_status(two, last={"main/loss": 151.2, "test/knn": 0.9})
    assert cli("runs", "diff", "a-1", "a-2", "--json").json == {
        "runs": ["a-1", "a-2"],
        "config": {"optim.main.lr": [0.001, 0.003], "optim.main.new": [None, 1]},
        "metrics": {"test/neg_elbo_nats": [148.91, None], "test/knn": [0.842, 0.9]},
    }
    lines = cli("runs", "diff", "a-1", "a-2").out.splitlines()
    assert lines[0].split() == ["a-1", "a-2"]
    assert lines[1].split() == ["optim.main.lr", "0.001000", "0.003000"]
    assert not any("betas" in line for line in lines)


def test_diff_needs_two_runs(root: Path, cli: Cli) -> None:
    small_run(root, "a-1")
    assert cli("runs", "diff", "a-1").code == 2
    assert "do not differ" in cli("runs", "diff", "a-1", "a-1").err


# rm


def test_rm_without_a_terminal_wants_yes(root: Path, cli: Cli) -> None:
    run = small_run(root, state="finished")
    answer = cli("runs", "rm", "last")
    assert answer.code == 2
    assert "add --yes" in answer.err
    assert run.path.exists()
    assert cli("runs", "rm", "last", "--yes", "--json").json == {"removed": ["vae-digits-1"]}
    assert not run.path.exists()


@pytest.mark.parametrize(("says", "left"), [("n\n", True), ("\n", True), ("y\n", False)])
def test_rm_asks(root: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, says: str, left: bool) -> None:
    run = small_run(root, state="stopped")
    monkeypatch.setattr(commands, "on_a_terminal", lambda: True)
    read, write = os.pipe()
    os.write(write, says.encode())
    os.close(write)
    with os.fdopen(read) as answers:
        monkeypatch.setattr("sys.stdin", answers)
        answer = cli("runs", "rm", "last")
    assert answer.code == 0
    assert "Remove vae-digits-1 for good?" in answer.out
    assert run.path.exists() is left


@pytest.mark.parametrize("state", ["starting", "running", "paused"])
def test_rm_refuses_a_live_run_and_removes_none_of_the_others(root: Path, cli: Cli, state: str) -> None:
    dead, live = small_run(root, "a-1", state="failed"), small_run(root, "a-2", state=state)
    answer = cli("runs", "rm", "a-1", "a-2", "--yes")
    assert answer.code == 2
    assert answer.err == (
        f"error: a-2 is {state} (pid {os.getpid()} on {os.uname().nodename})\n"
        "  stop it first: sslterm stop a-2\n"
    )
    assert dead.path.exists()
    assert live.path.exists()


def test_rm_refuses_a_run_that_a_trainer_has_just_taken(root: Path, cli: Cli) -> None:
    run = small_run(root, state="finished")
    with hold(run):
        answer = cli("runs", "rm", "last", "--yes")
    assert answer.code == 2
    assert "is being trained already" in answer.err
    assert run.metrics.exists()


def test_rm_of_a_folder_that_is_no_run(root: Path, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").touch()
    assert cli("runs", "rm", tmp_path / "photos", "--yes").code == 3
    assert (tmp_path / "photos" / "a.png").exists()


# export


def test_export_packs_what_a_run_is(root: Path, tmp_path: Path, cli: Cli) -> None:
    run = full_run(root, state="finished")
    for images in (256_000, 512_000):
        put_checkpoint(run, images)
    put_checkpoint(run, 768_000, whole=False)
    (run.panels / "reconstructions" / ".tmp-half.npz").touch()
    run.log.write_text("printed")
    run.control.mkdir()
    path = tmp_path / "vae.tar.gz"
    found = cli("runs", "export", "last", "--out", path, "--json").json
    assert (found["run"], found["path"], found["bytes"]) == ("vae-digits-1", str(path), path.stat().st_size)
    assert found["contents"][-1] == "checkpoints/512000"
    with tarfile.open(path) as archive:
        names = set(archive.getnames())
        archive.extractall(tmp_path / "unpacked", filter="data")
    assert "vae-digits-1/checkpoints/512000/model.safetensors" in names
    assert "vae-digits-1/panels/reconstructions/768000.png" in names
    assert not any("256000/" in name or "768000/" in name or "tmp" in name for name in names)
    assert not any("trainer.log" in name or "control" in name for name in names)
    unpacked = RunDirectory(tmp_path / "unpacked" / "vae-digits-1")
    assert unpacked.metrics.read_bytes() == run.metrics.read_bytes()
    shown = cli("runs", "show", unpacked.path, "--json").json
    assert (shown["state"], shown["checkpoints"]) == ("finished", [512_000])
    assert sorted(item.name for item in tmp_path.iterdir()) == ["runs", "unpacked", "vae.tar.gz"]


def test_export_replaces_nothing_unasked(
    root: Path, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_run(root, state="finished")
    monkeypatch.chdir(tmp_path)
    assert cli("runs", "export", "last").out == "vae-digits-1.tar.gz\n"
    before = Path("vae-digits-1.tar.gz").read_bytes()
    answer = cli("runs", "export", "last")
    assert answer.code == 2
    assert "exists already" in answer.err
    assert Path("vae-digits-1.tar.gz").read_bytes() == before
    assert cli("runs", "export", "last", "--force").code == 0
    (tmp_path / "folder").mkdir()
    assert cli("runs", "export", "last", "--out", "folder").out == "folder/vae-digits-1.tar.gz\n"


def test_export_to_where_it_cannot_write(root: Path, tmp_path: Path, cli: Cli) -> None:
    small_run(root, state="finished")
    answer = cli("runs", "export", "last", "--out", tmp_path / "none" / "x.tar.gz")
    assert answer.code == 1
    assert answer.err == f"error: cannot write {tmp_path}/none/x.tar.gz: No such file or directory\n"
    (root / "vae-digits-1" / "config.toml").unlink()
    assert cli("runs", "export", "last").code == 3


# monitor


def test_monitor_without_a_terminal_prints_the_list_once(root: Path, cli: Cli) -> None:
    small_run(root, "a-1")
    small_run(root, "b-1")
    answer = cli("monitor")
    assert answer.code == 0, answer.err
    assert answer.out == cli("runs", "list").out
    assert [line.split()[0] for line in cli("monitor", "b").out.splitlines()] == ["RUN", "b-1"]
    assert [one["name"] for one in cli("monitor", "b-1", "--json").json] == ["b-1"]
    assert cli("monitor", "c").code == 3


def test_monitor_on_a_terminal_opens_the_live_view(
    root: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = small_run(root, "a-1")
    opened: list[object] = []
    monkeypatch.setattr("sslterm.cli.monitor.on_a_terminal", lambda: True)
    monkeypatch.setattr("sslterm.tui.monitor", lambda *places, **how: opened.append((*places, how)))
    assert cli("monitor", "a-1").code == 0
    assert cli("monitor", "--images", "auto", "--no-mouse").code == 0
    assert opened == [
        (root, [run], {"images": "", "mouse": True}),
        (root, [], {"images": "auto", "mouse": False}),
    ]


def test_json_is_one_line_off_a_terminal(root: Path, cli: Cli) -> None:
    small_run(root)
    out = cli("runs", "list", "--json").out
    assert out.count("\n") == 1
    assert json.loads(out)
