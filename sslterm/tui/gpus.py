"""What NVIDIA GPUs of this machine say of themselves, through NVML; nothing where there is none."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Gpu:
    """One reading; what the driver does not tell (of a part of a GPU, for example) is None."""

    name: str
    percent: float | None
    used: float | None
    total: float | None
    watts: float | None


class Gpus:
    """The GPUs that NVML knows, in its order; asked for when they are first wanted."""

    def __init__(self) -> None:
        self._handles: list[Any] | None = None

    def read(self) -> list[Gpu]:
        """A reading of every GPU that says anything."""
        return [reading for handle in self._known() if (reading := _read(handle)) is not None]

    def read_one(self, index: int) -> Gpu | None:
        """A reading of one GPU; None where there is no such one, or it says nothing."""
        handles = self._known()
        return _read(handles[index]) if index < len(handles) else None

    def _known(self) -> list[Any]:
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


def _read(handle: Any) -> Gpu | None:
    """What a GPU says of itself; None where it says nothing (any more)."""
    import pynvml

    found: dict[str, Any] = {}
    for ask in (
        lambda: {"name": pynvml.nvmlDeviceGetName(handle)},
        lambda: {"percent": float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)},
        lambda: {"memory": pynvml.nvmlDeviceGetMemoryInfo(handle)},
        lambda: {"watts": pynvml.nvmlDeviceGetPowerUsage(handle) / 1000},
    ):
        with suppress(pynvml.NVMLError):
            found |= ask()
    about, name = found.get("memory"), found.get("name", "")
    if not found:
        return None
    return Gpu(
        name=name.decode(errors="replace") if isinstance(name, bytes) else str(name),
        percent=found.get("percent"),
        used=float(about.used) if about is not None else None,
        total=float(about.total) if about is not None else None,
        watts=found.get("watts"),
    )
