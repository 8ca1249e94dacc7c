"""`sslterm docs`: the manual as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from sslterm.cli.options import AsJson
from sslterm.cli.output import note, print_json
from sslterm.errors import SsltermError
from sslterm.run.files import replace_file


def docs(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; it is made if it is not there.")],
    to: Annotated[
        Literal["man", "markdown"],
        typer.Option("--to", help="A page for `man` of each command, or one Markdown file."),
    ] = "man",
    as_json: AsJson = False,
) -> None:
    """Write the manual: what --help says of every command, as man pages or as Markdown.

    Pages that are there are replaced.

    \b
    Examples:
      sslterm docs ~/.local/share/man/man1
      sslterm docs . --to markdown
    """
    from sslterm.cli.manual import pages, to_markdown, to_roff  # imports every command

    every = list(pages())
    if to == "man":
        texts = {f"{page.name}.1": to_roff(page) for page in every}
    else:
        texts = {"sslterm.md": to_markdown(every)}
    there = folder.expanduser()
    try:
        there.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            replace_file(there / name, text.encode())
    except OSError as error:
        raise SsltermError(f"cannot write {error.filename or there}: {error.strerror or error}") from error
    if as_json:
        print_json({"path": str(there), "files": list(texts)})
        return
    typer.echo(str(there))
    note(f"{len(texts)} pages; read one: man -l {there / 'sslterm.1'}" if to == "man" else "sslterm.md")
