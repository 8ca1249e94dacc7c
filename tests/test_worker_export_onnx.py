"""`export --to onnx`: the same numbers by another program, or a refusal before any work."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest
import torch

from sslterm.engine.load import load_method
from sslterm.errors import UsageError
from sslterm.evaluate.features import evaluating
from sslterm.worker.desk import Desk
from tests.test_worker import make_run
from tests.test_worker_export import FEW, desks, features_of, images_of, scramble, write

__all__ = ["desks"]


def need_extra() -> None:
    for library in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(library, reason="the extra `export` is not installed")


def made(root: Path, method: str, *overrides: str) -> Desk:
    run = make_run(root, method, "digits", *FEW, *overrides)
    loaded = load_method(run, torch.device("cpu"))
    scramble(loaded.method)
    return Desk(run, loaded, torch.device("cpu"))


@pytest.mark.parametrize("name", ["vae", "vit"])
def test_onnx_gives_the_same_for_any_number_of_images(desks: Any, tmp_path: Path, name: str) -> None:
    need_extra()
    desk = desks(name)
    answer = write(desk, "onnx", tmp_path / "out")
    assert {check["part"] for check in answer["checked"]} == {
        "encoder",
        *(["decoder"] if name == "vae" else []),
    }
    assert all(
        check["largest_difference"] <= 1e-4 * max(1, check["largest_value"]) for check in answer["checked"]
    )
    program = runpy.run_path(str(tmp_path / "out" / "load.py"))
    torch.testing.assert_close(
        torch.from_numpy(program["encode"](images_of(desk).numpy())), features_of(desk), atol=1e-4, rtol=1e-4
    )


@pytest.mark.parametrize(
    ("method", "overrides", "part"),
    [
        ("progan", (), "decoder"),  # whose layers depend on a number that is kept
        ("biggan", (), "generator"),  # whose statistics are made anew when it is first asked
        ("gsn", ("method.hidden=[16, 16]",), "encoder"),
    ],
)
def test_networks_that_ask_for_more_than_layers_are_held_too(
    tmp_path: Path, method: str, overrides: tuple[str, ...], part: str
) -> None:
    need_extra()
    desk = made(tmp_path, method, *overrides)
    if method == "progan":
        desk.loaded.method.reached.fill_(1)  # type: ignore[operator, union-attr]
        desk.loaded.method.fade.fill_(0.25)  # type: ignore[operator, union-attr]
    answer = write(desk, "onnx", tmp_path / "out")
    assert {check["part"] for check in answer["checked"]} == {part}
    assert all(check["largest_difference"] < 1e-4 for check in answer["checked"])
    card = (tmp_path / "out" / "README.md").read_text()
    for kind, said in (
        ("encoder", "features = encode(images)"),
        ("decoder", "images = decode(z), z [N, "),
        ("generator", "images = generate(z, label), z [N, "),
    ):
        assert (said in card) == (part == kind)
    assert ("Images in:" in card) == (part == "encoder")


@pytest.mark.parametrize(
    ("method", "overrides", "says"),
    [
        ("nice", ('method.prior="logistic"',), "inverse of the normal distribution function"),
        ("glow", (), "triangular systems"),
        ("ddpm", (), "drawn in many steps"),
        ("flow-matching", (), "drawn in many steps"),
    ],
)
def test_what_onnx_has_no_form_of_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str, overrides: tuple[str, ...], says: str
) -> None:
    monkeypatch.setattr(torch.onnx, "export", lambda *_, **__: pytest.fail("it was tried"))
    desk = made(tmp_path / "runs", method, *overrides)
    for out in (tmp_path / "out", tmp_path / "new" / "folder"):
        with pytest.raises(UsageError, match=says) as error:
            write(desk, "onnx", out)
        assert error.value.hint == "use --to safetensors"
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_a_generator_by_classes_draws_what_the_run_draws(tmp_path: Path) -> None:
    desk = made(tmp_path / "runs", "biggan")
    method: Any = desk.loaded.method
    method.seen.copy_(torch.arange(10))  # classes are not equally frequent, which the statistics know of
    write(desk, "safetensors", tmp_path / "out")
    program = runpy.run_path(str(tmp_path / "out" / "load.py"))
    codes, label = torch.randn(10, method.latent_dim), torch.arange(10).flip(0)
    with evaluating(method), torch.no_grad():
        truth = method.decode_class(codes, label)
    torch.testing.assert_close(program["generate"](codes, label), truth)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "- Classes: [N], int64, 0 to 9." in card
    assert "Nothing of this checkpoint yet: `sslterm evaluate` measures it." in card


def test_a_generator_has_no_encoder_for_libraries_of_them(tmp_path: Path) -> None:
    desk = made(tmp_path / "runs", "gan")
    for to in ("torchvision", "timm"):
        with pytest.raises(UsageError, match=f"{to} is for encoders, and gan has none") as error:
            write(desk, to, tmp_path / "out")
        assert error.value.hint == "use --to onnx or --to safetensors"
    with pytest.raises(UsageError, match="gan has no encoder"):
        write(desk, "safetensors", tmp_path / "out", encoder="ema")
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_what_has_neither_is_told_what_it_can(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="made has no encoder, and no decoder of codes alone") as error:
        write(made(tmp_path / "runs", "made"), "safetensors", tmp_path / "out")
    assert error.value.hint == "it can: sample, complete, evaluate"


def test_a_normal_prior_needs_nothing_that_onnx_lacks(tmp_path: Path) -> None:
    assert made(tmp_path, "nice", 'method.prior="normal"').loaded.method.onnx_lacks == ""


def test_why_not_is_asked_before_libraries_are_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sslterm.worker.exporting.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="ONNX cannot hold glow"):
        write(made(tmp_path / "a", "glow"), "onnx", tmp_path / "out")
    with pytest.raises(UsageError, match="--to onnx needs onnx, which is not installed"):
        write(made(tmp_path / "b", "gan"), "onnx", tmp_path / "out")
