"""Every method under torch.compile with its default backend: it trains, and to nearly the same losses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sslterm.run.metrics import MetricsReader
from tests.conformance.shrink import METHODS, make_trainer, shrink

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.mark.parametrize(("method", "preset"), METHODS, ids=[method for method, _ in METHODS])
def test_compiled_training(method: str, preset: str, tmp_path: Path) -> None:
    losses = {}
    for compiled in (False, True):
        trainer = make_trainer(shrink(method, preset, compile=compiled, steps=8), tmp_path / str(compiled))
        trainer.prepare(None)
        assert trainer.train() == "finished"
        metrics = MetricsReader(trainer.scribe.run.metrics)
        metrics.refresh()
        losses[compiled] = {
            name: series.value for name, series in metrics.series.items() if name.endswith("/loss")
        }
    for name, plain in losses[False].items():
        assert np.isfinite(losses[True][name]).all()
        # Compiled code draws other random numbers, so that values agree in size alone.
        assert losses[True][name].mean() == pytest.approx(plain.mean(), rel=0.25), name
