"""`sslterm plot`: the curves of a run, in the terminal or as a PNG."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from sslterm.catalog import CATALOG
from sslterm.cli.options import Root, RunName
from sslterm.cli.output import color_depth, print_json
from sslterm.cli.run_facts import summarize
from sslterm.errors import DataError, SsltermError, UsageError, did_you_mean
from sslterm.render.charts import Axis, Chart, choose_charts, plot_of_chart, what_of
from sslterm.render.curve import Plot, draw_plot
from sslterm.run.layout import RunDirectory, find_run, runs_root
from sslterm.run.metrics import MetricsReader, Series

CHARTS = 3
"""How many charts are drawn where no metric is named."""

ROWS = 14
"""Height of a chart in the terminal."""


def complete_metric(ctx: typer.Context, incomplete: str) -> list[str]:
    """The metrics of the run that stands before on the command line."""
    root = ctx.params.get("runs")
    try:
        series = read_series(
            find_run(ctx.params.get("run") or "last", runs_root(Path(root) if root else None))
        )
    except (SsltermError, OSError):
        return []
    return [name for name in series if name.startswith(incomplete)]


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
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE.png", help="Write a PNG instead.")
    ] = None,
    width: Annotated[int | None, typer.Option(min=20, help="Columns; otherwise the terminal's.")] = None,
    height: Annotated[int, typer.Option(min=5, help="Rows of a chart.")] = ROWS,
    runs: Root = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json",
            help="{run, metrics: {name: {step: [...], images: [...], seconds: [...], value: [...]}}}; "
            "with --out {run, path, metrics: [name]}.",
        ),
    ] = False,
) -> None:
    """Draw the curves of a run; metrics of one quantity share a chart.

    \b
    Examples:
      sslterm plot last
      sslterm plot last loss --log
      sslterm plot last loss --out curves.png
    """
    found = find_run(run, runs_root(runs))
    series = read_series(found)
    if not series:
        raise DataError(
            f"{found.name} has no metrics yet", f"see how it stands: sslterm runs show {found.name}"
        )
    charts = _choose(found, series, metrics or [])
    names = [name for chart in charts for name in chart.metrics]
    plots = [plot_of_chart(chart, series, axis=x, log_y=log) for chart in charts]
    if out is not None:
        write_plots(plots, out, found.name)
        if as_json:
            print_json({"run": found.name, "path": str(out), "metrics": names})
        else:
            typer.echo(str(out))
    elif as_json:
        print_json({"run": found.name, "metrics": {name: _points(series[name]) for name in names}})
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
        return choose_charts(series, entry.headline if entry else "")[:CHARTS]
    names: dict[str, None] = {}
    for word in wanted:
        meant = [name for name in series if word in (name, what_of(name))]
        if not meant:
            raise UsageError(f"{run.name} has no metric {word!r}", did_you_mean(word, series))
        names.update(dict.fromkeys(meant))
    charts = choose_charts(names)
    return sorted(charts, key=lambda chart: min(list(names).index(name) for name in chart.metrics))


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
