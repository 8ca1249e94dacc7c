"""What this terminal can show, and the lines that tmux lacks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from sslterm.cli.output import color_depth


def find_terminal() -> dict[str, Any]:
    """{tty, width, height, term, colors, unicode, no_color, ssh, tmux, tmux_lines: [{line, reason}]}.

    `tmux` holds its settings, None outside of it; `tmux_lines` are those that its configuration lacks.
    """
    size = shutil.get_terminal_size()
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    tmux = find_tmux() if os.environ.get("TMUX") else None
    lines = missing_tmux_lines(tmux) if tmux is not None else []
    return {
        "tty": sys.stdin.isatty() and sys.stdout.isatty(),
        "width": size.columns,
        "height": size.lines,
        "term": os.environ.get("TERM", ""),
        "colors": color_depth(),
        "unicode": encoding == "utf8",
        "no_color": bool(os.environ.get("NO_COLOR")),
        "ssh": "SSH_CONNECTION" in os.environ,
        "tmux": tmux,
        "tmux_lines": [{"line": line, "reason": reason} for line, reason in lines],
    }


def find_tmux() -> dict[str, str]:
    """The version and the settings of the tmux around us; what it does not know is absent."""
    found = {}
    questions = {
        "version": ["-V"],
        "default-terminal": ["show", "-gv", "default-terminal"],
        "terminal-features": ["show", "-sv", "terminal-features"],
        "terminal-overrides": ["show", "-sv", "terminal-overrides"],
        "escape-time": ["show", "-sv", "escape-time"],
        "mouse": ["show", "-gv", "mouse"],
    }
    for name, arguments in questions.items():
        try:
            answer = subprocess.run(
                ["tmux", *arguments], capture_output=True, text=True, timeout=2, check=True
            )
        except (OSError, subprocess.SubprocessError):
            continue
        found[name] = answer.stdout.strip().removeprefix("tmux ")
    return found


def missing_tmux_lines(settings: Mapping[str, str]) -> list[tuple[str, str]]:
    """Lines for tmux.conf that would make the live view better, each with its reason."""
    lines = []
    known = settings.get("default-terminal", "")
    if known and not known.endswith(("256color", "direct")):
        reason = f"{known} has too few colours"
        lines.append(('set -g default-terminal "tmux-256color"', reason))
    colors = settings.get("terminal-features", "") + settings.get("terminal-overrides", "")
    if not re.search(r"\b(RGB|Tc)\b", colors):
        line = (
            'set -as terminal-features ",*:RGB"'
            if tmux_version(settings) >= (3, 2)
            else 'set -ga terminal-overrides ",*:Tc"'
        )
        lines.append((line, "without it there are 256 colours instead of 16 million"))
    if int(re.sub(r"\D", "", settings.get("escape-time", "")) or 0) > 50:
        lines.append(("set -sg escape-time 10", "Esc waits half a second otherwise"))
    if settings.get("mouse") == "off":
        lines.append(("set -g mouse on", "the wheel scrolls back through what has gone by"))
    return lines


def tmux_version(settings: Mapping[str, str]) -> tuple[int, int]:
    """(3, 4) of "3.4a" or "next-3.4"; (0, 0) where it is not known."""
    found = re.search(r"(\d+)\.(\d+)", settings.get("version", ""))
    return (int(found[1]), int(found[2])) if found else (0, 0)
