"""Settings of all tests, made before torch is imported."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Tests run beside each other (`-n 2`) and are small; several threads in each would only wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def own_settings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the live view remembers, apart for every test and out of the home of whoever runs them."""
    path = tmp_path_factory.mktemp("settings") / "view.json"
    monkeypatch.setenv("SSLTERM_SETTINGS", str(path))
    return path
