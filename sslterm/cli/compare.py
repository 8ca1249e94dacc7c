"""`sslterm compare`: runs beside each other, as a table, an overlay of curves, and panels side by side."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sslterm.cli.compare_output import print_comparison, to_json
from sslterm.cli.compare_panels import draw_samples, panel_shots, write_shots
from sslterm.cli.complete import complete_device, complete_metric, complete_panel, complete_run
from sslterm.cli.options import AsJson, Root
from sslterm.cli.output import note, print_json
from sslterm.errors import DataError, SsltermError, UsageError
from sslterm.render.charts import metrics_meant
from sslterm.render.comparison import (
    csv_text,
    headlines_of,
    markdown,
    table_of,
)
from sslterm.render.curve import Plot
from sslterm.render.evaluated import evaluated_tables
from sslterm.render.evaluated_table import evaluated_markdown
from sslterm.render.overlay import letter, overlay_plot, overlay_run
from sslterm.render.side_by_side import Shot
from sslterm.render.view import Axis, ChartView
from sslterm.run.comparison import Side, better, main_headline, side_of
from sslterm.run.density import best_first
from sslterm.run.files import replace_file
from sslterm.run.layout import RunDirectory, find_run, runs_root
from sslterm.run.reader import RunReader
from sslterm.run.results import probed


def compare(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN", help="Names, unique prefixes, paths, or `last`.", autocompletion=complete_run
        ),
    ],
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            "-m",
            metavar="NAME",
            autocompletion=complete_metric,
            help="As `test/knn`, or `knn`; several times for several; else what the methods are judged by.",
        ),
    ] = None,
    sort: Annotated[
        str,
        typer.Option(
            metavar="BY", help="A metric (best first), `name`, `time` or `given`; else the first metric."
        ),
    ] = "",
    x: Annotated[Axis, typer.Option("--x", help="What the overlay is drawn over.")] = "images",
    log: Annotated[bool, typer.Option("--log", help="A logarithmic y axis.")] = False,
    log_x: Annotated[bool, typer.Option("--log-x", help="A logarithmic x axis.")] = False,
    smooth: Annotated[
        float, typer.Option(min=0.0, max=0.999, metavar="WEIGHT", help="Of the past, in a moving average.")
    ] = 0.0,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE.png", help="Write the overlay as PNG.")
    ] = None,
    panel: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="This panel of every run, side by side.", autocompletion=complete_panel
        ),
    ] = None,
    at: Annotated[
        int | None,
        typer.Option(
            min=0, metavar="IMAGES", help="The panel as it was then, or just before; else the newest."
        ),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Draw samples of every run now, side by side.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of --samples, the same for all.")] = 0,
    device: Annotated[
        str,
        typer.Option(help="For --samples: auto, cpu, cuda, cuda:1 or mps.", autocompletion=complete_device),
    ] = "auto",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE.png", help="Write what --panel or --samples shows as one PNG."
        ),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write the table as CSV, with all digits.")
    ] = None,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
    runs: Root = None,
    as_json: AsJson = False,
) -> None:
    """Compare runs: what each has reached, where their configurations differ, and what they show.

    On a terminal the overlay of the first metric stands above the table; every run keeps its letter,
    colour and line style. Where runs saw different data, no value is marked as the best. What `sslterm
    evaluate` has measured follows: likelihoods, a table for each density, every figure with its kind, and
    the quality of samples, a table for each space, beside real images and the untrained networks.

    \b
    Examples:
      sslterm compare vae-digits-1 vae-digits-2
      sslterm compare vae-digits-1 vae-digits-2 --metric test/knn --plot knn.png
      sslterm compare vae-digits-1 vae-digits-2 --panel samples --out samples.png
      sslterm compare vae-digits-1 vae-digits-2 --samples 64 --out drawn.png
      sslterm compare vae-digits-1 vae-digits-2 --csv table.csv --json
    """
    _check(plot, out, panel, samples)
    root = runs_root(runs)
    readers = _read([find_run(name, root) for name in names])
    metrics = _metrics(readers, metric or [])
    sides = _sorted(
        [side_of(reader, place, metrics) for place, reader in enumerate(readers)], readers, metrics, sort
    )
    view = ChartView(axis=x, log_x=log_x, log_y=log, smoothing=smooth)
    overlays = _overlay(readers, metrics[0], view) if metrics else None
    shots = panel_shots(readers, panel, at) if panel is not None else []
    if samples is not None:
        shots = draw_samples([reader.run for reader in readers], samples, seed=seed, device=device)
    files = _write(
        sides, metrics, overlays, plot=plot, csv=csv, shots=shots, out=out, panel=panel or "samples"
    )
    if as_json:
        print_json(to_json(sides, metrics, readers) | {"files": files})
        return
    table, evaluated = table_of(sides, metrics), evaluated_tables(sides, readers)
    if as_markdown:
        sys.stdout.write("\n".join([markdown(table), *map(evaluated_markdown, evaluated)]))
    else:
        print_comparison(table, evaluated, overlays, shots, title=panel or "samples")
    for path in files:
        note(f"wrote {path}")


def _check(plot: Path | None, out: Path | None, panel: str | None, samples: int | None) -> None:
    """Refuse what cannot be written before anything is read or drawn."""
    for option, path in (("--plot", plot), ("--out", out)):
        if path is not None and path.suffix.lower() != ".png":
            raise UsageError(
                f"{option} {path}: only PNG can be written", f"name it {path.with_suffix('.png')}"
            )
    if panel is not None and samples is not None:
        raise UsageError("--panel and --samples cannot be shown at once", "leave one of them out")
    if out is not None and panel is None and samples is None:
        raise UsageError("--out is for --panel or --samples", "for the overlay: --plot FILE.png")
    if out is None and (panel is not None or samples is not None) and not sys.stdout.isatty():
        raise UsageError("there is no terminal to draw the pictures on", "add --out FILE.png")


def _read(runs: Sequence[RunDirectory]) -> list[RunReader]:
    """Readers of runs, each once, in the order given."""
    readers = [RunReader(run) for run in {run.path.resolve(): run for run in runs}.values()]
    for reader in readers:
        reader.refresh()
    return readers


def _metrics(readers: Sequence[RunReader], wanted: Sequence[str]) -> list[str]:
    """The metrics asked for; without any those that the methods are judged by, the most common first."""
    afterwards = [name for reader in readers for name in reader.measured]
    known = list(
        dict.fromkeys([*(name for reader in readers for name in reader.metrics.series), *afterwards])
    )
    if not wanted:
        headlines = headlines_of(readers)
        first = main_headline(headlines, readers)
        return list(dict.fromkeys([*([first, *headlines] if first else []), *probed(afterwards)]))
    return metrics_meant(wanted, known, "none of these runs has a")


def _sorted(sides: list[Side], readers: Sequence[RunReader], metrics: Sequence[str], by: str) -> list[Side]:
    """The best first, by the metric `by` or the first one; or by name or time, or as they were given."""
    if by == "given":
        return sides
    if by == "name":
        return sorted(sides, key=lambda side: side.name)
    if by == "time":
        return sorted(sides, key=lambda side: side.seconds)
    if by:
        metric = _metrics(readers, [by])[0]
        sides_by = [side_of(reader, place, [metric]) for place, reader in enumerate(readers)]
        if not better(metric):
            note(f"neither way is better for {metric}: the runs stand as they were given")
    elif metrics:
        metric, sides_by = metrics[0], sides
    else:
        return sides
    return [sides[index] for index in best_first(sides_by, metric)]


def _overlay(readers: Sequence[RunReader], metric: str, view: ChartView) -> Plot:
    """The overlay of a metric.

    Raises:
        UsageError: it is to be over epochs, and a run does not say how long they are.
    """
    runs = [overlay_run(reader, place, metric) for place, reader in enumerate(readers)]
    unknown = next((run.name for run in runs if run.images_per_epoch <= 0), "")
    if view.axis == "epoch" and unknown:
        raise UsageError(
            f"{unknown} does not say how many images an epoch has", "draw it over images: --x images"
        )
    return overlay_plot(metric, runs, view)


def _write(
    sides: Sequence[Side], metrics: Sequence[str], overlay: Plot | None, *, plot: Path | None, csv: Path | None,
    shots: Sequence[Shot], out: Path | None, panel: str,
) -> list[str]:  # fmt: skip
    """Write the files that were asked for; returns their paths.

    Raises:
        SsltermError: one of them cannot be written.
    """
    files = []
    try:
        if plot is not None:
            if overlay is None:
                raise DataError("these runs have no metric to draw", "name one with --metric")
            write_overlay(overlay, sides, plot)
            files.append(str(plot))
        if out is not None:
            write_shots(shots, panel, out)
            files.append(str(out))
        if csv is not None:
            replace_file(csv, csv_text(sides, metrics).encode())
            files.append(str(csv))
    except OSError as error:
        raise SsltermError(f"cannot write {error.filename or ''}: {error.strerror or error}") from error
    return files


def write_overlay(overlay: Plot, sides: Sequence[Side], path: Path) -> None:
    """Write an overlay as PNG.

    Raises:
        OSError: the disk is full or read-only.
    """
    from sslterm.render.picture_overlay import overlay_picture
    from sslterm.render.png import save_picture

    save_picture(overlay_picture(overlay, {letter(side.place): side.name for side in sides}), path)
