"""`sslterm probe`: how well classes can be read off what a run has learned, or learnt on top of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from sslterm.cli.asking import Checkpoint, Seed, ask, named_or_absolute
from sslterm.cli.complete import complete_source, complete_words
from sslterm.cli.options import AsJson, Device, Root, RunName
from sslterm.cli.output import print_json, print_line, print_table
from sslterm.cli.preview import Preview
from sslterm.data.catalog import SOURCES


def probe(
    run: RunName,
    protocol: Annotated[
        str,
        typer.Option(
            metavar="LIST",
            help="Of knn, linear, linear-sgd, lowshot and finetune, with commas between; the last two also of "
            "few labelled images: lowshot@5 of each class, finetune@1%.",
        ),
    ] = "knn,linear",
    layer: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The layer looked at, several with commas, or `all`, with a plot."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH", help="Another labelled data set, or folder.", autocompletion=complete_source
        ),
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="What finetune does with which layers: NAME=frozen, NAME=new (drawn anew) or NAME=RATE, with "
            "commas between; NAME is a layer, FIRST..LAST or all. The last word counts.",
        ),
    ] = None,
    rate: Annotated[
        float,
        typer.Option(
            help="Of finetune (AdamW, batches of 128), for all other layers; its head takes ten times it."
        ),
    ] = 1e-3,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Of finetune; else 10, or more where images are few.")
    ] = None,
    augment: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            autocompletion=complete_words("auto", "flip", "shift", "both", "none"),
            help="How finetune varies images: flip, shift, both, none; auto: both, but characters are not mirrored.",
        ),
    ] = "auto",
    seed: Seed = 0,
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    runs: Root = None,
    as_json: AsJson = False,
) -> None:
    """Read the classes off frozen features, or fine-tune, beside raw pixels and the untrained network.

    Looks at labels. With finetune, "untrained" is the same network treated in the same way from its first
    weights, "frozen" a linear probe of the layer as it is, and "raw pixels" a linear probe of them. The run
    itself is never changed.

    \b
    Examples:
      sslterm probe last
      sslterm probe last --protocol knn,linear,lowshot@1% --layer all
      sslterm probe last --data cifar100
      sslterm probe last --protocol finetune \\
        --layers stage1..stage2=frozen,stage4=new
      sslterm probe last --protocol finetune@10 --layers all=0.0001 --epochs 20
    """
    with Preview() as preview:
        answer = ask(
            run, runs, device, checkpoint, preview, "probe",
            protocols=_words(protocol), layers=_words(layer or ""), data=named_or_absolute(data, SOURCES), seed=seed,
            treatments=_words(layers or ""), rate=rate, epochs=epochs, augment=augment,
        )  # fmt: skip
    if as_json:
        print_json(answer)
        return
    print_line(f"accuracy in % on held-out images of {answer['data']}; every column sees the same images")
    columns: dict[str, Callable[[dict[str, Any]], str]] = {
        "protocol": lambda row: row["protocol"],
        "layer": lambda row: row["layer"],
        "features": lambda row: f"{row['dimensions']:,}",
        "trained": lambda row: _percent(row["accuracy"], row.get("std")),
        "frozen": lambda row: _percent(row.get("baseline_frozen")),
        "raw pixels": lambda row: _percent(row["baseline_pixels"]),
        "minus mean": lambda row: _percent(row["baseline_pixels_centred"]),
        "untrained": lambda row: _percent(row["baseline_untrained"]),
        "train": lambda row: f"{row['n_train']:,}",
        "test": lambda row: f"{row['n_test']:,}",
    }
    rows = {name: [cell(row) for row in answer["results"]] for name, cell in columns.items()}
    rows = {name: cells for name, cells in rows.items() if any(cells)}
    print_table(
        list(rows),
        [list(row) for row in zip(*rows.values(), strict=True)],
        right=set(rows) - {"protocol", "layer"},
    )
    for plot in answer["plots"]:
        print_line(f"best layer by {plot['protocol']}: {plot['best_layer']}, {_percent(plot['accuracy'])} %")
        if "path" in plot:
            typer.echo(plot["path"])
            preview.show(Path(plot["path"]))


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _percent(share: float | None, std: float | None = None) -> str:
    if share is None:
        return ""
    return f"{100 * share:.1f}" + ("" if std is None else f" ± {100 * std:.1f}")
