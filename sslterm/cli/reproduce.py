"""`sslterm reproduce`: train a configuration again, and say whether the same comes out."""

from __future__ import annotations

import os
import tomllib
from typing import Annotated, Any

import tomli_w
import typer

from sslterm.cli import follow
from sslterm.cli.options import AsJson, Device, Root, RunName
from sslterm.cli.output import note, print_json, print_line, print_table
from sslterm.errors import DataError, ExitCode
from sslterm.run import launch
from sslterm.run.agreement import Agreement, Verdict, agreements, verdict_of
from sslterm.run.layout import RunDirectory, create_run, find_run, runs_root
from sslterm.run.reader import RunReader

WORDS: dict[Verdict, str] = {
    "equal": "reproduced to the bit: every logged number is the same",
    "close": "reproduced within {tolerance:g}: numbers on held-out images end that close to one another",
    "different": "not reproduced: numbers on held-out images end further than {tolerance:g} from one another",
}
MATTERS = ("sslterm", "commit", "torch", "python", "platform", "device", "threads", "augment")
"""What may change a number besides the configuration, as meta.json calls it."""


def reproduce(
    run: RunName,
    name: Annotated[
        str | None, typer.Option(help="Name of the second run; otherwise METHOD-PRESET-N.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0.0, help="Most that held-out numbers may differ by, as a share.")
    ] = 0.05,
    device: Device = "auto",
    runs: Root = None,
    as_json: AsJson = False,
) -> None:
    """Train a run's configuration again with its seed, and compare all that was logged.

    On a CPU with the same versions and as many threads the numbers are the same to the bit. It exits with 1
    where they are not even within the tolerance.

    \b
    Examples:
      sslterm reproduce last
      sslterm reproduce vae-digits-1 --device cpu
    """
    root = runs_root(runs)
    original = _read(find_run(run, root))
    if not original.metrics.series:
        raise DataError(f"{original.run.name} has logged nothing to compare with")
    again = _train_again(original, root_name=name, device=device, root=root, as_json=as_json)
    found = agreements(original.metrics.series, again.metrics.series)
    verdict = verdict_of(found, tolerance)
    changed = {
        key: [original.meta.get(key), again.meta.get(key)]
        for key in MATTERS
        if original.meta.get(key) != again.meta.get(key)
    }
    if as_json:
        print_json(
            {
                "run": original.run.name, "again": again.run.name, "verdict": verdict, "tolerance": tolerance,
                "changed": changed, "metrics": [vars(one) for one in found],
            }
        )  # fmt: skip
    else:
        _print(found, verdict, tolerance, changed)
    if verdict == "different":
        raise typer.Exit(int(ExitCode.FAILED))


def _read(run: RunDirectory) -> RunReader:
    reader = RunReader(run)
    reader.refresh()
    return reader


def _train_again(
    original: RunReader, *, root_name: str | None, device: str, root: Any, as_json: bool
) -> RunReader:
    """A new run of the same configuration, in the arithmetic that "auto" came to, on as many threads."""
    try:
        table = tomllib.loads(original.run.config.read_text())
        method, preset = table["run"]["method"], table["run"]["preset"]
        asked = table["train"]["precision"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{original.run.config} is missing or damaged: there is nothing to train again"
        ) from error
    started = next((event for event in original.events if event.get("kind") == "started"), {})
    if asked == "auto" and started.get("precision"):
        table["train"]["precision"] = started["precision"]
    follow.check_writable(root)
    run = create_run(root, method, preset, root_name)
    launch.write_config(run, tomli_w.dumps(table))
    initial = original.run.initial()
    if initial is not None:
        launch.copy_initial(run, initial, str(original.meta.get("initial", "")))
    threads = original.meta.get("threads")
    if isinstance(threads, int) and "cpu" in str(original.meta.get("device", "")):
        os.environ["OMP_NUM_THREADS"] = str(threads)
    note(f"{run.name}: training the configuration of {original.run.name} again")
    trainer = launch.start_trainer(run, device=device, processes=1)
    code = follow.follow(run, trainer, as_json=as_json)
    if code != ExitCode.OK:
        raise typer.Exit(int(code))
    return _read(run)


def _print(found: list[Agreement], verdict: Verdict, tolerance: float, changed: dict[str, list[Any]]) -> None:
    rows = [
        [
            one.metric, f"{one.last:.6g}", f"{one.again:.6g}",
            "" if one.first_step is None else f"{one.difference:.2g}",
            "" if one.first_step is None else f"{one.first_step:,}",
        ]
        for one in found
    ]  # fmt: skip
    header = ["metric", "was", "is", "largest difference", "from step"]
    print_table(header, rows, right=set(header) - {"metric"})
    print_line(WORDS[verdict].format(tolerance=tolerance), bold=True)
    for what, (was, now) in changed.items():
        print_line(f"changed since: {what}: {was} -> {now}")
