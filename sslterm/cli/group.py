"""Commands, and groups of them, as every part of the program has them: help, errors, and what `--json` prints."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup

from sslterm.errors import UsageError, did_you_mean

EXIT_CODES = (
    "Exit codes: 0 ok, 1 failed, 2 usage or configuration, 3 data, run or checkpoint missing or bad, "
    "4 device, 5 diverged, 130 stopped."
)


class Group(TyperGroup):
    """A group that knows the nearest command to a misspelt one."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        command = self.find(ctx, name)
        if command is None and not ctx.resilient_parsing:
            of = "" if ctx.parent is None else f" of `{ctx.command_path}`"
            raise UsageError(f"there is no command {name!r}{of}", did_you_mean(name, self.list_commands(ctx)))
        return (name if command else None), command, args[1:]

    def find(self, ctx: Any, name: str) -> Any:
        """The command `name`, ready to be invoked, or None."""
        return self.get_command(ctx, name)


def new_group(about: str, *examples: str) -> typer.Typer:
    """A group that is to be filled; alone, it does what its callback does."""
    shown = "".join(f"\n  {example}" for example in examples)
    return typer.Typer(
        help=about, epilog=f"\b\nExamples:{shown}\n\n{EXIT_CODES}", cls=Group, invoke_without_command=True,
        rich_markup_mode=None, add_completion=False,
    )  # fmt: skip


class PlainCommand(TyperCommand):
    """A command whose help says what a value is rather than its type in Python."""

    output: Any = None
    """The type of what `--json` prints (`sslterm.cli.outputs`)."""

    def set_output(self, shape: Any, *, lines: bool) -> None:
        """Describe `--json` in the help by an outline of `shape`, and print it with `--json-schema`.

        Args:
            lines: it prints one such value a line, as they come.
        """
        from sslterm.cli.json_schema import outline

        self.output = shape
        place = next(index for index, one in enumerate(self.params) if one.name == "as_json")
        self.params[place].help = f"{'A line each: ' if lines else ''}{outline(shape)}"  # type: ignore[attr-defined]
        self.params.insert(place + 1, _schema_option())

    def get_params(self, ctx: Any) -> Any:
        parameters: Any = super().get_params(ctx)
        for one in parameters:
            if one.metavar is None and not getattr(one, "is_flag", False):
                choices = one.type_descriptor.choices
                one.metavar = "|".join(map(str, choices)) if choices else one.name.upper()
        return parameters

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        pieces = [self.options_metavar] if self.options_metavar else []
        for one in self.get_params(ctx):
            if isinstance(one, TyperArgument):
                name = one.display_name_raw + ("..." if one.nargs != 1 else "")
                pieces.append(name if one.required else f"[{name}]")
        return pieces

    def format_options(self, ctx: Any, formatter: Any) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        for one in self.get_params(ctx):
            if isinstance(one, TyperArgument):
                sections["Arguments"].append((one.display_name_raw, one.help or ""))
            elif (record := one.get_help_record(ctx)) is not None:
                sections["Options"].append(record)
        for title, rows in sections.items():
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def _schema_option() -> Any:
    """`--json-schema` as an option of a command that is made already."""

    def declare(
        _schema: Annotated[
            bool,
            typer.Option(
                "--json-schema",
                help="Print what --json prints as JSON Schema, each key explained.",
                callback=_print_schema,
                is_eager=True,
                expose_value=False,
            ),
        ] = False,
    ) -> None: ...

    holder = typer.Typer(add_completion=False)
    holder.command()(declare)
    return typer.main.get_command(holder).params[0]


def _print_schema(ctx: typer.Context, wanted: bool) -> None:
    if not wanted or ctx.resilient_parsing:
        return
    from sslterm.cli.json_schema import json_schema
    from sslterm.cli.output import print_json

    command: Any = ctx.command
    print_json(json_schema(command.output, ctx.command_path))
    raise typer.Exit
