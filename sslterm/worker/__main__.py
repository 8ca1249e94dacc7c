"""The worker process: `python -m sslterm.worker RUN` loads a trained run once and answers requests about it.

Requests come on stdin, answers go to stdout (`sslterm.worker.protocol`), whatever else prints goes to stderr.
It ends with its stdin.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from sslterm.engine.load import Loaded, load_method
from sslterm.errors import ExitCode
from sslterm.run.layout import RunDirectory
from sslterm.worker.outputs import Stage
from sslterm.worker.protocol import serve

BACKGROUND_NICENESS = 10


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m sslterm.worker RUN [--device D] [--images N] [--background]`."""
    parser = argparse.ArgumentParser(prog="python -m sslterm.worker", description="Answer requests on a run.")
    parser.add_argument("run", type=Path, help="the run directory")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")
    parser.add_argument(
        "--images", type=int, help="the checkpoint after so many images; the newest without it"
    )
    parser.add_argument(
        "--background",
        action="store_true",
        help="leave the processors to others: one thread, at a low priority",
    )
    given = parser.parse_args(arguments)
    if given.background:
        os.nice(BACKGROUND_NICENESS)
        torch.set_num_threads(1)
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever prints must not break the protocol

    def load(run: RunDirectory, device: torch.device, progress: Stage) -> Loaded:
        return load_method(run, device, images=given.images, progress=progress)

    try:
        serve(RunDirectory(given.run), sys.stdin, answers, device=given.device, load=load)
    except KeyboardInterrupt:
        return int(ExitCode.STOPPED)
    except BrokenPipeError:  # nobody listens any more
        os.dup2(os.open(os.devnull, os.O_WRONLY), answers.fileno())
    return int(ExitCode.OK)


if __name__ == "__main__":
    sys.exit(main())
