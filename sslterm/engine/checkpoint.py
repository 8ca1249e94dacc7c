"""Checkpoints: whole or absent, verified when read, and unable to run code.

    checkpoints/<images>/model.safetensors   parameters and buffers
                         trainer.pt          optimizers, clocks, random state; read with weights_only=True
                         manifest.json       format, step, images, and the sha256 of both files; written last

A checkpoint is written to a hidden folder, flushed to disk, and renamed.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from sslterm.errors import DataError
from sslterm.run.files import draft_of
from sslterm.run.layout import RunDirectory

FORMAT = 1
"""Raised when what is written changes so that older versions cannot read it."""

MODEL, TRAINER, MANIFEST = "model.safetensors", "trainer.pt", "manifest.json"


class DamagedError(DataError):
    """A checkpoint that is not what was written."""


@dataclass(frozen=True)
class Checkpoint:
    """A verified checkpoint."""

    path: Path
    step: int
    images: int

    def model_state(self) -> dict[str, Tensor]:
        """Parameters and buffers, on the CPU."""
        try:
            return load_file(self.path / MODEL)
        except (OSError, SafetensorError) as error:
            raise DamagedError(f"cannot read {self.path / MODEL}: {error}") from error

    def trainer_state(self) -> dict[str, Any]:
        """What resuming needs besides the weights. Pickled code is refused."""
        try:
            state = torch.load(self.path / TRAINER, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, pickle.UnpicklingError, EOFError, zipfile.BadZipFile) as error:
            raise DamagedError(f"cannot read {self.path / TRAINER}: {type(error).__name__}") from error
        assert isinstance(state, dict)
        return state


def save_checkpoint(
    run: RunDirectory,
    *,
    step: int,
    images: int,
    model: Mapping[str, Tensor],
    trainer: Mapping[str, Any],
    keep: int,
) -> Path:
    """Write a checkpoint and drop all but the newest `keep`.

    Raises:
        OSError: the disk is full or read-only; earlier checkpoints are untouched.
    """
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    target = run.checkpoint(images)
    draft, grave = draft_of(target), draft_of(target)
    draft.mkdir()
    try:
        tensors = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in model.items()}
        save_file(tensors, draft / MODEL)
        torch.save(dict(trainer), draft / TRAINER)
        manifest = {
            "format": FORMAT, "step": step, "images": images,
            "sha256": {name: _digest(draft / name) for name in (MODEL, TRAINER)},
        }  # fmt: skip
        (draft / MANIFEST).write_text(json.dumps(manifest, indent=1))
        for name in (MODEL, TRAINER, MANIFEST):
            _flush(draft / name)
        if target.exists():  # the same point of an earlier try, out of the way until the new one stands
            os.replace(target, grave)
        os.replace(draft, target)
        _flush(run.checkpoints)
    except torch.OutOfMemoryError:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    except (
        RuntimeError,
        SafetensorError,
    ) as error:  # how torch and safetensors report a full disk, among others
        needed = sum(tensor.nbytes for tensor in model.values())
        full = (
            shutil.disk_usage(run.checkpoints).free < 4 * needed
        )  # of which the optimizer takes two or three
        shutil.rmtree(draft, ignore_errors=True)
        said = f"could not write the checkpoint: {error}".splitlines()[0]
        raise OSError(errno.ENOSPC if full else errno.EIO, said, str(target)) from error
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    shutil.rmtree(grave, ignore_errors=True)
    for images_of_old in list_checkpoints(run)[:-keep]:
        _discard(run.checkpoint(images_of_old))
    return target


def list_checkpoints(run: RunDirectory) -> list[int]:
    """Image counts of the checkpoints there are, oldest first; not verified."""
    if not run.checkpoints.is_dir():
        return []
    return sorted(
        int(path.name) for path in run.checkpoints.iterdir() if path.name.isdigit() and path.is_dir()
    )


def open_checkpoint(run: RunDirectory, images: int) -> Checkpoint:
    """Verify the checkpoint at `images`.

    Raises:
        DamagedError: a file is missing or not what was written.
        DataError: it comes from a newer version.
    """
    path = run.checkpoint(images)
    try:
        manifest = json.loads((path / MANIFEST).read_text())
        written_format, digests = int(manifest["format"]), dict(manifest["sha256"])
        step = int(manifest["step"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"the checkpoint {path} is damaged: {MANIFEST} is unreadable") from error
    if written_format > FORMAT:
        raise DataError(
            f"the checkpoint {path} was written by a newer version (format {written_format}, this one reads {FORMAT})",
            "update with: pip install --upgrade sslterm",
        )
    for name in (MODEL, TRAINER):
        try:
            same = _digest(path / name) == digests.get(name)
        except OSError:
            same = False
        if not same:
            raise DamagedError(f"the checkpoint {path} is damaged: {name} is not what was written")
    return Checkpoint(path, step, images)


def newest_checkpoint(run: RunDirectory) -> tuple[Checkpoint | None, list[str]]:
    """The newest checkpoint that is whole (None if there has been none yet), and what was wrong with newer ones.

    Raises:
        DataError: there are checkpoints, and none is whole; or the newest comes from a newer version.
    """
    complaints: list[str] = []
    for images in reversed(list_checkpoints(run)):
        try:
            return open_checkpoint(run, images), complaints
        except DamagedError as error:
            complaints.append(error.message)
    if complaints:
        raise DataError(
            f"no checkpoint of {run.name} is whole: {complaints[0]}", f"start anew; see {run.path}"
        )
    return None, complaints


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _discard(path: Path) -> None:
    """Remove a checkpoint so that a half-removed one is never taken for a damaged one."""
    grave = draft_of(path)
    os.replace(path, grave)
    shutil.rmtree(grave, ignore_errors=True)
