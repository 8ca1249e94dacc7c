"""`plot`: curves in cells, as PNG, as numbers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

from sslterm.run.layout import RunDirectory
from tests.cli_program import Cli, cli
from tests.tui.recorded import new_run, put_metrics, put_status

__all__ = ["cli"]  # a fixture


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    monkeypatch.setenv("SSLTERM_RUNS", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    found = new_run(tmp_path)
    put_metrics(found)
    put_status(found)
    return found


def test_what_the_method_is_watched_by_is_drawn(run: RunDirectory, cli: Cli) -> None:
    answer = cli("plot", "last", "--width", 72, "--height", 12)
    assert (answer.code, answer.err) == (0, "")
    charts = answer.out.split("\n\n")
    assert len(charts) == 3
    assert charts[0].startswith("-ELBO · nats")
    assert charts[1].startswith("KL · nats")
    for chart in charts:
        lines = chart.rstrip("\n").split("\n")
        assert len(lines) == 12
        assert max(map(len, lines)) <= 72
        assert any("⠀" <= glyph <= "⣿" for line in lines for glyph in line)
    assert "\x1b" not in answer.out


def test_metrics_are_named_in_full_or_by_their_last_part(run: RunDirectory, cli: Cli) -> None:
    assert cli("plot", "last", "test/knn", "--width", 60).out.startswith("kNN accuracy")
    assert cli("plot", "last", "kl_nats", "--width", 60).out.startswith("KL · nats")
    found = cli("plot", "last", "loss", "neg_elbo_nats", "--json").json
    assert set(found["metrics"]) == {"main/loss", "main/neg_elbo_nats", "test/neg_elbo_nats"}
    order = [
        chart.split()[0] for chart in cli("plot", "last", "knn", "loss", "--width", 60).out.split("\n\n")
    ]
    assert order == ["kNN", "loss"]


def test_json_holds_the_points(run: RunDirectory, cli: Cli) -> None:
    found = cli("plot", "last", "test/knn", "--json").json
    assert found["run"] == "vae-digits-1"
    points = found["metrics"]["test/knn"]
    assert points["step"][:3] == [0, 200, 400]
    assert points["images"][1] == 200 * 256
    assert points["value"][0] == pytest.approx(0.35)
    assert {len(values) for values in points.values()} == {16}


def test_axes(run: RunDirectory, cli: Cli) -> None:
    assert cli("plot", "last", "loss", "--width", 72).out.rstrip().endswith("step")
    assert cli("plot", "last", "loss", "--x", "images", "--width", 72).out.rstrip().endswith("images")
    assert "log y" in cli("plot", "last", "loss", "--log", "--width", 72).out


def test_png(run: RunDirectory, cli: Cli) -> None:
    answer = cli("plot", "last", "loss", "knn", "--out", "curves.png")
    assert (answer.code, answer.out) == (0, "curves.png\n")
    one = cli("plot", "last", "loss", "--out", "loss.png", "--json").json
    assert one == {"run": "vae-digits-1", "path": "loss.png", "metrics": ["main/loss"]}
    with Image.open("curves.png") as both, Image.open("loss.png") as single:
        assert both.height > 1.8 * single.height
        assert len(set(single.convert("L").tobytes())) > 20  # there is something on it


def test_wrong_usage(run: RunDirectory, cli: Cli) -> None:
    answer = cli("plot", "last", "lss")
    assert answer.code == 2
    assert answer.err.startswith("error: vae-digits-1 has no metric 'lss'\n  did you mean")
    answer = cli("plot", "last", "--out", "curves.pdf")
    assert (answer.code, "name it curves.png" in answer.err) == (2, True)
    assert not os.path.exists("curves.pdf")
    (run.path / "file").touch()
    answer = cli("plot", "last", "--out", run.path / "file" / "curves.png")
    assert (answer.code, answer.err.startswith("error: cannot write")) == (1, True)
    assert cli("plot", "none").code == 3


def test_a_run_without_metrics(run: RunDirectory, cli: Cli, tmp_path: Path) -> None:
    new_run(tmp_path, "vae-digits-2")
    answer = cli("plot", "vae-digits-2")
    assert answer.code == 3
    assert answer.err.startswith("error: vae-digits-2 has no metrics yet")


def test_colours_on_request(run: RunDirectory, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert "\x1b[" in cli("plot", "last", "loss").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in cli("plot", "last", "loss").out


def test_smoothing_windows_and_logarithmic_x(run: RunDirectory, cli: Cli) -> None:
    smooth = cli("plot", "last", "loss", "--smooth", 0.9, "--log-x", "--width", 90).out.splitlines()
    assert smooth[0].startswith("loss · EMA 0.9 · log x")
    assert "▾" in smooth[0]
    part = cli("plot", "last", "loss", "--from", 1000, "--to", 2000, "--width", 90).out.splitlines()
    assert part[-1].split()[0] == "└1,000"
    assert "1,800" in part[-1]
    assert "3,000" not in part[-1]
    from_there = cli("plot", "last", "loss", "--from", 1000, "--width", 90).out.splitlines()
    assert from_there[-1].split() == ["└1,000", "1,500", "2,000", "2,500", "step"]


def test_epochs_are_drawn_where_they_are_known(run: RunDirectory, cli: Cli) -> None:
    answer = cli("plot", "last", "loss", "--x", "epoch")
    assert answer.code == 2
    assert answer.err.endswith("draw it over images: --x images\n")
    put_status(run, images_per_epoch=3120 * 256 // 10)
    axis = cli("plot", "last", "loss", "--x", "epoch", "--width", 90).out.splitlines()[-1].split()
    assert axis == ["└0", "2", "4", "6", "8", "epoch"]


def test_csv(run: RunDirectory, cli: Cli, tmp_path: Path) -> None:
    answer = cli("plot", "last", "knn", "loss", "--csv", "out/curves.csv")
    assert (answer.code, answer.out) == (0, "out/curves.csv\n")
    lines = (tmp_path / "out" / "curves.csv").read_text().splitlines()
    assert lines[0] == "metric,step,images,seconds,value"
    assert lines[2].split(",")[:3] == ["test/knn", "200", "51200"]
    assert float(lines[1].split(",")[4]) == pytest.approx(0.35)
    assert {line.split(",")[0] for line in lines[1:]} == {"test/knn", "main/loss"}
    assert cli("plot", "last", "knn", "loss", "--csv", "-").out.splitlines() == lines
    found = cli("plot", "last", "loss", "--csv", "a.csv", "--json").json
    assert found == {"run": "vae-digits-1", "path": "a.csv", "metrics": ["main/loss"]}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--smooth", "1"), "--smooth 1 is not a weight"),
        (("--from", "9", "--to", "3"), "--from 9 is not before --to 3"),
        (("--from", "90000"), "there is nothing after 90000"),
        (("--to", "-3"), "there is nothing before -3"),
        (("--out", "a.png", "--csv", "a.csv"), "--out and --csv are two files"),
        (("--csv", "file/a.csv"), "cannot write file/a.csv"),
        (("--csv", "-", "--json"), "--csv - and --json"),
    ],
)
def test_what_cannot_be_drawn_is_said(
    run: RunDirectory, cli: Cli, tmp_path: Path, options: tuple[str, ...], said: str
) -> None:
    (tmp_path / "file").touch()
    answer = cli("plot", "last", "loss", *options)
    assert (answer.code, answer.out) == (1 if "write" in said else 2, "")
    assert answer.err.startswith(f"error: {said}")
    assert len(answer.err.splitlines()) <= 2


def test_what_is_written_is_cut_as_well(run: RunDirectory, cli: Cli) -> None:
    part = cli("plot", "last", "test/knn", "--from", 300, "--to", 800, "--json").json
    assert part["metrics"]["test/knn"]["step"] == [400, 600, 800]
    lines = cli("plot", "last", "test/knn", "--csv", "-", "--x", "images", "--to", 200 * 256).out.splitlines()
    assert [line.split(",")[1] for line in lines] == ["step", "0", "200"]
