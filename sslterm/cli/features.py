"""`sslterm embed` and `neighbors`: the features of a trained encoder, as a file and as a search."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sslterm.cli.asking import Checkpoint, Out, absolute, all_absolute, ask, named_or_absolute
from sslterm.cli.complete import complete_source
from sslterm.cli.options import AsJson, Device, Root, RunName
from sslterm.cli.output import print_json, print_line, print_table
from sslterm.cli.preview import Preview
from sslterm.data.catalog import SOURCES

Data = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|PATH", help="Another data set, or any folder.", autocompletion=complete_source
    ),
]
Which = Annotated[Literal["all", "train", "test"], typer.Option("--split", help="all, train or test.")]


def embed(
    run: RunName,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FILE", help="A .npz, .safetensors or .parquet; or a folder."),
    ],
    data: Data = None,
    layer: Annotated[
        str | None, typer.Option(metavar="NAME", help="A layer; else what the method encodes to.")
    ] = None,
    split: Which = "all",
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    runs: Root = None,
    as_json: AsJson = False,
) -> None:
    """Write the features of all images: features [N, D], label, held_out, index, and file for folders.

    \b
    Examples:
      sslterm embed last --out features.npz
      sslterm embed last --data ~/pictures --out pictures.parquet
      sslterm embed last --layer stage3 --split test --out stage3.safetensors
    """
    with Preview() as preview:
        answer = ask(
            run, runs, device, checkpoint, preview, "features",
            out=absolute(out), data=named_or_absolute(data, SOURCES), layer=layer, split=split,
        )  # fmt: skip
    if as_json:
        print_json(answer)
        return
    typer.echo(answer["path"])
    counts = " and ".join(f"{n:,} {name}" for name, n in answer["splits"].items())
    print_line(
        f"{answer['dimensions']:,} features ({answer['layer']}) of {counts} images of {answer['data']}, "
        f"after {answer['images']:,} images of training"
    )


def neighbors(
    run: RunName,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Pictures to look for.")],
    k: Annotated[int, typer.Option("-k", min=1, help="How many neighbours.")] = 8,
    data: Data = None,
    split: Which = "all",
    out: Out = None,
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    runs: Root = None,
    as_json: AsJson = False,
) -> None:
    """The images of a data set, or of a folder, that are most like a picture by the features of a run.

    \b
    Examples:
      sslterm neighbors last cat.jpg
      sslterm neighbors last cat.jpg --data ~/pictures -k 20
    """
    with Preview() as preview:
        answer = ask(
            run, runs, device, checkpoint, preview, "search",
            images=all_absolute(images), k=k,
            data=named_or_absolute(data, SOURCES), split=split, out=absolute(out),
        )  # fmt: skip
    if as_json:
        print_json(answer)
        return
    typer.echo(answer["path"])
    for result in answer["results"]:
        print_line(f"{result['image']}: nearest of {answer['n']:,} images of {answer['data']}")
        rows = [
            [
                str(rank), f"{one['similarity']:.4f}",
                one["file"] or f"{one['split']}[{one['index']}]",
                one["class"] or ("" if one["label"] is None else str(one["label"])),
            ]
            for rank, one in enumerate(result["neighbours"], 1)
        ]  # fmt: skip
        print_table(["", "cosine", "image", "class"], rows, right={"", "cosine"})
    preview.show(Path(answer["path"]))
