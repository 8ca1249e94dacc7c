"""Every command of the README is run, trainings cut short; and its two first commands are what they say."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from sslterm.catalog import CATALOG
from sslterm.config.presets import preset_names
from tests.cli_program import Cli, cli
from tests.in_process import all_in_process

__all__ = ["all_in_process", "cli"]  # fixtures

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
COMMANDS = [
    line.strip() for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()
]
SHORT = [
    part
    for change in ("train.images=1280", "data.train_images=400", "data.test_images=200")
    for part in ("--set", change)
]
TINY = [
    part
    for change in ("train.images=64", "data.train_images=32", "data.test_images=16")
    for part in ("--set", change)
]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


TOUR = [shlex.split(command)[1:] for command in COMMANDS if command.startswith("sslterm ")]
HALFWAY = TOUR.index(["train", "ddpm", "--preset", "digits-classes"])
LIVE = {"pause", "continue", "checkpoint", "stop", "resume"}
"""Commands to a trainer that is a process of its own."""


def in_its_own_process(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "sslterm", *arguments],
        env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, f"sslterm {shlex.join(arguments)}: {done.stderr}"
    return done.stdout


@pytest.mark.timeout(900)
@pytest.mark.parametrize("tour", [TOUR[:HALFWAY], TOUR[HALFWAY:]], ids=["first half", "second half"])
def test_every_command_of_the_tour(
    tmp_path: Path, tour: list[list[str]], cli: Cli, all_in_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def here(*arguments: str) -> str:
        answer = cli(*arguments)
        assert answer.code == 0, f"sslterm {shlex.join(arguments)}: {answer.err}"
        return answer.out

    assert len(tour) >= 10
    for arguments in tour:
        if arguments == ["pause", "last"]:  # what follows is said to a run at work
            in_its_own_process("train", "vae", "--detach", "--set", "train.images=250_000")
        if arguments[0] == "sample" and "--class" not in arguments:
            # what follows is asked of a finished one of a method that can do all of it
            here("train", "vae", *SHORT)
        if arguments[0] == "compare":
            for _ in range(2):  # the runs that it names
                here("train", "vae", *TINY)
        short = SHORT if arguments[0] in ("train", "sweep") and "--dry-run" not in arguments else []
        short = TINY if short and arguments[1].startswith(("video", "ddpm")) else short
        short = [*short, "--set", "method.sampling_steps=5"] if short and arguments[1] == "ddpm" else short
        said = (in_its_own_process if arguments[0] in LIVE else here)(*arguments, *short)
        assert said.strip() or arguments[0] in LIVE - {"resume"}, arguments


def test_the_two_first_commands() -> None:
    """The first is run as it stands by a slow test, the second by `.ci/run`, which takes it from here."""
    install_and_train, install_and_test = COMMANDS[:2]
    assert install_and_train.endswith(".venv/bin/sslterm train vae --preset digits")
    assert install_and_test.endswith(".venv/bin/pytest -n 2")
    assert "grep -m 1 '^python3 -m venv .*pytest' README.md" in (ROOT / ".ci" / "run").read_text()


def test_the_table_of_methods_is_the_catalog() -> None:
    rows = {
        row[0]: row[2] for row in re.findall(r"^\| `([a-z0-9-]+)` \|([^|]*)\|([^|]*)\|", README, re.MULTILINE)
    }
    assert rows.keys() == CATALOG.keys()
    for method, presets in rows.items():
        assert re.findall(r"`([^`]+)`", presets) == preset_names(method)


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_the_first_command_on_a_bare_machine(tmp_path: Path) -> None:
    """Installs everything into a fresh virtual environment, trains, and prints where the latent plane is."""
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in tracked.splitlines():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    said = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", COMMANDS[0]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr[-2000:]
    print(said.stdout[-2000:])
    picture = next(
        line.partition(": ")[2] for line in said.stdout.splitlines() if line.startswith("latent-plane: ")
    )
    assert (tmp_path / picture).is_file()
