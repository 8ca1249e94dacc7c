"""What this machine is, found without importing torch: processor, memory, GPUs, disks, versions."""

from __future__ import annotations

import ast
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

BFLOAT16_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")
"""Processor features (x86, x86, Arm) that compute in bfloat16."""

GPU_DEVICE = "/dev/nvidia0"
"""What is there where an NVIDIA GPU is, even if its driver cannot be asked."""
SHARED_MEMORY = "/dev/shm"

SHOWN_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_int8", "asimd", "sve", "bf16")


def find_versions() -> dict[str, Any]:
    """Python, torch and what it was built for, and the packages that the terminal depends on."""
    torch = _version("torch")
    build = _torch_build() if torch else {}
    return {
        "python": {"version": platform.python_version(), "executable": sys.executable},
        "torch": {"version": torch, "cuda": build.get("cuda"), "hip": build.get("hip")},
        "packages": {name: _version(name) for name in ("torchvision", "numpy", "textual", "typer")},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _torch_build() -> dict[str, Any]:
    """`cuda` and `hip` as torch/version.py gives them: a version, or None."""
    spec = importlib.util.find_spec("torch")
    found: dict[str, Any] = {}
    if spec is None or spec.origin is None:
        return found
    try:
        tree = ast.parse((Path(spec.origin).parent / "version.py").read_text())
    except (OSError, SyntaxError):
        return found
    for node in tree.body:
        if not isinstance(node, ast.Assign | ast.AnnAssign) or not isinstance(node.value, ast.Constant):
            continue
        target = node.target if isinstance(node, ast.AnnAssign) else node.targets[0]
        if isinstance(target, ast.Name):
            found[target.id] = node.value.value
    return found


def find_processor() -> dict[str, Any]:
    """{name, cores, usable, features, bfloat16}: `usable` counts what this process may use, in cores."""
    flags, name = _processor_flags()
    return {
        "name": name or platform.processor() or platform.machine(),
        "cores": psutil.cpu_count(logical=False) or os.cpu_count(),
        "usable": _usable_cores(),
        "features": [flag for flag in SHOWN_FLAGS if flag in flags],
        "bfloat16": any(flag in flags for flag in BFLOAT16_FLAGS),
    }


def _processor_flags() -> tuple[set[str], str]:
    """What /proc/cpuinfo says of the first processor: its features and its name."""
    flags: set[str] = set()
    name = ""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return flags, name
    for line in text.partition("\n\n")[0].splitlines():
        key, _, value = (part.strip() for part in line.partition(":"))
        if key in ("flags", "Features"):
            flags = set(value.split())
        elif key == "model name":
            name = value
    return flags, name


def _usable_cores() -> float:
    """Cores this process may run on, less where its container is allowed less."""
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return min(cores, int(quota) / int(period))
    except (OSError, ValueError):  # no control groups, or "max"
        return cores


def find_memory() -> dict[str, int]:
    """{total_bytes, available_bytes}, less where this process's container is allowed less."""
    memory = psutil.virtual_memory()
    total, available = int(memory.total), int(memory.available)
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
    except (OSError, ValueError):
        return {"total_bytes": total, "available_bytes": available}
    return {"total_bytes": min(total, limit), "available_bytes": min(available, max(limit - used, 0))}


def find_threads(processor: Mapping[str, Any]) -> dict[str, Any]:
    """{asked, torch}: OMP_NUM_THREADS, and the threads torch will start; it does not see a container's limit."""
    asked = os.environ.get("OMP_NUM_THREADS") or None
    given = (asked or "").split(",")[0]
    seen = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {
        "asked": asked,
        "torch": int(given) if given.isdecimal() and int(given) else min(processor["cores"], seen),
    }


def find_shared_memory() -> dict[str, int] | None:
    """{total_bytes, free_bytes} of /dev/shm; None where there is none."""
    try:
        usage = shutil.disk_usage(SHARED_MEMORY)
    except OSError:
        return None
    return {"total_bytes": usage.total, "free_bytes": usage.free}


def find_gpus() -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """NVIDIA GPUs, [{index, name, memory_bytes, free_bytes, compute, bfloat16}], and their driver, {version, cuda,
    fault}: the newest CUDA that it runs, and why it cannot be asked where there are GPUs all the same.
    """
    import pynvml

    driver: dict[str, Any] = {"version": "", "cuda": None, "fault": None}
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        there = Path(GPU_DEVICE).exists() or error.value == pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH
        return [], driver | {"fault": f"its GPUs cannot be reached: {error}" if there else None}
    try:
        driver["version"] = str(pynvml.nvmlSystemGetDriverVersion())
        newest = int(pynvml.nvmlSystemGetCudaDriverVersion())
        driver["cuda"] = f"{newest // 1000}.{newest % 1000 // 10}"
        return [_gpu(pynvml, index) for index in range(pynvml.nvmlDeviceGetCount())], driver
    except pynvml.NVMLError as error:
        return [], driver | {"fault": f"its GPUs cannot be asked: {error}"}
    finally:
        pynvml.nvmlShutdown()


def _gpu(pynvml: Any, index: int) -> dict[str, Any]:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
    return {
        "index": index,
        "name": str(pynvml.nvmlDeviceGetName(handle)),
        "memory_bytes": int(memory.total),
        "free_bytes": int(memory.free),
        "compute": f"{major}.{minor}",
        "bfloat16": major >= 8,
    }


def find_place(use: str, path: Path) -> dict[str, Any]:
    """{use, path, exists, readable, writable, free_bytes} of a folder, or of where it would be made."""
    there = path.expanduser().absolute()
    nearest = next(folder for folder in (there, *there.parents) if folder.exists())
    return {
        "use": use,
        "path": str(there),
        "exists": there.exists(),
        "readable": nearest.is_dir() and os.access(nearest, os.R_OK | os.X_OK),
        "writable": nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK),
        "free_bytes": shutil.disk_usage(nearest).free,
    }
