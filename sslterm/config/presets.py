"""Presets: complete TOML files `presets/<method>/<name>.toml`, in the wheel `sslterm/presets/...`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sslterm.catalog import find_method
from sslterm.errors import UsageError, did_you_mean

BUILT_IN = ("digits", "shapes", "painted", "patterns", "scenes", "sprites")
"""Sources of images that need neither a download nor files of one's own."""


def presets_root() -> Path:
    """Where presets are: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parents[1]
    packaged = package / "presets"
    return packaged if packaged.is_dir() else package.parent / "presets"


def preset_names(method: str) -> list[str]:
    """The presets of a method, those that need no download first.

    Raises:
        UsageError: there is no such method.
    """
    find_method(method)
    names = sorted(path.stem for path in (presets_root() / method).glob("*.toml"))
    return sorted(names, key=lambda name: _needs_download(method, name))


def _needs_download(method: str, name: str) -> bool:
    try:
        return needs_download(read_preset(method, name)[0])
    except UsageError:  # a damaged preset is reported where it is used, and must not hide the others
        return True


def preset_path(method: str, name: str) -> Path:
    """The file of a preset.

    Raises:
        UsageError: there is no such method or preset.
    """
    find_method(method)
    known = sorted(path.stem for path in (presets_root() / method).glob("*.toml"))
    if name not in known:
        raise UsageError(f"{method} has no preset {name!r}", did_you_mean(name, known))
    return presets_root() / method / f"{name}.toml"


def read_preset(method: str, name: str) -> tuple[dict[str, Any], str]:
    """A preset's tables as they are written, and the comment at its head.

    Raises:
        UsageError: there is no such method or preset, or the file is not TOML.
    """
    path = preset_path(method, name)
    return read_toml(path), read_header(path)


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Nothing in it can run.

    Raises:
        UsageError: the file cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not TOML: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "it is not UTF-8 text"
    return (str(error).splitlines() or [type(error).__name__])[0]


def read_header(path: Path) -> str:
    """The comment lines at the head of a preset, without their `#`."""
    lines = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        lines.append(line[1:].removeprefix(" ").rstrip())
    return "\n".join(lines).strip()


def needs_download(table: Mapping[str, Any]) -> bool:
    """Whether a preset needs images that sslterm does not make itself."""
    data = table.get("data")
    return not (isinstance(data, Mapping) and data.get("name") in BUILT_IN)


def default_preset(method: str) -> str:
    """The preset that is taken where none is named: the first that needs no download.

    Raises:
        UsageError: there is no such method, or it has no preset.
    """
    names = preset_names(method)
    if not names:
        raise UsageError(f"{method} has no preset in {presets_root() / method}")
    return names[0]
