"""`embed` and `neighbors`: features as files that other programs read, and the search among them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest
import safetensors
import safetensors.numpy
import torch
from PIL import Image

from sslterm.data.source import load_source
from sslterm.engine.load import load_method
from sslterm.errors import DataError, UsageError
from sslterm.run.layout import RunDirectory
from sslterm.run.worker_client import Worker
from sslterm.worker.feature_files import Part, write_features
from sslterm.worker.features import most_similar
from tests.cli_program import Cli, cli
from tests.test_worker import make_run

__all__ = ["cli"]

TRAIN, TEST = 700, 60  # more than a batch, and not a multiple of one


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return make_run(
        tmp_path_factory.mktemp("runs"), "autoencoder", "digits",
        f"data.train_images={TRAIN}", f"data.test_images={TEST}",
    )  # fmt: skip


@pytest.fixture(scope="module")
def worker(run: RunDirectory) -> Iterator[Worker]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        with Worker(run, "cpu") as worker:
            yield worker


def encoded(run: RunDirectory) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes and labels of both splits, in one go."""
    loaded = load_method(run, torch.device("cpu"))
    source = load_source(loaded.experiment.data)
    images = torch.cat([source.train.images, source.test.images]).float() / 255
    with torch.no_grad():
        codes = loaded.method.eval().encode(images)  # type: ignore[operator]
    return codes, torch.cat([source.train.labels, source.test.labels])


def test_all_three_formats_hold_the_features_and_where_they_come_from(
    run: RunDirectory, worker: Worker, tmp_path: Path
) -> None:
    answers = [
        worker.ask("features", out=str(tmp_path / name))
        for name in ("f.npz", "deep/f.safetensors", "f.parquet")
    ]
    codes, labels = encoded(run)
    assert answers[0] == {
        "run": "autoencoder-digits-1", "path": str(tmp_path / "f.npz"), "n": TRAIN + TEST,
        "dimensions": codes.shape[1], "layer": "encoding", "data": "digits",
        "splits": {"train": TRAIN, "test": TEST}, "images": 256,
    }  # fmt: skip
    with np.load(tmp_path / "f.npz", allow_pickle=False) as archive:
        found = dict(archive)
    np.testing.assert_allclose(found["features"], codes.numpy(), rtol=1e-5, atol=1e-6)
    assert found["features"].dtype == np.float32
    assert found["label"].tolist() == labels.tolist()
    assert found["held_out"].tolist() == [False] * TRAIN + [True] * TEST
    assert found["index"].tolist() == [*range(TRAIN), *range(TEST)]
    about = json.loads(str(found["about"]))
    assert about == {
        "run": "autoencoder-digits-1", "method": "autoencoder", "images": 256, "layer": "encoding",
        "data": "digits", "class_names": list("0123456789"),
    }  # fmt: skip

    tensors = safetensors.numpy.load_file(tmp_path / "deep" / "f.safetensors")
    assert set(tensors) == {"features", "label", "held_out", "index"}
    for name, values in tensors.items():
        np.testing.assert_array_equal(values, found[name])
    with safetensors.safe_open(tmp_path / "deep" / "f.safetensors", "numpy") as file:
        assert json.loads(file.metadata()["about"]) == about

    table = pyarrow.parquet.read_table(tmp_path / "f.parquet")
    values = np.stack(table["features"].to_numpy())
    np.testing.assert_array_equal(values, found["features"])
    for name in ("label", "held_out", "index"):
        assert table[name].to_pylist() == found[name].tolist()
    assert json.loads(table.schema.metadata[b"about"]) == about


def test_a_split_and_a_layer_of_a_folder_with_the_names_of_its_files(worker: Worker, tmp_path: Path) -> None:
    for number in range(4):
        grey = np.full((20, 30), 60 * number, np.uint8)
        for folder in ("train", "test"):
            path = tmp_path / "pictures" / folder / "ab"[number % 2] / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(grey).save(path)
    (tmp_path / "pictures" / "train" / "a" / "broken.png").write_bytes(b"no picture")
    answer = worker.ask(
        "features", out=str(tmp_path), data=str(tmp_path / "pictures"), split="test", layer="stage1"
    )
    assert answer["path"] == str(tmp_path / "autoencoder-digits-1-256-stage1.npz")
    assert (answer["n"], answer["splits"], answer["data"]) == (4, {"test": 4}, "pictures")
    with np.load(answer["path"], allow_pickle=False) as found:
        assert found["features"].shape == (4, answer["dimensions"])
        assert set(found["file"]) == {"test/a/0.png", "test/b/1.png", "test/a/2.png", "test/b/3.png"}
        names = json.loads(str(found["about"]))["class_names"]
        assert [names[label] for label in found["label"]] == [file.split("/")[1] for file in found["file"]]
        assert found["held_out"].all()


def test_what_is_refused_leaves_no_file(worker: Worker, tmp_path: Path) -> None:
    for arguments, message in (
        ({"out": "f.csv"}, r"f\.csv: features are written as \.npz, \.safetensors, \.parquet"),
        ({"out": "f.npz", "layer": "stge1"}, "there is no layer 'stge1'"),
        ({"out": "f.npz", "data": "digts"}, "no such data"),
        ({"out": "f.npz", "split": "val"}, "split = 'val' is not known"),
    ):
        with pytest.raises(UsageError, match=message):
            worker.ask("features", **{**arguments, "out": str(tmp_path / arguments["out"])})
    assert list(tmp_path.iterdir()) == []


def test_what_fails_half_way_leaves_the_old_file(tmp_path: Path) -> None:
    def parts() -> Iterator[Part]:
        yield Part(np.zeros((2, 3), np.float32), {"label": np.zeros(2, np.int64)})
        raise OSError("the disk is full")

    for name in ("f.npz", "f.safetensors", "f.parquet"):
        (tmp_path / name).write_text("old")
        with pytest.raises(OSError, match="disk is full"):
            write_features(tmp_path / name, 4, parts(), {})
        assert (tmp_path / name).read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 3


def test_the_most_similar_are_those_of_one_large_product() -> None:
    torch.manual_seed(0)
    gallery, wanted = torch.randn(500, 6), torch.nn.functional.normalize(torch.randn(3, 6), dim=1)
    parts = (Part(part.numpy(), {}) for part in torch.split(gallery, 130))
    cosines, places = most_similar(wanted, parts, 7)
    every = torch.nn.functional.cosine_similarity(wanted[:, None].double(), gallery.double(), dim=2)
    assert torch.equal(places, every.topk(7, dim=1).indices)
    torch.testing.assert_close(cosines.double(), every.gather(1, places), rtol=0, atol=1e-6)


def test_neighbors_finds_a_picture_among_its_likes(
    run: RunDirectory, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    source = load_source(load_method(run, torch.device("cpu")).experiment.data)
    for number in (5, 11):
        Image.fromarray(source.test.images[number, 0].numpy()).save(tmp_path / f"{number}.png")
    root = run.path.parent
    answer = cli(
        "neighbors", "last", tmp_path / "5.png", tmp_path / "11.png", "-k", 4, "--runs", root, "--json"
    )
    assert answer.code == 0, answer.err
    for number, result in zip((5, 11), answer.json["results"], strict=True):
        first, *others = result["neighbours"]
        assert first["similarity"] == pytest.approx(1, abs=1e-5)
        assert (first["split"], first["index"], first["file"]) == ("test", number, None)
        assert first["label"] == int(source.test.labels[number])
        assert [one["similarity"] for one in others] == sorted(
            (one["similarity"] for one in others), reverse=True
        )
    with Image.open(answer.json["path"]) as picture:
        assert picture.width > picture.height
    said = cli("neighbors", "last", tmp_path / "5.png", "-k", 2, "--split", "test", "--runs", root)
    assert said.code == 0, said.err
    assert f"nearest of {TEST} images of digits" in said.out
    assert "test[5]" in said.out


@pytest.mark.parametrize("name", ["f.npz", "f.safetensors", "f.parquet"])
def test_neighbors_are_the_same_from_features_that_were_kept(
    worker: Worker, tmp_path: Path, name: str
) -> None:
    Image.fromarray(np.eye(16, dtype=np.uint8) * 200).save(tmp_path / "a.png")
    found = {}
    for split in ("all", "test"):
        worker.ask("features", out=str(tmp_path / f"{split}-{name}"), split=split)
        question = {"images": [str(tmp_path / "a.png")], "k": 5, "split": split}
        stages: list[dict[str, object]] = []
        kept = worker.ask("search", stages.append, **question, features=str(tmp_path / f"{split}-{name}"))
        assert all(stage["stage"] != "encoding" for stage in stages)
        found[split] = worker.ask("search", **question)
        assert kept | {"path": ""} == found[split] | {"path": ""}
    assert (
        worker.ask("search", **question | {"split": "all"}, features=str(tmp_path / f"test-{name}"))[
            "results"
        ]
        == found["test"]["results"]
    )  # what there are features of


def test_features_of_something_else_are_refused(worker: Worker, tmp_path: Path) -> None:
    Image.new("L", (16, 16)).save(tmp_path / "a.png")
    file = tmp_path / "f.npz"
    of_this = {"run": "autoencoder-digits-1", "images": 256, "layer": "encoding", "data": "digits"}

    def search(**more: object) -> None:
        worker.ask("search", images=[str(tmp_path / "a.png")], k=2, features=str(file), **more)

    def keep(rows: int = TEST, wide: int = 2, **changes: object) -> None:
        part = Part(np.zeros((rows, wide), np.float32), {"held_out": np.ones(rows, bool)})
        write_features(file, rows, iter([part]), of_this | changes)

    wrong: list[tuple[dict[str, object], str]] = [
        ({"run": "vae-1"}, "of the run vae-1, not autoencoder-digits-1"),
        ({"images": 512}, "of the checkpoint after 512, not 256"),
        ({"layer": "stage1"}, "of the layer stage1, not encoding"),
        ({"data": "mnist"}, "features of mnist, not digits"),
        ({"rows": 7}, "of 7 test images, and digits has 60"),
        ({"wide": 3}, "of 3 dimensions, not 2"),
        ({}, "holds no features of the train split"),
    ]
    for changes, message in wrong:
        keep(**changes)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match=message):
            search(split="all" if changes else "train")
    file.write_bytes(b"PK nothing")
    with pytest.raises(DataError, match=r"f\.npz cannot be read as features"):
        search()
    np.savez(file, features=np.zeros((3, 2)), held_out=np.zeros(2), about="{}")
    with pytest.raises(DataError, match="do not go together"):
        search()
    file.unlink()
    with pytest.raises(DataError, match="there is no such file"):
        search()


def test_neighbors_refuses_what_is_no_picture_and_too_many(worker: Worker, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(DataError, match=r"text\.png cannot be read as a picture"):
        worker.ask("search", images=[str(tmp_path / "text.png")])
    with pytest.raises(DataError, match="there is no such file"):
        worker.ask("search", images=[str(tmp_path / "none.png")])
    Image.new("L", (16, 16)).save(tmp_path / "black.png")
    with pytest.raises(UsageError, match="neighbours are too many: at most 760"):
        worker.ask("search", images=[str(tmp_path / "black.png")], k=761)


def test_embed_says_what_it_wrote(run: RunDirectory, cli: Cli, tmp_path: Path) -> None:
    said = cli(
        "embed",
        "last",
        "--out",
        tmp_path / "f.npz",
        "--split",
        "test",
        "--runs",
        run.path.parent,
        "--device",
        "cpu",
    )
    assert said.code == 0, said.err
    path, about = said.out.splitlines()
    assert path == str(tmp_path / "f.npz")
    assert f"(encoding) of {TEST} test images of digits, after 256 images of training" in about


def test_embed_draws_a_map(
    run: RunDirectory, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    asked = ("embed", run.path, "--device", "cpu")
    both = cli(*asked, "--out", tmp_path / "a.npz", "--map", tmp_path / "a.png", "-n", 50, "--json")
    assert both.code == 0, both.err
    found = both.json
    assert (found["n"], found["splits"]) == (TRAIN + TEST, {"train": TRAIN, "test": TEST})
    assert found["map"] == {
        "path": str(tmp_path / "a.png"), "by": "pca", "n": 50, "dimensions": found["dimensions"],
        "caption": found["map"]["caption"], "x_label": found["map"]["x_label"], "y_label": found["map"]["y_label"],
    }  # fmt: skip
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width > 600
    wrong = {
        (): "there is nothing to write",
        ("--out", tmp_path / "b.npz", "--by", "tsne"): "are for --map",
        ("--out", tmp_path / "b.npz", "-n", 50): "are for --map",
        ("--map", tmp_path / "b.pdf"): "name it " + str(tmp_path / "b.png"),
        ("--map", tmp_path / "b.png", "--layer", "stge1"): "there is no layer 'stge1'",
    }
    for options, message in wrong.items():
        answer = cli(*asked, *options)
        assert (answer.code, answer.out) == (2, ""), answer.err
        assert message in " ".join(answer.err.split())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "a.png"]
