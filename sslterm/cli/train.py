"""`sslterm train` and `sslterm resume`."""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path
from typing import Annotated

import typer

from sslterm.catalog import find_method
from sslterm.cli import follow
from sslterm.cli.complete import complete_key, complete_preset, complete_run, complete_source
from sslterm.cli.initial import find_initial, give_initial
from sslterm.cli.options import AsJson, Device, MethodName, Root, RunName
from sslterm.cli.output import note, print_json
from sslterm.cli.progress import JsonProgress, summary
from sslterm.config.presets import default_preset
from sslterm.config.read import dump
from sslterm.config.resolve import resolve
from sslterm.data.catalog import SOURCES
from sslterm.errors import ExitCode, UsageError
from sslterm.mirror.tensorboard import check_installed
from sslterm.run import launch
from sslterm.run.layout import RunDirectory, create_run, find_run, runs_root
from sslterm.run.lock import trainer_of
from sslterm.run.status import read_status, state_now

Processes = Annotated[
    int, typer.Option("--nproc", metavar="N", min=1, help="Processes, one a GPU (or a CPU share).")
]
Foreground = Annotated[
    bool, typer.Option("--foreground", help="Train in this process, a plain line now and then.")
]
Detach = Annotated[bool, typer.Option("--detach", help="Start the training and return at once.")]


def train(
    method: MethodName,
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
    init: Annotated[
        str | None,
        typer.Option(
            metavar="RUN|FILE",
            autocompletion=complete_run,
            help="Weights to begin with: of a run, an export, or torchvision's or timm's file.",
        ),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run; otherwise METHOD-PRESET-N.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of weights, order and noise.")] = None,
    device: Device = "auto",
    nproc: Processes = 1,
    foreground: Foreground = False,
    detach: Detach = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the resolved configuration and stop.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard events too, into RUN/tensorboard.")
    ] = False,
    as_json: AsJson = False,
    runs: Root = None,
) -> None:
    """Train a method from a preset, live in the terminal; it goes on when the terminal closes.

    \b
    Examples:
      sslterm train vae --preset digits
      sslterm train barlow-twins --preset patterns --set optim.main.lr=3e-3
      sslterm train dcgan --data ~/pictures --detach
      sslterm train simclr --preset imagenet --init resnet50.safetensors
    """
    entry = find_method(method)
    chosen = preset or default_preset(entry.name)
    experiment = resolve(
        entry.name, chosen, config=config, overrides=set_ or [], data=data, seed=seed, sources=SOURCES
    )
    text = dump(experiment)
    if tensorboard:
        check_installed()
    root = runs_root(runs)
    source = find_initial(init, root) if init else None
    if dry_run:
        if as_json:
            print_json(tomllib.loads(text))
        else:
            typer.echo(text, nl=False)
        return
    _check_alone("train", entry.name)
    follow.check_writable(root)
    run = create_run(root, entry.name, chosen, name)
    launch.write_config(run, text)
    if tensorboard:
        run.tensorboard.mkdir()
    if source is not None:
        give_initial(run, source, entry.name)
    _launch(run, device=device, nproc=nproc, foreground=foreground, detach=detach, as_json=as_json)


def resume(
    run: RunName,
    device: Device = "auto",
    nproc: Processes = 1,
    foreground: Foreground = False,
    detach: Detach = False,
    as_json: AsJson = False,
    runs: Root = None,
) -> None:
    """Go on with a run from its newest checkpoint, exactly where it was.

    \b
    Examples:
      sslterm resume last
      sslterm resume vae-digits-1 --foreground
    """
    _check_alone("resume", run)
    found = find_run(run, runs_root(runs))
    status = read_status(found.status)
    state = state_now(status) if status is not None else "starting"
    pid = trainer_of(found, status)
    if pid is not None:
        raise UsageError(
            f"{found.name} is {state} already (pid {pid})", f"watch it: sslterm monitor {found.name}"
        )
    if state == "finished":
        note(f"{found.name} is finished; there is nothing left to train")
        if as_json and status is not None:
            JsonProgress(found)(status)
        return
    _launch(found, device=device, nproc=nproc, foreground=foreground, detach=detach, as_json=as_json)


def _check_alone(command: str, what: str) -> None:
    """Refuse torchrun, whose processes would each make a run of their own: `command` starts the processes."""
    processes = os.environ.get("WORLD_SIZE", "1")
    if "TORCHELASTIC_RUN_ID" in os.environ and processes != "1":
        raise UsageError(
            f"torchrun has started `sslterm {command}` {processes} times, and one of it starts all processes",
            f"sslterm {command} {what} --nproc {processes}; or torchrun ... -m sslterm.train RUN_DIRECTORY",
        )


def _launch(
    run: RunDirectory, *, device: str, nproc: int, foreground: bool, detach: bool, as_json: bool
) -> None:
    """Train `run` in the way that was asked for, or that fits the terminal."""
    if detach:
        trainer = launch.start_trainer(run, device=device, processes=nproc)
        follow.wait_until_running(run, trainer)
        status = read_status(run.status)
        if as_json and status is not None:
            JsonProgress(run)(status)
        else:
            typer.echo(f"{run.name} is training (pid {trainer.pid}); watch it: sslterm monitor {run.name}")
        return
    live = sys.stdout.isatty() and sys.stdin.isatty() and not foreground and not as_json
    if not live:
        if nproc > 1:
            trainer = launch.start_trainer(run, device=device, processes=nproc)
            code = follow.follow(run, trainer, as_json=as_json)
        else:
            code = follow.train_here(run, device=device, as_json=as_json)
        raise typer.Exit(int(code))
    trainer = launch.start_trainer(run, device=device, processes=nproc)
    follow.wait_until_running(run, trainer)
    raise typer.Exit(int(_watch(run, trainer_pid=trainer.pid)))


def _watch(run: RunDirectory, *, trainer_pid: int) -> ExitCode:
    """Show the live view; on leaving it, say what goes on and what came out."""
    from sslterm.tui import watch  # imports textual

    outcome = watch(run, attached=True)
    status = read_status(run.status)
    if status is None:
        return ExitCode.OK
    if outcome == "detached":
        typer.echo(f"{run.name} goes on (pid {trainer_pid}); come back: sslterm monitor {run.name}")
        return ExitCode.OK
    typer.echo(summary(run, find_method(follow.method_of(run)), status, run.name))
    codes = {"stopped": ExitCode.STOPPED, "diverged": ExitCode.DIVERGED, "failed": ExitCode.FAILED}
    return codes.get(status.state, ExitCode.OK)
