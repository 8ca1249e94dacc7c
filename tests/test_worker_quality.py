"""`evaluate` of samplers: what is asked for, what every figure stands beside, what is refused, what is kept."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from sslterm.config.schema import DataConfig
from sslterm.data.source import Source, load_source
from sslterm.engine.load import Loaded
from sslterm.errors import UsageError
from sslterm.evaluate import judge
from sslterm.methods.base import Inputs, Method
from sslterm.run.layout import RunDirectory
from sslterm.run.panels import load_panel
from sslterm.run.reader import RunReader
from sslterm.worker import quality
from sslterm.worker.protocol import serve
from tests.cli_program import validator_of
from tests.test_worker import make_run

CONFIG = DataConfig(name="digits", path="", size=8, train_images=0, test_images=0, seed=0)


class Thief(Method):
    """Gives back training images, of the class that is asked for; some of them are noise where it is untrained."""

    def __init__(self, source: Source, *, noise: float = 0.0, conditional: bool = True) -> None:
        super().__init__()
        self.images, self.labels = source.train.images.float() / 255, source.train.labels
        self.noise, self.conditional = noise, conditional

    def sample(self, n: int, generator: torch.Generator, label: Tensor | None = None) -> Iterator[Tensor]:
        if label is not None and not self.conditional:
            raise UsageError("trained without classes")
        place = torch.randint(len(self.images), (n,), generator=generator)
        if label is not None:
            place = torch.stack([(self.labels == one).nonzero()[i % 50, 0] for i, one in enumerate(label)])
        found = self.images[place]
        yield found + self.noise * (torch.rand(found.shape, generator=generator) - found)


@pytest.fixture(scope="module")
def source() -> Source:
    return load_source(CONFIG, lambda what, done, total: None)


def evaluated(
    run: RunDirectory, method: Thief, source: Source, monkeypatch: pytest.MonkeyPatch, **arguments: Any
) -> dict[str, Any]:
    """The last answer to one question, from a worker whose run is `method`."""
    run.path.mkdir(exist_ok=True)
    monkeypatch.setattr(judge, "_EPOCHS", 3)  # a judge that is good enough here
    monkeypatch.setattr(judge, "_LEAST_IMAGES", 4000)
    monkeypatch.setattr(quality, "CATALOG", {"toy": SimpleNamespace(uses_labels=True)})
    monkeypatch.setattr(quality, "build_method", lambda experiment, inputs: Thief(source, noise=1.0))
    experiment = SimpleNamespace(run=SimpleNamespace(method="toy", seed=5), data=CONFIG)
    inputs = Inputs(channels=1, height=8, width=8, train_images=1500, classes=10)
    loaded = Loaded(method, experiment, inputs, 7, source)  # type: ignore[arg-type]
    answers = io.StringIO()
    question = json.dumps({"id": 0, "do": "evaluate", **arguments})
    serve(run, [question], answers, device="cpu", load=lambda run, device, progress: loaded)
    last: dict[str, Any] = json.loads(answers.getvalue().splitlines()[-1])
    if "result" in last:
        validator_of("evaluate").validate(last["result"])
    return last


def by_name(answer: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in answer["results"]}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, source: Source) -> tuple[RunDirectory, dict[str, Any]]:
    run = RunDirectory(tmp_path_factory.mktemp("runs") / "thief")
    with pytest.MonkeyPatch.context() as patch:
        return run, evaluated(run, Thief(source), source, patch, n=200)["result"]


def test_a_thief_who_knows_classes_is_found_out_and_teaches_well(
    whole: tuple[RunDirectory, dict[str, Any]],
) -> None:
    _, answer = whole
    found = by_name(answer)
    space = "digits-8px-judge32-v1"
    assert {name.partition("[")[0] for name in found} == {
        "FD", "KD", "precision", "recall", "density", "coverage", "C2ST", "CS", "smallest_class", "class_kl",
        "label_agreement", "TSTR@200", "memorised",
    }  # fmt: skip
    for row in found.values():
        assert {"value", "unit", "kind", "n", "split", "floor", "baseline_untrained", "seed"} <= set(row)
        assert (row["n"], row["untrained_seed"]) == (200, 5)
    memorised = found["memorised[pixels]@200"]
    assert (memorised["value"], memorised["baseline_untrained"]) == (1.0, 0.0)
    assert memorised["floor"] == pytest.approx(0.05, abs=0.01)
    assert found[f"label_agreement[{space}]@200"]["value"] > 0.95
    assert found[f"label_agreement[{space}]@200"]["baseline_untrained"] < 0.3
    assert found["TSTR@200"]["value"] == pytest.approx(found["TSTR@200"]["floor"], abs=0.1)
    assert found["TSTR@200"]["baseline_untrained"] < 0.6
    assert found[f"FD[{space}]@200"]["value"] < 0.1 * found[f"FD[{space}]@200"]["baseline_untrained"]
    assert answer["skipped"] == []


def test_suspects_are_shown_beside_what_they_copy(whole: tuple[RunDirectory, dict[str, Any]]) -> None:
    _, answer = whole
    _, picture = answer["pictures"]
    assert Path(picture["path"]).name == "nearest-training-images-7-seed0.png"
    panel = load_panel(Path(picture["path"]).with_suffix(".npz"))
    assert panel.array.shape == (64, 1, 8, 8)
    assert (abs(panel.array[::2] - panel.array[1::2]) < 1e-6).all()  # copies, to the bit
    assert "of 200 samples (seed 0) the 32 nearest to one training image" in picture["caption"]


def test_how_often_classes_are_seen_is_drawn(whole: tuple[RunDirectory, dict[str, Any]]) -> None:
    _, answer = whole
    picture, _ = answer["pictures"]
    assert Path(picture["path"]).name == "class-shares-7-seed0.png"
    panel = load_panel(Path(picture["path"]).with_suffix(".npz"))
    row = by_name(answer)["class_kl[digits-8px-judge32-v1]@200"]
    assert panel.labels == tuple("0123456789")
    assert panel.array.tolist() == pytest.approx([100 * share for share in row["histogram"]])
    assert panel.array.sum() == pytest.approx(100, abs=1e-3)
    off = max(range(10), key=lambda k: abs(row["histogram"][k] - row["histogram_real"][k]))
    told = f"{off}, {100 * row['histogram'][off]:.1f} against {100 * row['histogram_real'][off]:.1f}"
    assert picture["caption"].endswith(told)


def test_what_was_measured_is_kept(whole: tuple[RunDirectory, dict[str, Any]]) -> None:
    run, answer = whole
    reader = RunReader(run)
    reader.refresh()
    row = by_name(answer)["FD[digits-8px-judge32-v1]@200"]
    key = f"evaluate/FD[digits-8px-judge32-v1-{row['space_sha256'][:6]}, n 200]"
    assert reader.measured[key] == (pytest.approx(row["value"]), 7)
    kept = reader.evaluated[key]
    assert (kept.figure, kept.n, kept.images) == ("FD", 200, 7)
    assert (kept.floor, kept.untrained) == (
        pytest.approx(row["floor"]),
        pytest.approx(row["baseline_untrained"]),
    )


def test_a_method_that_refuses_classes_is_judged_without_them_in_pixels_too(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    thief = Thief(source, conditional=False)
    answer = evaluated(RunDirectory(tmp_path / "run"), thief, source, monkeypatch, n=120, space="pixels")
    found = by_name(answer["result"])
    assert set(found) == {
        f"{name}[digits-8px-pixels-pca32]@120"
        for name in ("KD", "precision", "recall", "density", "coverage", "C2ST")
    } | {"memorised[pixels]@120"}
    (skipped,) = answer["result"]["skipped"]
    assert skipped == {
        "name": "FD[digits-8px-pixels-pca32]@120",
        "reason": "120 samples are too few for a Fréchet distance in 32 dimensions",
        "hint": "take --n 160 or more",
    }


def test_an_encoder_of_another_run_is_a_space(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_run(tmp_path, "vae", "digits", "method.widths=[32]")
    thief = Thief(source, conditional=False)
    run = RunDirectory(tmp_path / "run")
    answer = evaluated(run, thief, source, monkeypatch, n=120, space=str(other.path))["result"]
    found = by_name(answer)
    kd = found["KD[vae-digits-1]@120"]
    assert kd["dimensions"] > 1
    assert kd["judge_accuracy"] is None
    assert abs(kd["value"]) < kd["baseline_untrained"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 99}, "99 samples are too few to judge a generator by"),
        ({"n": 120, "space": "/nowhere/vae-1"}, "vae-1|nowhere"),
    ],
)
def test_bad_questions(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch, arguments: dict[str, Any], message: str
) -> None:
    answer = evaluated(RunDirectory(tmp_path / "run"), Thief(source), source, monkeypatch, **arguments)
    assert any(part in answer["error"]["message"] for part in message.split("|"))


def test_samples_that_are_no_numbers_are_refused_and_an_untrained_network_that_gives_none_is_left_out(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Thief(source, noise=float("nan"), conditional=False)
    answer = evaluated(RunDirectory(tmp_path / "run"), broken, source, monkeypatch, n=120, space="pixels")
    assert "120 of 120 samples hold numbers that are not finite" in answer["error"]["message"]
    monkeypatch.setattr(quality, "draw_bytes", refusing_the_untrained(quality.draw_bytes))
    thief = Thief(source, conditional=False)
    answer = evaluated(RunDirectory(tmp_path / "run"), thief, source, monkeypatch, n=120, space="pixels")
    assert all(row["baseline_untrained"] is None for row in answer["result"]["results"])


def refusing_the_untrained(draw: Any) -> Any:
    def draw_or_refuse(*arguments: Any, **options: Any) -> Tensor:
        if "untrained" in options.get("stage", ""):
            raise UsageError("not finite")
        found: Tensor = draw(*arguments, **options)
        return found

    return draw_or_refuse
