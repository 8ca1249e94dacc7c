"""What this terminal can show, and the lines that tmux lacks."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from typing import Any

from sslterm.cli.output import color_depth
from sslterm.errors import UsageError
from sslterm.render.terminal_query import ask_terminal
from sslterm.render.theme import ENVIRONMENT, choose_theme

IMAGES_EXTRA = "textual-image"
"""What shows pictures in a terminal's own pixels; the extra `images` installs it."""


def find_terminal() -> dict[str, Any]:
    """{tty, width, height, term, colors, colors_why, unicode, locale, no_color, theme, theme_why, graphics, ssh,
    tmux, tmux_lines: [{line, reason}]}.

    `graphics` is {asked, answered, kitty, sixel, cell_width, cell_height, extra}: what the terminal said, and
    the version of the extra that is installed, or None. `theme` is None where SSLTERM_THEME names none.
    `tmux` holds its settings, None outside of it; `tmux_lines` are those that its configuration lacks.
    """
    size = shutil.get_terminal_size()
    encoding = (sys.stdout.encoding or "").lower().replace("-", "")
    tmux = find_tmux() if os.environ.get("TMUX") else None
    graphics = find_graphics()
    lines = missing_tmux_lines(tmux, pictures=graphics["extra"] is not None) if tmux is not None else []
    theme, theme_why = find_theme(os.environ)
    return {
        "tty": sys.stdin.isatty() and sys.stdout.isatty(),
        "width": size.columns,
        "height": size.lines,
        "term": os.environ.get("TERM", ""),
        "colors": color_depth(),
        "colors_why": why_colors(os.environ, tty=sys.stdout.isatty()),
        "unicode": encoding == "utf8",
        "locale": next((os.environ[name] for name in _LOCALE if os.environ.get(name)), ""),
        "no_color": bool(os.environ.get("NO_COLOR")),
        "theme": theme,
        "theme_why": theme_why,
        "graphics": graphics,
        "ssh": "SSH_CONNECTION" in os.environ,
        "tmux": tmux,
        "tmux_lines": [{"line": line, "reason": reason} for line, reason in lines],
    }


_LOCALE = ("LC_ALL", "LC_CTYPE", "LANG")
"""Variables that say what characters there are, the strongest first."""


def why_colors(environment: Mapping[str, str], *, tty: bool) -> str:
    """What `color_depth` goes by: the variable that decides."""
    if environment.get("NO_COLOR"):
        return "NO_COLOR is set"
    forced = bool(environment.get("FORCE_COLOR"))
    if not (tty or forced):
        return "stdout is not a terminal"
    term, colorterm = environment.get("TERM", ""), environment.get("COLORTERM", "")
    if colorterm in ("truecolor", "24bit"):
        return f"COLORTERM={colorterm}"
    if term.endswith("-direct") or (not forced and color_depth() == "none"):
        return f"TERM={term}"
    return f"TERM={term}, and COLORTERM is {colorterm or 'not set'}"


def find_theme(environment: Mapping[str, str]) -> tuple[str | None, str]:
    """The theme that the live view takes where its settings name none, and why."""
    try:
        name = choose_theme(environment).name
    except UsageError as error:
        return None, error.message
    if environment.get(ENVIRONMENT):
        return name, f"{ENVIRONMENT}={environment[ENVIRONMENT]}"
    ground = environment.get("COLORFGBG", "")
    return name, f"COLORFGBG={ground}" if ground else f"neither {ENVIRONMENT} nor COLORFGBG is set"


def find_graphics() -> dict[str, Any]:
    """What pictures the terminal can show: it is asked, which takes less than half a second."""
    asked = sys.stdin.isatty() and sys.stdout.isatty()
    answer = ask_terminal()
    try:
        extra: str | None = metadata.version(IMAGES_EXTRA)
    except metadata.PackageNotFoundError:
        extra = None
    width, height = answer.cell
    return {
        "asked": asked,
        "answered": answer.answered,
        "kitty": answer.kitty,
        "sixel": answer.sixel,
        "cell_width": width or None,
        "cell_height": height or None,
        "extra": extra,
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
        "focus-events": ["show", "-sv", "focus-events"],
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


def missing_tmux_lines(settings: Mapping[str, str], *, pictures: bool = False) -> list[tuple[str, str]]:
    """Lines for tmux.conf that would make the live view better, each with its reason.

    Args:
        pictures: the extra for pictures in the terminal's own pixels is installed. Through tmux they go as
            Sixel, from version 3.4 on; Kitty's graphics do not, whatever `allow-passthrough` says.
    """
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
        lines.append((line, "it passes 256 colours on instead of 16 million"))
    if int(re.sub(r"\D", "", settings.get("escape-time", "")) or 0) > 50:
        lines.append(("set -sg escape-time 10", "Esc waits half a second"))
    if pictures and tmux_version(settings) >= (3, 4) and "sixel" not in settings.get("terminal-features", ""):
        line = 'set -as terminal-features ",*:sixel"'
        lines.append((line, "it passes no pictures in full resolution on to a terminal that has Sixel"))
    if settings.get("mouse") == "off":
        lines.append(("set -g mouse on", "the wheel does not scroll back through what has gone by"))
    if settings.get("focus-events") == "off":
        lines.append(("set -g focus-events on", "the live view is not told when its pane is left or entered"))
    return lines


def tmux_version(settings: Mapping[str, str]) -> tuple[int, int]:
    """(3, 4) of "3.4a" or "next-3.4"; (0, 0) where it is not known."""
    found = re.search(r"(\d+)\.(\d+)", settings.get("version", ""))
    return (int(found[1]), int(found[2])) if found else (0, 0)
