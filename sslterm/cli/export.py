"""`sslterm export`: the networks of a run as a folder that other programs load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sslterm.cli.asking import Checkpoint, absolute, ask
from sslterm.cli.options import AsJson, Root, RunName
from sslterm.cli.output import note, print_json
from sslterm.cli.preview import Preview
from sslterm.run.layout import find_run, runs_root


def export(
    run: RunName,
    to: Annotated[
        Literal["safetensors", "timm", "torchvision", "onnx"],
        typer.Option("--to", help="Who is to load it; safetensors is sslterm's own."),
    ],
    encoder: Annotated[
        Literal["auto", "ema", "online"],
        typer.Option(help="Of a method with both: the moving average, or what is trained."),
    ] = "auto",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FOLDER", help="Otherwise RUN-TO, here.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier export.")] = False,
    checkpoint: Checkpoint = None,
    runs: Root = None,
    as_json: AsJson = False,
) -> None:
    """Write the encoder, and the decoder or generator if there is one, with a program that loads it and a model card.

    The program, load.py, needs no sslterm but for --to safetensors. It is run on held-out and on random images
    before anything is written, and has to give what the run gives.

    \b
    Examples:
      sslterm export last --to onnx
      sslterm export simclr-cifar10-1 --to timm --out resnet
      sslterm export byol-cifar10-1 --to torchvision --encoder ema
    """
    target = out if out is not None else Path(f"{find_run(run, runs_root(runs)).name}-{to}")
    with Preview() as preview:
        answer = ask(
            run, runs, "cpu", checkpoint, preview, "export",
            to=to, encoder=encoder, out=absolute(str(target)), force=force,
        )  # fmt: skip
    if as_json:
        print_json(answer)
        return
    typer.echo(answer["path"])
    for check in answer["checked"]:
        note(
            f"{check['part']}: {check['n']} {check['inputs']}, largest difference "
            f"{check['largest_difference']:.1e} of values up to {check['largest_value']:.3g}"
        )
