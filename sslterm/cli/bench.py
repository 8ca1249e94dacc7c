"""`sslterm bench`: how fast methods train on this machine, and where the time goes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sslterm.catalog import CATALOG, find_method
from sslterm.cli.bench_output import Rows, machine_fields, print_measured
from sslterm.cli.complete import complete_key, complete_method, complete_preset, complete_source
from sslterm.cli.machine import find_processor
from sslterm.cli.options import AsJson, Device
from sslterm.cli.output import print_fields, print_json
from sslterm.cli.preview import Preview
from sslterm.config.presets import default_preset
from sslterm.config.resolve import resolve
from sslterm.data.catalog import SOURCES
from sslterm.errors import ExitCode, SsltermError

if TYPE_CHECKING:
    from sslterm.bench import Bench
    from sslterm.config.schema import Experiment

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
      sslterm bench simclr --set train.batch=512 --device cuda
      sslterm bench vae dcgan ddpm --seconds 1 --json
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
    processor = find_processor()
    from sslterm.bench import Bench  # imports torch

    timer = Bench(device)
    machine = {"processor": processor["name"], "cores": processor["usable"], **timer.machine}
    alone = len(experiments) == 1
    rows = Rows(experiments)
    if not as_json and not alone:
        print_fields(machine_fields(machine))
    found, interrupted = [], False
    for number, experiment in enumerate(experiments, 1):
        place = "" if alone else f"{number} of {len(experiments)}  {experiment.run.method}: "
        try:
            one = _measure(timer, experiment, place, seconds=seconds, compare=alone)
        except KeyboardInterrupt:
            interrupted = True
            break
        except SsltermError as error:
            if alone:
                raise
            one = {"method": experiment.run.method, "preset": experiment.run.preset, "error": error.message}
        found.append(one)
        if not as_json and not alone:
            rows.show(one)
        if interrupted := one.get("interrupted", False):
            break
    if as_json:
        print_json({"machine": machine, "methods": found, "interrupted": interrupted})
    elif not alone:
        rows.close()
    elif found:
        print_measured(found[0], machine)
    if interrupted:
        raise typer.Exit(int(ExitCode.STOPPED))
    if any("error" in one for one in found):
        raise typer.Exit(int(ExitCode.FAILED))


def _measure(
    timer: Bench, experiment: Experiment, place: str, *, seconds: float, compare: bool
) -> dict[str, Any]:
    """Time a preset, with a line of progress on a terminal."""
    with Preview() as preview:

        def progress(stage: str, done: int, total: int) -> None:
            preview.progress({"stage": f"{place}{stage}", "done": done, "total": total})

        progress("building the networks", 0, 0)
        return timer.measure(experiment, progress, seconds=seconds, compare=compare)
