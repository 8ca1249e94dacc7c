"""`doctor`: what it finds here, and what it says of machines that lack something."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import psutil
import pytest

from sslterm.cli import doctor as command
from sslterm.cli import machine
from sslterm.cli.faults import find_faults, find_terminal_faults
from sslterm.cli.terminal import find_theme, missing_tmux_lines, tmux_version, why_colors
from tests.cli_program import Cli, cli

__all__ = ["cli"]  # a fixture

GPU = {
    "index": 0, "name": "NVIDIA H200", "memory_bytes": 150e9, "free_bytes": 149e9, "compute": "9.0",
    "bfloat16": True,
}  # fmt: skip
DRIVER = {"version": "570.1", "cuda": "12.8", "fault": None}
PLACE = {
    "use": "runs",
    "path": "/runs",
    "exists": True,
    "readable": True,
    "writable": True,
    "free_bytes": 1e12,
}
DATA = {**PLACE, "use": "data", "path": "/data"}
TERMINAL: dict[str, Any] = {
    "tty": True, "width": 120, "height": 40, "colors": "truecolor", "colors_why": "COLORTERM=truecolor",
    "unicode": True, "locale": "en_GB.UTF-8", "no_color": False, "ssh": False, "tmux": None, "tmux_lines": [],
    "theme": "dark", "theme_why": "SSLTERM_THEME=dark",
    "graphics": {"answered": True, "kitty": False, "sixel": False, "extra": None},
}  # fmt: skip
WELL: dict[str, Any] = {
    "torch": {"version": "2.9.1+cu128", "cuda": "12.8", "hip": None},
    "processor": {"usable": 8.0},
    "threads": {"asked": None, "torch": 8},
    "memory": {"total_bytes": 64e9, "available_bytes": 60e9},
    "shared_memory": {"total_bytes": 32e9, "free_bytes": 32e9},
    "gpus": [GPU],
    "driver": DRIVER,
    "places": [PLACE],
    "environment": {},
    "terminal": TERMINAL,
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("RUNS", "DATA", "CACHE"):
        monkeypatch.setenv(f"SSLTERM_{name}", str(tmp_path / name.lower()))
    monkeypatch.delenv("TMUX", raising=False)
    return tmp_path


def test_it_finds_what_is_there(cli: Cli, home: Path) -> None:
    answer = cli("doctor", "--json")
    assert answer.code == 0
    found = answer.json
    assert found["python"]["executable"] == sys.executable
    assert found["torch"]["version"] == importlib.metadata.version("torch")
    assert 0 < found["memory"]["available_bytes"] <= found["memory"]["total_bytes"]
    assert found["memory"]["total_bytes"] <= psutil.virtual_memory().total
    assert 0 < found["processor"]["usable"] <= (psutil.cpu_count() or 1)
    places = {place["use"]: place for place in found["places"]}
    assert places["runs"]["path"] == str(home / "runs")
    assert places["runs"]["exists"] is False
    assert places["data"]["free_bytes"] > 0
    assert found["environment"]["SSLTERM_DATA"] == str(home / "data")
    assert found["terminal"]["tty"] is False
    text = cli("doctor").out
    for name in ("python", "torch", "processor", "memory", "runs", "data", "terminal"):
        assert f"\n{name} " in text


def test_torch_s_build_is_read_without_importing_it() -> None:
    import torch

    found = machine.find_versions()["torch"]
    assert torch.__version__.startswith(found["version"].partition("+")[0])
    assert (found["cuda"], found["hip"]) == (torch.version.cuda, torch.version.hip)


def test_a_machine_without_a_driver_has_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    import pynvml

    def fail() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    assert machine.find_gpus() == ([], {"version": "", "cuda": None, "fault": None})


def test_gpus_are_described(monkeypatch: pytest.MonkeyPatch) -> None:
    import pynvml

    class Memory:
        total, free = 150_000_000_000, 149_000_000_000

    answers = {
        "nvmlInit": None, "nvmlShutdown": None, "nvmlSystemGetDriverVersion": "570.1",
        "nvmlSystemGetCudaDriverVersion": 12080, "nvmlDeviceGetCount": 1,
        "nvmlDeviceGetHandleByIndex": object(), "nvmlDeviceGetName": "NVIDIA H200",
        "nvmlDeviceGetMemoryInfo": Memory, "nvmlDeviceGetCudaComputeCapability": (9, 0),
    }  # fmt: skip
    for name, answer in answers.items():
        monkeypatch.setattr(pynvml, name, lambda *arguments, answer=answer: answer)
    gpus, driver = machine.find_gpus()
    assert driver == DRIVER
    assert gpus == [GPU]


@pytest.mark.parametrize("error", ["NVML_ERROR_LIB_RM_VERSION_MISMATCH", "NVML_ERROR_DRIVER_NOT_LOADED"])
def test_a_driver_that_cannot_be_asked_is_told_where_there_are_gpus(
    error: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pynvml

    def fail() -> None:
        raise pynvml.NVMLError(getattr(pynvml, error))

    device = home / "nvidia0"
    device.touch()
    monkeypatch.setattr(pynvml, "nvmlInit", fail)
    monkeypatch.setattr(machine, "GPU_DEVICE", str(device))
    gpus, driver = machine.find_gpus()
    assert gpus == []
    ((level, where, what, remedy),) = find_faults({**WELL, "gpus": gpus, "driver": driver})
    assert (level, where) == ("warning", "GPU driver")
    assert what.startswith("its GPUs cannot be reached: ")
    assert "nvidia-smi" in remedy


def test_a_healthy_machine_has_no_faults() -> None:
    assert list(find_faults(WELL)) == []


@pytest.mark.parametrize(
    ("change", "level", "where", "says"),
    [
        ({"torch": {"version": None, "cuda": None, "hip": None}}, "error", "torch", "not installed"),
        ({"torch": {"version": "2.8.0", "cuda": "12.8", "hip": None}}, "error", "torch", "2.8.0 is too old"),
        ({"torch": {"version": "2.10.0a0", "cuda": None, "hip": None}}, "warning", "torch", "built for CPUs only"),
        (
            {"torch": {"version": "2.14.1", "cuda": "13.0", "hip": None}},
            "warning", "GPU driver", "runs CUDA up to 12.8, and torch was built for 13.0",
        ),
        ({"threads": {"asked": None, "torch": 64}}, "warning", "torch", "64 threads, and may use 8 cores"),
        ({"threads": {"asked": "2", "torch": 2}, "gpus": []}, "hint", "torch", "leaves 6 of 8 cores idle"),
        ({"gpus": [{**GPU, "free_bytes": 10e9}]}, "warning", "GPU 0", "10.0 GB of 150 GB are free"),
        ({"gpus": [{**GPU, "memory_bytes": 2e9, "free_bytes": 1.9e9}]}, "warning", "GPU 0", "1.9 GB of 2.0 GB"),
        ({"environment": {"CUDA_VISIBLE_DEVICES": ""}}, "warning", "GPU", "CUDA_VISIBLE_DEVICES hides it"),
        ({"memory": {"total_bytes": 16e9, "available_bytes": 1e9}}, "warning", "memory", "1.0 GB of 16.0 GB are free"),
        (
            {"gpus": [GPU, {**GPU, "index": 1}], "shared_memory": {"total_bytes": 64e6, "free_bytes": 64e6}},
            "warning", "/dev/shm", "64.0 MB are free",
        ),
        ({"places": [{**PLACE, "writable": False}]}, "error", "runs folder", "/runs cannot be written"),
        ({"places": [{**PLACE, "readable": False}]}, "error", "runs folder", "/runs cannot be read"),
        ({"places": [{**PLACE, "free_bytes": 1e9}]}, "warning", "runs folder", "1.0 GB are free at /runs"),
        ({"places": [{**DATA, "writable": False}]}, "warning", "data folder", "cannot be written"),
        ({"places": [{**DATA, "readable": False}]}, "warning", "data folder", "cannot be read"),
        (
            {"places": [{**DATA, "exists": False}], "environment": {"SSLTERM_DATA": "/data"}},
            "warning", "data folder", "/data is not there, and SSLTERM_DATA names it",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(change: dict[str, Any], level: str, where: str, says: str) -> None:
    ((found_level, found_where, what, remedy),) = find_faults({**WELL, **change})
    assert (found_level, found_where) == (level, where)
    assert says in what
    assert remedy


def test_what_would_hinder_nothing_is_not_named() -> None:
    one_gpu_little_shared = {"shared_memory": {"total_bytes": 64e6, "free_bytes": 64e6}}
    newer_minor = {"torch": {"version": "2.9.1", "cuda": "12.9", "hip": None}}
    data_not_fetched = {"places": [{**DATA, "exists": False}]}
    for change in (one_gpu_little_shared, newer_minor, data_not_fetched, {"shared_memory": None}):
        assert list(find_faults({**WELL, **change})) == []


def test_a_container_s_limit_shows_in_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: set(range(32)), raising=False)
    processor = {"cores": 64, "usable": 2.0}
    threads = machine.find_threads(processor)
    assert threads == {"asked": None, "torch": 32}
    ((_, _, what, remedy),) = find_faults({**WELL, "processor": processor, "threads": threads})
    assert "32 threads, and may use 2 cores" in what
    assert remedy == "export OMP_NUM_THREADS=2"
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    assert machine.find_threads(processor) == {"asked": "4,2", "torch": 4}


def test_shared_memory_is_found_where_there_is_some(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "SHARED_MEMORY", str(home))
    found = machine.find_shared_memory()
    assert found is not None
    assert 0 < found["free_bytes"] <= found["total_bytes"]
    monkeypatch.setattr(machine, "SHARED_MEMORY", str(home / "none"))
    assert machine.find_shared_memory() is None


def test_a_folder_that_cannot_be_read_or_written_is_seen(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what the system says: for root nothing is closed."""
    monkeypatch.setattr(machine.os, "access", lambda path, mode: not mode & machine.os.W_OK)
    assert machine.find_place("runs", home)["writable"] is False
    monkeypatch.setattr(machine.os, "access", lambda path, mode: not mode & machine.os.R_OK)
    place = machine.find_place("data", home)
    assert (place["readable"], place["exists"]) == (False, True)
    (home / "file").touch()
    assert machine.find_place("data", home / "file")["readable"] is False


def test_what_keeps_training_from_working_is_an_exit_code(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").touch()
    answer = cli("doctor", "--runs", home / "file" / "runs")
    assert answer.code == 1
    assert "error: runs folder: " in answer.out
    assert "SSLTERM_RUNS" in answer.out
    absent = machine.find_versions() | {"torch": {"version": None, "cuda": None, "hip": None}}
    monkeypatch.setattr(command, "find_versions", lambda: absent)
    answer = cli("doctor", "--json")
    assert answer.code == 1
    assert answer.json["problems"][0]["remedy"] == "pip install torch torchvision"


@pytest.mark.parametrize(
    ("change", "level", "where", "says"),
    [
        ({"unicode": False, "locale": "C"}, "warning", "locale", "not UTF-8 (C)"),
        ({"locale": "C"}, "hint", "locale", "it names no UTF-8 (C)"),
        ({"locale": ""}, "hint", "locale", "LANG is not set"),
        ({"width": 60}, "hint", "terminal", "60x40"),
        ({"height": 20}, "hint", "terminal", "120x20"),
        ({"colors": "256"}, "hint", "terminal", "256 colours"),
        ({"colors": "none", "colors_why": "TERM=dumb"}, "hint", "terminal", "colours (TERM=dumb)"),
        ({"ssh": True}, "hint", "terminal", "over SSH without tmux"),
        ({"theme": None, "theme_why": "there is no theme 'drak'"}, "warning", "theme", "drak"),
        ({"graphics": {"kitty": True, "sixel": True, "extra": None}}, "hint", "terminal", "(Kitty graphics and Sixel)"),
        (
            {"tmux": {}, "tmux_lines": [{"line": "set -g mouse on", "reason": "the wheel"}]},
            "hint", "tmux", "the wheel",
        ),
    ],
)  # fmt: skip
def test_terminals_are_judged(change: dict[str, Any], level: str, where: str, says: str) -> None:
    ((found_level, found_where, what, remedy),) = find_terminal_faults({**TERMINAL, **change})
    assert (found_level, found_where) == (level, where)
    assert says in what
    assert remedy


def test_a_terminal_without_faults_has_none() -> None:
    assert list(find_terminal_faults(TERMINAL)) == []
    assert list(find_terminal_faults({**TERMINAL, "colors": "none", "no_color": True})) == []
    assert (
        list(find_terminal_faults({**TERMINAL, "tty": False, "width": 10, "ssh": True, "locale": "C"})) == []
    )


def test_pictures_are_hinted_at_only_where_they_can_be_shown() -> None:
    terminal = {**TERMINAL, "tmux": {"version": "3.4"}}
    kitty = {"answered": True, "kitty": True, "sixel": False, "extra": None}
    assert list(find_terminal_faults({**terminal, "graphics": kitty})) == []  # not through tmux
    ((level, _, _, remedy),) = find_terminal_faults({**terminal, "tmux": None, "graphics": kitty})
    assert level == "hint"
    assert "pip install 'sslterm[images]'" in remedy
    there = {**kitty, "extra": "0.12"}
    assert list(find_terminal_faults({**terminal, "tmux": None, "graphics": there})) == []


def test_each_finding_is_a_line_the_worst_first(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").touch()
    monkeypatch.setattr(command, "find_memory", lambda: {"total_bytes": 8e9, "available_bytes": 1e9})
    lines = cli("doctor", "--runs", home / "file" / "runs").out.splitlines()
    error = next(index for index, line in enumerate(lines) if line.startswith("error: "))
    assert lines[error] == (
        f"error: runs folder: {home / 'file' / 'runs'} cannot be written; set SSLTERM_RUNS to another folder"
    )
    assert lines[error + 1].startswith("warning: memory: 1.0 GB of 8.0 GB are free: ")


@pytest.mark.parametrize(
    ("environment", "tty", "why"),
    [
        ({"NO_COLOR": "1", "COLORTERM": "truecolor"}, True, "NO_COLOR is set"),
        ({"COLORTERM": "truecolor"}, False, "stdout is not a terminal"),
        ({"COLORTERM": "truecolor", "TERM": "xterm"}, True, "COLORTERM=truecolor"),
        (
            {"TERM": "xterm-256color", "FORCE_COLOR": "1"},
            True,
            "TERM=xterm-256color, and COLORTERM is not set",
        ),
        ({"TERM": "xterm-direct"}, True, "TERM=xterm-direct"),
    ],
)
def test_it_says_which_variable_decides_on_colours(environment: dict[str, str], tty: bool, why: str) -> None:
    assert why_colors(environment, tty=tty) == why


def test_it_says_which_theme_is_taken_and_why() -> None:
    assert find_theme({"SSLTERM_THEME": "light"}) == ("light", "SSLTERM_THEME=light")
    assert find_theme({"COLORFGBG": "0;15"}) == ("light", "COLORFGBG=0;15")
    assert find_theme({})[0] == "dark"
    name, why = find_theme({"SSLTERM_THEME": "drak"})
    assert name is None
    assert "drak" in why


def test_sixel_through_tmux_takes_a_line_where_the_extra_is_there() -> None:
    done = {"version": "3.4", "terminal-features": "xterm*:RGB", "escape-time": "10", "mouse": "on"}
    lines = dict(missing_tmux_lines(done, pictures=True))
    assert list(lines) == ['set -as terminal-features ",*:sixel"']
    assert missing_tmux_lines({**done, "version": "3.3a"}, pictures=True) == []
    assert missing_tmux_lines({**done, "terminal-features": "*:RGB:sixel"}, pictures=True) == []


def test_tmux_gets_the_lines_that_it_lacks() -> None:
    bare = {
        "version": "3.3a", "default-terminal": "screen", "terminal-features": "xterm*:clipboard",
        "terminal-overrides": "", "escape-time": "500", "mouse": "off", "focus-events": "off",
    }  # fmt: skip
    assert [line for line, _ in missing_tmux_lines(bare)] == [
        'set -g default-terminal "tmux-256color"',
        'set -as terminal-features ",*:RGB"',
        "set -sg escape-time 10",
        "set -g mouse on",
        "set -g focus-events on",
    ]
    assert ('set -ga terminal-overrides ",*:Tc"') in dict(missing_tmux_lines({**bare, "version": "2.9"}))
    done = {
        "version": "3.4", "default-terminal": "tmux-256color", "terminal-features": "xterm*:RGB",
        "terminal-overrides": "", "escape-time": "10", "mouse": "on", "focus-events": "on",
    }  # fmt: skip
    assert missing_tmux_lines(done) == []
    assert tmux_version({"version": "next-3.4"}) == (3, 4)
    assert tmux_version({}) == (0, 0)


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_inside_tmux_its_settings_are_found(home: Path) -> None:
    server = ["tmux", "-L", f"sslterm-test-{uuid.uuid4().hex[:8]}", "-f", "/dev/null"]
    out, done = home / "out", home / "done"
    line = f"{sys.executable} -m sslterm doctor >{out} 2>&1; touch {done}"
    subprocess.run([*server, "new-session", "-d", "-x", "100", "-y", "40", line], check=True, timeout=10)
    try:
        deadline = time.monotonic() + 60
        while not done.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:
        subprocess.run([*server, "kill-server"], timeout=10, capture_output=True)
    text = out.read_text()
    assert "in tmux" in text
    assert 'set -as terminal-features ",*:RGB"' in text or 'set -ga terminal-overrides ",*:Tc"' in text
    assert "set -g mouse on" in text
    assert "set -g focus-events on" in text
