"""Lines of JSON objects of numbers, `{"step":1,"main/loss":0.5}`, read a column at a time.

Lines that have the same keys have the same text between their numbers. That text is compared, and the
numbers are read, for all such lines at once, in words of eight bytes: eight digits become their value in
three multiplications (D. Lemire, "SWAR explained: parsing eight digits", 2022), and a mantissa and a power
of ten that are both exact doubles need one rounding (W. Clinger, "How to read floating point numbers
accurately", PLDI 1990). What does not fit this frame is read by `json`, a line at a time; so the result is
always what `json` would have read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sslterm.run.json_values import number, parse_object

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Words = NDArray[np.uint64]
Mask = NDArray[np.bool_]

FEW_LINES = 48
"""Of fewer lines, each is read by `json`: that is faster."""

_PROBED_BYTES = 1 << 14
"""Longer texts are taken to have more lines than that."""

MOST_KINDS = 24
"""Sets of keys that are looked for in a text; lines of yet others are read by `json`."""

_PAD = 24
"""Bytes before the text, so that the words that end in it begin in the buffer."""

_ALL = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_TENS = 10.0 ** np.arange(23)
"""The powers of ten that are exact doubles."""
_WHOLE_TENS = np.uint64(10) ** np.arange(17, dtype=np.uint64)


@dataclass(frozen=True)
class Rows:
    """Lines of a text that have the same keys, in ascending order."""

    lines: Indices
    """[L] number of each line in the text."""
    columns: dict[str, Floats]
    """[L] by key, in the order of the keys; null is NaN."""


def parse_lines(text: bytes) -> list[Rows]:
    """Read lines that all end with a newline.

    Lines that are no JSON objects are left out, as are values that are neither numbers nor null.
    """
    if len(text) < _PROBED_BYTES and text.count(b"\n") < FEW_LINES:
        return _one_by_one(enumerate(text.split(b"\n")))
    block = _Block(text)
    groups: list[Rows] = []
    odd: list[int] = []
    left = np.ones(len(block.starts), dtype=bool)
    for _ in range(MOST_KINDS):
        first = int(left.argmax())
        if not left[first]:
            break
        left[first] = False
        kind = _kind(block.line(first))
        if kind is None:
            odd.append(first)
            continue
        left[first] = True
        lines, columns, plain = block.read(kind, np.flatnonzero(left))
        left[lines] = False
        if left[first]:
            left[first] = False
            odd.append(first)
        if not plain.all():
            odd += lines[~plain].tolist()
            lines, columns = lines[plain], columns[:, plain]
        groups.append(Rows(lines, dict(zip(kind, columns, strict=True))))
    odd += np.flatnonzero(left).tolist()
    return groups + _one_by_one((line, block.line(line)) for line in sorted(odd))


def _one_by_one(lines: Iterable[tuple[int, bytes]]) -> list[Rows]:
    """Read numbered lines by `json`, and gather those of the same keys."""
    kinds: dict[tuple[str, ...], tuple[list[int], list[list[float]]]] = {}
    for at, line in lines:
        table = {key: number(value) for key, value in (parse_object(line) or {}).items()}
        values = {key: value for key, value in table.items() if value is not None}
        numbers, rows = kinds.setdefault(tuple(values), ([], []))
        numbers.append(at)
        rows.append(list(values.values()))
    return [
        Rows(np.array(numbers), dict(zip(keys, np.array(rows).T, strict=True)))
        for keys, (numbers, rows) in kinds.items()
        if keys
    ]


def _kind(line: bytes) -> dict[str, bytes] | None:
    """The keys of a line, each with the text before its number; None where it is written in another way."""
    table = parse_object(line)
    if not table or line.count(b":") != len(table):
        return None
    kind: dict[str, bytes] = {}
    position = 0
    for key in table:
        label = (b"," if kind else b"{") + json.dumps(key).encode() + b":"
        position = line.find(b":", position) + 1
        if not line.endswith(label, 0, position):
            return None
        kind[key] = label
    return kind


class _Block:
    """A text as bytes and, at every position, as the word of the eight bytes before it."""

    def __init__(self, text: bytes) -> None:
        self.text = bytes(_PAD) + text
        self.bytes = np.frombuffer(self.text, np.uint8)
        self._words: Words = np.ndarray(len(self.text) - 7, "<u8", self.text, strides=(1,))
        self.stops = np.flatnonzero(self.bytes == ord("\n"))  # [lines] where each line ends
        self.starts = np.concatenate(([_PAD], self.stops[:-1] + 1))
        self.colons = np.flatnonzero(self.bytes == ord(":"))
        self.dots = np.append(np.flatnonzero(self.bytes == ord(".")), len(self.text))
        first = np.searchsorted(self.colons, self.starts)
        self._first_colon = first
        self._colon_counts = np.diff(first, append=len(self.colons))

    def line(self, number: int) -> bytes:
        return self.text[self.starts[number] : self.stops[number]]

    def words_before(self, positions: Indices) -> Words:
        """The eight bytes before each position, the first of them lowest."""
        return self._words[positions - 8]

    def read(self, kind: dict[str, bytes], lines: Indices) -> tuple[Indices, NDArray[np.float64], Mask]:
        """Of `lines`, those of a kind: which, their values [keys, L], and whether all these are plain."""
        labels = list(kind.values())
        lines = lines[self._colon_counts[lines] == len(labels)]
        lines = lines[self.bytes[self.stops[lines] - 1] == ord("}")]
        begins = self.colons[self._first_colon[lines] + np.arange(len(labels))[:, None]] + 1  # [keys, L]
        lengths = np.array([len(label) for label in labels])[:, None]
        ends = np.concatenate((begins[1:] - lengths[1:], self.stops[None, lines] - 1))
        alike = (begins[0] - lengths[0] == self.starts[lines]) & (ends > begins).all(axis=0)
        if not alike.all():
            lines, begins, ends = lines[alike], begins[:, alike], ends[:, alike]
        alike = np.ones(len(lines), dtype=bool)
        for label, begin in zip(labels, begins, strict=True):
            self._compare(label, begin, alike)
        if not alike.all():
            lines, begins, ends = lines[alike], begins[:, alike], ends[:, alike]
        values = np.empty(begins.shape)
        plain = np.ones(len(lines), dtype=bool)
        for row, begin, end in zip(values, begins, ends, strict=True):
            _read_numbers(self, begin, end, row, plain)
        return lines, values, plain

    def _compare(self, label: bytes, positions: Indices, alike: Mask) -> None:
        """Clear `alike` where what stands before a position is not `label`."""
        for cut in range(len(label), 0, -8):
            piece = label[max(0, cut - 8) : cut]
            word = self.words_before(positions - (len(label) - cut))
            if len(piece) < 8:
                word &= _ALL << np.uint64(8 * (8 - len(piece)))
            alike &= word == np.uint64(int.from_bytes(piece.rjust(8, b"\0"), "little"))


def _read_numbers(block: _Block, begin: Indices, end: Indices, values: Floats, plain: Mask) -> None:
    """Read the numbers in `begin:end` into `values`, and clear `plain` where there is something else to be
    read.

    Plain numbers are null and `-?whole(.fraction)?(e[+-]dd)?` of at most 16 digits that make an exact double.
    """
    if not len(begin):
        return
    minus = block.bytes[begin] == ord("-")
    signed = bool(minus.any())
    start = begin + minus if signed else begin
    stop, exponent, good = _exponents(block, start, end)
    dot = np.minimum(block.dots[np.searchsorted(block.dots, start)], stop)
    whole_digits = dot - start
    whole, fits = _digits(block, dot, whole_digits)
    good &= fits & (whole_digits > 0) & ((whole_digits == 1) | (block.bytes[start] != ord("0")))
    power = exponent
    if (dot < stop).any():
        fraction_digits = np.maximum(stop - dot - 1, 0)
        fraction, fits = _digits(block, stop, fraction_digits)
        good &= fits & ((dot == stop) | (fraction_digits > 0)) & (whole_digits + fraction_digits <= 16)
        whole = whole * _WHOLE_TENS[np.minimum(fraction_digits, 16)] + fraction
        power = exponent - fraction_digits
    good &= (whole <= np.uint64(2**53)) & (np.abs(power) <= 22)
    mantissa = whole.astype(np.float64)
    scale = _TENS[np.minimum(np.abs(power), 22)]
    np.divide(mantissa, scale, out=values)
    if (power > 0).any():
        np.multiply(mantissa, scale, out=values, where=power > 0)
    if signed:
        np.negative(values, out=values, where=minus)
    if not good.all():
        null = ~good & (end - begin == 4)
        null &= block.words_before(end) >> np.uint64(32) == int.from_bytes(b"null", "little")
        values[null] = np.nan
        plain &= good | null


def _exponents(block: _Block, start: Indices, end: Indices) -> tuple[Indices, Indices, Mask]:
    """Where each mantissa ends, the exponent after it (0 without one), and whether that is well-formed."""
    good = np.ones(len(start), dtype=bool)
    found = (block.bytes[end - 4] == ord("e")) & (end - 4 > start)
    if not found.any():
        return end, np.zeros_like(end), good
    sign = block.bytes[end - 3]
    tens, units = block.bytes[end - 2] - np.uint8(48), block.bytes[end - 1] - np.uint8(48)
    good[found] = (((sign == ord("-")) | (sign == ord("+"))) & (tens <= 9) & (units <= 9))[found]
    size = 10 * tens.astype(np.int64) + units
    exponent = np.where(found, np.where(sign == ord("-"), -size, size), 0)
    return np.where(found, end - 4, end), exponent, good


def _digits(block: _Block, stop: Indices, count: Indices) -> tuple[Words, Mask]:
    """What the `count` characters before `stop` spell, and whether they are at most 16, and digits."""
    values, good = _eight_digits(block.words_before(stop), np.minimum(count, 8))
    if (count > 8).any():
        high, fits = _eight_digits(block.words_before(stop - 8), np.clip(count - 8, 0, 8))
        values += high * np.uint64(100_000_000)
        good &= fits & (count <= 16)
    return values, good


def _eight_digits(words: Words, count: Indices) -> tuple[Words, Mask]:
    """What the last `count` (0 to 8) bytes of each word spell, and whether they are digits."""
    digits = (words ^ np.uint64(0x3030_3030_3030_3030)) & (_ALL << (64 - 8 * count).astype(np.uint64))
    good: Mask = (digits | (digits + np.uint64(0x7676_7676_7676_7676))) & np.uint64(
        0x8080_8080_8080_8080
    ) == 0
    pairs = (digits * np.uint64(10) + (digits >> np.uint64(8))) & np.uint64(0x00FF_00FF_00FF_00FF)
    fours = (pairs * np.uint64(100) + (pairs >> np.uint64(16))) & np.uint64(0x0000_FFFF_0000_FFFF)
    return (fours * np.uint64(10_000) + (fours >> np.uint64(32))) & np.uint64(0xFFFF_FFFF), good
