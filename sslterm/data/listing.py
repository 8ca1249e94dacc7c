"""Which image files a folder holds, and what their places say: splits and classes. Imports no torch."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sslterm.data.decode import SUFFIXES
from sslterm.errors import DataError, UsageError

TRAIN_FOLDERS = ("train", "training")
TEST_FOLDERS = ("test", "testing", "val", "valid", "validation")
"""In order of preference."""


@dataclass(frozen=True, order=True)
class File:
    """A file below a folder.

    Attributes:
        path: relative, with "/".
        bytes: its size.
        changed: when it was last changed, in nanoseconds.
        at: where it lies, for what is kept elsewhere (frames of a video); "" is below the folder.
    """

    path: str
    bytes: int
    changed: int
    at: str = ""

    def below(self, folder: str) -> File:
        """The same file, seen from one of the folders above it."""
        return replace(self, path=self.path.removeprefix(f"{folder}/"))

    def within(self, folder: str) -> File:
        """The same file, seen from the folder that `folder` lies in; "" is that folder itself."""
        return replace(self, path=f"{folder}/{self.path}" if folder else self.path)

    def place(self, root: Path) -> Path:
        """Where it lies, seen from the folder `root`."""
        return Path(self.at) if self.at else root / self.path


def open_folder(text: str, *, setting: str = "data.path") -> Path:
    """The folder that a setting names.

    Raises:
        UsageError: it names none.
        DataError: there is none of that name.
    """
    if not text:
        raise UsageError(f'{setting} = "": name the folder', "--data PATH, or --set data.path=PATH")
    root = Path(text).expanduser().absolute()
    if not root.exists():
        raise DataError(f"{root}: no such folder", f"{setting} names the folder of images")
    if not root.is_dir():
        raise DataError(f"{root} is a file, not a folder", f"{setting} names the folder of images")
    return root


def list_images(root: Path) -> list[File]:
    """All image files below `root`, by their suffix, in natural order; hidden ones are left out.

    Raises:
        DataError: a folder cannot be read, or there is no image.
    """
    files = list_files(root, SUFFIXES)
    if not files:
        raise DataError(
            f"{root} has no images", "images are recognised by their suffix: .jpg, .png, .webp, .tif, ..."
        )
    return files


def list_files(root: Path, suffixes: Collection[str]) -> list[File]:
    """All files below `root` with one of `suffixes` (in lower case), in natural order; hidden ones are left out.

    Raises:
        DataError: a folder cannot be read.
    """
    try:
        files = list(_walk(root, "", {_identity(root.stat())}, suffixes))
    except OSError as error:
        raise DataError(f"cannot read {error.filename or root}: {error.strerror}") from error
    return sorted(files, key=lambda file: natural(file.path))


def natural(path: str) -> list[tuple[int, int, str]]:
    """A sort key by which frame2 comes before frame10."""
    return [
        (0, int(part), part) if part.isdigit() and part.isascii() else (1, 0, part)
        for part in re.split(r"([0-9]+)", path)
    ]


def _walk(
    folder: Path, prefix: str, above: set[tuple[int, int]], suffixes: Collection[str]
) -> Iterator[File]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                here = _identity(entry.stat())
                if here not in above:
                    yield from _walk(Path(entry.path), f"{prefix}{entry.name}/", above | {here}, suffixes)
            elif os.path.splitext(entry.name)[1].lower() in suffixes and entry.is_file():
                about = entry.stat()
                yield File(prefix + entry.name, about.st_size, about.st_mtime_ns)


def _identity(about: os.stat_result) -> tuple[int, int]:
    return (about.st_dev, about.st_ino)


def class_names(paths: Sequence[str]) -> tuple[str, ...]:
    """Names of the top folders, sorted, where all files lie in them and there are two or more; else none."""
    tops = {path.partition("/")[0] if "/" in path else "" for path in paths}
    return tuple(sorted(tops)) if len(tops) >= 2 and "" not in tops else ()


def class_of(path: str, names: Sequence[str]) -> int:
    """The label of a file: which of `names` its top folder is; -1 where there are none."""
    return names.index(path.partition("/")[0]) if names else -1


@dataclass(frozen=True)
class Division:
    """Files as the folder divides them.

    Attributes:
        train, test: names of the folders, "" for the whole.
        train_files, test_files: paths as seen from there; no `test_files` where nothing is set apart.
        left_out: files in neither.
    """

    train: str
    test: str
    train_files: list[File]
    test_files: list[File]
    left_out: int = 0


def divide(files: Sequence[File]) -> Division:
    """Use `train` and `test` (or `val`, `valid`, ...) folders where there are both.

    Of several that could be held out, the first of `TEST_FOLDERS` that has classes where `train` does.
    """
    tops: dict[str, list[File]] = {}
    for file in files:
        top, slash, _ = file.path.partition("/")
        tops.setdefault(top if slash else "", []).append(file)

    def those(names: Sequence[str]) -> list[str]:
        return sorted((top for top in tops if top.lower() in names), key=lambda top: names.index(top.lower()))

    train, tests = next(iter(those(TRAIN_FOLDERS)), None), those(TEST_FOLDERS)
    if train is None or (not tests and len(tops) > 1):
        return Division("", "", list(files), [])
    train_files = [file.below(train) for file in tops[train]]
    if not tests:
        return Division(train, train, train_files, [])
    has_classes = bool(class_names([file.path for file in train_files]))
    candidates = {test: [file.below(test) for file in tops[test]] for test in tests}
    test = next(
        (
            test
            for test, held in candidates.items()
            if bool(class_names([file.path for file in held])) == has_classes
        ),
        tests[0],
    )
    used = len(train_files) + len(candidates[test])
    return Division(train, test, train_files, candidates[test], len(files) - used)
