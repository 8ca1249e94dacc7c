"""`sslterm report`: what runs have come to, as one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sslterm.cli.complete import complete_run
from sslterm.cli.options import AsJson, Root
from sslterm.cli.output import note, print_json
from sslterm.errors import SsltermError, UsageError
from sslterm.render.quantity import memory
from sslterm.run.files import replace_file
from sslterm.run.layout import find_run, runs_root
from sslterm.run.reader import RunReader


def report(
    names: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN", help="Names, unique prefixes, paths, or `last`.", autocompletion=complete_run
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.html", help="The page.")],
    title: Annotated[str, typer.Option(help="Its title.")] = "",
    runs: Root = None,
    as_json: AsJson = False,
) -> None:
    """Write results, curves, pictures and settings of runs into one HTML page that needs nothing else.

    It opens without a network, and holds no program. A file that is there is replaced.

    \b
    Examples:
      sslterm report last --out report.html
      sslterm report vae-digits-1 vae-digits-2 --out vae.html --title "Two VAEs"
    """
    from sslterm.report.page import page_of  # its template engine takes a while to import

    if out.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--out {out}: a report is a page", f"name it {out.with_suffix('.html')}")
    found = {run.path.resolve(): run for run in (find_run(name, runs_root(runs)) for name in names)}
    readers = [RunReader(run) for run in found.values()]
    for reader in readers:
        reader.refresh()
    content = page_of(readers, title=title).encode()
    try:
        replace_file(out, content)
    except OSError as error:
        raise SsltermError(f"cannot write {out}: {error.strerror or error}") from error
    if as_json:
        print_json({"runs": [reader.run.name for reader in readers], "path": str(out), "bytes": len(content)})
        return
    typer.echo(str(out))
    note(memory(len(content)))
