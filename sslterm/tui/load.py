"""How loaded the trainer's process and device are, as the machine tells it."""

from __future__ import annotations

import socket

import psutil

from sslterm.render.quantity import memory
from sslterm.run.status import Status
from sslterm.tui.gpus import Gpus


class Load:
    """Samples a trainer on this machine; says nothing of one elsewhere."""

    def __init__(self) -> None:
        self._process: psutil.Process | None = None
        self._gpus = Gpus()

    def parts(self, status: Status | None, *, working: bool) -> list[tuple[int, str]]:
        """Device, and how loaded it is while the trainer is `working`, each with its rank (see `facts.fitting`).

        For example "cuda:0", "GPU  71 % 18.2 GB 412 W", "CPU 198 % 1.1 GB".
        """
        if status is None:
            return []
        parts = [(2, status.device.partition(" (")[0])]
        if working and status.host == socket.gethostname():
            if status.device.startswith("cuda"):
                parts.append((0, self._gpu_text(status.device)))
            parts.append((1, self._cpu_text(status.pid)))
        return [(rank, text) for rank, text in parts if text]

    def _cpu_text(self, pid: int) -> str:
        try:
            if self._process is None or self._process.pid != pid:
                self._process = psutil.Process(pid)
                self._process.cpu_percent()  # the first reading has nothing to compare with
                return ""
            share = self._process.cpu_percent()
            used = self._process.memory_info().rss
        except (psutil.Error, ValueError, OSError):
            self._process = None
            return ""
        return f"CPU {share:3.0f} % {memory(used)}"

    def _gpu_text(self, device: str) -> str:
        """Of the trainer's GPU, as much as it tells."""
        index = device.partition(":")[2].partition(" ")[0]
        gpu = self._gpus.read_one(int(index) if index.isdigit() else 0)
        if gpu is None:
            return ""
        parts = (
            f"{gpu.percent:3.0f} %" if gpu.percent is not None else "",
            memory(gpu.used) if gpu.used is not None else "",
            f"{gpu.watts:.0f} W" if gpu.watts is not None else "",
        )
        return " ".join(part for part in ("GPU", *parts) if part)
