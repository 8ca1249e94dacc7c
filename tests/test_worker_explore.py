"""What a worker answers to those who explore a run, and to `traverse` from one code to another."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sslterm.cli.app import main
from sslterm.engine.build import build_method, inputs_of
from sslterm.engine.checkpoint import save_checkpoint
from sslterm.engine.load import load_method
from sslterm.errors import ExitCode, SsltermError, UsageError
from sslterm.run.checkpoints import checkpoint_counts
from sslterm.run.layout import RunDirectory
from sslterm.run.packed import pack_rows, unpack, unpack_rows
from sslterm.run.panels import load_panel
from sslterm.run.worker_client import Worker
from tests.test_worker import make_run


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def vae(root: Path) -> RunDirectory:
    return make_run(root, "vae", "digits", "method.widths=[32]", "method.latent_dim=3")


@pytest.fixture(scope="module")
def worker(vae: RunDirectory) -> Iterator[Worker]:
    with Worker(vae, "cpu", background=True) as worker:
        yield worker


def test_a_space_is_described_and_decoded(worker: Worker, vae: RunDirectory) -> None:
    space = worker.ask("explore")
    assert (space["dimensions"], space["prior"], space["shape"], space["images"]) == (
        3,
        "normal",
        [1, 16, 16],
        256,
    )
    assert set(space["families"]) == {"dimensions", "principal"}
    assert space["codes"] == 297
    z = np.random.default_rng(0).standard_normal((5, 3))
    images = unpack(worker.ask("decode", z=pack_rows(z))["images"])
    assert images.shape == (5, 1, 16, 16)
    import torch

    method = load_method(vae, torch.device("cpu")).method
    with torch.no_grad():
        expected = method.decode(torch.from_numpy(z).float())  # type: ignore[operator]
    np.testing.assert_allclose(images / 255, expected.numpy(), atol=0.5 / 255 + 1e-6)
    small = unpack(worker.ask("decode", z=pack_rows(z), side=8)["images"])
    assert small.shape == (5, 1, 8, 8)


def test_codes_of_images_are_what_the_encoder_says(worker: Worker, vae: RunDirectory) -> None:
    import torch

    loaded = load_method(vae, torch.device("cpu"))
    first, again, other = (worker.ask("code", place=place) for place in (0, 297, 1))
    assert first["z"] == again["z"]  # it goes round
    assert first["index"] != other["index"]
    image = loaded.source.test.images[first["index"]]
    assert (unpack(first["image"])[0] == image.numpy()).all()
    assert first["class_name"] == str(int(loaded.source.test.labels[first["index"]]))
    with torch.no_grad():
        code = loaded.method.encode(image[None].float() / 255)  # type: ignore[operator]
    np.testing.assert_allclose(unpack_rows(first["z"], 3), code.numpy(), atol=1e-5)


def test_a_path_is_decoded_and_saved_as_strip_gif_and_numbers(worker: Worker, vae: RunDirectory) -> None:
    points = np.random.default_rng(1).standard_normal((3, 3))
    shown = worker.ask("interpolate", z=pack_rows(points), steps=5)
    assert (shown["kind"], shown["path"], shown["gif"]) == ("spherical", None, None)
    z = unpack(shown["z"])
    assert z.shape == (10, 3)
    np.testing.assert_allclose(z[[0, 4, 5, 9]], points[[0, 1, 1, 2]], atol=1e-6)
    assert unpack(shown["images"]).shape == (10, 1, 16, 16)
    saved = [
        worker.ask("interpolate", z=pack_rows(points), steps=5, names=["A", "B", "C"], save=True)
        for _ in "12"
    ]
    names = [Path(answer["path"]).name for answer in saved]
    assert names == ["path-256-ABC.png", "path-256-ABC-2.png"]  # never over an older one
    panel = load_panel(Path(saved[0]["path"]).with_suffix(".npz"))
    assert panel.array.shape == (10, 1, 16, 16)
    assert "spherical path (slerp) in 5 steps: A to B to C" in panel.caption
    with np.load(Path(saved[0]["path"]).with_suffix(".npz")) as numbers:
        np.testing.assert_allclose(numbers["z"], z)
    with Image.open(saved[0]["gif"]) as gif:
        assert (gif.format, gif.size) == ("GIF", (256, 256))
        assert gif.info["loop"] == 0
        steps = 2 * 4 * 4 + 1
        assert gif.n_frames == 2 * steps - 2  # forth and back, the ends once
        first = np.asarray(gif.convert("L"))[::16, ::16]
    assert (first == unpack(saved[0]["images"])[0, 0]).all()
    (vae.path / "outputs" / "path-256-ABC-3.gif").write_bytes(b"a person's own")
    fourth = worker.ask("interpolate", z=pack_rows(points), steps=5, names=["A", "B", "C"], save=True)
    assert Path(fourth["path"]).name == "path-256-ABC-4.png"
    linear = worker.ask("interpolate", z=pack_rows(points), steps=3, path="linear")
    np.testing.assert_allclose(unpack(linear["z"])[1], points[:2].mean(0), atol=1e-6)


def test_a_map_and_its_neighbours(worker: Worker, vae: RunDirectory) -> None:
    found = worker.ask("embed", n=100)
    assert unpack(found["points"]).shape == (100, 2)
    assert len(found["labels"]) == 100
    assert found["class_names"] == [str(digit) for digit in range(10)]
    assert "coloured by class (uses labels)" in found["caption"]
    assert (found["images"], found["path"]) == (256, None)
    near = worker.ask("neighbours", place=3, k=4, n=100)
    assert len(near["places"]) == len(near["similarities"]) == 4
    assert 3 not in near["places"]
    assert near["similarities"] == sorted(near["similarities"], reverse=True)
    assert unpack(near["images"]).shape == (5, 1, 16, 16)
    told: list[str] = []
    tsne = worker.ask("embed", lambda news: told.append(news["stage"]), method="tsne", n=30, save=True)
    assert Path(tsne["path"]).name == "embedding-tsne-256-seed0.png"
    assert "t-SNE" in told
    panel = load_panel(Path(tsne["path"]).with_suffix(".npz"))
    np.testing.assert_array_equal(panel.array[:, :2], unpack(tsne["points"]))
    assert panel.labels == tuple(found["class_names"])


def test_a_map_of_other_images_and_of_a_layer(worker: Worker, tmp_path: Path) -> None:
    out = tmp_path / "new" / "map.npz"
    of_all = worker.ask("embed", n=5000, split="all", save=True, out=str(out))
    assert of_all["path"] == str(out)
    assert f"embedding of {of_all['n']} images" in of_all["caption"]
    with np.load(out) as found:
        counts = {name: int((found["held_out"] == (name == "test")).sum()) for name in ("train", "test")}
        assert counts["test"] == worker.ask("embed", n=5000)["n"]  # as many as there are
        assert sum(counts.values()) == of_all["n"]
        assert sorted(found["index"][found["held_out"]]) == list(range(counts["test"]))
    for axis in (of_all["x_label"], of_all["y_label"]):
        assert re.fullmatch(r"(first|second) component, \d+ % of the variance", axis)
    layer = worker.ask("embed", n=40, layer="stage1", split="train", data="digits")
    assert "40 training images of digits, layer stage1" in layer["caption"]
    assert layer["dimensions"] == 32
    with pytest.raises(UsageError, match="there is no layer 'stge1'"):
        worker.ask("embed", n=40, layer="stge1")
    with pytest.raises(SsltermError, match="no such data"):
        worker.ask("embed", data="digts")


def test_bad_requests_are_refused_and_the_next_is_answered(worker: Worker) -> None:
    one = pack_rows(np.zeros((1, 3)))
    for do, arguments, message in (
        ("decode", {}, "missing z"),
        ("decode", {"z": "?"}, "not base64"),
        ("decode", {"z": pack_rows(np.zeros((1, 4)))}, "no whole rows of 3"),
        ("decode", {"z": pack_rows(np.full((1, 3), np.nan))}, "not finite"),
        ("decode", {"z": pack_rows(np.zeros((1025, 3)))}, "at most 1024"),
        ("interpolate", {"z": one}, "two points"),
        ("interpolate", {"z": pack_rows(np.zeros((2, 3))), "steps": 1}, "1 steps"),
        ("interpolate", {"z": pack_rows(np.zeros((2, 3))), "path": "round"}, "'round' is not known"),
        ("neighbours", {"place": 400}, "no image 400"),
        ("neighbours", {"place": 1, "k": 100}, "at most 64"),
        ("embed", {"method": "umap"}, "'umap' is not known"),
        ("traverse", {"between": [1]}, "two seeds"),
    ):
        with pytest.raises(UsageError, match=message):
            worker.ask(do, **arguments)
    assert unpack(worker.ask("decode", z=one)["images"]).shape == (1, 1, 16, 16)


def test_the_newest_checkpoint_is_taken_when_asked_for(root: Path) -> None:
    run = make_run(root / "growing", "vae", "digits", "method.widths=[32]", "method.latent_dim=3")
    one = pack_rows(np.ones((1, 3)))
    with Worker(run, "cpu", background=True) as worker:
        before = unpack(worker.ask("decode", z=one)["images"])
        import torch

        loaded = load_method(run, torch.device("cpu"))
        changed = build_method(loaded.experiment, inputs_of(loaded.experiment, loaded.source))
        state = {name: tensor + 0.1 for name, tensor in changed.state_dict().items()}
        save_checkpoint(run, step=4, images=512, model=state, trainer={}, keep=1)
        assert checkpoint_counts(run) == [512]
        assert (unpack(worker.ask("decode", z=one)["images"]) == before).all()
        assert worker.ask("reload") == {"run": "vae-digits-1", "images": 512}
        assert (unpack(worker.ask("decode", z=one)["images"]) != before).any()
        assert worker.ask("explore")["images"] == 512


def test_traverse_from_one_code_to_another(
    vae: RunDirectory, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--device", "cpu", "--runs", str(root)]
    assert (
        main(["traverse", "vae", "--from", "3", "--to", "7", "--steps", "4", "--gif", "--json", *where]) == 0
    )
    answer = json.loads(capsys.readouterr().out)
    assert set(answer) == {"run", "path", "latent_dim", "rows", "columns", "caption", "gif", "kind", "ends"}
    assert (answer["rows"], answer["columns"], answer["kind"], answer["ends"]) == (1, 4, "spherical", "prior")
    assert Path(answer["path"]).name == "path-256-prior3-7.png"
    assert Path(answer["gif"]).is_file()
    with np.load(Path(answer["path"]).with_suffix(".npz")) as numbers:
        import torch

        start = torch.randn(3, generator=torch.Generator().manual_seed(3))
        np.testing.assert_allclose(numbers["z"][0], start.numpy(), atol=1e-6)
    out = tmp_path / "strip.png"
    arguments = ["--ends", "codes", "--path", "linear", "--gif", "--out", str(out)]
    assert main(["traverse", "vae", "--from", "3", "--to", "7", *arguments, *where]) == 0
    assert capsys.readouterr().out.split() == [str(out), str(out.with_suffix(".gif"))]


def test_options_of_a_path_that_make_no_sense_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, message in (
        (["--from", "3"], "both of its ends"),
        (["--to", "3"], "both of its ends"),
        (["--gif"], "--ends, --path and --gif are of a path"),
        (["--path", "linear"], "--ends, --path and --gif are of a path"),
        (["--from", "1", "--to", "2", "--pca"], "--dims and --pca"),
        (["--from", "1", "--to", "2", "--dims", "3"], "--dims and --pca"),
    ):
        assert main(["traverse", "last", *arguments]) == ExitCode.USAGE
        assert message in capsys.readouterr().err
