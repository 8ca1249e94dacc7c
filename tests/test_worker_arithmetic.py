"""`sslterm traverse --arithmetic`: what terms mean to a run with an encoder, and to one without."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sslterm.cli.app import main
from sslterm.engine.load import load_method
from sslterm.errors import ExitCode, UsageError
from sslterm.evaluate.features import choose
from sslterm.run.layout import RunDirectory
from sslterm.run.panels import load_panel
from sslterm.run.worker_client import Worker
from tests.test_worker import make_run


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def vae(root: Path) -> RunDirectory:
    return make_run(root, "vae", "digits", "method.widths=[32]", "method.latent_dim=3")


@pytest.fixture(scope="module")
def worker(vae: RunDirectory) -> Iterator[Worker]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        with Worker(vae, "cpu", background=True) as worker:
            yield worker


def codes_in(answer: dict[str, Any]) -> np.ndarray[Any, Any]:
    with np.load(Path(answer["path"]).with_suffix(".npz")) as numbers:
        return np.asarray(numbers["z"])


def test_terms_are_classes_where_images_have_codes(worker: Worker, vae: RunDirectory) -> None:
    answer = worker.ask("traverse", arithmetic="8 - 3,5 + 1")
    assert answer["ends"] == "codes"
    assert answer["terms"] == [
        {"sign": 1, "of": ["8"]},
        {"sign": -1, "of": ["3", "5"]},
        {"sign": 1, "of": ["1"]},
    ]
    loaded = load_method(vae, torch.device("cpu"))
    test = loaded.source.test
    with torch.no_grad():
        codes = loaded.method.encode(test.images.float() / 255).numpy()  # type: ignore[operator]
    means = [codes[test.labels.numpy() == digit].mean(0) for digit in range(10)]
    total = means[8] - (means[3] + means[5]) / 2 + means[1]
    found = codes_in(answer)
    np.testing.assert_allclose(found[:3], [means[8], (means[3] + means[5]) / 2, means[1]], atol=1e-5)
    np.testing.assert_allclose(found[3], total, atol=1e-5)
    panel = load_panel(Path(answer["path"]).with_suffix(".npz"))
    assert (answer["rows"], answer["columns"]) == (5, 9)
    order = choose(len(test), None, seed=0)
    first = order[test.labels[order] == 8][0]
    np.testing.assert_allclose(panel.array[1], test.images[first].numpy() / 255, atol=1e-6)


def test_terms_are_numbers_in_the_grid_of_samples(worker: Worker, tmp_path: Path) -> None:
    answer = worker.ask("traverse", arithmetic="1,10,64 - 2 + 3", seed=5, ends="prior")
    assert answer["ends"] == "prior"
    grid = tmp_path / "grid.npz"
    worker.ask("sample", seed=5, out=str(grid))
    samples = load_panel(grid).array
    shown = load_panel(Path(answer["path"]).with_suffix(".npz")).array
    assert answer["columns"] == 4
    np.testing.assert_allclose(shown[1:4], samples[[0, 9, 63]], atol=1e-5)
    np.testing.assert_allclose(shown[[4, 8]], samples[[1, 2]], atol=1e-5)
    z = codes_in(answer)
    np.testing.assert_allclose(z[3], z[0] - z[1] + z[2], atol=1e-5)


def test_terms_that_mean_nothing_are_refused(worker: Worker) -> None:
    for arithmetic, ends, message in (
        ("8 - eight", "auto", "no class 'eight' in digits"),
        ("8 -3", "auto", "no class '8 -3'"),
        ("0 + 1", "prior", "no sample '0'.*1 to 64"),
        ("65", "prior", "no sample '65'"),
        ("1 + + 2", "prior", "no sum of codes"),
    ):
        with pytest.raises(UsageError, match=message):
            worker.ask("traverse", arithmetic=arithmetic, ends=ends)


def test_it_goes_with_no_options_of_paths_or_directions(capsys: pytest.CaptureFixture[str]) -> None:
    for options in (["--pca"], ["--dims", "3"], ["--steps", "5"], ["--from", "1", "--to", "2"], ["--gif"]):
        assert main(["traverse", "last", "--arithmetic", "1 - 2 + 3", *options]) == ExitCode.USAGE
        assert "--arithmetic is of single codes" in capsys.readouterr().err
    assert main(["traverse", "last", "--arithmetic", " "]) == ExitCode.USAGE
    assert "--arithmetic is empty" in capsys.readouterr().err


def test_the_command_prints_a_path_or_json(
    vae: RunDirectory, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sum.png"
    where = ["--device", "cpu", "--runs", str(root), "--out", str(out)]
    assert main(["traverse", "vae", "--arithmetic", "1 - 2 + 3", "--json", *where]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer) == {"run", "path", "latent_dim", "rows", "columns", "caption", "ends", "terms"}
    assert out.is_file()
