"""`train --init`: what has left sslterm comes back as it was, and others' weights are taken as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from sslterm.engine.initial import begin_with, read_weights
from sslterm.errors import DataError, UsageError
from sslterm.methods.base import Method
from sslterm.nn.backbone import Backbone
from sslterm.nn.foreign import adopt, names_in
from sslterm.run.layout import RunDirectory
from sslterm.worker.desk import Desk
from tests.cli_program import Cli, cli
from tests.test_worker import make_run
from tests.test_worker_export import FEW, desks, features_of, images_of, write

__all__ = ["cli", "desks"]


def fresh(desk: Desk) -> Method:
    """The run's method with weights drawn anew."""
    from sslterm.engine.build import build_method

    return build_method(desk.loaded.experiment, desk.loaded.inputs)


@pytest.mark.parametrize(
    ("name", "to"), [("resnet", "torchvision"), ("vit", "torchvision"), ("resnet", "safetensors")]
)
def test_an_export_is_taken_in_again(desks: Any, tmp_path: Path, name: str, to: str) -> None:
    desk = desks(name)
    write(desk, to, tmp_path / "out")
    file = tmp_path / "out" / ("encoder.safetensors" if to == "safetensors" else "model.safetensors")
    method = fresh(desk)
    taken = begin_with(method, read_weights(file), images_of(desk))
    assert taken.what == "the encoder"
    method.eval()
    with torch.no_grad():
        torch.testing.assert_close(method.encode(images_of(desk)), features_of(desk))  # type: ignore[operator]
    average = method.target if name == "resnet" else method.teacher
    for ours, theirs in zip(average[0].parameters(), method.encoder.parameters(), strict=True):  # type: ignore[index, union-attr, operator]
        assert torch.equal(ours, theirs)


def test_torchvision_s_own_weights_are_taken_from_a_pickle_that_runs_nothing(
    desks: Any, tmp_path: Path
) -> None:
    from torchvision.models import resnet18

    theirs = resnet18().eval()
    state = {f"module.encoder_q.{key}": value for key, value in theirs.state_dict().items()}
    torch.save({"epoch": 3, "state_dict": state}, tmp_path / "moco.pth")
    desk = desks("resnet")
    method = fresh(desk)
    assert begin_with(method, read_weights(tmp_path / "moco.pth"), images_of(desk)).what == "the encoder"
    theirs.fc = nn.Identity()  # type: ignore[assignment]
    with torch.no_grad():
        expected = theirs(method.encoder.standardised(images_of(desk)))  # type: ignore[union-attr, operator]
        torch.testing.assert_close(method.eval().encode(images_of(desk)), expected)  # type: ignore[operator]


def test_weights_that_do_not_fit_are_refused(desks: Any, tmp_path: Path) -> None:
    from torchvision.models import resnet18

    state = resnet18().state_dict()
    with pytest.raises(UsageError, match=r"conv1.weight is \[64, 3, 7, 7\] there, and \[64, 3, 3, 3\] here"):
        begin_with(fresh(desks("small-stem")), state, images_of(desks("small-stem")))
    with pytest.raises(UsageError, match="there is no "):
        begin_with(fresh(desks("vae")), state, images_of(desks("vae")))
    for content in (b"", b"not weights", b"\x80\x04\x95"):
        for name in ("w.pth", "w.safetensors"):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(DataError, match="cannot read the weights"):
                read_weights(tmp_path / name)
    torch.save(nn.Linear(2, 2), tmp_path / "module.pth")  # a pickled object, whose code would run
    with pytest.raises(DataError, match="holds more than tensors"):
        read_weights(tmp_path / "module.pth")
    torch.save({"epoch": 1}, tmp_path / "none.pth")
    with pytest.raises(DataError, match="holds no weights"):
        read_weights(tmp_path / "none.pth")


def test_learned_positions_are_refused_and_ours_taken() -> None:
    options: dict[str, Any] = {
        "widths": (), "patch": 8, "channels": 3, "pixel_mean": (0.5,), "pixel_std": (0.5,)
    }  # fmt: skip
    network = Backbone("vit-micro", **options)
    for library in ("torchvision", "timm"):
        from sslterm.nn.foreign import to_library

        state = to_library(network, library, height=16, width=24)  # type: ignore[arg-type]
        taken = adopt(network, state, height=16, width=24)
        assert taken.keys() == network.state_dict().keys() == names_in(network, library).keys()  # type: ignore[arg-type]
        learned = {key: value + (0.1 if "pos_emb" in key else 0) for key, value in state.items()}
        with pytest.raises(ValueError, match="positions are its own"):
            adopt(network, learned, height=16, width=24)


def test_train_begins_with_a_run_or_a_file(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSLTERM_RUNS", str(tmp_path))
    first = make_run(tmp_path, "vae", "digits", "method.widths=[16]", *FEW)
    weights = first.checkpoint(256) / "model.safetensors"
    (weights.parent / "trainer.pt").touch()
    changed = {name: tensor + 0.01 for name, tensor in load_file(weights).items()}
    save_file(changed, tmp_path / "mine.safetensors")
    brief = [
        "train", "vae", "--preset", "digits", "--foreground", "--device", "cpu", "--set", "method.widths=[16]",
        "--set", "train.images=128", *[part for change in FEW for part in ("--set", change)],
    ]  # fmt: skip
    for name, origin in (("a", first.name), ("b", str(tmp_path / "mine.safetensors"))):
        answer = cli(*brief, "--init", origin, "--name", name)
        assert answer.code == 0, answer.err
        run = RunDirectory(tmp_path / name)
        assert run.initial() == run.path / "initial.safetensors"
        beginning = load_file(run.checkpoint(0) / "model.safetensors")
        expected = load_file(weights) if name == "a" else changed
        assert all(torch.equal(beginning[key], expected[key]) for key in expected)
        assert '"kind":"initialised","what":"all weights"' in run.events.read_text()
    again = cli("reproduce", "b", "--name", "c", "--device", "cpu", "--json")
    assert (again.code, again.err.splitlines()[-1:]) == (0, again.err.splitlines()[-1:])
    assert '"verdict": "equal"' in again.out
    wrong = cli(*brief, "--init", tmp_path / "none.pth", "--name", "d")
    assert (wrong.code, wrong.out) == (3, "")
    misfit = cli(*brief, "--set", "method.widths=[8]", "--init", "a", "--name", "e")
    assert misfit.code == 2
    assert "do not fit the encoder" in misfit.err
    assert not (tmp_path / "d").exists()
    assert not (tmp_path / "e").exists()
