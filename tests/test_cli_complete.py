"""Shell completion: what is offered where, and what shells make of it."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pexpect
import pytest

from sslterm.cli.app import main
from tests.cli_program import start
from tests.tui.recorded import full_run

Complete = Callable[[str], list[str]]


@pytest.fixture
def complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Complete:
    """What bash is told to offer after `words`, among a run or two."""
    full_run(tmp_path, "vae-digits-7")
    monkeypatch.setenv("SSLTERM_RUNS", str(tmp_path))
    monkeypatch.setenv("_SSLTERM_COMPLETE", "complete_bash")

    def ask(words: str) -> list[str]:
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(len(words.split()) - (not words.endswith(" "))))
        with pytest.raises(SystemExit):
            main([])
        out, err = capsys.readouterr()
        assert err == ""
        return out.split()

    return ask


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("sslterm tra", ["train", "traverse", "track"]),
        ("sslterm runs im", ["import"]),
        ("sslterm train va", ["vae"]),
        ("sslterm explain bar", ["barlow-twins"]),
        ("sslterm sweep vae --preset mnist-", ["mnist-burda"]),
        ("sslterm presets show vae dig", ["digits"]),
        ("sslterm bench vae rb", ["rbm"]),
        ("sslterm bench vae --preset dig", ["digits"]),
        ("sslterm bench vae --set method.latent", ["method.latent_dim="]),
        ("sslterm train no-such --preset ", []),
        ("sslterm train vae --data shap", ["shapes"]),
        ("sslterm data get fash", ["fashion-mnist"]),
        ("sslterm train vae --set method.latent", ["method.latent_dim="]),
        ("sslterm train vae --preset digits --set optim.main.l", ["optim.main.lr="]),
        ("sslterm sweep vae --grid method.be", ["method.beta="]),
        ("sslterm train vae --init vae", ["vae-digits-7"]),
        ("sslterm runs show ", ["last", "vae-digits-7"]),
        ("sslterm sample vae", ["vae-digits-7"]),
        ("sslterm plot last test/k", ["test/knn"]),
        ("sslterm compare last --metric test/k", ["test/knn"]),
        ("sslterm compare vae-digits-7 --panel ", ["cross-correlation", "reconstructions"]),
        ("sslterm compare no-such --panel ", []),
        ("sslterm runs list --sort test/k", ["test/knn"]),
        ("sslterm evaluate last --space ", ["judge", "pixels", "last", "vae-digits-7"]),
        ("sslterm traverse last --ends ", ["prior", "codes"]),
        ("sslterm complete last --mask b", ["bottom"]),
        ("sslterm export last --to t", ["timm", "torchvision"]),
        ("sslterm sample last --device c", ["cpu", "cuda", "cuda:0", "cuda:1"]),
        ("sslterm train vae --json", ["--json", "--json-schema"]),
    ],
)
def test_what_is_offered(words: str, offered: list[str], complete: Complete) -> None:
    assert complete(words) == offered


def test_runs_are_those_of_the_folder_that_is_given(tmp_path: Path, complete: Complete) -> None:
    full_run(tmp_path / "elsewhere", "made-1")
    assert complete(f"sslterm runs show --runs {tmp_path / 'elsewhere'} ") == ["last", "made-1"]
    assert complete(f"sslterm runs show --runs {tmp_path / 'nowhere'} ") == ["last"]
    assert complete(f"sslterm compare made-1 --runs {tmp_path / 'elsewhere'} --panel cr") == [
        "cross-correlation"
    ]


def test_nothing_large_is_imported_for_it(tmp_path: Path) -> None:
    full_run(tmp_path)
    code = (
        "import sys; from sslterm.cli.app import main\n"
        "try: main([])\n"
        "finally: print(sorted({'torch', 'textual', 'sklearn'} & set(sys.modules)), file=sys.stderr)"
    )
    for words in ("sslterm train vae --set optim.main.l", "sslterm compare last --panel cr"):
        asked = {"COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
        answer = start("-c", code, _SSLTERM_COMPLETE="complete_bash", SSLTERM_RUNS=str(tmp_path), **asked)
        assert answer.stdout.strip() in ("optim.main.lr=", "cross-correlation")
        assert answer.stderr.strip() == "[]"


SHELLS = {
    "bash": (["--noprofile", "--rcfile", "rc", "-i"], "bind 'set enable-bracketed-paste off'"),
    "zsh": (["-i"], "unset zle_bracketed_paste\nautoload -Uz compinit && compinit -u -D"),
}
"""How a shell is told to begin with the file rc alone, and what it needs before a script of completion."""


@pytest.mark.parametrize("name", SHELLS)
def test_a_shell_leaves_a_key_open_for_its_value(tmp_path: Path, name: str) -> None:
    """As a person meets it: Tab in a shell of its own, after the script that the program gives."""
    if not shutil.which(name):
        pytest.skip(f"there is no {name} here")
    program = tmp_path / "sslterm"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m sslterm "$@"\n')
    program.chmod(0o755)
    script = start(
        "-m", "sslterm", "--show-completion", name, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1"
    ).stdout
    arguments, before = SHELLS[name]
    for rc in ("rc", ".zshrc"):
        (tmp_path / rc).write_text(f"PS1='> '\n{before}\n{script}")
    environment = {
        **os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "TERM": "dumb", "ZDOTDIR": str(tmp_path),
    }  # fmt: skip
    shell = pexpect.spawn(
        name, arguments, cwd=str(tmp_path),
        env=environment, encoding="utf-8", timeout=60, dimensions=(24, 200),
    )  # fmt: skip
    shell.expect_exact("> ")
    shell.send("sslterm train vae --set optim.main.l\t")
    shell.expect("optim.main.l(?=r=)")
    shell.send("0.1 --preset dig\t")
    shell.expect_exact("r=0.1 --preset digits ")  # a space stands behind what is whole only
    shell.close(force=True)
