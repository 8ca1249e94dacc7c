"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sslterm.cli.complete import complete_method, complete_run

RunName = Annotated[
    str,
    typer.Argument(metavar="RUN", help="Name, unique prefix, path, or `last`.", autocompletion=complete_run),
]
Root = Annotated[
    Path | None, typer.Option("--runs", metavar="DIR", help="Where runs are kept.", envvar="SSLTERM_RUNS")
]
MethodName = Annotated[
    str, typer.Argument(metavar="METHOD", help="See `sslterm methods`.", autocompletion=complete_method)
]
