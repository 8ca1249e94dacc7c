"""Probes of a run: what is written, drawn and kept, and what fine-tuning leaves alone."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sslterm.cli.app import main
from sslterm.engine.load import load_method
from sslterm.errors import ExitCode, UsageError
from sslterm.render.panel import draw_panel
from sslterm.run.layout import RunDirectory
from sslterm.run.panels import load_panel
from sslterm.run.reader import RunReader
from sslterm.worker.desk import Desk
from sslterm.worker.probing import layers_panel, probe_run
from sslterm.worker.requests import Probe, read_request
from tests.test_worker import make_run

CPU = torch.device("cpu")
LAYERS = ["stage1", "code"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return make_run(tmp_path_factory.mktemp("runs"), "autoencoder", "digits", "method.widths=[16]")


@pytest.fixture(scope="module")
def desk(run: RunDirectory) -> Desk:
    return Desk(run, load_method(run, CPU), CPU)


def test_layers_are_drawn_in_order_of_depth_and_the_best_is_named(desk: Desk, run: RunDirectory) -> None:
    answer = probe_run(desk, Probe(protocols=("knn", "lowshot"), layers=("all",)), lambda progress: None)
    assert [plot["protocol"] for plot in answer["plots"]] == ["knn", "lowshot"]
    for plot in answer["plots"]:
        rows = [row for row in answer["results"] if row["protocol"] == plot["protocol"]]
        assert [row["layer"] for row in rows] == LAYERS
        best = max(rows, key=lambda row: row["accuracy"])
        assert (plot["best_layer"], plot["accuracy"]) == (best["layer"], best["accuracy"])
        path = Path(plot["path"])
        assert path == run.path / "outputs" / f"layers-256-{plot['protocol']}-digits.png"
        with Image.open(path) as picture:
            assert picture.format == "PNG"
        panel = load_panel(path.with_suffix(".npz"))
        assert (panel.kind, panel.labels) == ("curve", ("trained", "untrained", "raw pixels"))
        assert panel.points == tuple(LAYERS)
        keys = ("accuracy", "baseline_untrained", "baseline_pixels")
        np.testing.assert_allclose(panel.array, [[100 * row[key] for row in rows] for key in keys], rtol=1e-5)
        assert f"best: {best['layer']}, {100 * best['accuracy']:.1f} %" in panel.caption
        drawn = draw_panel(panel, 70, 16, color=False).plain()
        assert all(name in drawn for name in (*LAYERS, "raw pixels", "accuracy, %"))
    again = probe_run(desk, Probe(protocols=("knn",), layers=("all",)), lambda progress: None)
    assert Path(again["plots"][0]["path"]).name == "layers-256-knn-digits-2.png"


def test_one_layer_is_not_drawn(desk: Desk) -> None:
    assert probe_run(desk, Probe(protocols=("knn",)), lambda progress: None)["plots"] == []


def test_fine_tuning_keeps_its_results_and_changes_nothing_else(desk: Desk, run: RunDirectory) -> None:
    before = copy.deepcopy(desk.loaded.method.state_dict())
    checkpoint = {path: path.read_bytes() for path in run.path.rglob("*.safetensors")}
    asked = Probe(protocols=("finetune@2",), treatments=("stage1=frozen",), epochs=2)
    answer = probe_run(desk, asked, lambda progress: None)
    (row,) = answer["results"]
    assert (row["layers"], row["epochs"], row["augment"]) == (
        "stage1=frozen",
        2,
        "shift",
    )  # digits have no mirror
    assert row["n_train"] == 20
    assert {"accuracy", "baseline_frozen", "baseline_pixels", "baseline_untrained", "std", "draws"} <= set(
        row
    )
    assert row["accuracy"] == row["baseline_untrained"]  # the checkpoint is the network as it was built
    assert all(torch.equal(value, before[name]) for name, value in desk.loaded.method.state_dict().items())
    assert {path: path.read_bytes() for path in run.path.rglob("*.safetensors")} == checkpoint
    reader = RunReader(run)
    reader.refresh()
    assert reader.measured["probe/finetune@2[digits; stage1=frozen]"] == (row["accuracy"], 256)


def test_what_is_frozen_is_drawn_beside_what_is_fine_tuned() -> None:
    about = {"protocol": "finetune", "n_test": 9, "baseline_pixels": 0.25, "baseline_untrained": 0.5}
    rows = [{**about, "layer": name, "accuracy": 0.75, "baseline_frozen": 0.625} for name in LAYERS]
    panel = layers_panel(rows, "digits")
    assert panel.labels == ("trained", "untrained", "trained, frozen", "raw pixels")
    assert panel.array.tolist() == [[75, 75], [50, 50], [62.5, 62.5], [25, 25]]
    assert "best: stage1, 75.0 %" in panel.caption  # of equally good ones the first


def test_how_images_are_varied_depends_on_what_they_show(desk: Desk) -> None:
    for augment, expected in (("none", ""), ("flip", "flip"), ("both", "flip+shift"), ("auto", "shift")):
        asked = Probe(protocols=("finetune@1",), epochs=1, augment=augment)  # type: ignore[arg-type]
        (row,) = probe_run(desk, asked, lambda progress: None)["results"]
        assert row["augment"] == expected
    with pytest.raises(UsageError, match="augment"):
        read_request("probe", {"augment": "rotate"})
    with pytest.raises(UsageError, match="rate = 0"):
        read_request("probe", {"rate": 0})


@pytest.mark.parametrize(
    ("asked", "option"),
    [
        (Probe(treatments=("stage1=new",)), "--layers"),
        (Probe(rate=0.5), "--rate"),
        (Probe(epochs=3), "--epochs"),
        (Probe(augment="flip", protocols=("lowshot@5",)), "--augment"),
    ],
)
def test_options_that_would_do_nothing_are_refused(desk: Desk, asked: Probe, option: str) -> None:
    with pytest.raises(UsageError, match=f"{option}: that is for finetune, and the protocols are") as error:
        probe_run(desk, asked, lambda progress: None)
    assert "--protocol finetune" in error.value.hint


def test_the_command_prints_columns_the_best_layer_and_the_path(
    run: RunDirectory, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    root = ["--runs", str(run.path.parent), "--device", "cpu"]
    arguments = ["probe", "last", *root, "--protocol", "finetune@1", "--layer", "all", "--epochs", "1"]
    assert main([*arguments, "--layers", "stage1=0.01"]) == ExitCode.OK
    printed = capsys.readouterr().out
    assert printed.splitlines()[1].split() == [
        "protocol", "layer", "features", "trained", "frozen", "raw", "pixels", "untrained", "train", "test",
    ]  # fmt: skip
    assert "best layer by finetune@1: " in printed
    assert printed.rstrip().endswith("layers-256-finetune@1-digits.png")
    assert main([*arguments, "--json"]) == ExitCode.OK
    answer = json.loads(capsys.readouterr().out)
    assert [row["layer"] for row in answer["results"]] == LAYERS
    assert set(answer["plots"][0]) == {"protocol", "best_layer", "accuracy", "path"}
    assert main([*arguments[:6], "--protocol", "finetune", "--layers", "stage9=new"]) == ExitCode.USAGE
    told = capsys.readouterr().err
    assert "--layers stage9: there is no layer 'stage9'" in told
    assert "did you mean 'stage1'?" in told
