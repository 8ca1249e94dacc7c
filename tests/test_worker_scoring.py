"""`sslterm score`: likelihoods of pictures beside those of held-out images."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from sslterm.engine.load import load_method
from sslterm.run.layout import RunDirectory
from sslterm.run.panels import load_panel
from tests.cli_program import Cli, cli
from tests.in_process import WorkerHere, all_in_process
from tests.test_worker import make_run

__all__ = ["all_in_process", "cli"]  # fixtures


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def made(root: Path) -> RunDirectory:
    return make_run(root, "made", "digits", "method.widths=[16]")


@pytest.fixture(scope="module")
def nice(root: Path) -> RunDirectory:
    return make_run(root, "nice", "digits", "method.widths=[16]")


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """A grey square, and noise; more noise in a folder."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 16, 16), dtype=np.uint8)
    (tmp_path / "folder").mkdir()
    for number, image in enumerate(noise):
        Image.fromarray(image).save(tmp_path / "folder" / f"{number}.png")
    Image.new("L", (16, 16), 128).save(tmp_path / "flat.png")
    return [tmp_path / "flat.png", tmp_path / "folder" / "0.png"]


def test_a_picture_is_laid_beside_held_out_images(made: RunDirectory, pictures: list[Path]) -> None:
    answer = WorkerHere(made).ask("score", images=[str(path) for path in pictures], n=100)
    loaded = load_method(made, torch.device("cpu"))
    method = loaded.method.eval()
    pixels = torch.from_numpy(np.asarray(Image.open(pictures[1]), dtype=np.float32) / 255)[None, None]
    with torch.no_grad():  # made `digits` cuts bits off at a half: nothing is drawn
        nats = -method.log_prob(pixels, torch.Generator())  # type: ignore[operator]
        held_out = -method.log_prob(loaded.source.test.images.float() / 255, torch.Generator())  # type: ignore[operator]
    flat, noise = answer["results"]
    assert noise["nats"] == pytest.approx(float(nats), rel=1e-5)
    assert noise["bits_per_dim"] == pytest.approx(noise["nats"] / (256 * math.log(2)))
    assert answer["held_out"]["n"] == 100
    assert abs(answer["held_out"]["nats"] - float(held_out.mean())) < 3 * float(held_out.std())
    share = noise["as_unlike"]["likelihood"]
    assert share == pytest.approx(float((held_out >= nats).double().mean()), abs=0.15)
    assert flat["image"] == str(pictures[0])
    assert flat["as_unlike"]["complexity"] is None  # of bits there is none
    assert answer["path"] is answer["other"] is None


def test_another_data_set_is_told_apart_as_a_whole(nice: RunDirectory, pictures: list[Path]) -> None:
    answer = WorkerHere(nice).ask("score", data=str(pictures[1].parent), n=40)
    other = answer["other"]
    assert (other["data"], other["n"]) == ("folder", 40)
    assert set(other["auroc"]) == {"likelihood", "typicality", "complexity"}
    assert all(0 <= area["value"] <= 1 for area in other["auroc"].values())
    panel = load_panel(Path(answer["path"]).with_suffix(".npz"))
    assert panel.labels == ("digits, held out", "folder")
    np.testing.assert_allclose(panel.array.sum(1), 100, rtol=1e-4)
    assert panel.x_label == "nll, bits/dim"


def test_held_out_images_are_not_unlike_themselves(made: RunDirectory, tmp_path: Path) -> None:
    source = load_method(made, torch.device("cpu")).source
    for number, image in enumerate(source.test.images[:, 0].numpy()):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    area = WorkerHere(made).ask("score", data=str(tmp_path))["other"]["auroc"]["likelihood"]
    assert area["value"] == pytest.approx(0.5, abs=1e-9)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["made-digits-1"], "there is nothing to score"),
        (["made-digits-1", "none.png"], "none.png: there is no such file"),
        (["made-digits-1", "flat.png", "--out", "x.png"], "--out is of the histogram"),
        (["dcgan-digits-1", "flat.png"], "dcgan is no density"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    root: Path, made: RunDirectory, pictures: list[Path], cli: Cli, all_in_process: None,
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(pictures[0].parent)
    if arguments[0].startswith("dcgan") and not (root / "dcgan-digits-1").exists():
        make_run(root, "dcgan", "digits")
    answer = cli("score", *arguments, "--runs", root)
    assert answer.code in (2, 3)
    assert says in answer.err
    assert answer.out == ""


def test_the_command_prints_tables_or_json(
    root: Path, nice: RunDirectory, pictures: list[Path], cli: Cli, all_in_process: None
) -> None:
    asked: list[Any] = [
        "score",
        "nice-digits-1",
        *pictures,
        "--data",
        pictures[1].parent,
        "-n",
        40,
        "--runs",
        root,
    ]
    lines = cli(*asked).out.splitlines()
    assert "/outputs/scores-256-folder" in lines[0]
    assert lines[1].startswith("nll_nats (exact; 8-bit pixels")
    assert [line.split()[0] for line in lines if "%" in line][:1] == [str(pictures[0])]
    assert any(line.split()[:2] == ["told", "apart"] for line in lines)
    assert cli(*asked, "--json").json["kind"] == "exact"
