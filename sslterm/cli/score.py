"""`sslterm score`: how unlike the images of a training others are to its density."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from sslterm.cli.asking import Checkpoint, Out, Seed, absolute, all_absolute, ask, named_or_absolute
from sslterm.cli.complete import complete_source
from sslterm.cli.options import AsJson, Device, Root, RunName
from sslterm.cli.output import print_json, print_line, print_table
from sslterm.cli.preview import Preview
from sslterm.data.catalog import SOURCES
from sslterm.errors import UsageError


def score(
    run: RunName,
    images: Annotated[
        list[Path] | None, typer.Argument(metavar="IMAGE", help="Pictures, cut to the size of the images.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH", help="Other images as a whole: a data set, or any folder.",
            autocompletion=complete_source,
        ),
    ] = None,
    n: Annotated[int | None, typer.Option("-n", min=2, help="Images of each data set; else 1,000.")] = None,
    seed: Seed = 0,
    out: Out = None,
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    runs: Root = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """How unlike the images of a training others are to its density: what is out of distribution.

    Three scores, because likelihood alone misleads: simple images of other data are often the more likely
    ones (Nalisnick et al. 2019).

    \b
    Scores:
      likelihood  -log p
      typicality  its distance from the mean of held-out images
      complexity  -log2 p less the bits that the image takes as PNG; of
                  densities of 8-bit pixels

    Of a picture, each says which share of held-out images is at least as unlike: 5 % is rare. Of a data set, how
    often one of its images is more unlike than a held-out one (AUROC): 50 % is chance, less is worse than that.

    \b
    Examples:
      sslterm score last cat.jpg dog.jpg
      sslterm score last --data ~/pictures
      sslterm score vae-digits-1 --data ~/pictures -n 500 --out scores.png
    """
    if not images and data is None:
        raise UsageError("there is nothing to score", "give pictures, or --data with a data set or a folder")
    if out is not None and data is None:
        raise UsageError("--out is of the histogram that --data draws", "leave it out, or add --data")
    with Preview() as preview:
        answer = ask(
            run, runs, device, checkpoint, preview, "score",
            images=all_absolute(images), data=named_or_absolute(data, SOURCES), n=n, seed=seed, out=absolute(out),
        )  # fmt: skip
    if as_json:
        print_json(answer)
        return
    if answer["path"]:
        typer.echo(answer["path"])
    _print(answer)
    if answer["path"]:
        preview.show(Path(answer["path"]))


def _print(answer: Mapping[str, Any]) -> None:
    held_out, other = answer["held_out"], answer["other"]
    print_line(
        f"{answer['name']} ({answer['kind']}; {answer['protocol']}) of {answer['run']} after "
        f"{answer['images']:,} images"
    )
    rows = [[f"{held_out['n']:,} held-out images of {answer['data']}", *_numbers(held_out)]]
    if other is not None:
        rows.append([f"{other['n']:,} images of {other['data']}", *_numbers(other)])
    print_table(["mean of", "nats", "bits/dim"], rows, right={"nats", "bits/dim"})
    if answer["results"]:
        print_line()
        scored = [
            [one["image"], *_numbers(one), *(_percent(share) for share in one["as_unlike"].values())]
            for one in answer["results"]
        ]
        names = list(answer["results"][0]["as_unlike"])
        header = ["image", "nats", "bits/dim", *names]
        print_table(header, scored, right=set(header[1:]))
        print_line(f"{', '.join(names)}: the share of held-out images that are at least as unlike")
    if other is not None:
        print_line()
        areas = [
            [name, _percent(area["value"]), f"± {100 * area['standard_error']:.1f} %"]
            for name, area in other["auroc"].items()
            if area is not None
        ]
        print_table(["told apart by", "AUROC", ""], areas, right={"AUROC", ""})
        if other["auroc"]["likelihood"]["value"] < 0.5:  # the case that the field warns of
            print_line(
                f"images of {other['data']} are the more likely ones: likelihood alone does not tell them"
            )


def _numbers(of: Mapping[str, Any]) -> list[str]:
    return [f"{of['nats']:.4g}", f"{of['bits_per_dim']:.4g}"]


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"
