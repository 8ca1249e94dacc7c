"""`sslterm doctor`: what this machine and terminal can do, and what to do about what they cannot."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any

import typer

from sslterm import __version__
from sslterm.cli.machine import find_gpus, find_memory, find_place, find_processor, find_versions
from sslterm.cli.options import AsJson, Root
from sslterm.cli.output import print_fields, print_json, print_line
from sslterm.cli.terminal import find_terminal
from sslterm.data.catalog import cache_root, data_root
from sslterm.errors import ExitCode
from sslterm.render.quantity import memory
from sslterm.render.theme import ENVIRONMENT
from sslterm.run.layout import runs_root

OLDEST_TORCH = (2, 9)
INSTALL_IMAGES = "pip install 'sslterm[images]', and set images to auto in the live view's settings"
LITTLE_SPACE = 2_000_000_000
"""Bytes of free disk below which a run may not find room for its checkpoints."""

VARIABLES = (
    "SSLTERM_RUNS", "SSLTERM_DATA", "SSLTERM_CACHE", "SSLTERM_THEME", "NO_COLOR", "FORCE_COLOR", "COLORTERM",
    "COLORFGBG", "TERM",
)  # fmt: skip


def doctor(
    runs: Root = None,
    as_json: AsJson = False,
) -> None:
    """Say what this machine and terminal can do, and how to mend what is missing.

    Ends with code 1 where training cannot work, and 0 otherwise.

    \b
    Examples:
      sslterm doctor
      sslterm doctor --json
    """
    gpus, driver = find_gpus()
    facts = {
        "sslterm": __version__,
        **find_versions(),
        "processor": find_processor(),
        "memory": find_memory(),
        "gpus": gpus,
        "driver": driver,
        "places": [
            find_place("runs", runs_root(runs)),
            find_place("data", data_root()),
            find_place("cache", cache_root()),
        ],
        "terminal": find_terminal(),
        "environment": {name: os.environ[name] for name in VARIABLES if name in os.environ},
    }
    problems = [
        {"level": level, "what": what, "remedy": remedy}
        for level, what, remedy in (*find_problems(facts), *find_terminal_problems(facts["terminal"]))
    ]
    if as_json:
        print_json(facts | {"problems": problems})
    else:
        _print_facts(facts)
        _print_problems(problems, facts["terminal"])
    if any(problem["level"] == "error" for problem in problems):
        raise typer.Exit(int(ExitCode.FAILED))


def find_problems(facts: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """(level, what is wrong, what to do) of the machine; an "error" keeps training from working."""
    torch = facts["torch"]
    if torch["version"] is None:
        yield "error", "torch is not installed", "pip install torch torchvision"
    elif tuple(int(part) for part in re.findall(r"\d+", torch["version"])[:2]) < OLDEST_TORCH:
        yield "error", f"torch {torch['version']} is too old", "pip install 'torch>=2.9'"
    elif facts["gpus"] and not torch["cuda"] and not torch["hip"]:
        yield (
            "warning",
            "there is an NVIDIA GPU, but this torch was built for CPUs only",
            "install the CUDA build: https://pytorch.org/get-started/locally",
        )
    for gpu in facts["gpus"]:
        if gpu["free_bytes"] < 0.1 * gpu["memory_bytes"]:
            what = f"GPU {gpu['index']} has {memory(gpu['free_bytes'])} of {memory(gpu['memory_bytes'])} left"
            yield (
                "warning",
                what,
                "see `nvidia-smi` for who holds the rest; choose another with --device cuda:N",
            )
    moves = {"runs": "SSLTERM_RUNS", "data": "SSLTERM_DATA", "cache": "SSLTERM_CACHE"}
    for place in facts["places"]:
        move = f"set {moves[place['use']]} to another folder"
        if not place["writable"]:
            level = "error" if place["use"] == "runs" else "warning"
            yield level, f"the folder of {place['use']}, {place['path']}, cannot be written", move
        elif place["free_bytes"] < LITTLE_SPACE:
            what = f"{place['path']} ({place['use']}) has {memory(place['free_bytes'])} left"
            yield "warning", what, f"make room, or {move}"


def find_terminal_problems(terminal: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """What makes the live view less than it could be."""
    if not terminal["unicode"]:
        yield (
            "warning",
            "the terminal's encoding is not UTF-8: curves and images cannot be drawn",
            "export LC_ALL=C.UTF-8",
        )
    if terminal["theme"] is None:
        yield "warning", terminal["theme_why"], f"export {ENVIRONMENT}=dark, or light, or high-contrast"
    if not terminal["tty"]:
        return
    if terminal["width"] < 80 or terminal["height"] < 24:
        size = f"{terminal['width']}x{terminal['height']}"
        yield "hint", f"the terminal has {size} cells; 80x24 shows all", "enlarge it, or use a smaller font"
    if terminal["colors"] == "256" and not terminal["no_color"]:
        yield (
            "hint",
            "256 colours were found; most terminals have 16 million",
            "export COLORTERM=truecolor, if yours does",
        )
    yield from _graphics_problems(terminal["graphics"], in_tmux=terminal["tmux"] is not None)
    if terminal["ssh"] and terminal["tmux"] is None:
        yield (
            "hint",
            "over SSH without tmux the live view closes with the connection; the training goes on",
            "come back with `sslterm monitor`",
        )


def _graphics_problems(graphics: Mapping[str, Any], *, in_tmux: bool) -> Iterator[tuple[str, str, str]]:
    """Pictures in full resolution: what this terminal could show, and what that takes."""
    usable = graphics["sixel"] or (graphics["kitty"] and not in_tmux)
    if usable and graphics["extra"] is None:
        names = " and ".join(_graphics_names(graphics))
        yield "hint", f"the terminal shows pictures in full resolution ({names})", f"{INSTALL_IMAGES}"


def _graphics_names(graphics: Mapping[str, Any]) -> list[str]:
    known = (("kitty", "Kitty graphics"), ("sixel", "Sixel"))
    return [name for key, name in known if graphics[key]]


def _graphics_text(graphics: Mapping[str, Any]) -> str:
    """What the terminal said of pictures, and whether the extra is there."""
    if not graphics["asked"]:
        return ""
    if not graphics["answered"]:
        return "half-blocks; the terminal did not say whether it can do more"
    able = ", ".join(_graphics_names(graphics))
    if not able:
        return "half-blocks; the terminal has neither Kitty graphics nor Sixel"
    extra = f"textual-image {graphics['extra']}" if graphics["extra"] else "without the extra: half-blocks"
    return f"{able}; {extra}"


def _print_facts(facts: Mapping[str, Any]) -> None:
    torch, processor, terminal = facts["torch"], facts["processor"], facts["terminal"]
    build = (
        f"CUDA {torch['cuda']}" if torch["cuda"] else f"ROCm {torch['hip']}" if torch["hip"] else "CPU only"
    )
    fields = [
        ("sslterm", facts["sslterm"]),
        ("python", f"{facts['python']['version']}  {facts['python']['executable']}"),
        ("torch", f"{torch['version']}, {build}" if torch["version"] else "not installed"),
        ("with", ", ".join(f"{name} {version or 'missing'}" for name, version in facts["packages"].items())),
        ("processor", f"{processor['name']}, {processor['usable']:g} of {processor['cores']} cores usable"),
        ("features", ", ".join(processor["features"]) + _bfloat16(processor["bfloat16"])),
        ("memory", "{1} of {0} free".format(*(memory(value) for value in facts["memory"].values()))),
    ]
    for gpu in facts["gpus"]:
        size = f"{memory(gpu['free_bytes'])} of {memory(gpu['memory_bytes'])} free"
        fields.append((f"GPU {gpu['index']}", f"{gpu['name']}, {size}{_bfloat16(gpu['bfloat16'])}"))
    if not facts["gpus"]:
        fields.append(("GPU", "no NVIDIA GPU found"))
    fields.append(("driver", facts["driver"]))
    for place in facts["places"]:
        state = "" if place["exists"] else ", not there yet"
        fields.append((place["use"], f"{place['path']}, {memory(place['free_bytes'])} free{state}"))
    colors = {"truecolor": "16 million colours", "256": "256 colours", "none": "no colours"}
    depth = f"{colors[terminal['colors']]} ({terminal['colors_why']})"
    parts = [f"{terminal['width']}x{terminal['height']}", terminal["term"]]
    parts += ["over SSH" if terminal["ssh"] else ""]
    parts += [f"in tmux {terminal['tmux'].get('version', '')}" if terminal["tmux"] is not None else ""]
    kind = ", ".join(part for part in parts if part)
    fields.append(("terminal", kind if terminal["tty"] else f"none attached ({kind})"))
    fields.append(("colours", depth))
    fields.append(("glyphs", _characters(terminal)))
    fields.append(("theme", f"{terminal['theme'] or 'none'} ({terminal['theme_why']})"))
    fields.append(("pictures", _graphics_text(terminal["graphics"])))
    fields.append(("set", " ".join(f"{name}={value}" for name, value in facts["environment"].items())))
    print_fields(fields)


def _characters(terminal: Mapping[str, Any]) -> str:
    locale = f" (locale {terminal['locale']})" if terminal["locale"] else ""
    return ("UTF-8: Braille and half-blocks" if terminal["unicode"] else "not UTF-8") + locale


def _bfloat16(native: bool) -> str:
    return ", bfloat16 in hardware" if native else ", no bfloat16 in hardware"


def _print_problems(problems: list[dict[str, str]], terminal: Mapping[str, Any]) -> None:
    for problem in problems:
        print_line()
        print_line(f"{problem['level']}: {problem['what']}", bold=problem["level"] == "error")
        print_line(f"  {problem['remedy']}")
    if terminal["tmux_lines"]:
        print_line()
        print_line("hint: add to ~/.tmux.conf, and run `tmux source ~/.tmux.conf`")
        width = max(len(line["line"]) for line in terminal["tmux_lines"])
        for line in terminal["tmux_lines"]:
            print_line(f"  {line['line'].ljust(width)}  # {line['reason']}")
