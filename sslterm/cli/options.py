"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sslterm.cli.complete import complete_device, complete_method, complete_run

RunName = Annotated[
    str,
    typer.Argument(metavar="RUN", help="Name, unique prefix, path, or `last`.", autocompletion=complete_run),
]
Root = Annotated[
    Path | None, typer.Option("--runs", metavar="DIR", help="Where runs are kept.", envvar="SSLTERM_RUNS")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.", autocompletion=complete_device)]
AsJson = Annotated[bool, typer.Option("--json")]
"""What it prints stands in `sslterm.cli.outputs`, which its help is made from."""

MethodName = Annotated[
    str, typer.Argument(metavar="METHOD", help="See `sslterm methods`.", autocompletion=complete_method)
]
