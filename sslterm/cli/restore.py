"""`sslterm complete` and `colorize`: pictures of any size restored by a trained run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from sslterm.cli.asking import Checkpoint, Out, Seed, absolute, all_absolute, ask, named_or_absolute
from sslterm.cli.complete import complete_words
from sslterm.cli.options import AsJson, Device, Root, RunName
from sslterm.cli.output import print_json, print_line, print_table
from sslterm.cli.preview import Preview

MASKS = ("center", "bottom", "random")

Images = Annotated[
    list[Path] | None,
    typer.Argument(metavar="IMAGE", help="Pictures of any size; else held-out images."),
]
HowMany = Annotated[int, typer.Option("-n", min=1, help="How many held-out images.")]


def complete(
    run: RunName,
    images: Images = None,
    mask: Annotated[
        str,
        typer.Option(
            metavar="|".join((*MASKS, "FILE")),
            help="What is hidden: the central quarter, the lower half, a region of any form, or what is white in FILE.",
            autocompletion=complete_words(*MASKS),
        ),
    ] = "center",
    n: HowMany = 16,
    seed: Seed = 0,
    out: Out = None,
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    runs: Root = None,
    as_json: AsJson = False,
) -> None:
    """Fill what a mask hides of pictures; what it does not hide stays as it is.

    Around the hole, a square is worked at the size that the network was trained at; the picture keeps its own.

    \b
    Examples:
      sslterm complete last
      sslterm complete last --mask random --seed 3
      sslterm complete last cat.jpg --mask scratches.png --out whole.png
    """
    with Preview() as preview:
        answer = ask(
            run, runs, device, checkpoint, preview, "complete",
            images=all_absolute(images), mask=named_or_absolute(mask, MASKS), n=n, seed=seed,
            out=absolute(out), watch=(preview.animates and not as_json) or None,
        )  # fmt: skip
    if as_json:
        print_json(answer)
        return
    _tell(
        answer,
        images,
        preview,
        {"hidden": lambda row: f"{100 * row['hidden']:.0f} %", **_numbers("mse", "mse_border")},
    )
    if not images:
        print_line(
            f"squared error of the hidden values of {answer['n']} held-out images: {answer['mse']:.4g}; "
            f"with the mean colour of the border {answer['mse_border']:.4g}"
        )


def colorize(
    run: RunName,
    images: Images = None,
    n: HowMany = 16,
    seed: Seed = 0,
    out: Out = None,
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    runs: Root = None,
    as_json: AsJson = False,
) -> None:
    """Give grey or coloured pictures new colours; how light their pixels are stays as it is.

    Colours are found at the size that the network was trained at, and brought to the picture's own.

    \b
    Examples:
      sslterm colorize last
      sslterm colorize last grandmother.jpg --out grandmother.png
    """
    with Preview() as preview:
        answer = ask(
            run, runs, device, checkpoint, preview, "colorize",
            images=all_absolute(images), n=n, seed=seed, out=absolute(out),
        )  # fmt: skip
    if as_json:
        print_json(answer)
        return
    _tell(answer, images, preview, _numbers("chroma", "chroma_before"))
    if not images:
        print_line(
            f"mean chroma of {answer['n']} held-out images: {answer['chroma']:.3g}; "
            f"of the truth {answer['chroma_before']:.3g}"
        )


Cell = Callable[[dict[str, Any]], str]


def _tell(
    answer: dict[str, Any], images: Sequence[Path] | None, preview: Preview, columns: dict[str, Cell]
) -> None:
    """A line for each picture, or the path of the grid; and the first few on a terminal."""
    if images:
        shown: dict[str, Cell] = {
            "image": lambda row: row["image"],
            **columns,
            "path": lambda row: row["path"],
        }
        rows = [[cell(row) for cell in shown.values()] for row in answer["results"]]
        print_table(list(shown), rows, right=set(columns))
    else:
        typer.echo(answer["results"][0]["path"])
    for path in dict.fromkeys(row["path"] for row in answer["results"][:4]):
        preview.show(Path(path))


def _numbers(*keys: str) -> dict[str, Cell]:
    def cell(key: str) -> Cell:
        return lambda row: f"{row[key]:.4g}"

    return {key.replace("_", " "): cell(key) for key in keys}
