"""The `scenes` presets of the puzzles, trained in full and held to what they must reach.

What was measured, over seeds, stands in the presets' headers.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.slow.test_reproductions import answers, trained, value

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

LEAST = {"rotation": 0.95, "jigsaw": 0.90, "context-prediction": 0.45}
"""Share of the task solved on held-out images; chance is 0.25, 0.01 and 0.125."""


@pytest.mark.parametrize("method", LEAST)
def test_scenes(tmp_path: Path, method: str) -> None:
    run = trained(tmp_path, method, "scenes")
    assert value(answers(run, "evaluate"), "accuracy") >= LEAST[method]
    layers = [result for result in answers(run, "probe", "--layer", "all") if result["protocol"] == "linear"]
    best = max(layers, key=lambda result: float(result["accuracy"]))
    assert best["layer"] != "pooled", "the last layer has specialised in the puzzle"
    assert best["accuracy"] > 0.7
    assert best["accuracy"] > best["baseline_pixels"] + 0.2
    assert best["accuracy"] > max(float(result["baseline_untrained"]) for result in layers) + 0.1
