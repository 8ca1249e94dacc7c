"""`compare`: the table in all its forms, the overlay and the panels as PNG, and what is refused."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import pexpect
import pyte
import pytest
from PIL import Image

from sslterm.errors import UsageError
from sslterm.render.side_by_side import Shot
from sslterm.run.events import append_event
from sslterm.run.layout import RunDirectory
from sslterm.run.metrics import MetricsWriter
from sslterm.run.panels import save_panel
from tests.cli_program import Cli, cli
from tests.tui.recorded import digits, new_run, put_panels, put_status

__all__ = ["cli"]  # a fixture

KNN, ELBO = "test/knn", "test/neg_elbo_nats"


def put_run(
    root: Path, name: str, *values: float, metric: str = ELBO, lr: float = 0.1, method: str = "vae"
) -> RunDirectory:
    """A finished run that has measured `values` of a metric, a thousand images apart."""
    run = new_run(root, name, method)
    with run.config.open("a") as file:
        file.write(f"[optim.main]\nlr = {lr}\n[train]\nbatch = 128\n")
    writer = MetricsWriter(run.metrics)
    for place, value in enumerate(values):
        writer.write(
            step=10 * place,
            images=1000 * place,
            seconds=float(place),
            values={metric: value, "main/loss": value},
        )
    put_status(
        run,
        state="finished",
        step=90,
        images=9000,
        last={metric: values[-1]} if values else {},
        elapsed_seconds=60.0,
    )
    return run


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SSLTERM_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    put_run(tmp_path / "runs", "vae-digits-1", 500.0, 140.0, 150.0)
    put_run(tmp_path / "runs", "vae-digits-2", 400.0, 120.0, lr=0.3)
    return tmp_path / "runs"


def test_the_table_has_the_best_run_first(root: Path, cli: Cli) -> None:
    answer = cli("compare", "vae-digits-1", "vae-digits-2")
    assert (answer.code, answer.err) == (0, "")
    common, header, first, second = answer.out.splitlines()
    assert common == "method vae · preset digits · -ELBO: lower is better"
    assert header.split() == ["state", "images", "-ELBO", "(test)", "nats", "best", "time", "main.lr"]
    assert first.split()[1:] == [
        "B",
        "vae-digits-2",
        "finished",
        "9,000",
        "◆",
        "120",
        "◆",
        "120",
        "1",
        "m",
        "0.3",
    ]
    assert second.split()[1:] == ["A", "vae-digits-1", "finished", "9,000", "150", "140", "1", "m", "0.1"]
    assert "\x1b" not in answer.out


def test_json_has_the_documented_shape(root: Path, cli: Cli) -> None:
    found = cli("compare", "vae-digits-1", "vae-digits-2", "--json").json
    assert found["metrics"] == [ELBO]
    assert found["better"] == {ELBO: "lower"}
    assert found["same_data"] is True
    assert found["common"] == {"method": "vae", "preset": "digits"}
    assert found["config"] == {"optim.main.lr": [0.3, 0.1]}
    assert found["files"] == []
    assert found["runs"][1] == {
        "name": "vae-digits-1", "letter": "A", "path": str(root / "vae-digits-1"), "method": "vae",
        "preset": "digits", "state": "finished", "step": 90, "images": 9000, "seconds": 60.0,
        "metrics": {ELBO: {"last": 150.0, "best": 140.0, "best_images": 1000}}, "evaluated": [],
    }  # fmt: skip
    keys = [set(run) for run in found["runs"]]
    assert keys[0] == keys[1]


@pytest.mark.parametrize(
    ("by", "names"),
    [
        ("", ["2", "1"]), ("given", ["1", "2"]), ("name", ["1", "2"]), ("time", ["1", "2"]),
        ("loss", ["2", "1"]), (ELBO, ["2", "1"]),
    ],
)  # fmt: skip
def test_orders(root: Path, cli: Cli, by: str, names: list[str]) -> None:
    found = cli("compare", "vae-digits-1", "vae-digits-2", "--json", "--sort", by).json
    assert [run["name"][-1] for run in found["runs"]] == names


def test_without_a_better_direction_the_order_is_the_one_given(root: Path, cli: Cli) -> None:
    put_run(root, "dcgan-a", 1.0, metric="discriminator/loss", method="dcgan")
    put_run(root, "dcgan-b", 0.5, metric="discriminator/loss", method="dcgan")
    answer = cli("compare", "dcgan-a", "dcgan-b", "--sort", "discriminator/loss", "--json")
    assert [run["name"] for run in answer.json["runs"]] == ["dcgan-a", "dcgan-b"]
    assert answer.json["runs"][0]["metrics"]["discriminator/loss"]["best"] is None
    assert "neither way is better" in answer.err


def test_runs_of_different_methods_show_what_each_has(root: Path, cli: Cli) -> None:
    put_run(root, "barlow-1", 0.25, 0.5, metric=KNN, method="barlow-twins")
    out = cli("compare", "vae-digits-1", "barlow-1", "vae-digits-2").out
    line = next(line for line in out.splitlines() if "barlow-1" in line and "finished" in line)
    assert line.split()[1:] == [
        "B", "barlow-1", "finished", "9,000", "-", "-", "0.5000", "0.5000", "1", "m", "barlow-twins", "0.1",
    ]  # fmt: skip
    found = cli(
        "compare", "vae-digits-1", "barlow-1", "--metric", "knn", "--metric", "main/loss", "--json"
    ).json
    assert found["metrics"] == [KNN, "main/loss"]
    assert found["common"] == {"method": None, "preset": "digits"}
    assert set(found["runs"][1]["metrics"]) == {"main/loss"}


def test_one_run_and_a_run_named_twice(root: Path, cli: Cli) -> None:
    found = cli("compare", "vae-digits-1", "vae-digits-1", "--json").json
    assert [run["name"] for run in found["runs"]] == ["vae-digits-1"]
    assert found["config"] == {}
    assert "◆" not in cli("compare", "vae-digits-1").out


def test_an_empty_run_and_a_damaged_one(root: Path, cli: Cli) -> None:
    new_run(root, "new-1")
    damaged = new_run(root, "damaged-1")
    damaged.config.write_bytes(b"\x80")
    damaged.metrics.write_bytes(b'{"step": 1, "ima')
    answer = cli("compare", "new-1", "damaged-1")
    assert answer.code == 0
    assert "new-1" in answer.out
    assert cli("compare", "new-1", "damaged-1", "--json").json["metrics"] == [ELBO]
    assert cli("compare", "new-1", "--plot", "a.png").code == 0
    assert cli("compare", "damaged-1", "--plot", "b.png").code == 3


def test_markdown_is_all_that_stdout_has(root: Path, cli: Cli) -> None:
    answer = cli("compare", "vae-digits-1", "vae-digits-2", "--markdown", "--csv", "table.csv")
    lines = answer.out.splitlines()
    assert lines[0].startswith(
        "|  | run | state | images | -ELBO (test) nats | best | time | optim.main.lr |"
    )
    assert "| **120** | **120** |" in lines[2]
    assert answer.err == "wrote table.csv\n"
    (_, best, other) = csv.reader(io.StringIO(Path("table.csv").read_text()))
    assert best == [
        "vae-digits-2",
        "vae",
        "digits",
        "finished",
        "90",
        "9000",
        "60.0",
        "120.0",
        "120.0",
        "1000",
        "0.3",
    ]
    assert other[-4:] == ["150.0", "140.0", "1000", "0.1"]


def test_settings_that_do_not_fit_stand_below(root: Path, cli: Cli) -> None:
    for name, values in (("wide-1", "1"), ("wide-2", "2")):
        run = put_run(root, name, 1.0)
        with run.config.open("a") as file:
            file.write("[method]\n" + "".join(f"a_rather_long_name_{i} = {values}\n" for i in range(9)))
    lines = cli("compare", "wide-1", "wide-2").out.splitlines()
    assert len(lines) == 4 + 1 + 1 + 9
    assert lines[5].split() == ["A", "wide-1", "B", "wide-2"]
    assert lines[6].split() == ["method.a_rather_long_name_0", "1", "2"]
    assert max(map(len, lines)) <= 160


def test_pictures_are_written(root: Path, cli: Cli) -> None:
    for name in ("vae-digits-1", "vae-digits-2"):
        put_panels(RunDirectory(root / name), (0, 4000, 8000))
    answer = cli(
        "compare", "vae-digits-1", "vae-digits-2", "--json", "--metric", "loss", "--x", "step", "--log",
        "--smooth", 0.9, "--plot", "loss.png", "--panel", "cross-correlation", "--at", 5000, "--out", "new/panel.png",
    )  # fmt: skip
    assert answer.json["files"] == ["loss.png", "new/panel.png"]
    for path in answer.json["files"]:
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 300
    assert not list(root.glob("compare-*"))


def test_samples_are_asked_of_every_run_in_turn(
    root: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, str, int, int]] = []

    class Answers:
        def __init__(self, run: RunDirectory, device: str) -> None:
            self.run, self.device = run, device

        def __enter__(self) -> Answers:
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def ask(self, do: str, progress: object, *, n: int, seed: int) -> dict[str, Any]:
            asked.append((self.run.name, self.device, n, seed))
            if self.run.name == "vae-digits-2":
                raise UsageError("barlow-twins cannot sample")
            save_panel(digits(n), self.run.path / "sample.npz")
            return {"path": str(self.run.path / "sample.png")}

    monkeypatch.setattr("sslterm.cli.compare_panels.Worker", Answers)
    arguments = ("--samples", 9, "--seed", 3, "--device", "cpu", "--out", "s.png")
    answer = cli("compare", "vae-digits-1", "vae-digits-2", *arguments)
    assert asked == [("vae-digits-1", "cpu", 9, 3), ("vae-digits-2", "cpu", 9, 3)]
    assert "vae-digits-2 is left out: barlow-twins cannot sample" in answer.err
    assert Path("s.png").is_file()
    failed = cli("compare", "vae-digits-2", *arguments[:-1], "none.png")
    assert (failed.code, Path("none.png").exists()) == (2, False)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["vae-digits-1", "--metric", "kn"], 2, "none of these runs has a metric 'kn'"),
        (["vae-digits-1", "--sort", "test/neg_elbo"], 2, "did you mean 'test/neg_elbo_nats'?"),
        (["vae-digits-1", "nothing"], 3, "there is no run 'nothing'"),
        ([], 2, "missing argument"),
        (["vae-digits-1", "--plot", "a.svg"], 2, "name it a.png"),
        (["vae-digits-1", "--out", "a.png"], 2, "--out is for --panel or --samples"),
        (["vae-digits-1", "--panel", "x", "--samples", "3"], 2, "cannot be shown at once"),
        (["vae-digits-1", "--panel", "samples"], 2, "add --out FILE.png"),
        (["vae-digits-1", "--panel", "samples", "--out", "a.png"], 2, "none of these runs has a panel 'samples'"),
        (["vae-digits-1", "--plot", "/proc/none/a.png"], 1, "cannot write /proc/none"),
        (["vae-digits-1", "--csv", "/none/a.csv"], 1, "cannot write /none/"),
    ],
)  # fmt: skip
def test_what_is_refused(root: Path, cli: Cli, arguments: list[str], code: int, says: str) -> None:
    answer = cli("compare", *arguments)
    assert answer.code == code
    assert says in answer.err
    assert answer.out == ""
    assert len(answer.err.splitlines()) <= 2


def test_a_panel_that_was_not_drawn_by_then(root: Path, cli: Cli) -> None:
    put_panels(RunDirectory(root / "vae-digits-1"), (500,))
    arguments = ("vae-digits-1", "vae-digits-2", "--panel", "reconstructions", "--out", "a.png")
    answer = cli("compare", *arguments, "--at", 499)
    assert answer.code == 3
    assert "no run has drawn reconstructions by 499 images" in answer.err
    assert cli("compare", *arguments).code == 0


def test_runs_diff_shares_what_differs(root: Path, cli: Cli) -> None:
    found = cli("runs", "diff", "vae-digits-1", "vae-digits-2", "--json").json
    assert found["config"] == {"optim.main.lr": [0.1, 0.3]}
    assert found["metrics"] == {ELBO: [150.0, 120.0]}


@pytest.mark.parametrize("environment", [{}, {"NO_COLOR": "1"}])
def test_on_a_terminal_the_overlay_stands_above_and_the_panels_below(
    root: Path, environment: dict[str, str]
) -> None:
    for name in ("vae-digits-1", "vae-digits-2"):
        put_panels(RunDirectory(root / name), (0,))
    known = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    arguments = ["compare", "vae-digits-1", "vae-digits-2", "--panel", "reconstructions"]
    program = pexpect.spawn(
        sys.executable,
        ["-m", "sslterm", *arguments],
        env={**known, "TERM": "xterm-256color", "COLORTERM": "truecolor", **environment},
        dimensions=(60, 80),
        timeout=30,
    )
    written = program.read()
    program.wait()
    assert (b"\x1b[" in written) == (not environment)
    screen = pyte.Screen(80, 60)
    pyte.ByteStream(screen).feed(written)
    lines = [line.rstrip() for line in screen.display]
    assert lines[0].startswith("-ELBO (test) · nats")
    assert any("⠀" < glyph <= "⣿" for line in lines[:14] for glyph in line)
    common = next(place for place, line in enumerate(lines) if line.startswith("method vae"))
    assert common > 13
    assert any("◆ 120" in line for line in lines[common:])
    panels = next(place for place, line in enumerate(lines) if line.startswith("reconstructions · seed 0"))
    assert panels > common
    assert "A vae-digits-1" in lines[panels + 1]
    assert max(map(len, lines)) <= 80


def test_a_shot_says_why_there_is_no_panel() -> None:
    assert Shot(place=0, name="a").trouble == "no such panel"


def put_probe(run: RunDirectory, data: str, images: int, **accuracies: float) -> None:
    """A probe of a checkpoint, with a layer's result beside the encoder's."""
    rows = [{"protocol": name, "layer": "encode", "accuracy": value} for name, value in accuracies.items()]
    layer = {"protocol": "knn", "layer": "stage1", "accuracy": 0.99}
    append_event(run.results, "probe", data=data, images=images, results=[layer, *rows])


def test_probes_stand_in_the_table_by_their_data(root: Path, cli: Cli) -> None:
    runs = [RunDirectory(root / f"vae-digits-{number}") for number in (1, 2)]
    put_probe(runs[0], "digits", 3000, knn=0.1, linear=0.2)
    put_probe(runs[0], "digits", 9000, knn=0.625, linear=0.75)  # the newest counts
    put_probe(runs[1], "digits", 9000, knn=0.5)
    put_probe(runs[1], "cifar10", 9000, knn=0.25)
    with runs[1].results.open("ab") as file:
        file.write(b'{"time": 1, "kind": "probe", "data": "torn')
    answer = cli("compare", "vae-digits-1", "vae-digits-2", "--json")
    by_name = {run["name"]: run["metrics"] for run in json.loads(answer.out)["runs"]}
    assert by_name["vae-digits-1"]["probe/knn[digits]"] == {"last": 0.625, "best": 0.625, "best_images": 9000}
    assert by_name["vae-digits-1"]["probe/linear[digits]"]["last"] == 0.75
    assert by_name["vae-digits-2"]["probe/knn[cifar10]"]["last"] == 0.25
    assert "probe/linear[digits]" not in by_name["vae-digits-2"]
    table = cli("compare", "vae-digits-1", "vae-digits-2", "--sort", "probe/knn[digits]").out.splitlines()
    assert "kNN on digits" in table[1]
    assert "linear on digits" in table[1]
    assert "vae-digits-1" in table[2]
    assert "◆ 0.6250" in table[2]
    assert "0.99" not in "".join(table)


def put_evaluation(
    run: RunDirectory, digest: str = "1a2b3c4d5e6f", *, n: int = 1000, **values: float
) -> None:
    """What `sslterm evaluate` keeps of the samples of a run; the floor is a tenth of a value."""
    rows = [
        {
            "name": f"{name}[judge32]@{n}" if name != "TSTR" else f"TSTR@{n}", "value": value, "n": n,
            "floor": 0.5, "baseline_untrained": 20 * value, "standard_error": 0.25, "kind": "estimate",
        }
        | ({"space_sha256": digest} if name != "TSTR" else {})
        for name, value in values.items()
    ]  # fmt: skip
    append_event(run.results, "evaluate", data="digits", images=9000, results=rows)


@pytest.fixture
def samplers(root: Path) -> tuple[RunDirectory, RunDirectory]:
    first, second = (put_run(root, f"dcgan-{name}", 1.5, metric="main/loss", method="dcgan") for name in "ab")
    put_evaluation(first, FD=30.0, KD=3.0, density=0.4)
    put_evaluation(second, FD=99.0, KD=9.0)  # an earlier time
    put_evaluation(second, FD=20.0, KD=4.0, TSTR=0.75)
    return first, second


def test_the_quality_of_samplers_stands_in_one_table_with_floors_and_untrained_networks(
    samplers: tuple[RunDirectory, RunDirectory], cli: Cli
) -> None:
    lines = cli("compare", "dcgan-a", "dcgan-b", "--sort", "given").out.splitlines()
    title = lines.index("1,000 samples of each, judged in judge32-1a2b3c")
    table = [line.replace("◆ ", "◆").split() for line in lines[title + 1 : title + 7]]
    assert table == [
        ["FD↓", "KD↓", "density", "TSTR↑"],
        ["real", "images", "0.500", "0.500", "0.500", "0.500"],
        ["A", "dcgan-a", "30", "◆3", "0.400", "-"],
        ["untrained", "600", "60", "8", "-"],
        ["B", "dcgan-b", "◆20", "4", "-", "0.750"],
        ["untrained", "400", "80", "-", "15"],
    ]
    assert "FD" not in "".join(lines[:title])


def test_spaces_of_other_weights_or_sizes_are_tables_of_their_own(
    samplers: tuple[RunDirectory, RunDirectory], cli: Cli
) -> None:
    put_evaluation(samplers[0], "ffffffffffff", FD=1.0, KD=1.0)
    put_evaluation(samplers[0], n=2000, KD=1.0)
    lines = cli("compare", "dcgan-a", "dcgan-b", "--sort", "given").out.splitlines()
    titles = [line for line in lines if "judged in" in line]
    assert titles == [
        "1,000 samples of each, judged in judge32-1a2b3c",
        "1,000 samples of each, judged in judge32-ffffff",
        "2,000 samples of each, judged in judge32-1a2b3c",
    ]
    alone = lines[lines.index(titles[1]) :]
    assert alone[3].split()[:4] == ["A", "dcgan-a", "1", "1"]  # nothing to be better than
    assert "dcgan-b" not in "".join(alone)


def test_figures_of_samples_sort_and_are_in_json_and_markdown(
    samplers: tuple[RunDirectory, RunDirectory], cli: Cli
) -> None:
    key = "evaluate/FD[judge32-1a2b3c, n 1000]"
    found = cli("compare", "dcgan-a", "dcgan-b", "--metric", key, "--json").json
    assert [run["name"] for run in found["runs"]] == ["dcgan-b", "dcgan-a"]
    assert found["better"] == {key: "lower"}
    assert found["runs"][1]["evaluated"][0] == {
        "figure": "FD", "space": "judge32-1a2b3c", "n": 1000, "value": 30.0, "kind": "estimate", "protocol": "",
        "error": 0.25, "floor": 0.5, "independent": None, "untrained": 600.0, "images": 9000,
    }  # fmt: skip
    text = cli("compare", "dcgan-a", "dcgan-b", "--markdown").out
    assert "1,000 samples of each, judged in judge32-1a2b3c:" in text
    assert "| real images | 0.500 | 0.500 | 0.500 | 0.500 |" in text


@pytest.mark.parametrize(
    "line",
    [
        {"results": "none", "images": 3}, {"results": [3, {"name": 4, "n": 3, "value": 1}], "images": 3},
        {"results": [{"name": "FD[a]@3", "n": "3", "value": 1.0}], "images": 3},
        {"results": [{"name": "FD[a]@3", "n": 3, "value": None}], "images": 3},
        {"results": [{"name": "FD[a]@3", "n": 3, "value": 1.0}]},
    ],
)  # fmt: skip
def test_damaged_evaluations_are_passed_over(root: Path, cli: Cli, line: dict[str, Any]) -> None:
    append_event(RunDirectory(root / "vae-digits-1").results, "evaluate", **line)
    found = cli("compare", "vae-digits-1", "vae-digits-2", "--json").json
    assert [run["evaluated"] for run in found["runs"]] == [[], []]
