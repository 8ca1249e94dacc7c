"""What tests of several screens need."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sslterm.run.layout import RunDirectory
from tests.tui.recorded import new_run, put_status


@pytest.fixture(autouse=True)
def drawing_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The share of a core that a view may use is measured of the process, which here runs the tests as well."""
    monkeypatch.setattr("sslterm.tui.pace.SHARE_OF_A_CORE", 1.0)


TRAINER = """
import sys, time
from pathlib import Path
from sslterm.run.layout import RunDirectory
from sslterm.run.lock import hold
with hold(RunDirectory(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def trainer(tmp_path: Path) -> Iterator[tuple[RunDirectory, subprocess.Popen[str]]]:
    """A process that holds a run, in a session of its own."""
    run = new_run(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", TRAINER, str(run.path), "sslterm.train"],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    put_status(run, pid=process.pid)
    yield run, process
    process.kill()
    process.wait()
    process.stdout.close()
