"""`sslterm plot`: the curves of a run, in the terminal or as a PNG."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from sslterm.catalog import CATALOG
from sslterm.cli.complete import complete_metric
from sslterm.cli.options import AsJson, Root, RunName
from sslterm.cli.output import color_depth, print_json
from sslterm.cli.run_facts import summarize
from sslterm.errors import DataError, SsltermError, UsageError
from sslterm.render.chart_plot import domain_of, places_of, plot_of_chart
from sslterm.render.charts import Chart, choose_charts, metrics_meant
from sslterm.render.curve import Plot, draw_plot
from sslterm.render.view import Axis, ChartView
from sslterm.run.files import replace_file
from sslterm.run.layout import RunDirectory, find_run, runs_root
from sslterm.run.metrics import MetricsReader, Series, csv_of
from sslterm.run.status import read_status

CHARTS = 3
"""How many charts are drawn where no metric is named."""

ROWS = 14
"""Height of a chart in the terminal."""


def plot(
    run: RunName,
    metrics: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="METRIC",
            help="As `test/knn`, or `loss` for every loss; otherwise those most worth seeing.",
            autocompletion=complete_metric,
        ),
    ] = None,
    x: Annotated[Axis, typer.Option("--x", help="What the curves are drawn over.")] = "step",
    log: Annotated[bool, typer.Option("--log", help="A logarithmic y axis.")] = False,
    log_x: Annotated[bool, typer.Option("--log-x", help="A logarithmic x axis.")] = False,
    smooth: Annotated[
        float,
        typer.Option(
            metavar="W",
            help="Weight of the past in a moving average, from 0 to below 1; the values themselves lie behind it.",
        ),
    ] = 0.0,
    start: Annotated[
        float | None,
        typer.Option(
            "--from",
            metavar="X",
            help="Where x begins, drawn or written.",
            show_default=False,
        ),
    ] = None,
    end: Annotated[
        float | None, typer.Option("--to", metavar="X", help="Where x ends.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE.png", help="Write a PNG instead.")
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.csv",
            help="Write the points instead, one a line: metric,step,images,seconds,value; `-` for stdout.",
        ),
    ] = None,
    width: Annotated[int | None, typer.Option(min=20, help="Columns; otherwise the terminal's.")] = None,
    height: Annotated[int, typer.Option(min=5, help="Rows of a chart.")] = ROWS,
    runs: Root = None,
    as_json: AsJson = False,
) -> None:
    """Draw the curves of a run; metrics of one quantity share a chart.

    \b
    Examples:
      sslterm plot last
      sslterm plot last loss --log
      sslterm plot last loss --out curves.png
      sslterm plot last loss --smooth 0.9 --x epoch --from 2 --log-x
      sslterm plot last --csv curves.csv
    """
    found = find_run(run, runs_root(runs))
    series = read_series(found)
    if not series:
        raise DataError(
            f"{found.name} has no metrics yet", f"see how it stands: sslterm runs show {found.name}"
        )
    charts = _choose(found, series, metrics or [])
    names = [name for chart in charts for name in chart.metrics]
    if out is not None and csv is not None:
        raise UsageError("--out and --csv are two files", "ask for one at a time")
    if as_json and str(csv) == "-":
        raise UsageError("--csv - and --json both write to stdout", "name a file: --csv curves.csv")
    view = _view(x, log=log, log_x=log_x, smooth=smooth, start=start, end=end)
    plots = _plots(found, charts, series, view)
    points = {name: _part(found, series[name], view) for name in names}
    if out is not None or csv is not None:
        if out is not None:
            write_plots(plots, out, found.name)
        elif csv is not None:
            write_csv(points, csv)
        if as_json:
            print_json({"run": found.name, "path": str(out or csv), "metrics": names})
        elif str(csv) != "-":
            typer.echo(str(out or csv))
    elif as_json:
        print_json({"run": found.name, "metrics": {name: _points(one) for name, one in points.items()}})
    else:
        print_plots(plots, width or shutil.get_terminal_size().columns, height)


def read_series(run: RunDirectory) -> Mapping[str, Series]:
    """Every metric of a run, so far."""
    reader = MetricsReader(run.metrics)
    reader.refresh()
    return reader.series


def _choose(run: RunDirectory, series: Mapping[str, Series], wanted: Sequence[str]) -> list[Chart]:
    """The charts of the metrics that are named, or the first few of all there are."""
    entry = CATALOG.get(summarize(run)["method"])
    if not wanted:
        return choose_charts(series, *((entry.headline, entry.curves) if entry else ()))[:CHARTS]
    names = metrics_meant(wanted, series, f"{run.name} has no")
    charts = choose_charts(names)
    return sorted(charts, key=lambda chart: min(names.index(name) for name in chart.metrics))


def _view(
    x: Axis, *, log: bool, log_x: bool, smooth: float, start: float | None, end: float | None
) -> ChartView:
    """The view that the options ask for; an end that is not given is beyond all data."""
    if not 0 <= smooth < 1:
        raise UsageError(f"--smooth {smooth:g} is not a weight", "give one from 0 to below 1, as 0.9")
    low, high = -math.inf if start is None else start, math.inf if end is None else end
    if not low < high:
        raise UsageError(f"--from {low:g} is not before --to {high:g}", "an axis runs from left to right")
    window = None if start is None and end is None else (low, high)
    return ChartView(axis=x, log_x=log_x, log_y=log, smoothing=smooth, window=window)


def _plots(
    run: RunDirectory, charts: Sequence[Chart], series: Mapping[str, Series], view: ChartView
) -> list[Plot]:
    """The plots of charts over one range of x, where a part of it is asked for.

    Raises:
        UsageError: that part holds nothing, or epochs are asked for and not known.
    """
    images_per_epoch = _images_per_epoch(run)
    if view.axis == "epoch" and images_per_epoch <= 0:
        raise UsageError(
            f"{run.name} does not say how many images an epoch has", "draw it over images: --x images"
        )
    shown = {name: series[name] for chart in charts for name in chart.metrics if len(series[name])}
    domain = domain_of(shown, view.axis, images_per_epoch)
    if domain is not None and view.window is not None:
        low, high = view.window
        if high <= domain.low or low >= domain.high:
            raise UsageError(
                f"there is nothing before {high:.6g}"
                if high <= domain.low
                else f"there is nothing after {low:.6g}",
                f"{run.name} has {view.axis} {domain.low:g} to {domain.high:g}",
            )
    return [
        plot_of_chart(
            chart,
            series,
            view,
            domain=domain if view.window is not None else None,
            images_per_epoch=images_per_epoch,
        )
        for chart in charts
    ]


def _images_per_epoch(run: RunDirectory) -> int:
    """0 where the run does not say."""
    status = read_status(run.status)
    return status.images_per_epoch if status else 0


def _part(run: RunDirectory, one: Series, view: ChartView) -> Series:
    """The points of a series that lie in the view's window."""
    if view.window is None:
        return one
    places = places_of(one, view.axis, _images_per_epoch(run))
    inside = (places >= view.window[0]) & (places <= view.window[1])
    return Series(one.step[inside], one.images[inside], one.seconds[inside], one.value[inside])


def write_csv(series: Mapping[str, Series], path: Path) -> None:
    """The points of metrics as lines of metric,step,images,seconds,value; nan where a value is not finite.

    Raises:
        SsltermError: `path` cannot be written; "-" is stdout.
    """
    text = csv_of(series)
    if str(path) == "-":
        typer.echo(text, nl=False)
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text.encode())
    except OSError as error:
        raise SsltermError(f"cannot write {path}: {error.strerror or error}") from error


def _points(series: Series) -> dict[str, list[float]]:
    return {
        "step": series.step.tolist(),
        "images": series.images.tolist(),
        "seconds": series.seconds.tolist(),
        "value": series.value.tolist(),
    }


def print_plots(plots: Sequence[Plot], width: int, height: int) -> None:
    """The charts in terminal cells on stdout, one below the other."""
    depth: Literal["truecolor", "256", "none"] = color_depth()
    for index, chart in enumerate(plots):
        cells = draw_plot(chart, width, height, color=depth != "none")
        typer.echo(("\n" if index else "") + cells.ansi(depth), color=True)


def write_plots(plots: Sequence[Plot], path: Path, title: str) -> None:
    """The charts as one PNG, one below the other.

    Raises:
        UsageError: `path` does not end in .png.
        SsltermError: it cannot be written.
    """
    if path.suffix.lower() != ".png":
        raise UsageError(f"--out {path}: only PNG can be written", f"name it {path.with_suffix('.png')}")
    from PIL import Image

    from sslterm.render.picture_charts import plot_picture
    from sslterm.render.png import framed, save_picture

    pictures = [framed(plot_picture(chart), f"{title} · {chart.title}") for chart in plots]
    sheet = Image.new(
        "RGB", (max(one.width for one in pictures), sum(one.height for one in pictures)), "white"
    )
    y = 0
    for one in pictures:
        sheet.paste(one, (0, y))
        y += one.height
    try:
        save_picture(sheet, path)
    except OSError as error:
        raise SsltermError(f"cannot write {path}: {error.strerror or error}") from error
