"""What pictures a terminal can show, asked of the terminal itself."""

from __future__ import annotations

import os
import re
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

PATIENCE: Final = 0.4
"""Seconds to wait for answers; one that never answers costs this once."""
_KITTY: Final = "\x1b_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\"
_CELL: Final = "\x1b[16t"
_ATTRIBUTES: Final = "\x1b[c"
"""Every terminal answers this one, so it is asked last: its answer ends the waiting."""
_CLEAR: Final = "\r\x1b[K"
"""Some terminals print what they do not understand."""
_MUTE: Final = ("", "dumb", "unknown", "linux")
"""Terminals that have no such graphics, and would show the question."""


@dataclass(frozen=True)
class Answer:
    """What the terminal said.

    Attributes:
        answered: whether it said anything; without, the rest is unknown.
        cell: width and height of a cell in pixels; (0, 0) where it is not known.
    """

    answered: bool = False
    kitty: bool = False
    sixel: bool = False
    cell: tuple[int, int] = (0, 0)


def ask_terminal(patience: float = PATIENCE) -> Answer:
    """Ask for Kitty's graphics, Sixel and the size of a cell, within `patience` seconds; never in a pipe.

    It must not run while anything else reads the keyboard. Keys pressed meanwhile are lost.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()) or os.environ.get("TERM", "dumb") in _MUTE:
        return Answer()
    try:
        reader, writer = sys.stdin.fileno(), sys.stdout.fileno()
        sys.stdout.flush()
        with _unbuffered(reader):
            os.write(writer, (_KITTY + _CELL + _ATTRIBUTES).encode())
            text = _read_answers(reader, time.monotonic() + patience)
            os.write(writer, _CLEAR.encode())
    except (OSError, ValueError, ImportError):
        return Answer()
    answer = understand(text)
    measured = _measured_cell(writer)
    return Answer(answer.answered, answer.kitty, answer.sixel, measured if all(measured) else answer.cell)


def understand(text: str) -> Answer:
    """The terminal's answers, whatever stands between them."""
    attributes = re.search(r"\x1b\[\?([\d;]*)c", text)
    cell = re.search(r"\x1b\[6;(\d+);(\d+)t", text)
    return Answer(
        answered=attributes is not None,
        kitty=re.search(r"\x1b_Gi=31;OK\x1b\\", text) is not None,
        sixel=attributes is not None and "4" in attributes[1].split(";"),
        cell=(int(cell[2]), int(cell[1])) if cell else (0, 0),
    )


@contextmanager
def _unbuffered(descriptor: int) -> Iterator[None]:
    """Characters come one by one and are not echoed; what is unread at the end is thrown away."""
    import termios
    import tty

    before = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor, termios.TCSANOW)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, before)


def _read_answers(descriptor: int, deadline: float) -> str:
    text = ""
    while not re.search(r"\x1b\[\?[\d;]*c", text):
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            break
        chunk = os.read(descriptor, 1024)
        if not chunk:
            break
        text += chunk.decode("ascii", "replace")
    return text


def _measured_cell(descriptor: int) -> tuple[int, int]:
    """Pixels of a cell as the operating system knows them; (0, 0) where it does not."""
    try:
        import fcntl
        import struct
        import termios

        answer = fcntl.ioctl(descriptor, termios.TIOCGWINSZ, b"\0" * 8)
        rows, columns, width, height = struct.unpack("HHHH", answer)
    except (OSError, ImportError):
        return 0, 0
    return (width // columns, height // rows) if rows and columns else (0, 0)
