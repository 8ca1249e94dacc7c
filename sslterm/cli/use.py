"""`sslterm sample`, `reconstruct` and `evaluate`: what a trained run is used for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sslterm.cli.asking import Checkpoint, Out, Seed, absolute, all_absolute, ask, show
from sslterm.cli.complete import complete_space, complete_words
from sslterm.cli.evaluate_output import print_evaluation
from sslterm.cli.options import AsJson, Device, Root, RunName
from sslterm.cli.output import print_json, print_line, print_table
from sslterm.cli.preview import Preview
from sslterm.run.layout import find_run, runs_root

Weights = Annotated[
    str | None,
    typer.Option(
        metavar="ema|raw",
        help="Averaged weights, or as they were trained; else ema.",
        autocompletion=complete_words("ema", "raw"),
    ),
]
Truncation = Annotated[
    str | None,
    typer.Option(
        metavar="SD", help="BigGAN: largest value in a code; lower gives better images, less varied."
    ),
]
Sampler = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Diffusion: ancestral, ddim; flow matching: euler, heun, dopri5.",
        autocompletion=complete_words("ancestral", "ddim", "euler", "heun", "dopri5"),
    ),
]
Steps = Annotated[
    str | None,
    typer.Option(metavar="N", help="Diffusion: steps from noise to an image; not for dopri5."),
]
Tolerance = Annotated[
    str | None, typer.Option(metavar="X", help="Flow matching: error that dopri5 allows itself.")
]
Guidance = Annotated[
    str | None, typer.Option(metavar="W", help="Diffusion: how far a class is driven from none.")
]


def sample(
    run: RunName,
    n: Annotated[
        int | None, typer.Option("-n", min=1, help="How many images, in each row of several; else 64, or 10.")
    ] = None,
    seed: Seed = 0,
    label: Annotated[
        str | None,
        typer.Option(
            "--class",
            "--label",
            metavar="CLASS",
            help="Number or name, or all; for class-conditional methods.",
        ),
    ] = None,
    weights: Weights = None,
    truncation: Truncation = None,
    resolution: Annotated[
        str | None, typer.Option(metavar="PIXELS", help="ProGAN: as it drew at this side, or all.")
    ] = None,
    sampler: Sampler = None,
    steps: Steps = None,
    tolerance: Tolerance = None,
    guidance: Guidance = None,
    out: Out = None,
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    runs: Root = None,
    as_json: AsJson = False,
) -> None:
    """Draw samples: a grid as PNG, and a preview on a terminal.

    Several values of one option, with commas between them, give a row each of the same noise.

    \b
    Examples:
      sslterm sample last
      sslterm sample vae-digits-1 -n 16 --seed 3 --out sixteen.png
      sslterm sample biggan-digits-1 --class 3 --truncation 2,1,0.5,0.1
      sslterm sample progan-digits-1 --resolution all
      sslterm sample ddpm-digits-1 --sampler ddim --steps 2,5,10,25,100
    """
    with Preview() as preview:
        watch = preview.animates and not as_json
        answer = ask(
            run, runs, device, checkpoint, preview, "sample",
            n=n, seed=seed, label=label, out=absolute(out), watch=watch or None,
            sampling=_chosen(
                weights=weights, truncation=truncation, resolution=resolution,
                sampler=sampler, steps=steps, tolerance=tolerance, guidance=guidance,
            ),
        )  # fmt: skip
    show(answer, preview, as_json=as_json)


def reconstruct(
    run: RunName,
    images: Annotated[
        list[Path] | None, typer.Argument(metavar="IMAGE", help="Pictures; else held-out images.")
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="How many held-out images.")] = 32,
    seed: Seed = 0,
    out: Out = None,
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    runs: Root = None,
    as_json: AsJson = False,
) -> None:
    """Images beside their reconstructions, with the mean squared error of each.

    \b
    Examples:
      sslterm reconstruct last
      sslterm reconstruct last cat.jpg dog.jpg
    """
    with Preview() as preview:
        answer = ask(
            run, runs, device, checkpoint, preview, "reconstruct",
            images=all_absolute(images), n=n, seed=seed, out=absolute(out),
        )  # fmt: skip
    if as_json:
        print_json(answer)
        return
    if images:
        rows = [[row["image"], f"{row['mse']:.4g}", row["path"]] for row in answer["results"]]
        print_table(["image", "mse", "path"], rows, right={"mse"})
    else:
        typer.echo(answer["results"][0]["path"])
        print_line(f"mean squared error of {answer['n']} held-out images: {answer['mse']:.4g}")
    for path in dict.fromkeys(row["path"] for row in answer["results"][:4]):
        preview.show(Path(path))


def evaluate(
    run: RunName,
    n: Annotated[
        int | None,
        typer.Option("-n", "--n", min=1, help="Held-out images, and samples; else all, and 1,000 samples."),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(metavar="K", min=1, help="Also the importance-weighted bound of K samples.")
    ] = None,
    betas: Annotated[
        int | None, typer.Option(min=1, help="Annealing steps where log Z is estimated; else 10,000.")
    ] = None,
    chains: Annotated[
        int | None, typer.Option(min=2, help="Annealed chains where log Z is estimated; else 100.")
    ] = None,
    space: Annotated[
        str,
        typer.Option(
            metavar="judge|pixels|RUN",
            autocompletion=complete_space,
            help="What samples are judged in: a classifier of the data, principal components of pixels, or a "
            "run's encoder.",
        ),
    ] = "judge",
    weights: Weights = None,
    truncation: Truncation = None,
    sampler: Sampler = None,
    steps: Steps = None,
    tolerance: Tolerance = None,
    guidance: Guidance = None,
    seed: Seed = 0,
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    runs: Root = None,
    as_json: AsJson = False,
) -> None:
    """Measure a run by what it can do: likelihood, reconstruction, embedding, quality of samples.

    The floor is what real training images get in place of samples; `independent` what a likelihood is of
    pixels that know nothing of each other, `untrained` what it was before training. No number here is the
    Inception-FID, and numbers in different spaces do not compare. `sslterm compare` prints those of several
    runs beside each other.

    \b
    Samples are judged by:
      FD               Fréchet distance of means and covariances
      KD               kernel distance: MMD², cubic kernel, unbiased
      precision        share of samples among real images (k = 3)
      recall           share of real images among samples (k = 3)
      density          real neighbourhoods that a sample is in, over k = 5
      coverage         share of real neighbourhoods with a sample (k = 5)
      C2ST             how often a classifier tells samples from real images
      CS               classifier score: classes are clear and varied
      class_kl         of the classes that the judge sees to even ones
      label_agreement  how often the judge sees the class asked for
      TSTR             accuracy on real images of a classifier of samples
      memorised        share nearer to a training image than 95 % of held-out
                       images are

    \b
    Examples:
      sslterm evaluate last
      sslterm evaluate vae-digits-1 --samples 500 -n 100
      sslterm evaluate dcgan-digits-1 --space simclr-patterns-1
    """
    if space not in ("judge", "pixels"):
        space = str(find_run(space, runs_root(runs)).path.absolute())
    with Preview() as preview:
        answer = ask(
            run, runs, device, checkpoint, preview, "evaluate",
            n=n, samples=samples, betas=betas, chains=chains, space=space, seed=seed,
            sampling=_chosen(
                weights=weights, truncation=truncation,
                sampler=sampler, steps=steps, tolerance=tolerance, guidance=guidance,
            ),
        )  # fmt: skip
    if as_json:
        print_json(answer)
        return
    print_evaluation(answer, seed)
    for picture in answer["pictures"]:
        typer.echo(picture["path"])
        preview.show(Path(picture["path"]))


def _chosen(**options: str | None) -> list[str] | None:
    """What the worker has to be told of the options of samplers that were given."""
    return [f"{name}={value}" for name, value in options.items() if value is not None] or None
