"""What the header says of the machine."""

from __future__ import annotations

import os
import socket
from types import SimpleNamespace

import pynvml
import pytest

from sslterm.run.status import Status
from sslterm.tui.load import Load


def status(device: str = "cpu (2 threads)", **fields: object) -> Status:
    about: dict[str, object] = {"pid": os.getpid(), "host": socket.gethostname(), "device": device}
    return Status(**{**about, **fields})  # type: ignore[arg-type]


def test_processor_and_memory_of_a_trainer_at_work() -> None:
    load = Load()
    load.parts(status(), working=True)  # the first reading has nothing to compare with
    (_, device), (_, cpu) = load.parts(status(), working=True)
    assert device == "cpu"
    assert cpu.startswith("CPU ")
    assert " % " in cpu
    assert cpu.endswith("B")


@pytest.mark.parametrize(
    ("about", "working"),
    [
        (status(), False),
        (status(host="elsewhere"), True),
        (status(pid=2**22 + 1), True),
        (status(pid=-1), True),
    ],
)
def test_only_the_device_of_one_that_cannot_be_asked(about: Status, working: bool) -> None:
    load = Load()
    for _ in range(2):
        assert load.parts(about, working=working) == [(2, "cpu")]


def test_nothing_before_there_is_a_status() -> None:
    assert Load().parts(None, working=True) == []


def test_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        "nvmlInit": lambda: None,
        "nvmlDeviceGetCount": lambda: 2,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetName": lambda handle: f"GPU of number {handle}",
        "nvmlDeviceGetUtilizationRates": lambda handle: SimpleNamespace(gpu=71),
        "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(used=18.2e9, total=139e9),
        "nvmlDeviceGetPowerUsage": lambda handle: 411_300 + 1000 * handle,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(pynvml, name, answer)
    parts = Load().parts(status("cuda:1"), working=True)
    assert [text for _, text in parts] == ["cuda:1", "GPU  71 % 18.2 GB 412 W"]


def test_a_machine_without_nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", missing)
    load = Load()
    assert [text for _, text in load.parts(status("cuda"), working=True)] == ["cuda"]
