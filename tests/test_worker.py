"""The worker: answers to good and bad requests, over its pipes and through the commands."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, Any, Literal

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from sslterm.cli.app import main
from sslterm.cli.preview import Preview, partial_panel
from sslterm.config.read import dump
from sslterm.config.resolve import resolve
from sslterm.config.schema import DataConfig, Experiment, Range
from sslterm.data.source import load_source
from sslterm.engine.build import build_method, inputs_of
from sslterm.engine.checkpoint import save_checkpoint
from sslterm.engine.load import Loaded
from sslterm.errors import DataError, DeviceError, ExitCode, SsltermError, UsageError
from sslterm.methods.base import Inputs, Method
from sslterm.run.layout import RunDirectory
from sslterm.run.panels import Panel, load_panel
from sslterm.run.worker_client import Worker, to_error
from sslterm.worker.protocol import serve
from tests.cli_program import validator_of


def make_run(root: Path, method: str, preset: str, *overrides: str) -> RunDirectory:
    """A run with an untrained checkpoint after 256 images."""
    return run_of(root, resolve(method, preset, overrides=overrides))


def run_of(root: Path, experiment: Experiment) -> RunDirectory:
    """The same, of any experiment."""
    run = RunDirectory(root / f"{experiment.run.method}-{experiment.run.preset}-1")
    run.path.mkdir(parents=True)
    run.config.write_text(dump(experiment))
    source = load_source(experiment.data, lambda what, done, total: None)
    network = build_method(experiment, inputs_of(experiment, source))
    save_checkpoint(run, step=2, images=256, model=network.state_dict(), trainer={}, keep=1)
    return run


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Workers that share a machine with other tests are faster on a thread each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def vae(root: Path) -> RunDirectory:
    return make_run(root, "vae", "digits", "method.widths=[32]")


@pytest.fixture(scope="module")
def worker(vae: RunDirectory) -> Iterator[Worker]:
    with Worker(vae, "cpu") as worker:
        yield worker


# -- over the pipes, with a real run


def test_sample_writes_a_picture_and_its_numbers_and_never_overwrites(
    worker: Worker, vae: RunDirectory
) -> None:
    stages: list[dict[str, Any]] = []
    answer = worker.ask("sample", stages.append, n=9, seed=3, watch=True)
    assert answer == {
        "run": "vae-digits-1",
        "path": str(vae.path / "outputs" / "sample-256-seed3.png"),
        "n": 9,
        "seed": 3,
        "label": None,
        "sampling": {},
        "rows": [],
    }
    with Image.open(answer["path"]) as picture:
        assert picture.format == "PNG"
    panel = load_panel(Path(answer["path"]).with_suffix(".npz"))
    assert panel.array.shape == (9, 1, 16, 16)
    assert panel.caption == "9 samples, seed 3"
    assert 0 <= panel.array.min() < panel.array.max() <= 1
    (partial,) = [stage["image"] for stage in stages if "image" in stage]
    np.testing.assert_allclose(partial_panel(partial).array, panel.array, atol=0.5 / 255 + 1e-6)
    again = worker.ask("sample", n=9, seed=3)
    assert Path(again["path"]).name == "sample-256-seed3-2.png"
    assert (load_panel(Path(again["path"]).with_suffix(".npz")).array == panel.array).all()
    other = worker.ask("sample", n=9, seed=4)
    assert (load_panel(Path(other["path"]).with_suffix(".npz")).array != panel.array).any()


def test_out_names_the_file_and_its_form(worker: Worker, tmp_path: Path) -> None:
    picture, numbers = tmp_path / "new" / "a.png", tmp_path / "b.npz"
    assert worker.ask("sample", n=4, out=str(picture))["path"] == str(picture)
    assert [path.name for path in picture.parent.iterdir()] == ["a.png"]
    worker.ask("sample", n=4, out=str(numbers))
    assert load_panel(numbers).array.shape == (4, 1, 16, 16)
    with pytest.raises(UsageError, match=r"a\.jpg: pictures are \.png"):
        worker.ask("sample", n=4, out=str(tmp_path / "a.jpg"))
    (tmp_path / "file").touch()
    with pytest.raises(SsltermError, match="the system refused") as error:
        worker.ask("sample", n=4, out=str(tmp_path / "file" / "a.png"))
    assert error.value.exit_code == ExitCode.FAILED


def test_traverse_shows_the_plane_or_rows(worker: Worker) -> None:
    plane = worker.ask("traverse", steps=5)
    assert (plane["rows"], plane["columns"], plane["latent_dim"]) == (5, 5, 2)
    assert "normal quantiles 0.01 to 0.99" in plane["caption"]
    assert Path(plane["path"]).name == "latent-plane-256.png"
    rows = worker.ask("traverse", dims=1, steps=3)
    assert (rows["rows"], rows["columns"]) == (1, 3)
    pca = worker.ask("traverse", pca=True)
    assert (pca["rows"], pca["columns"]) == (2, 11)
    assert "PC1" in pca["caption"]


def test_reconstruct_held_out_images(worker: Worker) -> None:
    answer = worker.ask("reconstruct", n=6)
    panel = load_panel(Path(answer["results"][0]["path"]).with_suffix(".npz"))
    assert panel.array.shape == (12, 1, 16, 16)
    errors = np.square(panel.array[0::2] - panel.array[1::2]).mean((1, 2, 3))
    np.testing.assert_allclose([row["mse"] for row in answer["results"]], errors, rtol=1e-5)
    assert answer["mse"] == pytest.approx(errors.mean())
    assert answer["n"] == 6
    assert answer["results"][0]["image"].startswith("test[")


def test_reconstruct_pictures_of_any_kind(worker: Worker, tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), (255, 255, 255)).save(tmp_path / "white.jpg")
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    answer = worker.ask("reconstruct", images=[str(tmp_path / "white.jpg"), str(tmp_path / "clear.png")])
    for name, row in zip(("white", "clear"), answer["results"], strict=True):
        assert Path(row["path"]).name == f"reconstruct-256-{name}.png"
        panel = load_panel(Path(row["path"]).with_suffix(".npz"))
        assert panel.array.shape == (2, 1, 16, 16)
        assert panel.array[0].min() == pytest.approx(1.0)  # what is transparent shows white
        assert row["mse"] == pytest.approx(np.square(panel.array[0] - panel.array[1]).mean(), rel=1e-5)
    with pytest.raises(DataError, match="no such file"):
        worker.ask("reconstruct", images=[str(tmp_path / "absent.png")])
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(DataError, match=r"text\.png cannot be read as a picture"):
        worker.ask("reconstruct", images=[str(tmp_path / "text.png")])
    with pytest.raises(UsageError, match="--out names one file"):
        worker.ask("reconstruct", images=["a", "b"], out=str(tmp_path / "a.png"))


def test_probe_has_the_documented_shape_and_an_untrained_run_is_its_own_baseline(worker: Worker) -> None:
    answer = worker.ask("probe", protocols=["knn", "linear"], layers=["mean"])
    assert answer["run"] == "vae-digits-1"
    assert answer["data"] == "digits"
    documented = {
        "protocol", "layer", "dimensions", "accuracy", "baseline_pixels", "baseline_pixels_centred",
        "baseline_untrained", "n_train", "n_test", "seed",
    }  # fmt: skip
    for row in answer["results"]:
        assert documented <= set(row)
        assert row["accuracy"] == row["baseline_untrained"]  # the checkpoint is the network as it was built
        assert row["baseline_pixels"] > 0.9
    with pytest.raises(UsageError, match="no layer 'maen'") as error:
        worker.ask("probe", layers=["maen"])
    assert "mean" in error.value.hint


def test_probe_on_other_data_takes_the_size_and_channels_of_the_run(worker: Worker, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 6)):
        for color in ("dark", "light"):
            folder = tmp_path / split / color
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = rng.integers(0, 90, (20, 24, 3)) + (160 if color == "light" else 0)
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    answer = worker.ask("probe", protocols=["knn", "linear"], data=str(tmp_path))
    knn, linear = answer["results"]
    assert (knn["n_train"], knn["n_test"]) == (24, 12)
    assert linear["baseline_pixels"] == 1.0
    with pytest.raises(UsageError, match="digist") as error:
        worker.ask("probe", data="digist")
    assert "digits" in error.value.hint


def test_evaluate_says_what_every_number_is(worker: Worker) -> None:
    answer = worker.ask("evaluate", n=60, samples=20)
    validator_of("evaluate").validate(answer)
    by_name = {row["name"].partition("[")[0]: row for row in answer["results"]}
    assert {
        "neg_elbo_nats",
        "neg_elbo_bits_per_dim",
        "iw_nll_nats@20",
        "mse",
        "rankme",
        "relative_std",
    } == set(by_name)
    for row in answer["results"]:
        assert {"name", "value", "unit", "kind", "n", "split"} <= set(row)
        assert row["n"] == 60
    assert by_name["iw_nll_nats@20"]["value"] < by_name["neg_elbo_nats"]["value"]
    nats, bits = by_name["neg_elbo_nats"], by_name["neg_elbo_bits_per_dim"]
    for name in ("value", "baseline_independent", "baseline_untrained"):
        assert nats[name] / bits[name] == pytest.approx(nats["value"] / bits["value"])
    assert nats["baseline_independent"] < nats["baseline_untrained"]
    (skipped,) = answer["skipped"]
    assert skipped["name"] == "samples"
    assert skipped["reason"] == "60 samples are too few to judge a generator by"
    assert answer["pictures"] == []


def test_bad_arguments_are_refused_by_name_and_range(worker: Worker) -> None:
    for do, arguments, message in (
        ("smaple", {}, "there is no request 'smaple'"),
        ("sample", {"m": 3}, "there is no key 'm'"),
        ("sample", {"n": -1}, "n = -1 is out of range"),
        ("sample", {"n": "many"}, "n must be a whole number"),
        ("sample", {"seed": -1}, "seed = -1 is out of range"),
        ("sample", {"label": "3"}, "vae is not class-conditional"),
        ("traverse", {"steps": 1}, "at least 2"),
        ("evaluate", {"betas": 5}, "vae has no log Z"),
        ("probe", {"protocols": ["kn"]}, "there is no protocol 'kn'"),
        ("probe", {"protocols": "knn"}, "protocols must be a list"),
    ):
        with pytest.raises(UsageError, match=message) as error:
            worker.ask(do, **arguments)
        assert error.value.exit_code == ExitCode.USAGE
    assert worker.ask("sample", n=1)["n"] == 1  # and it goes on


def test_lines_that_are_no_requests_are_answered(vae: RunDirectory) -> None:
    lines = ["not json", "[1, 2]", "", json.dumps({"id": "a", "do": 7}), json.dumps({"id": "b"})]
    done = subprocess.run(
        [sys.executable, "-m", "sslterm.worker", str(vae.path), "--device", "cpu"],
        input="\n".join(lines) + "\n", capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["id"] for answer in answers] == [None, None, "a", "b"]
    assert all(answer["error"]["exit_code"] == 2 for answer in answers)
    assert done.stderr == ""


def test_what_a_method_prints_does_not_break_the_protocol(vae: RunDirectory) -> None:
    program = (
        "import os, sys; from sslterm.worker import __main__ as w; load = w.load_method\n"
        "def noisy(*a, **k):\n    print('hello'); os.system('echo child'); return load(*a, **k)\n"
        f"w.load_method = noisy; sys.exit(w.main([{str(vae.path)!r}, '--device', 'cpu']))"
    )
    request = json.dumps({"id": 1, "do": "sample", "n": 1})
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=request + "\n",
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "result" in json.loads(done.stdout.splitlines()[-1])
    assert all(json.loads(line)["id"] == 1 for line in done.stdout.splitlines())
    assert "hello" in done.stderr
    assert "child" in done.stderr


def test_a_worker_that_dies_is_reported_with_its_last_words(vae: RunDirectory) -> None:
    with Worker(vae, "cpu") as worker:
        worker._process.kill()
        worker._process.wait()
        with pytest.raises(DeviceError, match="killed by signal 9"):
            worker.ask("sample")
    dying = Worker(vae, "cpu")
    dying._command = [sys.executable, "-c", "import sys; sys.stdin.readline(); sys.exit('no more space')"]
    with dying, pytest.raises(SsltermError, match="ended with exit code 1") as error:
        dying.ask("sample")
    assert error.value.hint == "no more space"


def test_errors_keep_their_class_and_exit_code() -> None:
    for kind in (SsltermError, UsageError, DataError, DeviceError):
        error = to_error({"message": "m", "hint": "h", "exit_code": int(kind.exit_code)})
        assert type(error) is kind
        assert (error.message, error.hint) == ("m", "h")


# -- in this process, with small methods


class Sampler(Method):
    def sample(self, n: int, generator: torch.Generator, label: Tensor | None = None) -> Iterator[Tensor]:
        yield torch.rand(n, 1, 8, 8, generator=generator)


class Broken(Sampler):
    def sample(self, n: int, generator: torch.Generator, label: Tensor | None = None) -> Iterator[Tensor]:
        raise RuntimeError("two\nlines")
        yield


class Greedy(Sampler):
    def sample(self, n: int, generator: torch.Generator, label: Tensor | None = None) -> Iterator[Tensor]:
        raise torch.OutOfMemoryError("CUDA out of memory")
        yield


class Mute(Method):
    pass


def asked(path: Path, method: Method, *requests: dict[str, Any], name: str = "toy") -> list[dict[str, Any]]:
    """The last answer to each request, from a worker whose run is `method`."""
    path.mkdir(exist_ok=True)
    config = DataConfig(name="digits", path="", size=8, train_images=0, test_images=0, seed=0)
    source = load_source(config, lambda what, done, total: None)
    inputs = Inputs(channels=1, height=8, width=8, train_images=1500)
    experiment = SimpleNamespace(run=SimpleNamespace(method=name), data=config)
    loaded = Loaded(method, experiment, inputs, 7, source)  # type: ignore[arg-type]
    answers = io.StringIO()
    lines = [json.dumps({"id": number, **request}) for number, request in enumerate(requests)]
    serve(RunDirectory(path), lines, answers, device="cpu", load=lambda run, device, progress: loaded)
    messages = [json.loads(line) for line in answers.getvalue().splitlines()]
    return [[message for message in messages if message["id"] == n][-1] for n in range(len(requests))]


def test_a_method_without_the_capability_says_what_it_can(tmp_path: Path) -> None:
    wanted = [{"do": do} for do in ("traverse", "reconstruct", "probe", "sample")]
    *refused, sampled = asked(tmp_path / "run", Sampler(), *wanted)
    for do, answer in zip(("traverse", "reconstruct", "probe"), refused, strict=True):
        assert answer["error"] == {
            "message": f"toy cannot {do}",
            "hint": "it can: sample, evaluate",
            "exit_code": 2,
        }
    assert sampled["result"]["n"] == 64
    (nothing,) = asked(tmp_path / "run", Mute(), {"do": "evaluate"})
    assert nothing["error"] == {"message": "toy cannot evaluate", "hint": "", "exit_code": 2}


def test_mistakes_become_answers_and_the_next_request_is_served(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken, again = asked(tmp_path / "run", Broken(), {"do": "sample"}, {"do": "probe"})
    assert broken["error"]["message"] == "RuntimeError: two"
    assert broken["error"]["exit_code"] == 1
    assert again["error"]["exit_code"] == 2
    assert "Traceback" in capsys.readouterr().err
    (greedy,) = asked(tmp_path / "run", Greedy(), {"do": "sample"})
    assert greedy["error"]["exit_code"] == int(ExitCode.DEVICE)
    assert "out of memory" in greedy["error"]["message"]


def test_importance_samples_need_a_bound(tmp_path: Path) -> None:
    (answer,) = asked(tmp_path / "run", Sampler(), {"do": "evaluate", "samples": 10})
    assert "no importance-weighted bound" in answer["error"]["message"]


def test_a_label_is_a_number_or_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    class Conditional(Sampler):
        def sample(self, n: int, generator: torch.Generator, label: Tensor | None = None) -> Iterator[Tensor]:
            seen.append(None if label is None else label.tolist())
            yield from super().sample(n, generator)

    from sslterm.worker import sampling

    monkeypatch.setattr(sampling, "CATALOG", {"toy": SimpleNamespace(uses_labels=True)})
    good, bad, free = asked(
        tmp_path / "run", Conditional(),
        {"do": "sample", "n": 2, "label": "7"}, {"do": "sample", "label": "seven"}, {"do": "sample", "n": 1},
    )  # fmt: skip
    assert good["result"]["label"] == 7
    assert Path(good["result"]["path"]).name == "sample-7-seed0-class7.png"
    assert "no class 'seven' in digits" in bad["error"]["message"]
    assert free["result"]["label"] is None
    assert seen == [[7, 7], None]


class Dial(Sampler):
    """Draws what it is set to."""

    @dataclass(frozen=True)
    class Sampling:
        level: Annotated[float, Range(above=0, high=5)] = 0.5
        weights: Literal["ema", "raw"] = "ema"
        step: int = 1

    steps = (1, 2)

    def __init__(self) -> None:
        super().__init__()
        self.sampling = self.Sampling()

    def sample(self, n: int, generator: torch.Generator, label: Tensor | None = None) -> Iterator[Tensor]:
        chosen = self.sampling
        value = chosen.level / (10 if chosen.weights == "raw" else 1) / chosen.step
        yield torch.full((n, 1, 8, 8), value) + 0.01 * torch.rand(n, 1, 8, 8, generator=generator)


def test_what_a_sampler_lets_choose_is_chosen_or_swept(tmp_path: Path) -> None:
    def answers(*choices: list[str], **more: Any) -> list[dict[str, Any]]:
        method = Dial()
        found = asked(
            tmp_path / "run", method, *({"do": "sample", "n": 3, "sampling": c, **more} for c in choices)
        )
        assert method.sampling == Dial.Sampling()  # as it was
        return found

    one, levels, weights, steps = answers(
        ["level=1", "weights=raw"], ["level=0.2,0.4", "weights=raw"], ["weights=all"], ["step=all"]
    )
    assert one["result"] | {"path": ""} == {
        "run": "run", "path": "", "n": 3, "seed": 0, "label": None,
        "sampling": {"level": 1.0, "weights": "raw"}, "rows": [],
    }  # fmt: skip
    assert Path(one["result"]["path"]).name == "sample-7-seed0-level1-weightsraw.png"
    panel = load_panel(Path(levels["result"]["path"]).with_suffix(".npz"))
    assert (panel.array.shape, panel.columns) == ((6, 1, 8, 8), 3)
    assert panel.caption == (
        "3 samples of the same noise in each row, weights raw, seed 0; rows: level 0.2, 0.4"
    )
    np.testing.assert_allclose(panel.array[3:] - panel.array[:3], 0.02, atol=1e-6)  # the noise is the same
    assert levels["result"]["rows"] == ["level 0.2", "level 0.4"]
    assert (levels["result"]["n"], levels["result"]["sampling"]) == (6, {"weights": "raw"})
    assert weights["result"]["rows"] == ["weights ema", "weights raw"]
    assert steps["result"]["rows"] == ["step 1", "step 2"]
    (many,) = answers(["weights=all"], n=0)
    assert many["result"]["n"] == 20


def test_what_cannot_be_chosen_is_said(tmp_path: Path) -> None:
    wrong = {
        "level=0": "level = 0.0 is out of range: it must be above 0 and at most 5",
        "level=6": "level = 6.0 is out of range",
        "level=much": "level must be a number, not the text 'much'",
        "level=all": "--level all: there is no end of them",
        "weights=old": "weights = 'old' is not known",
        "height=1": "toy has no --height",
    }
    found = asked(tmp_path / "run", Dial(), *({"do": "sample", "sampling": [choice]} for choice in wrong))
    for answer, message in zip(found, wrong.values(), strict=True):
        assert message in answer["error"]["message"]
        assert answer["error"]["exit_code"] == 2
    assert found[-1]["error"]["hint"] == "it has: --level, --weights, --step"
    (both,) = asked(tmp_path / "run", Dial(), {"do": "sample", "sampling": ["weights=all", "step=1,2"]})
    assert "rows can differ in one thing alone" in both["error"]["message"]
    (nothing,) = asked(tmp_path / "run", Sampler(), {"do": "sample", "sampling": ["level=1"]})
    assert nothing["error"]["message"] == "toy has no --level"
    (swept,) = asked(tmp_path / "run", Dial(), {"do": "evaluate", "sampling": ["weights=all"]})
    assert "here it takes one value" in swept["error"]["message"]


def test_more_samples_than_memory_holds_are_refused(tmp_path: Path) -> None:
    (answer,) = asked(tmp_path / "run", Sampler(), {"do": "sample", "n": 10**11})
    assert "of memory" in answer["error"]["message"]
    assert "another --seed" in answer["error"]["hint"]


# -- through the commands


def test_commands_print_the_path_and_documented_json(
    vae: RunDirectory, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", "vae-digits-1", "-n", "4", "--device", "cpu", "--runs", str(root)]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert path.is_file()
    assert path.parent == vae.path / "outputs"
    arguments = ["reconstruct", "vae", "-n", "2", "--device", "cpu", "--runs", str(root), "--json"]
    assert main(arguments) == 0
    answer = json.loads(capsys.readouterr().out)
    assert set(answer) == {"run", "n", "mse", "results"}
    assert set(answer["results"][0]) == {"image", "path", "mse"}


def test_commands_end_with_one_clear_error(
    root: Path, vae: RunDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sample", "nothing", "--runs", str(root)]) == ExitCode.DATA
    capsys.readouterr()
    arguments = ["sample", "vae", "--checkpoint", "512", "--device", "cpu", "--runs", str(root)]
    assert main(arguments) == ExitCode.DATA
    assert capsys.readouterr().err == "error: vae-digits-1 has no checkpoint at 512 images\n  there is: 256\n"
    assert main(["sample", "vae", "--device", "abacus", "--runs", str(root)]) == ExitCode.USAGE
    assert "abacus" in capsys.readouterr().err


def test_commands_import_no_torch() -> None:
    program = (
        "import sys; import sslterm.cli.use; sys.exit(any(m in sys.modules for m in ('torch', 'textual')))"
    )
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0


def test_the_preview_stays_silent_off_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Preview() as preview:
        assert not preview.live
        preview.progress({"stage": "sampling", "done": 1, "total": 2})
        preview.show(tmp_path / "absent.png")
    assert capsys.readouterr() == ("", "")


def test_the_preview_draws_and_wipes_on_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from sslterm.run.panels import save_panel

    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    preview = Preview()
    preview.live = preview.animates = True
    image = {"shape": [1, 1, 2, 2], "uint8": "AP8A/w=="}
    np.testing.assert_array_equal(partial_panel(image).array.ravel(), [0, 1, 0, 1])
    preview.progress({"stage": "sampling", "done": 0, "total": 0, "image": image})
    first = capsys.readouterr().out
    preview.progress({"stage": "sampling", "done": 0, "total": 0, "image": image})
    second = capsys.readouterr().out
    rows = first.count("\n")
    assert "not finished" in first
    assert second == f"\x1b[{rows}F\x1b[J" + first  # drawn over the one before
    with preview:
        pass
    assert capsys.readouterr().out == f"\x1b[{rows}F\x1b[J"
    panel = Panel(
        name="samples", kind="images", array=np.ones((1, 1, 4, 4), np.float32), caption="one of them"
    )
    save_panel(panel, tmp_path / "a.npz")
    preview.show(tmp_path / "a.png")
    assert "one of them" in capsys.readouterr().out
    Image.new("RGB", (40, 30), (255, 0, 0)).save(tmp_path / "b.png")
    preview.show(tmp_path / "b.png")
    assert "255;0;0" in capsys.readouterr().out
