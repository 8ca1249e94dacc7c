"""Pictures in a terminal's own pixels: what terminals answer, how long they are waited for, what is imported."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pexpect
import pytest

from sslterm.errors import UsageError
from sslterm.render.picture_pixels import pixels_of
from sslterm.render.terminal_query import PATIENCE, Answer, understand
from sslterm.tui.graphics import HALF, choose_protocol, prepare_graphics
from tests.tui.recorded import correlation, digits

ASK = """
import sys
sys.path.insert(0, sys.argv[2])
from sslterm.tui.graphics import prepare_graphics
print("ready", flush=True)
sys.stdin.readline()
found = prepare_graphics(sys.argv[1])
print(found.protocol, found.cell, found.note)
print("imported", "textual_image" in sys.modules, flush=True)
"""
KITTY = b"\x1b_Gi=31;OK\x1b\\"
CELL = b"\x1b[6;18;9t"
ATTRIBUTES = b"\x1b[?62;22c"
SIXEL = b"\x1b[?62;4;22c"

STAND_IN = {
    "__init__.py": "",
    "_terminal.py": (
        "import sys\nfrom typing import NamedTuple\n"
        "class CellSize(NamedTuple):\n    width: int\n    height: int\n"
        "def get_cell_size(): return get_cell_size._result\n"
    ),
    "widget.py": (
        "import sys\nfrom textual_image import _terminal\n"
        "assert not sys.__stdout__.isatty(), 'it would question the terminal'\n"
    ),
}
"""What of textual-image is relied on, for where the extra is not installed."""


@pytest.fixture
def extra(tmp_path: Path) -> Path:
    package = tmp_path / "textual_image"
    package.mkdir()
    for name, source in STAND_IN.items():
        (package / name).write_text(source)
    return tmp_path


def ask(wanted: str, answer: bytes, path: Path) -> str:
    """What is said of a terminal that answers its question with `answer`."""
    child = pexpect.spawn(
        sys.executable,
        ["-c", ASK, wanted, str(path)],
        dimensions=(24, 200),
        env=os.environ | {"TERM": "xterm"},
    )
    child.expect("ready")
    child.sendline("")
    if answer:
        child.expect_exact("\x1b[c")
        child.send(answer)
    child.expect("imported (True|False)", timeout=20)
    said: bytes = child.before + child.after
    child.close(force=True)
    return said.decode().replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("wanted", "answer", "says"),
    [
        ("kitty", KITTY + CELL + ATTRIBUTES, "kitty (9, 18)"),
        ("auto", KITTY + ATTRIBUTES, "kitty (10, 20)"),
        ("sixel", CELL + SIXEL, "sixel (9, 18)"),
        ("auto", KITTY + CELL + SIXEL, "sixel (9, 18)"),
    ],
)
def test_a_terminal_that_can(extra: Path, wanted: str, answer: bytes, says: str) -> None:
    said = ask(wanted, answer, extra)
    assert says in said
    assert "imported True" in said


@pytest.mark.parametrize(
    ("wanted", "answer", "note"),
    [
        ("kitty", ATTRIBUTES, "the terminal has no Kitty graphics"),
        ("sixel", KITTY + ATTRIBUTES, "the terminal has no Sixel"),
        ("auto", ATTRIBUTES, "the terminal has neither Kitty's graphics nor Sixel"),
        ("auto", b"", "the terminal did not say what it can do"),
    ],
)
def test_a_terminal_that_cannot_falls_back_with_one_line(
    extra: Path, wanted: str, answer: bytes, note: str
) -> None:
    said = ask(wanted, answer, extra)
    assert f"half (10, 20) images are shown in half-blocks: {note}" in said
    assert "imported False" in said


def test_half_blocks_ask_and_import_nothing(extra: Path) -> None:
    said = ask("half", b"", extra)
    assert "\x1b[c" not in said
    assert "imported False" in said


def test_nothing_is_asked_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    assert prepare_graphics("auto") is HALF
    assert PATIENCE < 0.5  # of a terminal that does not answer
    with pytest.raises(UsageError, match="'kity'"):
        prepare_graphics("kity")


def test_answers_are_found_among_keys() -> None:
    found = understand("jj" + (KITTY + b"q" + CELL + SIXEL).decode())
    assert found == Answer(answered=True, kitty=True, sixel=True, cell=(9, 18))
    assert understand("\x1b_Gi=31;ENOTSUPPORTED\x1b\\\x1b[?64;14c") == Answer(answered=True)
    assert understand("") == Answer()
    assert choose_protocol("kitty", found) == "kitty"
    assert choose_protocol("half", found) == "half"


def test_pixels_lie_where_half_blocks_lie() -> None:
    picture = pixels_of(digits(4), 34, 17, cell=(10, 20))
    assert picture is not None
    assert picture.width % 10 == picture.height % 20 == 0
    assert picture.width <= 340
    assert picture.height <= 340
    matrix = pixels_of(correlation(1.0, 64), 40, 10, cell=(10, 20))
    assert matrix is not None
    pixels = np.asarray(matrix)
    middle = pixels[100, 2]  # off the diagonal
    assert (pixels[1, 1, :3] != middle[:3]).any()  # on it
    assert (np.asarray(matrix)[..., 3] == 255).all()
    assert pixels_of(digits(4), 0, 3, cell=(10, 20)) is None
