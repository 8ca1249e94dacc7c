"""From a preset and the changes asked for to the experiment that is run."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from sslterm.config.override import apply_overrides, merge_file
from sslterm.config.presets import read_preset
from sslterm.config.read import parse_experiment, to_table
from sslterm.config.schema import Experiment
from sslterm.errors import DataError, UsageError, did_you_mean


def resolve(
    method: str,
    preset: str,
    *,
    config: Path | None = None,
    overrides: Iterable[str] = (),
    data: str | None = None,
    seed: int | None = None,
    sources: Collection[str] = (),
) -> Experiment:
    """The complete experiment: preset < `config` < `data` and `seed` < `overrides`.

    Args:
        config: a TOML file that changes keys of the preset.
        overrides: `section.key=value`, as given to `--set`.
        data: the name of a source, or a folder; of one that the preset is not made for, all images are taken
            (`data.train_images` and `data.test_images` become 0).
        seed: `run.seed`.
        sources: names that `data` may have; they win over folders of the same name. Empty: any name.

    Raises:
        UsageError: no such method, preset, key or source; a wrong type; out of range.
        DataError: `data` is a path, and there is no such folder.
    """
    table, _ = read_preset(method, preset)
    table = to_table(parse_experiment(table, f"{method}/{preset}"))
    if config is not None:
        table = merge_file(table, config)
    if data is not None:
        table["data"] = _with_data(table["data"], data, sources)
    if seed is not None:
        table["run"]["seed"] = seed
    table = apply_overrides(table, overrides)
    return parse_experiment(table, f"{method}/{preset}")


def _with_data(section: dict[str, Any], data: str, sources: Collection[str]) -> dict[str, Any]:
    """`[data]` with another source: one by name, or a folder (of frames where the preset has clips)."""

    def replaced(name: str, path: str = "") -> dict[str, Any]:
        same = (name, path) == (section["name"], section["path"])
        return (
            section | {"name": name, "path": path} | ({} if same else {"train_images": 0, "test_images": 0})
        )

    if data in sources:
        return replaced(data)
    path = Path(data).expanduser()
    if path.is_dir():
        return replaced("frames" if "frames" in section else "folder", str(path.resolve()))
    if path.is_file() and "frames" in section:  # a video
        return replaced("frames", str(path.resolve()))
    if path.exists():
        raise DataError(f"--data {data}: it is a file, and a folder of images is needed")
    if "/" in data or data.startswith((".", "~")):
        raise DataError(f"--data {data}: there is no such folder")
    if sources:
        raise UsageError(
            f"--data {data}: there is neither a source nor a folder of that name", did_you_mean(data, sources)
        )
    return replaced(data)
