"""`train --init`: where the weights are that a training is to begin with."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from sslterm.cli.follow import method_of
from sslterm.cli.output import note
from sslterm.cli.run_facts import checkpoints
from sslterm.errors import DataError
from sslterm.run import launch
from sslterm.run.layout import RunDirectory, find_run
from sslterm.run.worker_client import Worker


def find_initial(text: str, root: Path) -> Path | RunDirectory:
    """The file or the run that `--init` means.

    Raises:
        DataError: there is neither, or the run has no checkpoint.
    """
    path = Path(text).expanduser()
    if path.is_file():
        return path
    if path.suffix in (".safetensors", ".pt", ".pth", ".tar"):
        raise DataError(f"--init {text}: there is no such file")
    run = find_run(text, root)
    if not checkpoints(run):
        raise DataError(f"--init {text}: {run.name} has no checkpoint yet")
    return run


def give_initial(run: RunDirectory, source: Path | RunDirectory, method: str) -> None:
    """Copy the weights of `source` into a new run; it is removed again where they cannot be had.

    Of a run of the same method it is all of them, of any other its encoder.
    """
    try:
        if isinstance(source, Path):
            launch.copy_initial(run, source, str(source.absolute()))
            return
        images = checkpoints(source)[-1]
        origin = f"{source.name} after {images:,} images"
        if method_of(source) == method:
            launch.copy_initial(run, source.checkpoint(images) / "model.safetensors", origin)
            return
        note(f"taking the encoder of {source.name}")
        with tempfile.TemporaryDirectory() as folder, Worker(source, "cpu") as worker:
            answer = worker.ask("export", to="safetensors", out=str(Path(folder) / "export"))
            weights = Path(answer["path"]) / "encoder.safetensors"
            if not weights.exists():
                raise DataError(f"--init {source.name}: it has no encoder")
            launch.copy_initial(run, weights, f"the encoder of {origin}")
    except BaseException:
        shutil.rmtree(run.path, ignore_errors=True)
        raise
