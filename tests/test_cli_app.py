"""The program as a whole: help, what it imports, how errors end it, completion."""

from __future__ import annotations

import errno
import importlib
import re
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from sslterm import __version__
from sslterm.cli import app as program
from sslterm.cli.app import COMMANDS, load, main
from tests.cli_program import Cli, cli, start

__all__ = ["cli"]  # a fixture

NAMES = [name for section in COMMANDS.values() for name in section]
TARGETS = {name: command.target for section in COMMANDS.values() for name, command in section.items()}


def test_help_lists_every_command(cli: Cli) -> None:
    answer = cli("--help")
    assert answer.code == 0
    for name in NAMES:
        assert re.search(rf"^  {name}  +[A-Z]", answer.out, re.MULTILINE), name
    for section in COMMANDS:
        assert f"\n{section}:\n" in answer.out
    for text in ("2 usage or configuration", "130 stopped", "sslterm train vae --preset digits"):
        assert text in " ".join(answer.out.split())


@pytest.mark.parametrize("name", NAMES)
def test_every_command_explains_itself(cli: Cli, name: str) -> None:
    answer = cli(name, "--help")
    assert answer.code == 0
    inner = list(getattr(load(name, TARGETS[name]), "commands", {}))
    for text in [cli(name, sub, "--help").out for sub in inner] if inner else [answer.out]:
        assert "Examples:\n    sslterm " in text
        assert "Exit codes: 0 ok" in text
        assert "--json" in text


def test_help_is_quick_and_imports_little() -> None:
    code = (
        "import sys; from sslterm.cli.app import main; main(['--help']);"
        "print(sorted({'torch', 'textual', 'numpy', 'rich'} & set(sys.modules)), file=sys.stderr)"
    )
    assert start("-c", code).stderr.strip() == "[]"
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert start("-m", "sslterm", "--help").returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < 0.4


@pytest.mark.parametrize(
    "line",
    [
        "methods --json", "explain vae", "presets list --json", "presets show vae digits", "data list",
        "runs list", "plot last", "pause last", "monitor", "doctor --json",
        "train vae --preset digits --dry-run",
    ],
)  # fmt: skip
def test_commands_that_only_read_import_neither_torch_nor_textual(tmp_path: Path, line: str) -> None:
    code = (
        "import sys; from sslterm.cli.app import main; main(sys.argv[1:]);"
        "print('imported', sorted({'torch', 'textual'} & set(sys.modules)), file=sys.stderr)"
    )
    answer = start("-c", code, *line.split(), SSLTERM_RUNS=str(tmp_path))
    assert answer.stderr.strip().endswith("imported []")


def test_version(cli: Cli) -> None:
    assert cli("--version").out == f"sslterm {__version__}\n"


def test_alone_without_a_terminal_it_prints_help(cli: Cli) -> None:
    answer = cli()
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("Usage: sslterm")


def test_alone_on_a_terminal_it_opens_the_monitor(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    opened = []
    importlib.import_module("sslterm.cli.monitor")  # which must not keep what stands in here
    monkeypatch.setattr("sslterm.cli.output.on_a_terminal", lambda: True)
    monkeypatch.setattr("sslterm.cli.monitor.monitor", lambda *, runs: opened.append(runs))
    assert cli().code == 0
    assert cli("--runs", "elsewhere").code == 0
    assert opened == [None, Path("elsewhere")]


def test_alone_with_a_folder_of_runs_but_no_terminal_it_prints_help_too(cli: Cli) -> None:
    assert cli("--runs", "elsewhere") == cli()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("trian", "error: there is no command 'trian'\n  did you mean 'train'?\n"),
        ("runs lsit", "error: there is no command 'lsit' of `sslterm runs`\n  did you mean 'list'?\n"),
        ("--runs there runs list", "error: `--runs` before a command is for `sslterm` alone, not for runs\n"),
        ("explain", "error: missing argument 'METHOD'\n  see `sslterm explain --help`\n"),
        ("explain vae --jsn", "error: no such option: --jsn"),
        ("explain vea", "error: there is no method 'vea'\n  did you mean 'vae'?\n"),
        ("plot last --x epochs", "error: invalid value for '--x'"),
        ("pause last --timeout soon", "error: invalid value for '--timeout'"),
    ],
)
def test_wrong_usage_is_one_error_with_a_hint(cli: Cli, arguments: str, says: str) -> None:
    answer = cli(*arguments.split())
    assert answer.code == 2
    assert answer.out == ""
    assert answer.err.startswith(says)
    assert len(answer.err.splitlines()) <= 2


def test_an_interrupt_ends_with_130(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(program.importlib, "import_module", interrupted)
    answer = cli("methods")
    assert (answer.code, answer.err) == (130, "")


def test_the_system_s_errors_are_one_line(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/somewhere")

    monkeypatch.setattr(program.importlib, "import_module", full)
    answer = cli("methods")
    assert (answer.code, answer.err) == (1, "error: /somewhere: No space left on device\n")


def test_a_reader_that_goes_away_is_no_error_to_tell_about() -> None:
    for command in ("--help", "presets show vae digits", "methods --json"):
        line = f"{shlex.quote(sys.executable)} -m sslterm {command} | true"
        piped = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)
        assert piped.stderr == ""


def test_a_terminal_of_ascii_is_written_to(tmp_path: Path) -> None:
    answer = start("-m", "sslterm", "methods", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert answer.returncode == 0, answer.stderr
    assert "vae" in answer.stdout


def test_main_is_called_by_python_m(tmp_path: Path) -> None:
    answer = start("-m", "sslterm", "runs", "show", "nothing", SSLTERM_RUNS=str(tmp_path))
    assert answer.returncode == 3
    assert answer.stderr.startswith("error: there is no run 'nothing'")


@pytest.mark.parametrize(
    ("settings", "styled"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)]
)
def test_colours_are_for_terminals_that_want_them(
    settings: dict[str, str], styled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"TERM": "xterm-256color", **settings}.items():
        monkeypatch.setenv(name, value)
    if "NO_COLOR" not in settings:
        monkeypatch.delenv("NO_COLOR", raising=False)
    shown = pexpect.run(f"{sys.executable} -m sslterm methods", timeout=60, encoding="utf-8")
    assert "vae" in shown
    assert ("\x1b[" in shown) is styled


def test_off_a_terminal_there_are_no_escapes() -> None:
    assert "\x1b" not in start("-m", "sslterm", "methods", TERM="xterm-256color").stdout


def test_main_returns_what_the_shell_gets() -> None:
    assert main(["--version"]) == 0
