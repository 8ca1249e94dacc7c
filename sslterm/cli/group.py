"""Commands that have commands of their own: `sslterm` itself, `runs`, `presets`, `data`."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from sslterm.errors import UsageError, did_you_mean


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


def new_group(about: str) -> typer.Typer:
    """A group that is to be filled; alone, it does what its callback does."""
    return typer.Typer(
        help=about, cls=Group, invoke_without_command=True, rich_markup_mode=None, add_completion=False
    )
