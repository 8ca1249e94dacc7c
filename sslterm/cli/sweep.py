"""`sslterm sweep`: several configurations with several seeds, and what they come to on average."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from sslterm.catalog import find_method
from sslterm.cli import follow
from sslterm.cli.complete import complete_key, complete_preset, complete_source
from sslterm.cli.options import AsJson, Device, MethodName, Root
from sslterm.cli.output import note, print_json, print_line, print_table
from sslterm.cli.sweeping import Job, check_jobs, work
from sslterm.config.presets import default_preset
from sslterm.config.read import dump
from sslterm.config.resolve import resolve
from sslterm.data.catalog import SOURCES
from sslterm.errors import ExitCode, UsageError
from sslterm.render.charts import metrics_meant
from sslterm.render.comparison import BEST
from sslterm.render.overlay import name_of
from sslterm.render.quantity import number
from sslterm.run.comparison import best_of, better, find_result
from sslterm.run.layout import RunDirectory, check_name, runs_root
from sslterm.run.reader import RunReader
from sslterm.run.sweep import Setting, Spread, parse_grid, run_name, spread_of


def sweep(
    method: MethodName,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=V,V",
            help="Values of one key; several times for all combinations.",
            autocompletion=complete_key,
        ),
    ] = None,
    seeds: Annotated[
        int, typer.Option(metavar="N", min=1, help="Seeds 0, 1, ... of each configuration.")
    ] = 1,
    preset: Annotated[
        str | None,
        typer.Option(
            help="The recipe; without one, a preset that needs no download.", autocompletion=complete_preset
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH", help="Another data set, or a folder.", autocompletion=complete_source
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A TOML file laid over the preset.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change one key for all.", autocompletion=complete_key
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            "-m",
            metavar="NAME",
            help="As `test/knn`, or `knn`; several times for several; else what the method is judged by.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="How the runs' names begin; otherwise METHOD-PRESET.")
    ] = None,
    at_once: Annotated[
        int, typer.Option("--at-once", metavar="N", min=1, help="How many runs are trained at a time.")
    ] = 1,
    device: Device = "auto",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the runs, and train nothing.")] = False,
    runs: Root = None,
    as_json: AsJson = False,
) -> None:
    """Train all combinations of some settings, each with several seeds; the table has mean and spread over seeds.

    The same command goes on where it was stopped or killed: runs that are finished are not trained again. Their
    names say what they are, and every other command takes them.

    \b
    Examples:
      sslterm sweep vae --grid optim.main.lr=0.001,0.003 --seeds 3
      sslterm sweep simclr --grid method.temperature=0.1,0.2 \\
        --grid optim.main.lr=3e-3,6e-3 --at-once 2
    """
    entry = find_method(method)
    chosen = preset or default_preset(entry.name)
    stem = name or f"{entry.name}-{Path(chosen).stem}"
    check_name(stem)
    settings, root = parse_grid(grid or []), runs_root(runs)
    jobs: dict[tuple[int, int], Job] = {}
    for place, setting in enumerate(settings):
        for seed in range(seeds):
            experiment = resolve(
                entry.name, chosen, config=config, overrides=[*(set_ or []), *setting.overrides], data=data,
                seed=seed, sources=SOURCES,
            )  # fmt: skip
            run = RunDirectory(root / run_name(stem, setting, seed))
            jobs[place, seed] = Job(run, dump(experiment))
    if any(key == "run.seed" for setting in settings for key, _ in setting.values):
        raise UsageError("--grid run.seed: seeds are counted by --seeds", "use --seeds 3")
    check_jobs(list(jobs.values()))
    if dry_run:
        names = [job.run.path.name for job in jobs.values()]
        if as_json:
            print_json({"method": entry.name, "preset": chosen, "runs": names})
        else:
            typer.echo("\n".join(names))
        return
    follow.check_writable(root)
    every = list(jobs.values())
    _meant(metric or [], every)
    work(every, at_once=at_once, device=device, say=note, ended=lambda: _meant(metric or [], every))
    metrics = _meant(metric, every) if metric else [entry.headline]
    found = [_measured(jobs, place, seeds, metrics) for place in range(len(settings))]
    if as_json:
        print_json(
            {
                "method": entry.name, "preset": chosen, "seeds": seeds, "metrics": metrics,
                "better": {metric: better(metric) for metric in metrics},
                "settings": [
                    {
                        "values": dict(setting.values),
                        "runs": [jobs[place, seed].run.name for seed in range(seeds)],
                        "states": [jobs[place, seed].state for seed in range(seeds)],
                        "metrics": {
                            name: {"values": list(one.values.values()), "mean": one.mean, "std": one.std}
                            for name, one in found[place].items()
                        },
                    }
                    for place, setting in enumerate(settings)
                ],
            }
        )  # fmt: skip
    else:
        _print(settings, found, metrics, jobs, seeds)
    if any(job.state == "failed" for job in jobs.values()):
        raise typer.Exit(int(ExitCode.FAILED))
    if any(job.state not in ("finished", "diverged") for job in jobs.values()):
        raise typer.Exit(int(ExitCode.STOPPED))


def _meant(words: Sequence[str], jobs: Sequence[Job]) -> list[str]:
    """The metrics that words mean; the words themselves where no run is finished, which would tell.

    Raises:
        UsageError: the finished runs have no such metric.
    """
    finished = [RunReader(job.run) for job in jobs if job.state == "finished"]
    for reader in finished:
        reader.refresh()
    known = [name for reader in finished for name in reader.metrics.series]
    return metrics_meant(words, known, "the runs of this sweep have no") if known else list(words)


def _measured(
    jobs: dict[tuple[int, int], Job], place: int, seeds: int, metrics: Sequence[str]
) -> dict[str, Spread]:
    """The last values of metrics over the seeds of a setting; a run that is not finished has none."""
    readers = {}
    for seed in range(seeds):
        readers[seed] = RunReader(jobs[place, seed].run)
        readers[seed].refresh()
    found = {}
    for metric in metrics:
        values: dict[int, float | None] = {}
        for seed, reader in readers.items():
            series = reader.metrics.series.get(metric)
            whole = series is not None and len(series) and jobs[place, seed].state == "finished"
            values[seed] = find_result(series, better(metric)).last if series is not None and whole else None
        found[metric] = spread_of(values)
    return found


def _print(
    settings: Sequence[Setting],
    found: Sequence[dict[str, Spread]],
    metrics: Sequence[str],
    jobs: dict[tuple[int, int], Job],
    seeds: int,
) -> None:
    keys = [key for key, _ in settings[0].values]
    columns: list[tuple[str, list[str]]] = [
        (key, [dict(setting.values)[key] for setting in settings]) for key in keys
    ]
    for metric in metrics:
        spreads = [one[metric] for one in found]
        best = best_of([spread.mean for spread in spreads], better(metric))
        cells = [f"{BEST} {_said(one)}" if row in best else _said(one) for row, one in enumerate(spreads)]
        columns.append((name_of(metric), cells))
    states: list[list[str]] = [
        [jobs[place, seed].state for seed in range(seeds)] for place in range(len(settings))
    ]
    columns.append(("finished", [f"{row.count('finished')} of {seeds}" for row in states]))
    header = [title for title, _ in columns]
    rows: list[Any] = list(zip(*(cells for _, cells in columns), strict=True))
    print_table(header, rows, right=set(header))
    spread = (
        f"mean ± standard deviation over {seeds} seeds"
        if seeds > 1
        else "one seed: nothing is said of the spread"
    )
    directions = [f"{name_of(metric)}: {better(metric)} is better" for metric in metrics if better(metric)]
    print_line("; ".join([spread, *directions]), dim=True)


def _said(spread: Spread) -> str:
    if spread.mean is None:
        return "-"
    return number(spread.mean) + ("" if spread.std is None else f" ± {number(spread.std, 2)}")
