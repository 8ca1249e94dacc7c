"""`sslterm doctor`: what this machine and terminal can do, and what to do about what they cannot."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import typer

from sslterm import __version__
from sslterm.cli.faults import Fault, find_faults, graphics_names
from sslterm.cli.machine import (
    find_gpus,
    find_memory,
    find_place,
    find_processor,
    find_shared_memory,
    find_threads,
    find_versions,
)
from sslterm.cli.options import AsJson, Root
from sslterm.cli.output import print_fields, print_json, print_line
from sslterm.cli.terminal import find_terminal
from sslterm.data.catalog import cache_root, data_root
from sslterm.errors import ExitCode
from sslterm.render.quantity import memory
from sslterm.run.layout import runs_root

LEVELS = ("error", "warning", "hint")
VARIABLES = (
    "SSLTERM_RUNS", "SSLTERM_DATA", "SSLTERM_CACHE", "SSLTERM_THEME", "NO_COLOR", "FORCE_COLOR", "COLORTERM",
    "COLORFGBG", "TERM", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES",
)  # fmt: skip


def doctor(
    runs: Root = None,
    as_json: AsJson = False,
) -> None:
    """Say what this machine and terminal can do, what is wrong with them, and what to do about it.

    Each finding is a line: how bad, where, what, and what to do next. It ends with code 1 where training cannot
    work (an error), and 0 otherwise.

    \b
    Examples:
      sslterm doctor
      sslterm doctor --json
    """
    gpus, driver = find_gpus()
    processor = find_processor()
    facts = {
        "sslterm": __version__,
        **find_versions(),
        "processor": processor,
        "threads": find_threads(processor),
        "memory": find_memory(),
        "shared_memory": find_shared_memory(),
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
    faults = sorted(find_faults(facts), key=lambda fault: LEVELS.index(fault.level))
    if as_json:
        print_json(facts | {"problems": [fault._asdict() for fault in faults]})
    else:
        _print_facts(facts)
        _print_faults(faults)
    if any(fault.level == "error" for fault in faults):
        raise typer.Exit(int(ExitCode.FAILED))


def _graphics_text(graphics: Mapping[str, Any]) -> str:
    """What the terminal said of pictures, and whether the extra is there."""
    if not graphics["asked"]:
        return ""
    if not graphics["answered"]:
        return "half-blocks; the terminal did not say whether it can do more"
    able = ", ".join(graphics_names(graphics))
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
    fields.append(("driver", _driver_text(facts["driver"])))
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


def _driver_text(driver: Mapping[str, Any]) -> str:
    return f"{driver['version']}, CUDA up to {driver['cuda']}" if driver["version"] else ""


def _characters(terminal: Mapping[str, Any]) -> str:
    locale = f" (locale {terminal['locale']})" if terminal["locale"] else ""
    return ("UTF-8: Braille and half-blocks" if terminal["unicode"] else "not UTF-8") + locale


def _bfloat16(native: bool) -> str:
    return ", bfloat16 in hardware" if native else ", no bfloat16 in hardware"


def _print_faults(faults: Sequence[Fault]) -> None:
    """A line for each; on a terminal, folded at its width, what to do stands on lines of its own."""
    if faults:
        print_line()
    for fault in faults:
        what = f"{fault.level}: {fault.where}: {fault.what}"
        if not sys.stdout.isatty():
            print_line(f"{what}; {fault.remedy}")
            continue
        width = max(shutil.get_terminal_size().columns, 20)
        for line in textwrap.wrap(what, width, subsequent_indent="  "):
            print_line(line, bold=fault.level == "error")
        for line in textwrap.wrap(fault.remedy, width - 2, break_on_hyphens=False):
            print_line(f"  {line}")
