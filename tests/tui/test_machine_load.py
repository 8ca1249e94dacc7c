"""What the list of runs says of the machine."""

from __future__ import annotations

from types import SimpleNamespace

import psutil
import pynvml
import pytest

from sslterm.tui.machine_load import MachineLoad


def put_gpus(monkeypatch: pytest.MonkeyPatch, count: int, **answers: object) -> None:
    about = SimpleNamespace(used=18.2e9, total=139e9)
    told = {
        "nvmlInit": lambda: None,
        "nvmlDeviceGetCount": lambda: count,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetName": lambda handle: b"NVIDIA H200",
        "nvmlDeviceGetUtilizationRates": lambda handle: SimpleNamespace(gpu=71 + handle),
        "nvmlDeviceGetMemoryInfo": lambda handle: about,
        "nvmlDeviceGetPowerUsage": lambda handle: 412_300,
    }
    for name, answer in (told | answers).items():
        monkeypatch.setattr(pynvml, name, answer)


def refuse(*arguments: object) -> None:
    raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)


def test_one_gpu_has_its_name_where_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    put_gpus(monkeypatch, 1)
    assert MachineLoad().texts(working=True) == [
        "GPU 0 NVIDIA H200 71 % 18.2/139 GB 412 W",
        "GPU 0 71 % 18.2/139 GB 412 W",
        "GPU 0 71 %",
    ]
    assert MachineLoad().texts(working=False)[1] == "GPU 0 71 % 18.2/139 GB"  # its watts waver by themselves


def test_several_gpus_are_taken_together(monkeypatch: pytest.MonkeyPatch) -> None:
    put_gpus(monkeypatch, 3)
    assert MachineLoad().texts(working=True)[0] == "3 GPUs 72 % 54.6/417 GB 1237 W"


def test_a_part_of_a_gpu_tells_less(monkeypatch: pytest.MonkeyPatch) -> None:
    put_gpus(monkeypatch, 1, nvmlDeviceGetUtilizationRates=refuse, nvmlDeviceGetPowerUsage=refuse)
    assert MachineLoad().texts(working=True)[0] == "GPU 0 NVIDIA H200 18.2/139 GB"


def test_without_a_gpu_it_is_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pynvml, "nvmlInit", refuse)
    monkeypatch.setattr(psutil, "cpu_percent", lambda: 37.4)
    memory = SimpleNamespace(total=16.8e9, available=11.7e9)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    load = MachineLoad()
    assert load.texts(working=True) == ["CPU  37 % · memory 5.1/16.8 GB", "CPU  37 %"]
    assert list(load.texts(working=False)) == []
