"""What `sslterm doctor` prints with `--json`."""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict


class Python(TypedDict):
    version: str
    executable: str


class Torch(TypedDict):
    """Read without importing it; null where it is not there."""

    version: str | None
    cuda: Annotated[str | None, "the CUDA that it was built for"]
    hip: Annotated[str | None, "the ROCm that it was built for"]


class Processor(TypedDict):
    name: str
    cores: int
    usable: Annotated[float, "cores that this process may use"]
    features: list[str]
    bfloat16: Annotated[bool, "in hardware"]


class Threads(TypedDict):
    asked: Annotated[str | None, "OMP_NUM_THREADS"]
    torch: Annotated[int, "threads that torch will start"]


class Memory(TypedDict):
    total_bytes: int
    available_bytes: int


class Gpu(TypedDict):
    index: int
    name: str
    memory_bytes: int
    free_bytes: int
    compute: Annotated[str, "compute capability"]
    bfloat16: Annotated[bool, "in hardware"]


class Driver(TypedDict):
    """NVIDIA's."""

    version: Annotated[str, '"" where there is none']
    cuda: Annotated[str | None, "the newest CUDA that it runs"]
    fault: Annotated[str | None, "why its GPUs cannot be reached"]


class Place(TypedDict):
    use: Literal["runs", "data", "cache"]
    path: str
    exists: bool
    readable: bool
    writable: bool
    free_bytes: int


class SharedMemory(TypedDict):
    """/dev/shm."""

    total_bytes: int
    free_bytes: int


class Graphics(TypedDict):
    """What the terminal said of pictures."""

    asked: bool
    answered: bool
    kitty: bool
    sixel: bool
    cell_width: int | None
    cell_height: int | None
    extra: Annotated[str | None, "version of textual-image"]


class TmuxLine(TypedDict):
    line: Annotated[str, "for tmux.conf"]
    reason: str


class Terminal(TypedDict):
    tty: bool
    width: int
    height: int
    term: str
    colors: Literal["truecolor", "256", "none"]
    colors_why: str
    unicode: Annotated[bool, "Python writes UTF-8"]
    locale: Annotated[str, "LC_ALL, LC_CTYPE or LANG"]
    no_color: bool
    theme: Annotated[str | None, "null where SSLTERM_THEME names none"]
    theme_why: str
    graphics: Graphics
    ssh: bool
    tmux: Annotated[dict[str, str] | None, "its settings; null outside of it"]
    tmux_lines: Annotated[list[TmuxLine], "what its configuration lacks"]


class Problem(TypedDict):
    level: Annotated[Literal["error", "warning", "hint"], "an error keeps training from working"]
    where: str
    what: str
    remedy: str


class Examined(TypedDict):
    """A machine and a terminal, and what is wrong with them."""

    sslterm: str
    python: Python
    torch: Torch
    packages: dict[str, str | None]
    processor: Processor
    threads: Threads
    memory: Memory
    shared_memory: SharedMemory | None
    gpus: list[Gpu]
    driver: Driver
    places: list[Place]
    terminal: Terminal
    environment: dict[str, str]
    problems: list[Problem]
