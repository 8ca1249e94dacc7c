"""How loaded this machine is: its GPUs where it has any, else its processor and memory."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

import psutil

from sslterm.render.quantity import memory
from sslterm.run.index import ListedRun
from sslterm.tui.gpus import Gpu, Gpus


class MachineLoad:
    """Samples the machine; without NVML, or a GPU, it speaks of the processor."""

    def __init__(self) -> None:
        self._gpus = Gpus()

    def texts(self, *, working: bool) -> Sequence[str]:
        """The same at more and less length, for wide and narrow screens.

        For example "GPU 0 NVIDIA H200 71 % 18.2/139 GB 412 W", "8 GPUs 64 % 1101/1112 GB 4.9 kW",
        "CPU  37 % · memory 5.1/16.8 GB".

        Args:
            working: a trainer is at work here. Otherwise nothing is said that wavers by itself, and of the processor
                nothing at all, so that a list that is left open sends nothing.
        """
        gpus = self._gpus.read()
        if not gpus:
            return _processor() if working else ()
        percent = _over(gpus, lambda gpu: gpu.percent)
        used, total = _over(gpus, lambda gpu: gpu.used), _over(gpus, lambda gpu: gpu.total)
        watts = _over(gpus, lambda gpu: gpu.watts) if working else None
        loads = [
            f"{percent / len(gpus):2.0f} %" if percent is not None else "",
            _of(used, total) if used is not None and total is not None else "",
            f"{watts:.0f} W" if watts is not None else "",
        ]
        loads = [load for load in loads if load]
        one = len(gpus) == 1
        lead = "GPU 0" if one else f"{len(gpus)} GPUs"
        named = [" ".join([lead, gpus[0].name, *loads])] if one and gpus[0].name else []
        return [*named, " ".join([lead, *loads]), " ".join([lead, *loads[:1]])]


def _processor() -> Sequence[str]:
    try:
        share, about = psutil.cpu_percent(), psutil.virtual_memory()
    except (psutil.Error, OSError):
        return ()
    percent = f"CPU {share:3.0f} %"
    return [f"{percent} · memory {_of(about.total - about.available, about.total)}", percent]


def _over(gpus: Sequence[Gpu], value: Callable[[Gpu], float | None]) -> float | None:
    """The sum over all GPUs; None where one does not tell."""
    values = [value(gpu) for gpu in gpus]
    told = [one for one in values if one is not None]
    return sum(told) if len(told) == len(values) else None


def _of(used: float, total: float) -> str:
    """ "18.2/139 GB"."""
    number, _, unit = memory(total).rpartition(" ")
    scale = {"B": 1e0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}.get(unit, 1e9)
    return f"{used / scale:.1f}/{number} {unit}"


def computes_here(listed: ListedRun) -> bool:
    """Whether a trainer computes on this machine."""
    status = listed.status
    here = status is not None and status.host == socket.gethostname()
    return here and listed.state in ("starting", "running")
