"""What can go wrong, said in one line, with the exit code that scripts rely on."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of every command."""

    OK = 0
    FAILED = 1
    USAGE = 2
    """Wrong usage or configuration."""
    DATA = 3
    """Data, run or checkpoint missing or bad."""
    DEVICE = 4
    """The device is missing, or out of memory."""
    DIVERGED = 5
    """The loss became NaN or infinite."""
    STOPPED = 130
    """Stopped on request, after saving."""


class SsltermError(Exception):
    """A mistake or mishap that a person can act on: what is wrong, where, and what to do next.

    Args:
        message: one line: what is wrong, and where.
        hint: one line: what to do next ("" where there is nothing to add).
    """

    exit_code: ExitCode = ExitCode.FAILED

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  {self.hint}" if self.hint else self.message


class UsageError(SsltermError):
    """Wrong usage or configuration."""

    exit_code = ExitCode.USAGE


class DataError(SsltermError):
    """Data, run or checkpoint missing or bad."""

    exit_code = ExitCode.DATA


class DeviceError(SsltermError):
    """The device is missing, or out of memory."""

    exit_code = ExitCode.DEVICE


class DivergedError(SsltermError):
    """The loss, or a weight, is not finite any more."""

    exit_code = ExitCode.DIVERGED


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint that names the nearest known word, or lists what there is."""
    choices = list(known)
    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]!r}?"
    return "there is: " + ", ".join(choices) if choices else ""
