"""The program: its commands, imported when they are called, and how errors end it."""

from __future__ import annotations

import importlib
import io
import os
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from sslterm import __version__
from sslterm.cli.group import EXIT_CODES, Group, PlainCommand
from sslterm.errors import ExitCode, SsltermError, UsageError

EXAMPLES = """\b
Examples:
  sslterm train vae --preset digits      train, live in the terminal
  sslterm monitor                        watch every run here
  sslterm sample last                    a grid of samples as PNG
  sslterm explain barlow-twins           the idea, the objective, the paper
"""


@dataclass(frozen=True)
class Command:
    """Where a command is, and its line in `sslterm --help`."""

    target: str
    """"module:name" of a function, or of a Typer app with commands of its own."""
    line: str


COMMANDS: Mapping[str, Mapping[str, Command]] = {
    "Train": {
        "train": Command("sslterm.cli.train:train", "Train a method from a preset."),
        "resume": Command("sslterm.cli.train:resume", "Go on with a run, exactly where it was."),
        "pause": Command("sslterm.cli.control:pause", "Hold a training run."),
        "continue": Command("sslterm.cli.control:continue_", "Go on after a pause."),
        "stop": Command("sslterm.cli.control:stop", "Save a training run and end it."),
        "checkpoint": Command("sslterm.cli.control:checkpoint", "Save a training run now."),
        "sweep": Command("sslterm.cli.sweep:sweep", "Train many configurations, with several seeds."),
        "reproduce": Command("sslterm.cli.reproduce:reproduce", "Train a run again; does the same come out?"),
    },
    "Watch": {
        "monitor": Command("sslterm.cli.monitor:monitor", "Watch runs live; control them."),
        "runs": Command("sslterm.cli.runs:app", "List, show, compare, remove and pack runs."),
        "plot": Command("sslterm.cli.plot:plot", "Draw the curves of a run."),
        "compare": Command("sslterm.cli.compare:compare", "Lay runs side by side."),
        "report": Command("sslterm.cli.report:report", "Write all of it into one HTML page."),
    },
    "Use": {
        "sample": Command("sslterm.cli.use:sample", "Draw samples."),
        "traverse": Command("sslterm.cli.traverse:traverse", "Walk through the latent space."),
        "reconstruct": Command("sslterm.cli.use:reconstruct", "Images beside their reconstructions."),
        "complete": Command("sslterm.cli.restore:complete", "Fill holes in pictures."),
        "colorize": Command("sslterm.cli.restore:colorize", "Give pictures new colours."),
        "track": Command("sslterm.cli.video:track", "Follow objects through a clip."),
        "predict": Command("sslterm.cli.video:predict", "What comes next in a clip."),
        "probe": Command("sslterm.cli.probe:probe", "Measure what the features are good for."),
        "evaluate": Command("sslterm.cli.use:evaluate", "Measure likelihood, fidelity, reconstruction."),
        "score": Command("sslterm.cli.score:score", "How unlike the training's images is a picture?"),
        "embed": Command("sslterm.cli.features:embed", "Write the features of all images to a file."),
        "export": Command("sslterm.cli.export:export", "Write the networks for other programs to load."),
        "neighbors": Command("sslterm.cli.features:neighbors", "Find the images most like a picture."),
    },
    "Know": {
        "methods": Command("sslterm.cli.methods:methods", "All methods, as the tree of their kinds."),
        "explain": Command("sslterm.cli.methods:explain", "What a method is, and what to watch for."),
        "presets": Command("sslterm.cli.presets:app", "List, show and copy the recipes of methods."),
        "data": Command("sslterm.cli.data:app", "List, fetch and check data sets."),
        "bench": Command("sslterm.cli.bench:bench", "How fast methods train on this machine."),
        "doctor": Command("sslterm.cli.doctor:doctor", "What is wrong with this machine or terminal?"),
        "docs": Command("sslterm.cli.docs:docs", "Write the manual, for man or as Markdown."),
    },
}
"""Every command by section; what is listed here is imported only when it is called."""


class LazyGroup(Group):
    """Lists commands from `COMMANDS` without importing them, and imports the one that is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for section in COMMANDS.values() for name in section]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command as far as lists need it: its name and its line."""
        command = _find(cmd_name)
        return TyperCommand(cmd_name, help=command.line, rich_markup_mode=None) if command else None

    def find(self, ctx: Any, name: str) -> Any:
        command = _find(name)
        return load(name, command.target) if command else None

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        for title, section in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl([(name, command.line) for name, command in section.items()])


def _find(name: str) -> Command | None:
    return next((section[name] for section in COMMANDS.values() if name in section), None)


def load(name: str, target: str) -> Any:
    """Import a command and make it ready to be invoked."""
    from sslterm.cli.outputs import LINES, OUTPUTS

    module, _, attribute = target.partition(":")
    found: typer.Typer | Callable[..., None] = getattr(importlib.import_module(module), attribute)
    if isinstance(found, typer.Typer):
        for registered in found.registered_commands:
            registered.epilog = EXIT_CODES
            registered.cls = PlainCommand
        group = found
    else:
        group = typer.Typer(add_completion=False, rich_markup_mode=None)
        group.command(name, epilog=EXIT_CODES, cls=PlainCommand)(found)
    command = typer.main.get_command(group)
    command.name = name
    for path, leaf in leaves(name, command):
        if path in OUTPUTS:
            leaf.set_output(OUTPUTS[path], lines=path in LINES)
    return command


def leaves(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """("runs list", its command), ...: what a group holds; a command that is none holds itself."""
    if not hasattr(command, "commands"):
        yield name, command
    for inner, leaf in getattr(command, "commands", {}).items():
        yield f"{name} {inner}", leaf


def contexts(**settings: Any) -> Iterator[tuple[str, typer.Context]]:
    """(path, context) of the program, whose path is "", and of every group and command, as `--help` has them.

    All are imported. `settings` are of every context, as `terminal_width`.
    """

    def context(command: Any, name: str, above: typer.Context | None) -> typer.Context:
        made: typer.Context = command.make_context(name, [], parent=above, resilient_parsing=True, **settings)
        return made

    program = context(typer.main.get_command(app), "sslterm", None)
    yield "", program
    for section in COMMANDS.values():
        for name, listed in section.items():
            called = context(load(name, listed.target), name, program)
            yield name, called
            for inner, command in getattr(called.command, "commands", {}).items():
                yield f"{name} {inner}", context(command, inner, called)


app = typer.Typer(
    name="sslterm",
    cls=LazyGroup,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"{EXAMPLES}\n{EXIT_CODES}",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"sslterm {__version__}")
        raise typer.Exit


@app.callback()
def start(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
    runs: Annotated[
        Path | None, typer.Option("--runs", metavar="DIR", help="The runs that `sslterm` alone opens on.")
    ] = None,
) -> None:
    """Train, watch and use un- and self-supervised models from the terminal."""
    if ctx.invoked_subcommand is not None:
        if runs is not None:
            raise UsageError(
                f"`--runs` before a command is for `sslterm` alone, not for {ctx.invoked_subcommand}",
                f"say it behind the command: sslterm {ctx.invoked_subcommand} ... --runs {shlex.quote(str(runs))}",
            )
        return
    from sslterm.cli.output import on_a_terminal

    if not on_a_terminal():
        print(ctx.get_help())
        return
    from sslterm.cli.monitor import monitor

    monitor(runs=runs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit code. Errors that a person can act on are two lines on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal of ASCII shows "?", and no traceback
    words = sys.argv if arguments is None else arguments
    if "--show-completion" in words or "--install-completion" in words:
        from sslterm.cli.complete import leave_keys_open

        leave_keys_open()
    try:
        code = app(arguments, prog_name="sslterm", standalone_mode=False)
        sys.stdout.flush()
        return int(code or ExitCode.OK)
    except SsltermError as error:
        return _report(error.message, error.hint, error.exit_code)
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        message = error.format_message().rstrip(".")
        hint = f"see `{context.command_path} --help`" if context is not None else ""
        return _report(message[:1].lower() + message[1:], hint, ExitCode.USAGE)
    except (KeyboardInterrupt, typer.Abort):
        return ExitCode.STOPPED
    except BrokenPipeError:  # whoever read our output has gone (`| head`), and that is no error to tell about
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    except OSError as error:
        place = f"{error.filename}: " if error.filename is not None else ""
        return _report(f"{place}{error.strerror or error}", "", ExitCode.FAILED)


def _report(message: str, hint: str, code: ExitCode) -> ExitCode:
    sys.stdout.flush()
    print(f"error: {message}" + (f"\n  {hint}" if hint else ""), file=sys.stderr, flush=True)
    return code
