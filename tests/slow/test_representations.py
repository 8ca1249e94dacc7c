"""The `patterns` presets of the joint-embedding methods, trained in full and held to what they must reach.

What was measured, over seeds, stands in the presets' headers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sslterm.catalog import CATALOG
from sslterm.run.layout import RunDirectory
from sslterm.run.panels import load_panel
from sslterm.run.reader import RunReader
from tests.slow.test_reproductions import final_panel, probed, trained

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

LEAST = {
    "simclr": (0.75, 0.85),
    "barlow-twins": (0.66, 0.75),
    **dict.fromkeys(("moco", "moco-v3", "nnclr", "byol", "simsiam", "swav", "vicreg", "dino"), (0.59, 0.0)),
    **dict.fromkeys(("npid", "pirl", "deepcluster", "sela"), (0.48, 0.0)),
}
"""kNN and linear accuracy on 4,000 held-out images; raw pixels have a kNN of 0.44, the untrained network 0.34."""


def test_every_joint_embedding_method_is_held_to_something() -> None:
    assert LEAST.keys() == {name for name, entry in CATALOG.items() if entry.topic == "representation"}


@pytest.mark.parametrize("method", LEAST)
def test_patterns(tmp_path: Path, method: str) -> None:
    run = trained(tmp_path, method, "patterns")
    scores = probed(run)
    knn, linear = LEAST[method]
    assert scores["knn"]["accuracy"] >= knn
    assert scores["linear"]["accuracy"] >= linear
    for score in scores.values():
        error = 5 * (score["accuracy"] * (1 - score["accuracy"]) / score["n_test"]) ** 0.5
        assert score["accuracy"] > score["baseline_untrained"] + error
    assert scores["knn"]["accuracy"] > scores["knn"]["baseline_pixels"] + 0.03
    reader = RunReader(run)
    reader.refresh()
    assert [event for event in reader.events if event["kind"] == "warning"] == []


def test_the_cross_correlation_nears_the_identity(tmp_path: Path) -> None:
    run = trained(tmp_path, "barlow-twins", "patterns")
    first, last = _first_panel(run, "cross-correlation"), final_panel(run, "cross-correlation")

    def distance(c: np.ndarray) -> float:
        return float(np.square(c - np.eye(len(c))).sum())

    assert np.diag(last).mean() > 0.7 > 0.2 > np.diag(first).mean()
    off_diagonal = last[~np.eye(len(last), dtype=bool)]
    assert np.abs(off_diagonal.mean()) < 0.05
    assert np.sqrt(np.square(off_diagonal).mean()) < 0.5 * np.diag(last).mean()
    assert distance(np.diag(np.diag(last))) < 0.2 * distance(np.diag(np.diag(first)))


def _first_panel(run: RunDirectory, name: str) -> np.ndarray:
    return load_panel(min((run.panels / name).glob("*.npz"), key=lambda path: int(path.stem))).array
