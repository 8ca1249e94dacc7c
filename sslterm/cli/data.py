"""`sslterm data`: what there is to train on, fetching it, and looking whether it can be read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sslterm.cli.complete import complete_source
from sslterm.cli.group import new_group
from sslterm.cli.options import AsJson
from sslterm.cli.output import note, print_fields, print_json, print_table
from sslterm.config.schema import ClipConfig, DataConfig
from sslterm.data.catalog import SOURCES, Entry, data_root
from sslterm.errors import DataError, UsageError, did_you_mean
from sslterm.render.quantity import memory, whole

if TYPE_CHECKING:
    from sslterm.data.source import Source, Split

FOLDER_SIDE = 64
"""Pixels a side that the images of a folder are brought to where no size is asked for."""

app = new_group(
    "List, fetch and check data sets; alone it lists them.",
    "sslterm data                        list them",
    "sslterm data check ~/pictures       look at a folder of yours",
)


@app.callback()
def start(ctx: typer.Context) -> None:
    """List, fetch and check data sets; alone it lists them."""
    if ctx.invoked_subcommand is None:
        show_list()


@app.command("list", short_help="List the data that can be named.")
def show_list(
    as_json: AsJson = False,
) -> None:
    """List the data that presets and --data can name.

    \b
    Examples:
      sslterm data list
      sslterm data list --json
    """
    if as_json:
        print_json([_describe(entry) for entry in SOURCES.values()])
        return
    rows = [
        (
            entry.name,
            whole(entry.train) if entry.train else "",
            whole(entry.test) if entry.test else "",
            f"{entry.side}x{entry.side}" if entry.side else "",
            {0: "", 1: "grey", 3: "colour"}[entry.channels],
            _state(entry),
            entry.description,
        )
        for entry in SOURCES.values()
    ]
    header = ("NAME", "TRAIN", "TEST", "SIZE", "COLOUR", "STATE", "ABOUT")
    print_table(header, rows, right=("TRAIN", "TEST", "SIZE"))
    note(f"downloads are kept in {data_root()} (set SSLTERM_DATA to move them)")


def _state(entry: Entry) -> str:
    if entry.takes_path:
        return "your own"
    if not entry.needs_download:
        return "built in"
    return "ready" if entry.is_ready else f"fetch {memory(entry.download_bytes)}"


def _describe(entry: Entry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "kind": entry.kind,
        "description": entry.description,
        "side": entry.side,
        "channels": entry.channels,
        "train": entry.train,
        "test": entry.test,
        "classes": list(entry.class_names),
        "needs_download": entry.needs_download,
        "download_bytes": entry.download_bytes,
        "takes_path": entry.takes_path,
        "is_ready": entry.is_ready,
        "licence": entry.licence,
        "citation": entry.citation,
    }


@app.command("get", short_help="Fetch data sets now.")
def get(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME", help="What to fetch.", autocompletion=complete_source)
    ],
    as_json: AsJson = False,
) -> None:
    """Fetch data sets now, verify them, and read them once.

    \b
    Examples:
      sslterm data get mnist
      sslterm data get mnist cifar10
    """
    results = []
    for entry in [_find(name) for name in names]:
        if entry.takes_path:
            raise UsageError(f"{entry.name} is a folder of yours", "check it: sslterm data check FOLDER")
        train, test = entry.train, entry.test
        if entry.needs_download:
            source = _load(entry, path="", size=0)
            train, test = len(source.train), len(source.test)
        else:
            note(f"{entry.name} is built in: there is nothing to fetch")
        path = str(data_root()) if entry.needs_download else None
        results.append({"name": entry.name, "path": path, "train": train, "test": test})
        if not as_json:
            print_fields([(entry.name, f"{whole(train)} to train on, {whole(test)} held out")])
    if as_json:
        print_json(results)


@app.command("check", short_help="Read data as training would; what is in it?")
def check(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FOLDER", help="A data set, or a folder.", autocompletion=complete_source
        ),
    ],
    size: Annotated[
        int | None,
        typer.Option(min=1, help=f"Side in pixels; otherwise the data's own, {FOLDER_SIDE} for a folder."),
    ] = None,
    clips: Annotated[
        bool, typer.Option("--clips", help="It is a video, or a folder of folders of frames.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Read a data set or a folder as training would, and say what is in it and what was skipped.

    Reading a data set that has not been fetched yet fetches it.

    \b
    Examples:
      sslterm data check digits
      sslterm data check ~/pictures --size 32
    """
    entry, path = _source_or_folder(name, clips=clips)
    side = size if size is not None else FOLDER_SIDE if path else 0
    found = _summary(_load(entry, path=path, size=side), entry, path)
    if as_json:
        print_json(found)
        return
    colour = {1: "grey", 3: "colour"}.get(found["channels"], f"{found['channels']} channels")
    frames = f"clips of {found['frames']} frames, " if found["frames"] else ""
    per_class = ", ".join(f"{one['name']} {one['train'] + one['test']}" for one in found["classes"])
    print_fields(
        [
            ("data", path or entry.name),
            ("to train on", whole(found["train"])),
            ("held out", whole(found["test"])),
            ("images", f"{frames}{found['width']}x{found['height']}, {colour}"),
            ("classes", per_class or "no labels"),
            *(("note", text) for text in found["notes"]),
        ]
    )


def _find(name: str) -> Entry:
    if name not in SOURCES:
        raise UsageError(f"there is no data set {name!r}", did_you_mean(name, SOURCES))
    return SOURCES[name]


def _source_or_folder(name: str, *, clips: bool) -> tuple[Entry, str]:
    """The source that `name` is, or the one that reads it as a folder, with its path."""
    if name in SOURCES and not SOURCES[name].takes_path:
        return SOURCES[name], ""
    path = Path(name).expanduser()
    if path.is_dir() or (clips and path.is_file()):
        return _find("frames" if clips else "folder"), str(path.resolve())
    if "/" in name or name.startswith(("~", ".")) or path.exists():
        raise DataError(f"there is no folder {name}")
    return _find(name), ""


def _load(entry: Entry, *, path: str, size: int) -> Source:
    from sslterm.data.source import load_source  # imports torch

    section: dict[str, Any] = {
        "name": entry.name, "path": path, "size": size, "train_images": 0, "test_images": 0, "seed": 0
    }  # fmt: skip
    if entry.kind == "clips":
        return load_source(ClipConfig(**section, frames=4, stride=1, motion=1.0))
    return load_source(DataConfig(**section))


def _summary(source: Source, entry: Entry, path: str) -> dict[str, Any]:
    *above, channels, height, width = source.train.images.shape
    train, test = _count(source.train), _count(source.test)
    return {
        "name": entry.name,
        "path": path or None,
        "train": len(source.train),
        "test": len(source.test),
        "channels": channels,
        "height": height,
        "width": width,
        "frames": above[1] if len(above) > 1 else 0,
        "labelled": sum(train.values()) + sum(test.values()),
        "classes": [
            {"name": name, "train": train[index], "test": test[index]}
            for index, name in enumerate(source.class_names)
        ],
        "notes": list(source.notes),
    }


def _count(split: Split) -> Counter[int]:
    """How many images have each label; those without one are not counted."""
    return Counter(label for label in split.labels.tolist() if label >= 0)
