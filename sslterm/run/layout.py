"""Where things are in a run directory, how one is made and found.

runs/<method>-<preset>-<n>/
  config.toml     resolved and complete, written once: the only input to `resume`
  meta.json       versions, commit, host, device, command line
  status.json     what the trainer is doing; its heartbeat
  metrics.jsonl   append-only, one line a point in time
  events.jsonl    append-only, what happened
  results.jsonl   append-only, what was measured of checkpoints afterwards
  initial.safetensors or .pt   weights that the training began with, where it was given some
  panels/<name>/<images>.npz and .png
  checkpoints/<images>/
  control/<id>.json   what readers ask of the trainer
  tensorboard/    where it is, the trainer mirrors metrics and panels into it
  trainer.log     what the trainer printed
  .lock           held by the trainer while it lives
"""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

from sslterm.errors import DataError, UsageError, did_you_mean
from sslterm.run.status import read_status

ENVIRONMENT = "SSLTERM_RUNS"
"""Names the folder of all runs."""

NEWEST = "last"
"""What the newest run is called on a command line."""

INITIAL, INITIAL_SUFFIXES = "initial", (".safetensors", ".pt")
"""Name of given weights: a file of safetensors, or one that torch.save wrote, read without running code."""

_LONGEST_NAME = 100
_CANDIDATES_SHOWN = 8


@dataclass(frozen=True)
class RunDirectory:
    """The paths of one run."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.resolve().name

    @property
    def config(self) -> Path:
        return self.path / "config.toml"

    @property
    def meta(self) -> Path:
        return self.path / "meta.json"

    @property
    def status(self) -> Path:
        return self.path / "status.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def results(self) -> Path:
        return self.path / "results.jsonl"

    @property
    def panels(self) -> Path:
        return self.path / "panels"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def initial(self) -> Path | None:
        """Weights that the training begins with, where it was given some."""
        paths = (self.path / f"{INITIAL}{suffix}" for suffix in INITIAL_SUFFIXES)
        return next((path for path in paths if path.exists()), None)

    @property
    def control(self) -> Path:
        return self.path / "control"

    @property
    def tensorboard(self) -> Path:
        return self.path / "tensorboard"

    @property
    def log(self) -> Path:
        return self.path / "trainer.log"

    def panel(self, name: str, images: int, suffix: str = ".npz") -> Path:
        """The panel `name` as it was after `images` training images: data (.npz) or picture (.png)."""
        return self.panels / name / f"{images}{suffix}"

    def checkpoint(self, images: int) -> Path:
        """The checkpoint folder after `images` training images."""
        return self.checkpoints / str(images)


def runs_root(flag: Path | None = None) -> Path:
    """The folder of all runs: what was given, else SSLTERM_RUNS, else ./runs."""
    return (flag or Path(os.environ.get(ENVIRONMENT) or "runs")).expanduser()


def create_run(root: Path, method: str, preset: str, name: str | None = None) -> RunDirectory:
    """Make a new, empty run directory: `name`, or `<method>-<preset>-<n>` with the next free n.

    Processes that ask at the same moment get different directories.

    Raises:
        UsageError: the name is taken or cannot be one.
        DataError: the folder of runs cannot be written to.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        if name is not None:
            check_name(name)
            (root / name).mkdir()
            return RunDirectory(root / name)
        stem = f"{method}-{_file_safe(preset)}-"
        number = 1 + max((_number_after(stem, entry.name) for entry in os.scandir(root)), default=0)
        while True:
            try:
                (root / f"{stem}{number}").mkdir()
            except FileExistsError:
                number += 1
            else:
                return RunDirectory(root / f"{stem}{number}")
    except FileExistsError as error:
        if name is None or not (root / name).exists():
            raise DataError(
                f"{root} is not a folder", f"choose another with --runs or {ENVIRONMENT}"
            ) from error
        raise UsageError(
            f"there is a run {name!r} in {root} already",
            "choose another --name, or go on with it: sslterm resume " + name,
        ) from error
    except OSError as error:
        raise DataError(
            f"cannot make a run in {root}: {error.strerror}",
            f"choose another folder with --runs or {ENVIRONMENT}",
        ) from error


def check_name(name: str) -> None:
    """Raise UsageError where a run cannot be called `name`."""
    if name == NEWEST:
        raise UsageError(
            f"a run cannot be called {NEWEST!r}: that means the newest run", "choose another --name"
        )
    if not re.fullmatch(r"\w[\w.+-]*", name) or len(name.encode()) > _LONGEST_NAME:
        raise UsageError(
            f"a run cannot be called {name!r}",
            f"letters, digits and . _ + - make a name, of at most {_LONGEST_NAME} bytes",
        )


def _file_safe(text: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", Path(text).stem if "/" in text else text)


def _number_after(stem: str, name: str) -> int:
    """n of `<stem><n>`, 0 for other names."""
    number = name.removeprefix(stem)
    return (
        int(number)
        if name.startswith(stem) and number.isdecimal() and number.isascii() and len(number) < 10
        else 0
    )


def is_run(path: Path) -> bool:
    """Whether a folder looks like a run directory."""
    return (path / "config.toml").is_file() or (path / "status.json").is_file()


def list_runs(root: Path) -> list[RunDirectory]:
    """All runs in `root`, newest start first; [] where there is no such folder."""
    try:
        folders = [
            Path(entry.path)
            for entry in os.scandir(root)
            if entry.is_dir() and not entry.name.startswith(".")
        ]
        runs = [RunDirectory(folder) for folder in folders if is_run(folder)]
    except OSError:
        return []
    return sorted(runs, key=lambda run: (started_at(run), _number_at_end(run.name), run.name), reverse=True)


def started_at(run: RunDirectory) -> float:
    """Unix time at which a run was last started; where its status does not say, at which it was made."""
    status = read_status(run.status)
    if status is not None and status.started > 0:
        return status.started
    for path in (run.config, run.path):
        try:
            return path.stat().st_mtime
        except OSError:
            continue
    return -math.inf


def _number_at_end(name: str) -> int:
    match = re.search(r"([0-9]{1,9})$", name)
    return int(match[1]) if match else 0


def find_run(text: str, root: Path) -> RunDirectory:
    """The run that `text` means: its name, a prefix that no other run shares, a path, or "last".

    Raises:
        DataError: there is no such run.
        UsageError: several runs begin like this.
    """
    runs = list_runs(root)
    if text == NEWEST:
        if not runs:
            raise DataError(f"there are no runs in {root}", "start one: sslterm train vae --preset digits")
        return runs[0]
    exact = [run for run in runs if run.path.name == text]
    if exact:
        return exact[0]
    path = Path(text).expanduser()
    if _names_a_folder(text, path):
        if not is_run(path):
            raise DataError(f"{text} is not a run directory: it has no config.toml", _hint(text, runs))
        return RunDirectory(path)
    begin = [run for run in runs if text and run.path.name.startswith(text)]
    if len(begin) > 1:
        shown = [run.path.name for run in begin[:_CANDIDATES_SHOWN]]
        more = f" and {len(begin) - len(shown)} more" if len(begin) > len(shown) else ""
        raise UsageError(f"{text!r} could be {', '.join(shown)}{more}", "give more of the name")
    if not begin:
        raise DataError(f"there is no run {text!r} in {root}", _hint(text, runs))
    return begin[0]


def _names_a_folder(text: str, path: Path) -> bool:
    try:
        return bool(text) and path.is_dir()
    except (OSError, ValueError):
        return False


def _hint(text: str, runs: list[RunDirectory]) -> str:
    names = [run.path.name for run in runs]
    hint = did_you_mean(text, names)
    if hint.startswith("there is:") and len(names) > _CANDIDATES_SHOWN:
        return "there is: " + ", ".join(names[:_CANDIDATES_SHOWN]) + ", ...; all of them: sslterm runs list"
    return hint or "start one: sslterm train vae --preset digits"
