"""A run that is being put together: what was typed, what is wrong with it, the command that would start it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sslterm.config.kinds import choices_of, describe_kind, meaning_of
from sslterm.config.override import apply_overrides, fields_after
from sslterm.config.presets import read_preset
from sslterm.config.read import parse_experiment, to_table
from sslterm.config.schema import Experiment
from sslterm.data.catalog import SOURCES
from sslterm.errors import SsltermError, UsageError

NAME, DEVICE = "name", "device"
DEVICES = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class Field:
    """One thing that can be set.

    Attributes:
        key: "name", "device", or a path of the configuration.
        preset: its value in the preset, as it is typed; None where the preset has no such key.
        about: what it means, and what it takes, in words.
        choices: all values it can have; () where anything may be typed.
    """

    key: str
    preset: str | None
    about: str
    choices: tuple[str, ...] = ()


class RunForm:
    """The keys of a preset with what was typed over them."""

    def __init__(self, method: str, preset: str, about: Mapping[str, str] | None = None) -> None:
        """Raises UsageError where the preset is damaged."""
        self.method, self.preset = method, preset
        self.about = about or {}
        """What keys of the method's own section mean, by name."""
        table, self.header = read_preset(method, preset)
        self.table = to_table(parse_experiment(table, f"{method}/{preset}"))
        self.typed: dict[str, str] = {}
        """What was typed, by key; what is as in the preset is not here."""
        self.fields: tuple[Field, ...] = ()
        self.errors: dict[str, str] = {}
        """What is wrong, a line each, by key."""
        self._check()

    def text(self, field: Field) -> str:
        """What stands in a field."""
        return self.typed.get(field.key, field.preset or "")

    def type(self, field: Field, text: str) -> None:
        """Put a text into a field, and check all of them."""
        if text == field.preset or (field.preset is None and not text):
            self.typed.pop(field.key, None)
        else:
            self.typed[field.key] = text
        self._check()

    def is_changed(self, field: Field) -> bool:
        return field.key in self.typed

    @property
    def name(self) -> str | None:
        return self.typed.get(NAME, "").strip() or None

    @property
    def device(self) -> str:
        return self.typed.get(DEVICE, "").strip() or "auto"

    @property
    def overrides(self) -> list[str]:
        """What `--set` would be given."""
        return [f"{key}={text}" for key, text in self.typed.items() if key not in (NAME, DEVICE)]

    def command(self, runs: str = "") -> str:
        """The command that starts the same run.

        Args:
            runs: the folder of runs, where it is not the usual one.
        """
        words = ["sslterm", "train", self.method, "--preset", self.preset]
        for override in self.overrides:
            words += ["--set", override]
        if self.name:
            words += ["--name", self.name]
        if self.device != "auto":
            words += ["--device", self.device]
        if runs:
            words += ["--runs", runs]
        return shlex.join(words)

    def experiment(self) -> Experiment:
        """The configuration of the run.

        Raises:
            UsageError: something in it is wrong.
        """
        return parse_experiment(apply_overrides(self.table, self.overrides), f"{self.method}/{self.preset}")

    def _check(self) -> None:
        self.errors = {}
        good: list[str] = []
        names = sorted(self.overrides, key=lambda one: not one.partition("=")[0].endswith(".name"))
        for override in names:
            key = override.partition("=")[0]
            try:
                found = fields_after(self.table, [*good, override])
            except UsageError as error:
                if self._is_gone(key, good):
                    del self.typed[key]
                else:
                    self.errors[key] = _one_line(error, override)
            else:
                good.append(override)
                if key == "data.name" and found[key][0] not in SOURCES:
                    self.errors[key] = "there is: " + ", ".join(_sources(self.table))
        self.fields = self._fields_after(good)
        for field in self.fields:
            if field.preset is None and field.key not in self.typed:
                self.errors[field.key] = "is needed"
        if not self.errors:
            try:
                self.experiment()
            except UsageError as error:
                self.errors[""] = error.message

    def _is_gone(self, key: str, good: Sequence[str]) -> bool:
        """Whether a key has gone with another optimizer or schedule."""
        if any(wrong.endswith(".name") for wrong in self.errors):
            return False  # one of them is being typed
        return key not in fields_after(self.table, good)

    def _fields_after(self, overrides: Sequence[str]) -> tuple[Field, ...]:
        before = fields_after(self.table, ())
        fields = [
            Field(NAME, "", f"of the run; otherwise {self.method}-{self.preset}-N"),
            Field(DEVICE, "auto", "auto, cpu, cuda, cuda:1 or mps", DEVICES),
        ]
        for key, (_, kind) in fields_after(self.table, overrides).items():
            choices = _sources(self.table) if key == "data.name" else choices_of(key, kind)
            about = "one of " + ", ".join(choices) if choices else describe_kind(kind)
            section, _, last = key.rpartition(".")
            meaning = self.about.get(last, "") if section == "method" else meaning_of(key)
            about = f"{meaning.removesuffix('.')} ({about})" if meaning and about else meaning or about
            value = before[key][0] if key in before else None
            fields.append(Field(key, None if value is None else written(value), about, choices))
        return tuple(fields)


def _sources(table: Mapping[str, Any]) -> tuple[str, ...]:
    """Sources of the same kind as the preset's: those that are there or need no download first."""
    kind = "clips" if "frames" in table["data"] else "images"
    names = [entry.name for entry in SOURCES.values() if entry.kind == kind]
    return tuple(sorted(names, key=lambda name: SOURCES[name].needs_download))


def written(value: Any) -> str:
    """A value as it is typed: `1_280_000`, `true`, `[256, 256]`, and texts without quotes."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) >= 10_000:
        return f"{value:_}"
    if isinstance(value, list):
        return (
            "[" + ", ".join(f'"{item}"' if isinstance(item, str) else written(item) for item in value) + "]"
        )
    return str(value)


def _one_line(error: SsltermError, override: str) -> str:
    """What is wrong, without repeating what stands beside it."""
    message = error.message.removeprefix(f"--set {override}: ")
    last = override.partition("=")[0].rpartition(".")[2]
    for lead in (f"{last} = ", f"{last} "):
        message = message.removeprefix(lead)
    return f"{message}; {error.hint}" if error.hint else message
