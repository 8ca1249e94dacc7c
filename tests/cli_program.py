"""The program as tests call it: in this process, or as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import jsonschema
import pytest

from sslterm.cli.app import main
from sslterm.cli.json_schema import json_schema
from sslterm.cli.outputs import LINES, OUTPUTS


@dataclass(frozen=True)
class Answer:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Answer]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs `sslterm ARGUMENTS` in this process, without a terminal; what --json prints is held to its schema."""

    def run(*arguments: object) -> Answer:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        answer = Answer(int(code), out, err)
        if "--json" in arguments and answer.code == 0:
            check_json([str(argument) for argument in arguments], out)
        return answer

    return run


def check_json(arguments: Sequence[str], out: str) -> None:
    """Hold what a command has printed with --json to the schema that it gives with --json-schema."""
    command = next(path for path in (" ".join(arguments[:2]), arguments[0]) if path in OUTPUTS)
    printed = [json.loads(line) for line in out.splitlines()]
    assert printed
    assert len(printed) == 1 or command in LINES
    validator = validator_of(command)
    for value in printed:
        validator.validate(value)


@cache
def validator_of(command: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json_schema(OUTPUTS[command], command))


def start(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `python ARGUMENTS` as a process of its own."""
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
    )
