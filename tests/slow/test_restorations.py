"""Pictures restored by presets that were trained in full. Minutes each: `pytest -m slow`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.slow.test_reproductions import answers, trained, value

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]


def test_colorization_painted(tmp_path: Path) -> None:
    found = answers(trained(tmp_path, "colorization", "painted"), "evaluate")
    assert value(found, "accuracy") > 0.5
    assert value(found, "accuracy") > 2 * max(
        value(found, "accuracy_grey"), value(found, "accuracy_most_frequent")
    )
    assert 0.7 < value(found, "chroma") / value(found, "chroma_real") < 1.3


def test_context_encoder_shapes(tmp_path: Path) -> None:
    found = answers(trained(tmp_path, "context-encoder", "shapes"), "evaluate")
    assert value(found, "mse_masked") <= 0.7 * value(found, "mse_masked_border")
