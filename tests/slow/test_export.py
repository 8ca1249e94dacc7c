"""Every method is exported to every target that can hold it, or refused at once. About ten minutes in all."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch

from sslterm.catalog import CATALOG
from sslterm.config.presets import default_preset
from sslterm.engine.load import load_method
from sslterm.errors import UsageError
from sslterm.methods.base import ClassLatent, Encodes, Latent
from sslterm.worker.desk import Desk
from tests.conformance.shrink import shrink
from tests.test_worker import run_of
from tests.test_worker_export import scramble, write
from tests.test_worker_export_onnx import need_extra

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.mark.parametrize("name", CATALOG)
def test_every_method_is_held_or_refused_at_once(tmp_path: Path, name: str) -> None:
    need_extra()
    run = run_of(tmp_path / "runs", shrink(name, default_preset(name)))
    loaded = load_method(run, torch.device("cpu"))
    scramble(loaded.method)
    desk, method = Desk(run, loaded, torch.device("cpu")), loaded.method
    parts = {
        part
        for part, can in (("encoder", Encodes), ("decoder", Latent), ("generator", ClassLatent))
        if isinstance(method, can)
    }
    for to in ("safetensors", "onnx"):
        start = time.monotonic()
        if parts and not (to == "onnx" and method.onnx_lacks):
            answer = write(desk, to, tmp_path / to)  # which runs what it has written
            assert {check["part"] for check in answer["checked"]} == parts
        else:
            with pytest.raises(UsageError):
                write(desk, to, tmp_path / to)
            assert time.monotonic() - start < 1
            assert not (tmp_path / to).exists()
