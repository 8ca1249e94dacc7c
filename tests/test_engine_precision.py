"""The probe of `precision = "auto"`: what it decides, and that it leaves no trace."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sslterm.engine import precision
from sslterm.engine.checkpoint import newest_checkpoint
from sslterm.engine.precision import choose_precision
from sslterm.errors import UsageError
from tests.conformance.shrink import make_trainer, shrink

CPU = torch.device("cpu")


@pytest.mark.parametrize(("plain", "half", "chosen"), [(1.0, 0.5, "bfloat16"), (1.0, 0.95, "float32")])
def test_bfloat16_is_taken_where_it_is_clearly_faster(
    plain: float, half: float, chosen: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(shrink("vae", "digits"), tmp_path)
    monkeypatch.setattr(precision, "has_bfloat16_units", lambda: True)
    monkeypatch.setattr(precision, "_seconds_per_step", lambda method, batch: (plain, half))
    batch = trainer.train_store.batch(torch.arange(16))
    assert choose_precision("auto", trainer.method, batch, CPU) == chosen


def test_nothing_is_probed_where_bfloat16_would_be_emulated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(shrink("vae", "digits"), tmp_path)
    monkeypatch.setattr(precision, "has_bfloat16_units", lambda: False)
    monkeypatch.setattr(precision, "_seconds_per_step", lambda *args: pytest.fail("it was probed"))
    batch = trainer.train_store.batch(torch.arange(16))
    assert choose_precision("auto", trainer.method, batch, CPU) == "float32"


def test_float16_without_a_gpu_is_refused(tmp_path: Path) -> None:
    trainer = make_trainer(shrink("vae", "digits"), tmp_path)
    with pytest.raises(UsageError, match="float16 needs a CUDA device"):
        choose_precision("float16", trainer.method, trainer.train_store.batch(torch.arange(4)), CPU)


@pytest.mark.parametrize(("method", "preset"), [("dcgan", "digits"), ("barlow-twins", "patterns")])
def test_the_probe_leaves_weights_statistics_and_randomness_alone(
    method: str, preset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(shrink(method, preset), tmp_path)
    monkeypatch.setattr(precision, "has_bfloat16_units", lambda: True)
    before = {name: value.clone() for name, value in trainer.method.state_dict().items()}
    torch.manual_seed(0)
    state = torch.get_rng_state()
    assert choose_precision("auto", trainer.method, trainer.train_store.batch(torch.arange(16)), CPU) in (
        "float32",
        "bfloat16",
    )
    assert torch.equal(torch.get_rng_state(), state)
    for name, value in trainer.method.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert all(parameter.grad is None for parameter in trainer.method.parameters())


def test_what_was_decided_is_kept_for_the_length_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    experiment = shrink("vae", "digits", precision="auto")
    monkeypatch.setattr(precision, "has_bfloat16_units", lambda: True)
    monkeypatch.setattr(precision, "_seconds_per_step", lambda method, batch: (1.0, 0.1))
    trainer = make_trainer(experiment, tmp_path)
    trainer.prepare(None)
    assert trainer.updater.precision == "bfloat16"
    monkeypatch.setattr(precision, "_seconds_per_step", lambda method, batch: (1.0, 2.0))
    resumed = make_trainer(experiment, tmp_path)
    resumed.prepare(newest_checkpoint(resumed.scribe.run)[0])
    assert resumed.updater.precision == "bfloat16"
    resumed.train()
