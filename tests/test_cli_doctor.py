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
from sslterm.cli.doctor import find_problems, find_terminal_problems
from sslterm.cli.terminal import find_theme, missing_tmux_lines, tmux_version, why_colors
from tests.cli_program import Cli, cli

__all__ = ["cli"]  # a fixture

GPU = {
    "index": 0, "name": "NVIDIA H200", "memory_bytes": 150e9, "free_bytes": 149e9, "compute": "9.0",
    "bfloat16": True,
}  # fmt: skip
PLACE = {"use": "runs", "path": "/runs", "exists": True, "writable": True, "free_bytes": 1e12}
WELL: dict[str, Any] = {
    "torch": {"version": "2.9.1+cu128", "cuda": "12.8", "hip": None},
    "gpus": [GPU],
    "places": [PLACE],
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
    assert machine.find_gpus() == ([], "")


def test_gpus_are_described(monkeypatch: pytest.MonkeyPatch) -> None:
    import pynvml

    class Memory:
        total, free = 150_000_000_000, 149_000_000_000

    answers = {
        "nvmlInit": None, "nvmlShutdown": None, "nvmlSystemGetDriverVersion": "570.1",
        "nvmlDeviceGetCount": 1,
        "nvmlDeviceGetHandleByIndex": object(), "nvmlDeviceGetName": "NVIDIA H200",
        "nvmlDeviceGetMemoryInfo": Memory, "nvmlDeviceGetCudaComputeCapability": (9, 0),
    }  # fmt: skip
    for name, answer in answers.items():
        monkeypatch.setattr(pynvml, name, lambda *arguments, answer=answer: answer)
    gpus, driver = machine.find_gpus()
    assert driver == "570.1"
    assert gpus == [GPU]


def test_a_healthy_machine_has_no_problems() -> None:
    assert list(find_problems(WELL)) == []


@pytest.mark.parametrize(
    ("change", "level", "says"),
    [
        ({"torch": {"version": None, "cuda": None, "hip": None}}, "error", "torch is not installed"),
        ({"torch": {"version": "2.8.0", "cuda": "12.8", "hip": None}}, "error", "torch 2.8.0 is too old"),
        ({"torch": {"version": "2.10.0a0", "cuda": None, "hip": None}}, "warning", "built for CPUs only"),
        ({"gpus": [{**GPU, "free_bytes": 1e9}]}, "warning", "GPU 0 has 1.0 GB of 150 GB left"),
        ({"places": [{**PLACE, "writable": False}]}, "error", "cannot be written"),
        ({"places": [{**PLACE, "use": "cache", "writable": False}]}, "warning", "cannot be written"),
        ({"places": [{**PLACE, "free_bytes": 1e9}]}, "warning", "/runs (runs) has 1.0 GB left"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], level: str, says: str) -> None:
    ((found_level, what, remedy),) = find_problems({**WELL, **change})
    assert found_level == level
    assert says in what
    assert remedy


def test_what_keeps_training_from_working_is_an_exit_code(
    cli: Cli, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").touch()
    answer = cli("doctor", "--runs", home / "file" / "runs")
    assert answer.code == 1
    assert "error: the folder of runs" in answer.out
    assert "SSLTERM_RUNS" in answer.out
    absent = machine.find_versions() | {"torch": {"version": None, "cuda": None, "hip": None}}
    monkeypatch.setattr(command, "find_versions", lambda: absent)
    answer = cli("doctor", "--json")
    assert answer.code == 1
    assert answer.json["problems"][0]["remedy"] == "pip install torch torchvision"


def test_terminals_are_judged() -> None:
    good = {
        "tty": True, "width": 120, "height": 40, "colors": "truecolor", "unicode": True, "no_color": False,
        "ssh": False, "tmux": None, "theme": "dark", "theme_why": "SSLTERM_THEME=dark",
        "graphics": {"answered": True, "kitty": False, "sixel": False, "extra": None},
    }  # fmt: skip
    assert list(find_terminal_problems(good)) == []
    for change, says in [
        ({"unicode": False}, "UTF-8"),
        ({"width": 60}, "60x40"),
        ({"colors": "256"}, "256 colours"),
        ({"ssh": True}, "over SSH without tmux"),
        ({"theme": None, "theme_why": "there is no theme 'drak'"}, "drak"),
        ({"graphics": {"kitty": True, "sixel": True, "extra": None}}, "(Kitty graphics and Sixel)"),
    ]:
        ((_, what, _),) = find_terminal_problems({**good, **change})
        assert says in what
    assert list(find_terminal_problems({**good, "colors": "256", "no_color": True})) == []
    assert list(find_terminal_problems({**good, "tty": False, "width": 10, "ssh": True})) == []


def test_pictures_are_hinted_at_only_where_they_can_be_shown() -> None:
    terminal = {
        "tty": True, "width": 120, "height": 40, "colors": "truecolor", "unicode": True, "no_color": False,
        "ssh": False, "tmux": {"version": "3.4"}, "theme": "dark", "theme_why": "",
    }  # fmt: skip
    kitty = {"answered": True, "kitty": True, "sixel": False, "extra": None}
    assert list(find_terminal_problems({**terminal, "graphics": kitty})) == []  # not through tmux
    ((level, _, remedy),) = find_terminal_problems({**terminal, "tmux": None, "graphics": kitty})
    assert level == "hint"
    assert "pip install 'sslterm[images]'" in remedy
    assert (
        list(find_terminal_problems({**terminal, "tmux": None, "graphics": {**kitty, "extra": "0.12"}})) == []
    )


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
        "terminal-overrides": "", "escape-time": "500", "mouse": "off",
    }  # fmt: skip
    assert [line for line, _ in missing_tmux_lines(bare)] == [
        'set -g default-terminal "tmux-256color"',
        'set -as terminal-features ",*:RGB"',
        "set -sg escape-time 10",
        "set -g mouse on",
    ]
    assert ('set -ga terminal-overrides ",*:Tc"') in dict(missing_tmux_lines({**bare, "version": "2.9"}))
    done = {
        "version": "3.4", "default-terminal": "tmux-256color", "terminal-features": "xterm*:RGB",
        "terminal-overrides": "", "escape-time": "10", "mouse": "on",
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
