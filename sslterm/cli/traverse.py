"""`sslterm traverse`: the latent space of a run as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from sslterm.cli.asking import Checkpoint, Out, Seed, absolute, ask, show
from sslterm.cli.complete import complete_words
from sslterm.cli.options import AsJson, Device, Root, RunName
from sslterm.cli.preview import Preview
from sslterm.errors import UsageError


def traverse(
    run: RunName,
    dims: Annotated[
        int | None, typer.Option(min=1, help="Rows: the most important directions; 10 by default.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=2, help="Columns; 20 for a plane and 11 for rows by default.")
    ] = None,
    pca: Annotated[bool, typer.Option("--pca", help="Walk along principal directions of the codes.")] = False,
    start: Annotated[
        int | None, typer.Option("--from", metavar="SEED", min=0, help="Seed of the code a path starts from.")
    ] = None,
    end: Annotated[
        int | None, typer.Option("--to", metavar="SEED", min=0, help="Seed of the code it goes to.")
    ] = None,
    ends: Annotated[
        str | None,
        typer.Option(
            metavar="prior|codes",
            autocompletion=complete_words("prior", "codes"),
            help="What these seeds draw: from the prior (where there is one), or held-out images to encode; terms of "
            "--arithmetic are samples, or classes.",
        ),
    ] = None,
    path: Annotated[
        str | None,
        typer.Option(
            metavar="linear|spherical",
            autocompletion=complete_words("linear", "spherical"),
            help="Form of the path; spherical by default where the prior is normal in more than 2 dimensions.",
        ),
    ] = None,
    gif: Annotated[bool, typer.Option("--gif", help="The path as an animated GIF too.")] = False,
    arithmetic: Annotated[
        str | None,
        typer.Option(
            metavar="SUM",
            help="A sum of codes, such as `1,4,7 - 2,5,8 + 3,6,9`; what commas join is averaged.",
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(
            "--class",
            metavar="CLASS",
            help="BigGAN: number or name of the class that is drawn; else the first.",
        ),
    ] = None,
    seed: Seed = 0,
    out: Out = None,
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    runs: Root = None,
    as_json: AsJson = False,
) -> None:
    """Walk through the latent space: its plane where it has two dimensions, else a row for each direction.

    With --from and --to: the path between two codes, as a strip.

    With --arithmetic: terms of a sum of codes, what comes out, and its neighbours. Where images have codes and
    classes, terms are classes, by their mean codes; else numbers of images in the grid that `sample` draws with the
    same --seed (ddpm: with --sampler ddim), row by row from 1. Averages of three work better than single codes.

    \b
    Examples:
      sslterm traverse last
      sslterm traverse last --dims 6 --steps 9
      sslterm traverse last --pca
      sslterm traverse last --from 3 --to 7 --steps 9 --gif
      sslterm traverse last --from 3 --to 7 --ends codes --path linear
      sslterm traverse biggan-digits-1 --class 3
      sslterm traverse dcgan-digits-1 --arithmetic "1,4,7 - 2,5,8 + 3,6,9"
      sslterm traverse vae-digits-1 --arithmetic "8 - 3 + 5"
    """
    others = (dims, pca or None, steps, start, end, path, gif or None)
    if arithmetic is not None and any(option is not None for option in others):
        raise UsageError(
            "--arithmetic is of single codes, not of directions or paths",
            "give it alone, or with --ends and --seed",
        )
    if arithmetic is not None and not arithmetic.strip():
        raise UsageError("--arithmetic is empty", "write a sum: --arithmetic '1,4,7 - 2,5,8 + 3,6,9'")
    between = None
    if arithmetic is None:
        between = _between(start, end, dims=dims, pca=pca, others=(ends, path, gif or None))
    with Preview() as preview:
        answer = ask(
            run, runs, device, checkpoint, preview, "traverse",
            dims=dims, steps=steps, pca=pca, seed=seed, out=absolute(out),
            between=between, ends=ends, path=path, gif=gif or None, arithmetic=arithmetic,
            label=label,
        )  # fmt: skip
    show(answer, preview, as_json=as_json)


def _between(
    start: int | None, end: int | None, *, dims: int | None, pca: bool, others: Sequence[object]
) -> list[int] | None:
    """The two seeds of a path; None where none is wanted.

    Raises:
        UsageError: only one is given, or options of another picture, or of a path without its ends.
    """
    if start is None and end is None:
        if any(option is not None for option in others):
            raise UsageError("--ends, --path and --gif are of a path", "give its ends: --from SEED --to SEED")
        return None
    if start is None or end is None:
        raise UsageError("a path needs both of its ends", "give --from SEED and --to SEED")
    if dims is not None or pca:
        raise UsageError("--dims and --pca are of a walk along directions, not of a path between two codes")
    return [start, end]
