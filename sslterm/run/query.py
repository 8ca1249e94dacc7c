"""A small language that picks runs: `method = vae and test/knn >= 0.8`.

    query      = any { "or" any }                 the empty query picks every run
    any        = one { ["and"] one }
    one        = "not" one | "(" query ")" | KEY OPERATOR VALUE | TEXT
    OPERATOR   = "=" | "!=" | "<" | "<=" | ">" | ">=" | "~" | "!~"

KEY is a field of every run (`FIELDS`), a path in its configuration (`optim.main.lr`), or a metric (`test/knn`, its
last value), looked for in this order. TEXT alone is a part of the name. Texts are compared without regard to case, and
`~` asks whether VALUE is a part. A VALUE that is a number (`1e-3`, `20_000`) is compared with numbers as a number;
an age may have a unit (`30m`, `2h`, `3d`; seconds otherwise). Quotes ('...' or "...", a backslash before a quote) make
a text of anything. A run that lacks the KEY satisfies no comparison, and so satisfies its `not`.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sslterm.errors import UsageError, did_you_mean

FIELDS: Final = ("name", "method", "preset", "state", "step", "images", "age")
"""Keys that every run has; `age` is in seconds since its trainer was last heard of."""

_NUMBERS: Final = frozenset({"step", "images", "age"})
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<operator><=|>=|!=|!~|==|[=<>~])|(?P<paren>[()])|(?P<word>[^\s()=<>~!"']+))""",
    re.DOTALL,
)
_COMPARE: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_DEEPEST: Final = 50
"""Brackets and negations within each other."""


@dataclass(frozen=True)
class Facts:
    """What can be asked of a run."""

    fields: Mapping[str, Any]
    """By name: those of `FIELDS`."""
    config: Callable[[], Mapping[str, Any]]
    """The configuration by path; called only where a key is nothing else: it may have to be read."""
    metrics: Mapping[str, float]
    """Last values by name."""

    def get(self, key: str) -> Any:
        """The value of a key; None where the run has no such key."""
        if key in self.fields:
            return self.fields[key]
        if key in self.metrics:
            return self.metrics[key]
        return self.config().get(key)

    def known(self) -> list[str]:
        """Every key there is."""
        return [*self.fields, *self.config(), *self.metrics]


@dataclass(frozen=True)
class Query:
    """What `parse` has read."""

    text: str
    matches: Callable[[Facts], bool]
    """Whether a run is picked."""
    keys: tuple[tuple[str, int], ...] = ()
    """The keys it asks for, each with its column (from 1)."""


@dataclass(frozen=True)
class Order:
    """By which key runs stand, the least first; runs that lack the key come last either way."""

    key: str
    descending: bool = False

    @property
    def text(self) -> str:
        """As `parse_order` reads it."""
        return f"-{self.key}" if self.descending else self.key


@dataclass(frozen=True)
class _Token:
    kind: str
    """quoted, operator, paren, word, or end."""
    text: str
    column: int
    """From 1."""

    def shown(self) -> str:
        return "the end" if self.kind == "end" else repr(self.text)

    def is_word(self, word: str) -> bool:
        return self.kind == "word" and self.text.lower() == word


def parse(text: str) -> Query:
    """Read a query.

    Raises:
        UsageError: it is none; the message says in which column, and what was expected there.
    """
    parser = _Parser(_tokens(text))
    if parser.next.kind == "end":
        return Query(text, lambda facts: True)
    matches = parser.query(0)
    if parser.next.kind != "end":
        raise _expected("'and', 'or' or the end", parser.next)
    return Query(text, matches, tuple(parser.keys))


def check_keys(query: Query, runs: Iterable[Facts]) -> None:
    """Check that every key of a query is a key of some run; without runs, nothing is wrong.

    Raises:
        UsageError: no run has a key.
    """
    runs = list(runs)
    for key, column in query.keys:
        _check_key(key, runs, f"column {column}: ")


def parse_order(text: str) -> Order:
    """Read a key to sort by; `-` before it puts the greatest first.

    Raises:
        UsageError: there is no key.
    """
    key = text.strip()
    descending = key.startswith("-")
    key = key.removeprefix("-").strip()
    if not key:
        raise UsageError("there is no key to sort by", "for example -test/knn: the greatest first")
    return Order(key, descending)


def check_order(order: Order, runs: Iterable[Facts]) -> None:
    """Check that some run has the key; without runs, nothing is wrong.

    Raises:
        UsageError: no run has it.
    """
    _check_key(order.key, list(runs), "")


def _check_key(key: str, runs: list[Facts], where: str) -> None:
    if key in FIELDS or not runs or any(facts.get(key) is not None for facts in runs):
        return
    known = dict.fromkeys((*FIELDS, *(key for facts in runs for key in facts.known())))
    hint = did_you_mean(key, known)
    fields = "fields are " + ", ".join(FIELDS) + "; others are paths of the configuration, and metrics"
    raise UsageError(f"{where}no run has a key {key!r}", hint if hint.startswith("did") else fields)


def sort_key(order: Order) -> Callable[[Facts], tuple[bool, float, str]]:
    """For `sorted`: numbers before texts, or after them in descending order; what is missing is last."""
    sign = -1.0 if order.descending else 1.0

    def rank(facts: Facts) -> tuple[bool, float, str]:
        value = facts.get(order.key)
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return True, 0.0, ""
        if isinstance(value, int | float):
            bounded = max(min(value, 1e308), -1e308)  # a whole number may be greater than any float
            return False, sign * float(bounded), ""
        text = _text(value)
        return False, math.inf, _reversed(text) if order.descending else text

    return rank


def _reversed(text: str) -> str:
    """A text that sorts the other way round; a longer one is before what it begins with."""
    return "".join(chr(0x10FFFF - ord(character)) for character in text) + chr(0x10FFFF)


def _tokens(text: str) -> list[_Token]:
    tokens, at = [], 0
    while at < len(text.rstrip()):
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            column = at + len(text[at:]) - len(text[at:].lstrip()) + 1
            found = text[column - 1]
            wanted = "a closing quote" if found in "\"'" else "'!=' or '!~'"
            raise UsageError(f"column {column}: expected {wanted} after {found!r}")
        kind = match.lastgroup
        tokens.append(_Token(kind, match[kind], match.start(kind) + 1))
        at = match.end()
    return [*tokens, _Token("end", "", len(text.rstrip()) + 1)]


def _expected(what: str, found: _Token) -> UsageError:
    return UsageError(f"column {found.column}: expected {what}, found {found.shown()}")


class _Parser:
    """Reads tokens from left to right, one method a rule."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self.keys: list[tuple[str, int]] = []

    @property
    def next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self.next
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def query(self, depth: int) -> Callable[[Facts], bool]:
        parts = [self._all(depth)]
        while self.next.is_word("or"):
            self._take()
            parts.append(self._all(depth))
        return parts[0] if len(parts) == 1 else lambda facts: any(part(facts) for part in parts)

    def _all(self, depth: int) -> Callable[[Facts], bool]:
        parts = [self._one(depth)]
        while self.next.kind != "end" and self.next.text != ")" and not self.next.is_word("or"):
            if self.next.is_word("and"):
                self._take()
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else lambda facts: all(part(facts) for part in parts)

    def _one(self, depth: int) -> Callable[[Facts], bool]:
        token = self._take()
        if depth > _DEEPEST:
            raise UsageError(f"column {token.column}: more than {_DEEPEST} brackets within each other")
        if token.is_word("not"):
            inner = self._one(depth + 1)
            return lambda facts: not inner(facts)
        if token.kind == "paren" and token.text == "(":
            inner = self.query(depth + 1)
            if self.next.text != ")" or self.next.kind != "paren":
                raise _expected("')'", self.next)
            self._take()
            return inner
        if token.kind not in ("word", "quoted") or token.is_word("and") or token.is_word("or"):
            raise _expected("a key, a part of a name, 'not' or '('", token)
        text = _unquoted(token)
        if self.next.kind == "operator":
            return self._comparison(text, token)
        part = text.lower()
        return lambda facts: part in str(facts.get("name")).lower()

    def _comparison(self, key: str, where: _Token) -> Callable[[Facts], bool]:
        sign = self._take().text
        value = self._take()
        if value.kind not in ("word", "quoted"):
            raise _expected(f"a value after {sign!r}", value)
        text = _unquoted(value)
        number = None if value.kind == "quoted" else _age(text) if key == "age" else _number(text)
        if key in _NUMBERS and number is None and "~" not in sign:
            raise _expected("a number" + (", or one with s, m, h or d" if key == "age" else ""), value)
        self.keys.append((key, where.column))
        return lambda facts: _compare(facts.get(key), "=" if sign == "==" else sign, text, number)


def _compare(value: Any, sign: str, text: str, number: float | None) -> bool:
    """Whether a run's value stands to what was asked for as `sign` says."""
    if value is None:
        return False
    if sign in ("~", "!~"):
        return (text.lower() in _text(value)) is (sign == "~")
    if isinstance(value, int | float) and not isinstance(value, bool):
        if number is not None:
            return _COMPARE[sign](value, number)
        return sign == "!="  # a number is no text
    if sign in ("=", "!="):
        mine, theirs = (
            "".join(_text(one).split()) if isinstance(value, list) else _text(one) for one in (value, text)
        )
        return (mine == theirs) is (sign == "=")
    return isinstance(value, str) and _COMPARE[sign](_text(value), text.lower())


def _text(value: Any) -> str:
    return str(value).lower()


def _unquoted(token: _Token) -> str:
    return (
        re.sub(r"\\(.)", r"\1", token.text[1:-1], flags=re.DOTALL) if token.kind == "quoted" else token.text
    )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _age(text: str) -> float | None:
    unit = _UNITS.get(text[-1:].lower())
    number = _number(text if unit is None else text[:-1])
    return None if number is None else number * (unit or 1.0)
