"""The manual, made from the same texts as `--help`: pages of commands as roff for `man`, or as one Markdown file."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperArgument

from sslterm import __version__
from sslterm.cli.app import COMMANDS, contexts
from sslterm.cli.group import EXIT_CODES

ENVIRONMENT: Mapping[str, str] = {
    "SSLTERM_RUNS": "Where runs are kept; otherwise ./runs.",
    "SSLTERM_DATA": "Where downloaded data sets lie; otherwise this system's place for user data.",
    "SSLTERM_CACHE": "Where folders of images are kept decoded; otherwise this system's place for caches.",
    "SSLTERM_THEME": "Colours of the live view: dark, light or high-contrast.",
    "SSLTERM_SETTINGS": "The file of what the live view remembers.",
    "SSLTERM_AUGMENT": "What varies images: native (compiled code) or torch; otherwise native where it can be had.",
    "NO_COLOR": "No colours.",
    "FORCE_COLOR": "Colours off a terminal too.",
}
"""Variables that the program listens to."""

VERBATIM = "\b"
"""Stands before a paragraph whose lines stay as they are."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """What there is to say of a command.

    Attributes:
        path: "runs list"; "" is the program.
        line: the command in one line.
        description: paragraphs; those that begin with a backspace keep their lines.
        examples: lines.
        arguments, options, commands: (how it is written, what it is).
    """

    path: str
    line: str
    usage: str
    description: Sequence[str]
    examples: Sequence[str]
    arguments: Sequence[tuple[str, str]]
    options: Sequence[tuple[str, str]]
    commands: Sequence[tuple[str, str]]

    @property
    def name(self) -> str:
        """As `man` knows it: "sslterm-runs-list"."""
        return "-".join(["sslterm", *self.path.split()])


def pages() -> Iterator[Page]:
    """The program, then every command and group with what is in it, in the order of `sslterm --help`."""
    lines = {"": "Train, watch and use un- and self-supervised models."}
    lines |= {name: command.line for section in COMMANDS.values() for name, command in section.items()}
    for path, context in contexts():
        command: Any = context.command
        inner = {f"{path} {name}": one.short_help for name, one in getattr(command, "commands", {}).items()}
        lines |= inner
        yield _page(
            path, lines[path], context, inner if path else {name: lines[name] for name in list(lines)[1:]}
        )


def _page(path: str, line: str, context: typer.Context, inner: Mapping[str, str]) -> Page:
    command: Any = context.command
    paragraphs = [
        part for text in (command.help, command.epilog) for part in inspect.cleandoc(text or "").split("\n\n")
    ]
    examples = next(part for part in paragraphs if part.startswith(f"{VERBATIM}\nExamples:"))
    arguments, options = [], []
    for one in command.get_params(context):
        record = one.get_help_record(context)
        if isinstance(one, TyperArgument):
            arguments.append((one.display_name_raw, one.help or ""))
        elif record is not None:
            options.append(record)
    return Page(
        path=path, line=line, usage=" ".join([context.command_path, *command.collect_usage_pieces(context)]),
        description=[part for part in paragraphs if part not in (examples, EXIT_CODES)],
        examples=[text.removeprefix("  ") for text in examples.splitlines()[2:]],
        arguments=arguments, options=options, commands=list(inner.items()),
    )  # fmt: skip


def to_roff(page: Page) -> str:
    """A page of section 1 of the manual."""
    lines = [f'.TH "{page.name.upper()}" "1" "" "sslterm {__version__}" "sslterm"']
    lines += [".SH NAME", f"{_roff(page.name)} \\- {_roff(page.line.rstrip('.'))}"]
    lines += [".SH SYNOPSIS", _roff(page.usage), ".SH DESCRIPTION"]
    for part in page.description:
        lines += [".PP", *_roff_paragraph(part)]
    for title, rows in (("ARGUMENTS", page.arguments), ("OPTIONS", page.options)):
        lines += [f".SH {title}"] if rows else []
        for written, about in rows:
            lines += [".TP", f".B {_roff(written)}", _roff(about)]
    if page.commands:
        lines.append(".SH COMMANDS")
        for path, line in page.commands:
            lines += [".TP", f".BR {_roff('-'.join(['sslterm', *path.split()]))} (1)", _roff(line)]
    lines += [".SH EXAMPLES", ".nf", *map(_roff, page.examples), ".fi"]
    lines += [".SH EXIT STATUS", _roff(EXIT_CODES.partition(": ")[2])]
    if not page.path:
        lines.append(".SH ENVIRONMENT")
        for name, about in ENVIRONMENT.items():
            lines += [".TP", f".B {_roff(name)}", _roff(about)]
    else:
        lines += [".SH SEE ALSO", ".BR sslterm (1)"]
    return "\n".join(lines) + "\n"


def _roff_paragraph(text: str) -> list[str]:
    if text.startswith(VERBATIM):
        return [".nf", *(_roff(line) for line in text.splitlines()[1:]), ".fi"]
    return [_roff(" ".join(text.split()))]


def _roff(text: str) -> str:
    """Text of a line: nothing in it is a request, and its hyphens can be copied."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def to_markdown(all_pages: Sequence[Page]) -> str:
    """All pages in one text, with a table of contents."""
    parts = ["# sslterm", f"Version {__version__}. What `--help` says of every command."]
    parts.append(
        "\n".join(f"- [{page.usage.split(' [')[0]}](#{page.name}): {page.line}" for page in all_pages[1:])
    )
    parts += [_markdown(page) for page in all_pages]
    rows = "\n".join(f"- `{name}`: {about}" for name, about in ENVIRONMENT.items())
    return (
        "\n\n".join([*parts, "## Exit codes", EXIT_CODES.partition(": ")[2], "## Environment", rows]) + "\n"
    )


def _markdown(page: Page) -> str:
    parts = [f'<a id="{page.name}"></a>', f"## sslterm {page.path}".rstrip(), f"    {page.usage}"]
    parts += [
        _fenced(part.splitlines()[1:]) if part.startswith(VERBATIM) else part for part in page.description
    ]
    parts.append(_fenced(page.examples))
    for rows in (page.arguments, page.options):
        if rows:
            parts.append("\n".join(f"- `{written}`: {about}".rstrip(": ") for written, about in rows))
    return "\n\n".join(parts)


def _fenced(lines: Sequence[str]) -> str:
    return "\n".join(["```", *lines, "```"])
