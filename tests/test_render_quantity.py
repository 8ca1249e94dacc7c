"""Numbers, times and ticks as people read them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslterm.render.quantity import (
    amount,
    column,
    duration,
    linear_ticks,
    log_ticks,
    memory,
    number,
    tick_labels,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"), (0.8421, "0.8421"), (151.23, "151.2"), (-2.5, "-2.500"), (24_900, "24.9 k"), (3120, "3,120"),
        (0.000012, "1.2e-05"), (math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf"),
    ],
)  # fmt: skip
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (512, "512"), (6_512, "6.5 k"), (798_720, "799 k"), (1_280_000, "1.3 M"), (999_999, "1.0 M")],
)
def test_amounts(value: float, text: str) -> None:
    assert amount(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (42.4, "42 s"),
        (59.7, "1 m"),
        (74, "1 m 14 s"),
        (7500, "2 h 5 m"),
        (273_600, "3 d 4 h"),
        (math.inf, "?"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_memory_has_units() -> None:
    assert (memory(512), memory(1.1e9)) == ("512 B", "1.1 GB")


def test_numbers_of_a_column_have_the_same_decimals() -> None:
    assert column([3.3, 0.4, 0.01]) == ["3.30", "0.40", "0.01"]
    assert column([141.2, 2.0, math.nan]) == ["141", "2", "nan"]


@given(st.floats(-1e9, 1e9, allow_nan=False), st.floats(1e-6, 1e9, allow_nan=False), st.integers(2, 12))
def test_linear_ticks_are_few_round_and_inside(low: float, span: float, count: int) -> None:
    high = low + span
    ticks = linear_ticks(low, high, count)
    slack = 1e-6 * max(abs(low), abs(high), span)
    assert 1 <= len(ticks) <= count + 2
    assert all(low - slack <= tick <= high + slack for tick in ticks)
    step = ticks[1] - ticks[0] if len(ticks) > 2 else 0.0
    if step > 1e-9 * max(abs(low), abs(high)):  # finer steps are lost in rounding
        mantissa = step / 10 ** math.floor(math.log10(step) + 1e-9)
        assert min(abs(mantissa - round_one) for round_one in (1, 2, 5, 10)) < 1e-3


@given(st.floats(1e-9, 1e6), st.floats(1.5, 1e9), st.integers(2, 8))
def test_log_ticks_are_few_and_inside(low: float, factor: float, count: int) -> None:
    ticks = log_ticks(low, low * factor, count)
    assert 1 <= len(ticks) <= count + 2
    assert all(low * (1 - 1e-6) <= tick <= low * factor * (1 + 1e-6) for tick in ticks)


def test_tick_names_share_their_decimals_and_prefix() -> None:
    assert tick_labels([0.0, 0.5, 1.0]) == ["0.0", "0.5", "1.0"]
    assert tick_labels([0, 200_000, 400_000]) == ["0", "200 k", "400 k"]
    assert tick_labels([0, 1000, 2000]) == ["0", "1,000", "2,000"]
    assert tick_labels([0.1, 1, 10, 100], log=True) == ["0.1", "1", "10", "100"]
    assert len(set(tick_labels([100.0, 100.5, 101.0]))) == 3
