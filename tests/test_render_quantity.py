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
    short,
    tick_labels,
    time_labels,
    time_ticks,
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


def test_ticks_of_times_are_round_on_a_clock() -> None:
    assert time_ticks(0, 5400, 6) == [0, 1800, 3600, 5400]
    assert time_labels(time_ticks(0, 5400, 6)) == ["0", "30 m", "1 h", "1 h 30 m"]
    assert time_labels(time_ticks(0, 100, 6)) == ["0", "30 s", "1 m", "1 m 30 s"]
    assert time_labels(time_ticks(2.0, 3.0, 4)) == ["2.0 s", "2.5 s", "3.0 s"]
    assert time_labels(time_ticks(0, 10 * 86400, 5))[1] == "5 d"


@given(st.floats(0, 1e8), st.floats(1e-3, 1e8), st.integers(2, 12))
def test_ticks_of_times_are_few_and_inside(low: float, span: float, count: int) -> None:
    ticks = time_ticks(low, low + span, count)
    assert 1 <= len(ticks) <= max(count, 4) + 1
    assert all(low - 1e-6 <= tick <= low + span + 1e-6 for tick in ticks)
    assert len(time_labels(ticks)) == len(ticks)


def test_round_numbers_are_short() -> None:
    assert [short(value) for value in (0.5, 200, 1000, 20_000, 2.5e6)] == [
        "0.5",
        "200",
        "1 k",
        "20 k",
        "2.5 M",
    ]


def test_less_than_a_decade_has_ticks_in_between() -> None:
    assert log_ticks(36, 120, 7) == [40, 50, 60, 70, 80, 90, 100]
    assert log_ticks(1, 100, 7) == [1, 2, 5, 10, 20, 50, 100]
