"""Pictures and paths outside of the terminal: the clipboard, and the desktop's way to open a file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping

from textual.app import App


def copy_text(app: App[object], text: str) -> None:
    """Copy text to the clipboard of the terminal's own machine (OSC 52), also over SSH; inside tmux through it."""
    app.copy_to_clipboard(text)


def opener(environment: Mapping[str, str]) -> str:
    """The program that opens files on this desktop; "" where there is none, as over SSH."""
    if sys.platform == "darwin":
        return "open"
    shown = environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    return (shutil.which("xdg-open") or "") if shown else ""


def open_picture(path: str) -> str:
    """Open a picture where there is a desktop; says what was done, or where the picture is."""
    program = opener(os.environ)
    if not program:
        return f"no desktop to open it on; it is {path}"
    quiet = subprocess.DEVNULL
    try:
        subprocess.Popen([program, path], stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    except OSError as error:
        return f"cannot open {path}: {error.strerror}"
    return f"opened {path}"
