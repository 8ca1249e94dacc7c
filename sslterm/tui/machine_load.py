"""How loaded this machine is: its GPUs where it has any, else its processor and memory."""

from __future__ import annotations

from typing import Any

import psutil

from sslterm.render.quantity import memory


class MachineLoad:
    """Samples the machine; without NVML, or a GPU, it speaks of the processor."""

    def __init__(self) -> None:
        self._handles: list[Any] | None = None

    def text(self, *, working: bool) -> str:
        """Of the processor only while something is `working` here: a machine at rest has nothing to tell.

        For example "GPU 0 NVIDIA H200 71 % 18.2/139 GB 412 W", or "CPU 37 % · memory 5.1/16.8 GB".
        """
        gpus = [self._gpu(index, handle) for index, handle in enumerate(self._gpus())]
        return " · ".join(text for text in gpus if text) or (self._cpu() if working else "")

    def _cpu(self) -> str:
        try:
            share, about = psutil.cpu_percent(), psutil.virtual_memory()
        except (psutil.Error, OSError):
            return ""
        return f"CPU {share:3.0f} % · memory {_of(about.total - about.available, about.total)}"

    def _gpus(self) -> list[Any]:
        """NVML's handles of all GPUs; [] where there are none."""
        if self._handles is None:
            self._handles = []
            try:
                import pynvml

                pynvml.nvmlInit()
                count = pynvml.nvmlDeviceGetCount()
                self._handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(count)]
            except Exception:  # no driver, no library, or one that does not fit: say nothing of GPUs
                self._handles = []
        return self._handles

    def _gpu(self, index: int, handle: Any) -> str:
        import pynvml

        try:
            name = pynvml.nvmlDeviceGetName(handle)
            share = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu
            about = pynvml.nvmlDeviceGetMemoryInfo(handle)
            watts = pynvml.nvmlDeviceGetPowerUsage(handle) / 1000
        except pynvml.NVMLError:
            return ""
        name = name.decode() if isinstance(name, bytes) else name
        name = name if len(self._gpus()) == 1 else ""
        words = (f"GPU {index}", name, f"{share:2d} %", _of(about.used, about.total), f"{watts:.0f} W")
        return " ".join(word for word in words if word)


def _of(used: float, total: float) -> str:
    """ "18.2/139 GB"."""
    number, _, unit = memory(total).rpartition(" ")
    scale = {"B": 1e0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}.get(unit, 1e9)
    return f"{used / scale:.1f}/{number} {unit}"
