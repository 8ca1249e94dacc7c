"""What `sslterm bench` prints with `--json`."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

Precision = Literal["float32", "bfloat16", "float16"]


class BenchMachine(TypedDict):
    processor: str
    cores: Annotated[float, "that this process may use"]
    device: Annotated[str, "what was timed: cpu (2 threads), cuda:0 (NVIDIA H100)"]
    threads: Annotated[int, "of torch on the CPU"]
    torch: str
    sslterm: str


class Timed(TypedDict):
    """The training step in one precision; numbers are null where there is a fault, or an interrupt came first."""

    precision: Precision
    compile: Annotated[bool, "by torch.compile, as train.compile asks for"]
    auto: Annotated[bool, 'what train.precision = "auto" takes on this machine']
    taken: Annotated[bool, "what the preset is trained in"]
    images_per_second: Annotated[float | None, "median over turns"]
    ms_per_step: Annotated[float | None, "median over turns"]
    ms_quartiles: Annotated[list[float] | None, "the first and the third, over turns"]
    turns: Annotated[int, "walks through the training, one precision after the other"]
    steps: Annotated[int, "of all turns"]
    memory_bytes: Annotated[int | None, "of a CUDA device, most in use; null elsewhere"]
    preset_seconds: Annotated[
        float | None, "the whole training at this rate, without evaluations, panels and checkpoints"
    ]
    fault: Annotated[str, 'why it could not be timed; "" where it was']


class StepPart(TypedDict):
    part: Literal["batch", "views", "loss", "gradient", "optimizer", "method"]
    about: str
    share: Annotated[float, "of the step; in all they are 1"]
    ms: float


class StepAt(TypedDict):
    progress: Annotated[float, "share of the training that is done"]
    ms_per_step: float


class Measured(TypedDict):
    """A preset that was timed."""

    method: str
    preset: str
    data: str
    shape: Annotated[list[int], "of an image, [C, H, W]; of a clip, [T, C, H, W]"]
    batch: int
    total_images: Annotated[int, "length of the training"]
    epochs: int
    parameters: int
    precision_asked: Annotated[Literal["auto", "float32", "bfloat16", "float16"], "train.precision"]
    precision_auto: Precision
    epoch_begins_seconds: Annotated[
        float, "what happens before every epoch, such as clustering; in the total"
    ]
    timings: list[Timed]
    parts: Annotated[list[StepPart], "where the time of a step goes; empty where several methods are timed"]
    course: Annotated[list[StepAt], "the step over the training"]
    varies: Annotated[bool, "it clearly takes longer at some of these points than at others"]
    process_bytes: Annotated[int | None, "most memory of the process so far, torch and the data included"]
    others_share: Annotated[float, "of the machine's processors, that other processes kept busy meanwhile"]
    interrupted: Annotated[bool, "ended early: fewer turns"]


class NotMeasured(TypedDict):
    method: str
    preset: str
    error: str


class Benched(TypedDict):
    """How fast methods train on a machine."""

    machine: BenchMachine
    methods: list[Measured | NotMeasured]
    interrupted: Annotated[bool, "ended early: methods may be missing"]
