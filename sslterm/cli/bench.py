"""`sslterm bench`: how fast methods train on this machine, and where the time goes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from sslterm.catalog import CATALOG, find_method
from sslterm.cli.bench_output import Rows, print_measured
from sslterm.cli.complete import complete_key, complete_method, complete_preset, complete_source
from sslterm.cli.machine import find_processor
from sslterm.cli.options import AsJson, Device
from sslterm.cli.output import print_json
from sslterm.cli.preview import Preview
from sslterm.config.presets import default_preset
from sslterm.config.resolve import resolve
from sslterm.config.schema import Experiment
from sslterm.data.catalog import SOURCES
from sslterm.errors import ExitCode, SsltermError

MOST_SECONDS = 3600.0


def bench(
    method: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="METHOD",
            help="One is looked at closely, several make a table; without any, all do.",
            autocompletion=complete_method,
        ),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Its recipe; without one, a preset that needs no download.", autocompletion=complete_preset
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH",
            help="Another data set, by name, or a folder of images.",
            autocompletion=complete_source,
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A TOML file laid over the preset.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Change one key of the preset; several times for several.",
            autocompletion=complete_key,
        ),
    ] = None,
    device: Device = "auto",
    seconds: Annotated[
        float,
        typer.Option(
            metavar="S",
            min=0,
            max=MOST_SECONDS,
            help="About how long each precision is timed, warm-up aside.",
        ),
    ] = 3.0,
    as_json: AsJson = False,
) -> None:
    """Time the training steps of a preset on this machine: images a second, and how long the whole of it would take.

    One METHOD is timed in each precision that the device has, in turns, and the parts of its step are told
    apart. Several are timed in the precision that they would be trained in. Nothing is kept, and no run is made.
    Ctrl-C ends it, with what was measured so far.

    \b
    Examples:
      sslterm bench vae
      sslterm bench simclr --set train.batch=512
      sslterm bench vae gan rbm --seconds 1 --json
      sslterm bench                          every method, for minutes
    """
    names = list(dict.fromkeys(find_method(name).name for name in method or CATALOG))
    experiments = [
        resolve(
            name, preset or default_preset(name), config=config, overrides=set_ or [], data=data,
            sources=SOURCES,
        )
        for name in names
    ]  # fmt: skip
    from sslterm.bench import Bench  # imports torch

    timer, processor = Bench(device), find_processor()
    machine = {"processor": processor["name"], "cores": processor["usable"], **timer.machine}
    alone = len(experiments) == 1
    rows = None if as_json or alone else Rows(experiments, machine)
    found = []
    for one in _measure_each(experiments, timer.measure, seconds=seconds):
        found.append(one)
        if rows is not None:
            rows.show(one)
    interrupted = len(found) < len(experiments) or any(one.get("interrupted") for one in found)
    if as_json:
        print_json({"machine": machine, "methods": found, "interrupted": interrupted})
    elif rows is not None:
        rows.close(f"after {len(found)} of {len(experiments)} methods" if interrupted else "")
    elif found:
        print_measured(found[0], machine)
    if interrupted:
        raise typer.Exit(int(ExitCode.STOPPED))
    if any("error" in one for one in found):
        raise typer.Exit(int(ExitCode.FAILED))


def _measure_each(
    experiments: Sequence[Experiment], measure: Callable[..., dict[str, Any]], *, seconds: float
) -> Iterator[dict[str, Any]]:
    """What `measure` says of each, with a line of progress on a terminal; an interrupt ends it.

    Raises:
        SsltermError: there is but one, and it cannot be timed; of several, the others still are.
    """
    alone = len(experiments) == 1
    for number, experiment in enumerate(experiments, 1):
        method, preset = experiment.run.method, experiment.run.preset
        place = "" if alone else f"{number} of {len(experiments)}  {method}: "
        try:
            with Preview() as preview:

                def progress(stage: str, done: int, total: int, place: str = place) -> None:
                    preview.progress({"stage": f"{place}{stage}", "done": done, "total": total})

                progress("building the networks", 0, 0)
                one = measure(experiment, progress, seconds=seconds, compare=alone)
        except KeyboardInterrupt:
            return
        except SsltermError as error:
            if alone:
                raise
            one = {"method": method, "preset": preset, "error": error.message}
        yield one
        if one.get("interrupted"):
            return
