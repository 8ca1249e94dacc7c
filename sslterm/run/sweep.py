"""A sweep: several configurations, each with several seeds. A run's name says which it is, so that one can go on."""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sslterm.errors import UsageError

LONGEST_NAME = 90


@dataclass(frozen=True)
class Setting:
    """One configuration of a sweep: the values of the keys that it varies, as they are written."""

    values: tuple[tuple[str, str], ...]

    @property
    def overrides(self) -> list[str]:
        """As `--set` takes them."""
        return [f"{key}={value}" for key, value in self.values]


def parse_grid(texts: Sequence[str]) -> list[Setting]:
    """All combinations of "optim.main.lr=0.1,0.3" and "method.widths=[32],[64, 32]", the last varying fastest.

    Raises:
        UsageError: a text is not of this form, or says something twice.
    """
    axes: dict[str, list[str]] = {}
    for text in texts:
        key, sign, rest = text.partition("=")
        values = [value.strip() for value in _split(rest)]
        if not sign or not key.strip() or not all(values):
            raise UsageError(
                f"--grid {text}: not of the form KEY=VALUE,VALUE", "as in --grid optim.main.lr=0.1,0.3"
            )
        if key.strip() in axes or len(set(values)) < len(values):
            raise UsageError(f"--grid {text}: a key or a value is there twice")
        axes[key.strip()] = values
    return [
        Setting(tuple(zip(axes, combination, strict=True)))
        for combination in itertools.product(*axes.values())
    ]


def _split(text: str) -> list[str]:
    """At commas that are in no brackets and no quotes."""
    parts, depth, quote = [""], 0, ""
    for character in text:
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'":
            quote = character
        else:
            depth += (character in "[{(") - (character in "]})")
        if character == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def run_name(stem: str, setting: Setting, seed: int) -> str:
    """The name of a run: "vae-digits-lr0.1-s2"; the same for the same, and another for another."""
    said = "".join(f"-{key.rpartition('.')[2]}{value}" for key, value in setting.values)
    plain = re.sub(r"[^\w.+-]+", "_", f"{stem}{said}").strip("_")
    if plain == stem + said and len(plain.encode()) <= LONGEST_NAME and _tells_apart(setting):
        return f"{plain}-s{seed}"
    digest = hashlib.sha256(repr(setting.values).encode()).hexdigest()[:8]
    return f"{plain[: LONGEST_NAME - 12]}-{digest}-s{seed}"


def _tells_apart(setting: Setting) -> bool:
    """Whether the last parts of the keys are different ones."""
    ends = [key.rpartition(".")[2] for key, _ in setting.values]
    return len(set(ends)) == len(ends)


@dataclass(frozen=True)
class Spread:
    """What a metric has come to over seeds.

    Attributes:
        values: by seed; None where a run has not come to any.
        mean: over those that have; None without any.
        std: of a sample (n - 1); None of fewer than two.
    """

    values: Mapping[int, float | None]
    mean: float | None
    std: float | None


def spread_of(values: Mapping[int, float | None]) -> Spread:
    known = [value for value in values.values() if value is not None and math.isfinite(value)]
    if not known:
        return Spread(values, None, None)
    mean = sum(known) / len(known)
    variance = sum((value - mean) ** 2 for value in known) / (len(known) - 1) if len(known) > 1 else None
    return Spread(values, mean, None if variance is None else math.sqrt(variance))
