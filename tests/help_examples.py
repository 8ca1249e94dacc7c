"""Every command of the program, and every example that its help gives."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cache
from typing import Any

from sslterm.cli.app import contexts


@dataclass(frozen=True)
class Example:
    """A line of a help text.

    Attributes:
        help_of: the command whose help has it.
        command: what it calls: "runs list".
        arguments: all that follows `sslterm`.
    """

    help_of: str
    command: str
    arguments: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(self.arguments)


@cache
def commands() -> dict[str, Any]:
    """{"runs list": its command}, ... of the whole program, groups left out."""
    known = {path: context.command for path, context in contexts()}
    return {path: command for path, command in known.items() if not hasattr(command, "list_commands")}


def help_texts() -> dict[str, str]:
    """What `--help` of every command and group prints in 80 columns; "" is the program."""
    return {path: context.get_help() for path, context in contexts(terminal_width=78)}


@cache
def examples() -> list[Example]:
    """All examples of all help texts, in their order."""
    known = commands()
    found = []
    for path, text in help_texts().items():
        _, _, below = text.partition("\n  Examples:\n")
        block = re.sub(r" \\\n +", " ", re.split(r"\n\s*\n", below)[0])  # a line may go on in the next
        for line in filter(None, block.splitlines()):
            words = shlex.split(re.split(r" {3,}", line.strip())[0])  # what it does may stand behind it
            assert words[0] == "sslterm", f"{path} --help: {line!r} is no example"
            called = " ".join(words[1:3]) if " ".join(words[1:3]) in known else words[1]
            found.append(Example(path, called, tuple(words[1:])))
    return found
