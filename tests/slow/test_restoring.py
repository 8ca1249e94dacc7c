"""Denoising and masked autoencoders, trained in full: what they restore, and what their layers know of classes.

What was measured, over seeds, stands in the presets' headers.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.slow.test_reproductions import answers, trained, value

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]


@pytest.mark.parametrize(
    ("method", "preset", "restored", "naive", "most"),
    [
        ("denoising", "digits", "mse_restored", "mse_distorted", 0.12),
        ("denoising", "shapes", "mse_restored", "mse_distorted", 0.08),
        ("mae", "patterns", "mse_masked", "mse_visible_mean", 0.85),
    ],
)
def test_restoring(tmp_path: Path, method: str, preset: str, restored: str, naive: str, most: float) -> None:
    """The error falls to a share of what the naive answer has, and the best layer's linear probe is ahead."""
    run = trained(tmp_path, method, preset)
    results = answers(run, "evaluate")
    assert value(results, restored) <= most * value(results, naive)
    layers = answers(run, "probe", "--layer", "all", "--protocol", "linear")
    best = max(layers, key=lambda row: float(row["accuracy"]))
    assert best["accuracy"] > best["baseline_pixels"]
    assert best["accuracy"] > max(row["baseline_untrained"] for row in layers)
