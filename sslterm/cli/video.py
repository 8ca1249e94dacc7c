"""`sslterm track` and `predict`: what a run that was trained on video is used for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sslterm.cli.asking import Checkpoint, Out, Seed, absolute, ask
from sslterm.cli.options import AsJson, Device, Root, RunName
from sslterm.cli.output import print_json, print_line, print_table
from sslterm.cli.preview import Preview

Clip = Annotated[
    Path | None,
    typer.Argument(metavar="CLIP", help="A folder of frames, or a video file; else held-out clips."),
]


def track(
    run: RunName,
    clip: Clip = None,
    mask: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Objects of the first frame, of its size; else the mask beside the frames."
        ),
    ] = None,
    frames: Annotated[
        int | None, typer.Option(metavar="N", min=2, help="Read the first N frames of the clip; else all.")
    ] = None,
    n: Annotated[int, typer.Option("-n", min=1, help="How many held-out clips.")] = 3,
    seed: Seed = 0,
    out: Out = None,
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    runs: Root = None,
    as_json: AsJson = False,
) -> None:
    """Follow the objects of the first frame through a clip: a strip as PNG, and a GIF.

    Where the masks of later frames are known (CLIP is .../frames/NAME and .../masks/NAME lies beside), the
    region similarity J and the contour accuracy F of DAVIS are told, beside those of copying the first mask.
    The masks are kept in the .npz beside the picture.

    \b
    Examples:
      sslterm track last
      sslterm track last dog.mp4 --mask dog-0.png
      sslterm track last davis/frames/camel
    """
    with Preview() as preview:
        answer = ask(
            run, runs, device, checkpoint, preview, "track",
            clip=absolute(clip), mask=absolute(mask), frames=frames, n=n, seed=seed, out=absolute(out),
        )  # fmt: skip
    _tell(answer, preview, as_json=as_json, figures=("J", "F", "J_identity", "F_identity"))


def predict(
    run: RunName,
    clip: Clip = None,
    n: Annotated[int, typer.Option("-n", min=1, help="How many frames to predict.")] = 4,
    beyond: Annotated[
        bool, typer.Option("--beyond", help="What comes after the end, instead of the last frames again.")
    ] = False,
    clips: Annotated[int, typer.Option(metavar="N", min=1, help="How many held-out clips.")] = 4,
    seed: Seed = 0,
    out: Out = None,
    checkpoint: Checkpoint = None,
    device: Device = "auto",
    runs: Root = None,
    as_json: AsJson = False,
) -> None:
    """Predict the last frames of a clip from those before, each from the predicted ones: a strip and a GIF.

    Frames are taken as far apart as in training, at the scale of training.

    \b
    Examples:
      sslterm predict last
      sslterm predict last walk.mp4 -n 8 --beyond
    """
    with Preview() as preview:
        answer = ask(
            run, runs, device, checkpoint, preview, "predict",
            clip=absolute(clip), n=n, beyond=beyond, clips=clips, seed=seed, out=absolute(out),
        )  # fmt: skip
    _tell(answer, preview, as_json=as_json, figures=("mse", "mse_copy_last"))


def _tell(answer: dict[str, Any], preview: Preview, *, as_json: bool, figures: tuple[str, ...]) -> None:
    if as_json:
        print_json(answer)
        return
    typer.echo(answer["path"])
    typer.echo(answer["gif"])
    if answer[figures[0]] is not None:
        rows = [
            [
                row["clip"],
                str(row["frames"]),
                *("" if row[name] is None else f"{row[name]:.4g}" for name in figures),
            ]
            for row in answer["results"]
        ]
        if len(rows) > 1:
            rows.append(["mean", "", *(f"{answer[name]:.4g}" for name in figures)])
        print_line()
        print_table(["clip", "frames", *figures], rows, right={"frames", *figures})
    preview.show(Path(answer["path"]))
