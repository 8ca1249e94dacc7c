"""`sslterm embed` and `neighbors`: the features of a trained encoder, as a file and as a search."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from sslterm.cli.asking import Checkpoint, Out, absolute, all_absolute, ask, named_or_absolute
from sslterm.cli.complete import complete_source
from sslterm.cli.options import AsJson, Device, Root, RunName
from sslterm.cli.output import print_json, print_line, print_table
from sslterm.cli.preview import Preview
from sslterm.data.catalog import SOURCES
from sslterm.errors import UsageError
from sslterm.render.map import map_panel
from sslterm.run.layout import find_run, runs_root
from sslterm.run.worker_client import Worker

Data = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|PATH", help="Another data set, or any folder.", autocompletion=complete_source
    ),
]
Which = Annotated[Literal["all", "train", "test"], typer.Option("--split", help="all, train or test.")]
ON_MAP = 2000


def embed(
    run: RunName,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="Features: a .npz, .safetensors or .parquet; or a folder."
        ),
    ] = None,
    map_: Annotated[
        Path | None,
        typer.Option("--map", metavar="FILE.png", help="A point for each image, coloured by class."),
    ] = None,
    by: Annotated[
        Literal["pca", "tsne"] | None,
        typer.Option(help="How --map gets two dimensions: pca (the default), or tsne."),
    ] = None,
    n: Annotated[
        int | None, typer.Option("-n", min=3, help=f"Images on --map, drawn; else {ON_MAP:,}.")
    ] = None,
    data: Data = None,
    layer: Annotated[
        str | None, typer.Option(metavar="NAME", help="A layer; else what the method encodes to.")
    ] = None,
    split: Annotated[
        Literal["all", "train", "test"] | None,
        typer.Option("--split", help="all, train or test; else all to --out, and held-out images on --map."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of what --map shows; else 0.")] = None,
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    runs: Root = None,
    as_json: AsJson = False,
) -> None:
    """Write the features of all images: features [N, D], label, held_out, index, and file for folders.

    --map draws them in two dimensions: their first two principal components, or by t-SNE, where clusters mean
    something and the distances between them hardly do. `m` in the live view shows the same, with the images.

    \b
    Examples:
      sslterm embed last --out features.npz
      sslterm embed last --map map.png
      sslterm embed last --map map.png --by tsne -n 1000
      sslterm embed last --data ~/pictures --out pictures.parquet
      sslterm embed last --layer stage3 --split test --out stage3.safetensors
    """
    _check_map(out, map_, by, n, seed)
    about: dict[str, Any] = {"data": named_or_absolute(data, SOURCES), "layer": layer, "split": split}
    features: dict[str, Any] = dict.fromkeys(("path", "n", "dimensions", "layer", "data", "splits"))
    drawn = None
    with Preview() as preview, Worker(find_run(run, runs_root(runs)), device, images=checkpoint) as worker:
        if map_ is not None:
            drawn = worker.ask(
                "embed", preview.progress, method=by or "pca", n=n or ON_MAP, seed=seed, save=True,
                out=absolute(map_), **about,
            )  # fmt: skip
        if out is not None:
            features = worker.ask("features", preview.progress, out=absolute(out), **about)
    answer = drawn or features
    if as_json:
        shown = None if drawn is None else {
            "by": by or "pca",
            **{key: drawn[key] for key in ("path", "n", "dimensions", "caption", "x_label", "y_label")},
        }  # fmt: skip
        print_json({**features, "run": answer["run"], "images": answer["images"], "map": shown})
        return
    if out is not None:
        typer.echo(features["path"])
        counts = " and ".join(f"{n:,} {name}" for name, n in features["splits"].items())
        print_line(
            f"{features['dimensions']:,} features ({features['layer']}) of {counts} images of {features['data']}, "
            f"after {features['images']:,} images of training"
        )
    if drawn is not None:
        typer.echo(drawn["path"])
        print_line(f"{drawn['caption']}, after {drawn['images']:,} images of training")
        preview.show_panel(map_panel(drawn))


def _check_map(out: Path | None, map_: Path | None, *only: object) -> None:
    """Refuse what would write nothing, or do nothing."""
    if out is None and map_ is None:
        raise UsageError("there is nothing to write", "give --out FILE.npz for features, or --map FILE.png")
    if map_ is None and any(option is not None for option in only):
        raise UsageError("--by, -n and --seed are for --map", "add --map FILE.png, or leave them out")
    if map_ is not None and map_.suffix.lower() != ".png":
        raise UsageError(f"--map {map_}: a map is a picture", f"name it {map_.with_suffix('.png')}")


def neighbors(
    run: RunName,
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Pictures to look for.")],
    k: Annotated[int, typer.Option("-k", min=1, help="How many neighbours.")] = 8,
    data: Data = None,
    split: Which = "all",
    features: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="What `embed` wrote of this data, so that nothing is encoded again."
        ),
    ] = None,
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
      sslterm neighbors last cat.jpg --features features.npz
    """
    with Preview() as preview:
        answer = ask(
            run, runs, device, checkpoint, preview, "search",
            images=all_absolute(images), k=k,
            data=named_or_absolute(data, SOURCES), split=split, features=absolute(features), out=absolute(out),
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
