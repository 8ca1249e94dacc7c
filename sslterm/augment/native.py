"""Views by the C++ in views.cpp: compiled on first use, kept in the user's cache, called by ctypes.

The library's file name is a hash of the source, the command and the processor, so that a changed source,
compiler flag or machine (a home directory may be shared by many) never meets a library that was made for
another. Before a library is used, it has to give the same views as eager.py.
"""

from __future__ import annotations

import ctypes
import hashlib
import math
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from importlib import resources
from pathlib import Path

import platformdirs
import torch
from torch import Tensor

from sslterm.augment import eager, filters
from sslterm.augment.table import Table, sample, view_shape
from sslterm.config.schema import ViewConfig

TOLERANCE = 1e-5
"""Largest difference between a view of this backend and of the eager one."""

_COMPILERS = ("c++", "g++", "clang++")
_COMPILE_SECONDS = 120
_FLAGS = (
    "-std=c++17",
    "-O3",
    "-ffp-contract=off",  # the same bits on processors with and without fused multiply-add
    "-fno-math-errno",
    "-fno-trapping-math",
    "-fPIC",
    "-shared",
    "-pthread",
)


class Unavailable(Exception):
    """Why there is no native backend on this machine, in one line."""


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL:
    """The compiled library; compiles it, in a few seconds, where this machine has not done so.

    Raises:
        Unavailable: no compiler, no cache to write to, or a library that does not do what it should.
    """
    path = _library_path()
    try:
        if not path.exists():
            _compile(path)
        loaded = _load(path)
    except (OSError, AttributeError) as error:
        raise Unavailable(f"{path} cannot be made or loaded: {error}") from error
    _check(loaded)
    return loaded


def _load(path: Path) -> ctypes.CDLL:
    try:
        loaded = ctypes.CDLL(str(path))
        loaded.sslterm_views.argtypes = [ctypes.c_void_p] * 3 + [ctypes.c_int64] * 8
        loaded.sslterm_views.restype = ctypes.c_int
    except (OSError, AttributeError):
        path.unlink(missing_ok=True)  # damaged: the next run makes it anew
        raise
    return loaded


def _source() -> str:
    return resources.files("sslterm.augment").joinpath("views.cpp").read_text()


def compiler() -> str:
    """The path of the C++ compiler: the one that CXX names, or the first of the usual names.

    Raises:
        Unavailable: there is none.
    """
    names = (os.environ["CXX"],) if os.environ.get("CXX") else _COMPILERS
    found = next((path for path in map(shutil.which, names) if path), None)
    if found is None:
        raise Unavailable(f"no C++ compiler ({', '.join(names)}) on the PATH")
    return found


def _processor() -> str:
    """What code for this processor may use; "" where that is not known, and then nothing special is used."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith("flags")), "")


def _command(processor: str) -> tuple[str, ...]:
    tuned = ("-march=native",) if processor and platform.machine() == "x86_64" else ()
    return (compiler(), *_FLAGS, *tuned)


def _library_path() -> Path:
    processor = _processor()
    key = "\0".join((_source(), *_command(processor), platform.machine(), processor))
    name = f"views-{hashlib.sha256(key.encode()).hexdigest()[:16]}.so"
    return platformdirs.user_cache_path("sslterm") / "native" / name


def _compile(path: Path) -> None:
    """Make the library next to its place and rename it there, so that no process ever sees half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="compiling-") as folder:
        source, made = Path(folder, "views.cpp"), Path(folder, path.name)
        source.write_text(_source())
        command = [*_command(_processor()), "-o", str(made), str(source)]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise Unavailable(f"{command[0]} took more than {_COMPILE_SECONDS} seconds") from error
        if done.returncode:
            reason = next(
                (line for line in done.stderr.splitlines() if "error" in line), f"exit {done.returncode}"
            )
            raise Unavailable(f"{command[0]} failed: {reason}")
        made.replace(path)


def apply(config: ViewConfig, images: Tensor, table: Table) -> Tensor:
    """The views of `images` [B, C, H, W] float32 that `table` describes, on torch's number of threads.

    Raises:
        Unavailable: see `library`.
    """
    return _call(library(), config, images, table)


def _call(loaded: ctypes.CDLL, config: ViewConfig, images: Tensor, table: Table) -> Tensor:
    images = images.contiguous()
    out = images.new_empty(*images.shape[:2], *view_shape(config, *images.shape[2:]))
    rows = _pack(config, table)
    radius = filters.blur_radius(config.blur_sigma[1], *out.shape[2:]) if config.blur else 0
    views: Callable[..., int] = loaded.sslterm_views
    pointers = (images.data_ptr(), out.data_ptr(), rows.data_ptr())
    if views(*pointers, *images.shape, *out.shape[2:], radius, torch.get_num_threads()):
        raise MemoryError(f"no memory for views of {tuple(images.shape)} images")
    return out


def _pack(config: ViewConfig, table: Table) -> Tensor:
    """[B, 25] float64, the columns of `Row` in views.cpp; what `config` turns off is off in every row."""

    def unless_off(probability: float, column: Tensor) -> Tensor:
        column = column if probability else torch.zeros_like(column)
        return column if column.ndim == 2 else column[:, None]

    columns = (
        table.box,
        table.flip[:, None],
        unless_off(config.rotate, table.turns),
        unless_off(config.jitter, table.jitter),
        table.order,
        table.factors,
        unless_off(config.grey, table.grey),
        unless_off(config.blur, table.sigma),
        unless_off(config.solarize, table.solarize),
        unless_off(config.cutout, table.hole),
        unless_off(config.noise, table.noise),
        table.noise_seed[:, None],
        unless_off(config.sobel, table.sobel),
    )
    return torch.cat([column.double() for column in columns], dim=1)


_EVERYTHING = ViewConfig(
    size=0,
    crop=(0.2, 1.0),
    crop_ratio=(0.75, 1.33),
    flip=0.5,
    rotate=0.5,
    jitter=0.8,
    brightness=0.4,
    contrast=0.4,
    saturation=0.4,
    hue=0.5,
    grey=0.2,
    blur=0.5,
    blur_sigma=(0.1, 2.0),
    solarize=0.5,
    cutout=0.5,
    cutout_size=0.4,
    noise=0.5,
    noise_std=0.1,
    sobel=0.2,
)


def _check(loaded: ctypes.CDLL) -> None:
    """Compare views by all operations with the eager ones; leaves torch's random state as it was."""
    cpu = torch.device("cpu")
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.default_generator.manual_seed(0)
        for channels in (1, 3):
            images = torch.rand(32, channels, 19, 19)
            for config in (_EVERYTHING, replace(_EVERYTHING, size=12)):
                table = sample(config, len(images), 19, 19, device=cpu)
                apart = float(
                    (_call(loaded, config, images, table) - eager.apply(config, images, table)).abs().max()
                )
                if not (math.isfinite(apart) and apart <= TOLERANCE):
                    raise Unavailable(f"the compiled views are {apart:.1g} away from the eager ones")
