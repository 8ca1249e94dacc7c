"""`docs`: the manual covers every command and option, and says what `--help` says."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.core import TyperArgument

import sslterm
from sslterm.cli.app import contexts
from sslterm.cli.manual import ENVIRONMENT, Page, pages, to_markdown, to_roff
from tests.cli_program import Cli, cli
from tests.help_examples import examples

__all__ = ["cli"]  # a fixture

PAGES = {page.path: page for page in pages()}


def plain(roff: str) -> str:
    """A page as it is read, without requests and escapes."""
    return (
        re.sub(r"^\.\w+ ?", "", roff, flags=re.MULTILINE)
        .replace("\\&", "")
        .replace("\\-", "-")
        .replace("\\e", "\\")
    )


def test_every_command_and_option_has_its_place() -> None:
    found = dict(contexts())
    assert PAGES.keys() == found.keys()
    whole = to_markdown(list(PAGES.values()))
    for path, context in found.items():
        page = PAGES[path]
        man = plain(to_roff(page))
        assert f"\n{context.command_path} " in man
        for one in context.command.get_params(context):
            written = one.display_name_raw if isinstance(one, TyperArgument) else max(one.opts, key=len)
            assert re.search(rf"^(-\w, )?{re.escape(written)}\b", man, re.MULTILINE), f"{path}: {written}"
            assert one.help in man
            assert one.help in whole
        for example in page.examples:
            assert f"\n{example}\n" in man
    assert len(
        [example for page in PAGES.values() for example in page.examples if example[:7] == "sslterm"]
    ) == len(examples())


def test_the_files_are_written_and_replaced(cli: Cli, tmp_path: Path) -> None:
    answer = cli("docs", tmp_path / "man1")
    assert answer.code == 0
    assert {path.name for path in (tmp_path / "man1").iterdir()} == {
        f"{page.name}.1" for page in PAGES.values()
    }
    assert (tmp_path / "man1" / "sslterm-runs-list.1").read_text().startswith('.TH "SSLTERM-RUNS-LIST" "1"')
    for _ in range(2):
        answer = cli("docs", tmp_path, "--to", "markdown", "--json")
        assert answer.json == {"path": str(tmp_path), "files": ["sslterm.md"]}
    text = (tmp_path / "sslterm.md").read_text()
    assert set(re.findall(r"\(#([\w-]+)\)", text)) == set(re.findall(r'<a id="([\w-]+)">', text)) - {
        "sslterm"
    }


def test_a_folder_that_cannot_be_made_is_told(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    answer = cli("docs", tmp_path / "file" / "man1")
    assert answer.code == 1
    assert answer.err == f"error: cannot write {tmp_path / 'file' / 'man1'}: Not a directory\n"


def test_text_is_no_request() -> None:
    page = Page(
        path="x", line="A line.", usage="sslterm x", description=[".SH is text", "'so is this", "\b\n  a\\b"],
        examples=["sslterm x --y"], arguments=[], options=[("--y", "")], commands=[],
    )  # fmt: skip
    lines = to_roff(page).splitlines()
    assert "\\&.SH is text" in lines
    assert "\\&'so is this" in lines
    assert "  a\\eb" in lines
    assert "sslterm x \\-\\-y" in lines


@pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")
def test_the_formatter_has_nothing_to_complain_of(tmp_path: Path) -> None:
    for page in PAGES.values():
        (tmp_path / f"{page.name}.1").write_text(to_roff(page))
    checked = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z", *sorted(map(str, tmp_path.iterdir()))],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert checked.stderr == ""


def test_every_variable_that_the_program_reads_is_told() -> None:
    package = Path(sslterm.__file__).parent
    read = {
        name for path in package.rglob("*.py") for name in re.findall(r"\bSSLTERM_[A-Z]+\b", path.read_text())
    }
    assert read == {name for name in ENVIRONMENT if name.startswith("SSLTERM")}
