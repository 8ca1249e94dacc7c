"""What is wrong with a machine or a terminal, and what to do next: the judgement that `sslterm doctor` passes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from sslterm.render.quantity import memory
from sslterm.render.theme import ENVIRONMENT

OLDEST_TORCH = (2, 9)
LITTLE_DISK = 2_000_000_000
"""Bytes of free disk below which a run may not find room for its checkpoints."""
LITTLE_MEMORY = 1_500_000_000
"""Bytes of free memory below which torch and the images of a data set may not fit."""
LITTLE_GPU = 2_000_000_000
"""Bytes of free GPU memory below which the presets for GPUs do not fit."""
LITTLE_SHARED = 500_000_000
"""Bytes of /dev/shm below which NCCL fails between several GPUs: containers are given 64 MB."""
VARIABLES = {"runs": "SSLTERM_RUNS", "data": "SSLTERM_DATA", "cache": "SSLTERM_CACHE"}
INSTALL_TORCH = "https://pytorch.org/get-started/locally"

Facts = Mapping[str, Any]


class Fault(NamedTuple):
    """Something wrong: an "error" keeps training from working, a "hint" could merely be better."""

    level: Literal["error", "warning", "hint"]
    where: str
    what: str
    remedy: str


def find_faults(facts: Facts) -> Iterator[Fault]:
    """All that is wrong with the machine and the terminal of `sslterm.cli.outputs.machine.Examined`."""
    yield from _torch_faults(facts)
    yield from _gpu_faults(facts)
    yield from _memory_faults(facts)
    for place in facts["places"]:
        yield from _place_faults(place, facts["environment"])
    yield from find_terminal_faults(facts["terminal"])


def _torch_faults(facts: Facts) -> Iterator[Fault]:
    torch = facts["torch"]
    if torch["version"] is None:
        yield Fault("error", "torch", "it is not installed", "pip install torch torchvision")
    elif _numbers(torch["version"]) < OLDEST_TORCH:
        yield Fault("error", "torch", f"{torch['version']} is too old", "pip install 'torch>=2.9'")
    elif facts["gpus"] and not torch["cuda"] and not torch["hip"]:
        what = "it was built for CPUs only, and there is an NVIDIA GPU"
        yield Fault("warning", "torch", what, f"install the CUDA build: {INSTALL_TORCH}")
    usable, threads = facts["processor"]["usable"], facts["threads"]
    cores = max(int(usable), 1)
    if threads["torch"] > cores:
        what = f"it will start {threads['torch']} threads, and may use {usable:g} cores: they wait for each other"
        yield Fault("warning", "torch", what, f"export OMP_NUM_THREADS={cores}")
    elif threads["asked"] and threads["torch"] < cores and not facts["gpus"]:
        what = f"OMP_NUM_THREADS={threads['asked']} leaves {cores - threads['torch']} of {cores} cores idle"
        yield Fault("hint", "torch", what, "unset OMP_NUM_THREADS, unless other trainings use them")


def _gpu_faults(facts: Facts) -> Iterator[Fault]:
    torch, driver, gpus = facts["torch"], facts["driver"], facts["gpus"]
    if driver["fault"]:
        yield Fault(
            "warning",
            "GPU driver",
            driver["fault"],
            "see what `nvidia-smi` says; after an update of the driver, restart the machine",
        )
    if torch["cuda"] and driver["cuda"] and _numbers(torch["cuda"])[0] > _numbers(driver["cuda"])[0]:
        what = f"it runs CUDA up to {driver['cuda']}, and torch was built for {torch['cuda']}: no GPU can be used"
        remedy = (
            f"update the driver, or install torch for CUDA {driver['cuda'].split('.')[0]}: {INSTALL_TORCH}"
        )
        yield Fault("warning", "GPU driver", what, remedy)
    if gpus and facts["environment"].get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        what = f"CUDA_VISIBLE_DEVICES hides {'it' if len(gpus) == 1 else f'all {len(gpus)}'}"
        yield Fault("warning", "GPU", what, "unset CUDA_VISIBLE_DEVICES")
    for gpu in gpus:
        if gpu["free_bytes"] < max(0.1 * gpu["memory_bytes"], LITTLE_GPU):
            what = f"{memory(gpu['free_bytes'])} of {memory(gpu['memory_bytes'])} are free"
            remedy = "see `nvidia-smi` for who holds the rest; choose another with --device cuda:N"
            yield Fault("warning", f"GPU {gpu['index']}", what, remedy)


def _memory_faults(facts: Facts) -> Iterator[Fault]:
    total, free = facts["memory"]["total_bytes"], facts["memory"]["available_bytes"]
    if free < LITTLE_MEMORY:
        what = f"{memory(free)} of {memory(total)} are free: a training may be killed"
        yield Fault("warning", "memory", what, "end other programs, or set data.train_images to fewer")
    shared = facts["shared_memory"]
    if shared is not None and len(facts["gpus"]) > 1 and shared["free_bytes"] < LITTLE_SHARED:
        what = f"{memory(shared['free_bytes'])} are free: --nproc with several GPUs may fail"
        remedy = "give the container more: docker run --shm-size=1g; or: mount -o remount,size=1G /dev/shm"
        yield Fault("warning", "/dev/shm", what, remedy)


def _place_faults(place: Facts, environment: Mapping[str, str]) -> Iterator[Fault]:
    """Of a folder that may not be there yet: it is made when it is first needed."""
    use, path, variable = place["use"], place["path"], VARIABLES[place["use"]]
    where, move = f"{use} folder", f"set {variable} to another folder"
    if not place["exists"] and use == "data" and variable in environment:
        what = f"{path} is not there, and {variable} names it"
        yield Fault(
            "warning", where, what, f"mend {variable}, or fetch into a new folder: sslterm data get mnist"
        )
    if place["exists"] and not place["readable"]:
        what, remedy = f"{path} cannot be read", f"chmod u+rx {path}, or {move}"
        yield Fault("error" if use == "runs" else "warning", where, what, remedy)
    elif not place["writable"]:
        level: Literal["error", "warning"] = "error" if use == "runs" else "warning"
        yield Fault(level, where, f"{path} cannot be written", move)
    elif place["free_bytes"] < LITTLE_DISK:
        what = f"{memory(place['free_bytes'])} are free at {path}"
        yield Fault("warning", where, what, f"make room, or {move}")


def find_terminal_faults(terminal: Facts) -> Iterator[Fault]:
    """What makes the live view less than it could be; off a terminal only what output suffers from too."""
    if not terminal["unicode"]:
        what = f"its encoding is not UTF-8{_said(terminal['locale'])}: curves and images cannot be drawn"
        yield Fault("warning", "locale", what, "export LC_ALL=C.UTF-8")
    if terminal["theme"] is None:
        yield Fault(
            "warning",
            "theme",
            terminal["theme_why"],
            f"export {ENVIRONMENT}=dark, or light, or high-contrast",
        )
    for line in terminal["tmux_lines"]:
        yield Fault("hint", "tmux", line["reason"], f"add to ~/.tmux.conf: {line['line']}")
    if not terminal["tty"]:
        return
    if terminal["unicode"] and not re.search("utf-?8", terminal["locale"], re.IGNORECASE):
        what = f"it names no UTF-8{_said(terminal['locale'])}: tmux and ssh may show _ for curves and images"
        yield Fault("hint", "locale", what, "export LC_ALL=C.UTF-8")
    if terminal["width"] < 80 or terminal["height"] < 24:
        what = f"it has {terminal['width']}x{terminal['height']} cells; 80x24 shows all"
        yield Fault("hint", "terminal", what, "enlarge it, or use a smaller font")
    if terminal["colors"] == "none" and not terminal["no_color"]:
        what = f"it is not known to have colours ({terminal['colors_why']})"
        yield Fault("hint", "terminal", what, "export TERM=xterm-256color, if it has them")
    elif terminal["colors"] == "256" and not terminal["no_color"]:
        what = "256 colours were found; most terminals have 16 million"
        yield Fault("hint", "terminal", what, "export COLORTERM=truecolor, if yours does")
    yield from _graphics_faults(terminal["graphics"], in_tmux=terminal["tmux"] is not None)
    if terminal["ssh"] and terminal["tmux"] is None:
        what = "over SSH without tmux the live view closes with the connection; the training goes on"
        yield Fault("hint", "terminal", what, "come back with `sslterm monitor`")


def _graphics_faults(graphics: Facts, *, in_tmux: bool) -> Iterator[Fault]:
    """Pictures in full resolution: what this terminal could show, and what that takes."""
    usable = graphics["sixel"] or (graphics["kitty"] and not in_tmux)
    if usable and graphics["extra"] is None:
        what = f"it could show pictures in full resolution ({' and '.join(graphics_names(graphics))})"
        remedy = "pip install 'sslterm[images]', and set images to auto in the live view's settings"
        yield Fault("hint", "terminal", what, remedy)


def graphics_names(graphics: Facts) -> list[str]:
    """What a terminal has of its own to show pictures with."""
    known = (("kitty", "Kitty graphics"), ("sixel", "Sixel"))
    return [name for key, name in known if graphics[key]]


def _said(locale: str) -> str:
    return f" ({locale})" if locale else " (LANG is not set)"


def _numbers(version: str) -> tuple[int, ...]:
    """(2, 9) of "2.9.1+cu128"."""
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
