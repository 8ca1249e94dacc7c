"""Curves in Braille: exact text of small cases, and that no spike is ever lost."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from sslterm.render.cells import Cells
from sslterm.render.curve import Line, Plot, Ranges, braille, draw_lines, draw_plot, ranges_of
from sslterm.render.envelope import column_edges, envelope
from sslterm.render.palette import categorical


def line(y: object, x: object = None, name: str = "train", hue: int = 0) -> Line:
    values = np.asarray(y, dtype=np.float64)
    return Line(name=name, x=np.arange(len(values)) if x is None else np.asarray(x), y=values, hue=hue)


def dots(cells: Cells) -> NDArray[np.bool_]:
    """The bitmap [4h, 2w] that Braille cells show."""
    bits = np.where(cells.glyphs >= 0x2800, cells.glyphs - 0x2800, 0).astype(np.uint32)
    weights = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
    blocks = (bits[:, None, :, None] & weights[None, :, None, :]) > 0
    return blocks.reshape(4 * cells.height, 2 * cells.width)


def test_a_rising_line_exactly() -> None:
    plot = Plot(title="loss", unit="nats", x_label="step", lines=(line([0, 1, 2, 3, 4]),))
    assert draw_plot(plot, 34, 7, color=False).plain().splitlines() == [
        "loss · nats              ━ train 4",
        "4 ┤                         ⣀⣠⠤⠖⠚⠉",
        "  │                  ⢀⣀⡤⠤⠖⠚⠉⠁",
        "2 ┤            ⣀⣀⡤⠴⠒⠋⠉",
        "  │     ⢀⣀⡤⠤⠖⠚⠉⠁",
        "0 ┤⣀⡤⠴⠒⠋⠉",
        "  └0              2           step",
    ]


def test_two_lines_on_a_logarithmic_axis_with_a_gap_exactly() -> None:
    lines = (line([1000, 100, np.nan, 1, 10]), line([500, 400, 300, 200, 100], name="test", hue=1))
    plot = Plot(title="loss", x_label="step", log_y=True, lines=lines)
    assert draw_plot(plot, 40, 9, color=False).plain().splitlines() == [
        "loss · log y      ━ train 10  ╍ test 100",
        "1000 ┤⣙⣲⢤⣀⣀ ⣀⣀",
        "     │   ⠈⠙⠦⣄⡈ ⠉⠉ ⠉⠉ ⠙⠒ ⠒⠒ ⠦⠤ ⠤⢤ ⣀⣀",
        " 100 ┤       ⠉⠓                     ⠉⠉ ⠒",
        "     │",
        "  10 ┤                                ⣀⡤",
        "     │                            ⢀⡤⠖⠋⠁",
        "   1 ┤                         ⣠⠴⠚⠉",
        "     └0                2            step",
    ]


def test_braille_dots_have_their_places() -> None:
    bitmap = np.zeros((4, 2), dtype=bool)
    bitmap[0, 0] = bitmap[3, 1] = True
    assert chr(0x2800 + int(braille(bitmap)[0, 0])) == "⢁"


@settings(deadline=None)
@given(
    arrays(
        np.float64, st.integers(1, 400), elements=st.floats(-1e6, 1e6) | st.just(np.nan) | st.just(np.inf)
    ),
    st.integers(1, 40),
    st.integers(1, 8),
)
def test_no_point_is_lost(y: NDArray[np.float64], width: int, height: int) -> None:
    plot = Plot(title="", lines=(line(y),))
    ranges = ranges_of(plot)
    finite = np.flatnonzero(np.isfinite(y))
    if ranges is None:
        assert not len(finite)
        return
    shown = dots(draw_lines(plot.lines, ranges, width, height, color=True))
    (x_low, x_high), (low, high) = ranges.x, ranges.y
    for index in finite:
        place = (index - x_low) / (x_high - x_low) * (2 * width - 1)
        row = int(np.rint((high - y[index]) * ((4 * height - 1) / (high - low))))
        near = {int(np.floor(place + 0.5 - 1e-6)), int(np.floor(place + 0.5 + 1e-6))}
        assert any(shown[row, column] for column in near if 0 <= column < 2 * width)


@settings(deadline=None)
@given(st.integers(1, 5000), st.integers(0, 10**6), st.integers(10, 120), st.booleans())
def test_a_spike_reaches_its_height_with_and_without_dashes(
    more: int, at: int, width: int, color: bool
) -> None:
    count = 8 * width + more
    y = np.zeros(count)
    y[at % count] = 1.0
    plot = Plot(title="", lines=(line(y, hue=2),))
    ranges = ranges_of(plot)
    assert ranges is not None
    shown = dots(draw_lines(plot.lines, ranges, width, 6, color=color))
    assert shown[0].any()
    assert shown[:, shown[0]].all(axis=0).any()  # from top to bottom, one whole column


def test_nan_is_a_gap_and_never_bridged() -> None:
    y = np.ones(100)
    y[40:60] = np.nan
    low, high = envelope(np.arange(100), y, column_edges(0, 99, 100))
    assert np.isnan(low[40:60]).all()
    assert np.isfinite(low[:40]).all()
    assert np.isfinite(high[60:]).all()


def test_points_far_apart_are_joined_by_a_straight_line() -> None:
    low, high = envelope(np.array([0, 10]), np.array([0.0, 10.0]), column_edges(0, 10, 11))
    assert np.allclose((low + high)[1:-1] / 2, np.arange(1, 10))
    assert (high[:-1] >= low[1:] - 1e-9).all()  # neighbours touch


def test_log_axis_leaves_out_what_is_not_positive() -> None:
    low, high = envelope(np.arange(4), np.array([100.0, -1.0, 0.0, 1.0]), column_edges(0, 3, 4), log_y=True)
    assert (low[0], high[3]) == (2.0, 0.0)
    assert np.isnan(low[1:3]).all()
    ranges = ranges_of(Plot(title="", lines=(line([100, -1, 0, 1]),), log_y=True))
    assert ranges == Ranges((0.0, 3.0), (0.0, 2.0), log_y=True)


def test_log_axis_without_a_positive_value_is_linear_and_says_so() -> None:
    plot = Plot(title="gap", lines=(line([-3, -2, -1]),), log_y=True)
    assert "no log y: nothing is positive" in draw_plot(plot, 60, 10, color=False).text(0)


@pytest.mark.parametrize("values", [[], [np.nan, np.nan]])
def test_nothing_to_draw_is_said(values: list[float]) -> None:
    text = draw_plot(Plot(title="loss", lines=(line(values),)), 40, 8, color=True).plain()
    assert "no values yet" in text


def test_one_value_and_equal_values_have_an_axis() -> None:
    for values in ([5.0], [5.0, 5.0, 5.0]):
        cells = draw_plot(Plot(title="t", lines=(line(values),)), 40, 9, color=True)
        assert dots(cells).any()
        assert "5" in cells.plain()


@pytest.mark.parametrize("values", [[0, 5e-324], [-1.7e308, 1.7e308], [1e16, 1e16 + 2], [-1e-300, 0, 1e-300]])
@pytest.mark.parametrize("log_y", [False, True])
def test_extreme_values(values: list[float], log_y: bool) -> None:
    cells = draw_plot(Plot(title="t", lines=(line(values),), log_y=log_y), 40, 9, color=True)
    assert dots(cells).any()


def test_lines_keep_their_colours_and_the_first_is_on_top() -> None:
    ramp = np.linspace(0, 1, 50)
    both = (line(ramp, name="test", hue=1), line(ramp, name="train", hue=0))
    ranges = ranges_of(Plot(title="", lines=both))
    assert ranges is not None
    cells = draw_lines(both, ranges, 20, 5, color=True)
    assert set(cells.fg[cells.glyphs > 0x2800].tolist()) == {categorical(1)}
    alone = draw_lines(both[1:], ranges, 20, 5, color=True)
    assert set(alone.fg[alone.glyphs > 0x2800].tolist()) == {categorical(0)}


def test_without_colour_lines_differ_by_their_dashes() -> None:
    flat = [line(np.full(100, 0.5), name=str(hue), hue=hue) for hue in range(3)]
    ranges = Ranges((0, 99), (0, 1), log_y=False)
    drawn = [dots(draw_lines((one,), ranges, 50, 2, color=False)).any(axis=0).mean() for one in flat]
    assert drawn[0] == 1.0
    assert drawn[0] > drawn[1] > drawn[2] > 0.2
    legend = draw_plot(Plot(title="", lines=tuple(flat)), 60, 8, color=False).text(0)
    assert all(sign in legend for sign in "━╍┅")


def test_numbers_of_the_axis_stand_at_their_heights() -> None:
    cells = draw_plot(Plot(title="t", lines=(line([0.0, 100.0]),)), 40, 14, color=False)
    rows = {cells.text(row)[:3].strip(): row for row in range(1, 13)}
    for value in (0, 20, 40, 60, 80, 100):
        assert rows[str(value)] == 1 + round((100 - value) / 100 * 47) // 4


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (10, 3), (20, 5), (21, 6), (300, 100)])
def test_any_size(size: tuple[int, int]) -> None:
    cells = draw_plot(
        Plot(title="loss", x_label="step", lines=(line([1, 9, 3]), line([2.0, np.nan, 1]))), *size, color=True
    )
    assert (cells.width, cells.height) == size


@pytest.mark.parametrize("gaps", [False, True])
def test_a_million_points_take_less_than_50_ms(gaps: bool) -> None:
    x = np.arange(1_000_000)
    y = np.exp(-x / 2e5) + np.random.default_rng(0).normal(size=len(x)) / 50
    if gaps:
        y[300_000:400_000] = np.nan
    plot = Plot(title="loss", lines=(line(y, x),), log_y=gaps)
    seconds = []
    for _ in range(5):
        began = time.process_time()
        draw_plot(plot, 120, 30, color=True)
        seconds.append(time.process_time() - began)
    assert min(seconds) < 0.05


def test_a_legend_with_no_room_below_its_title_goes_on_beside_it() -> None:
    x = np.arange(10)
    lines = tuple(
        Line(name=name, x=x, y=np.full(10, value), hue=hue)
        for hue, (name, value) in enumerate((("discriminator", 0.5026), ("generator", 2.101)))
    )
    plot = Plot(title="loss", lines=lines)
    narrow = draw_plot(plot, 40, 9, color=True)
    assert narrow.text(0) == "loss              ━ discriminator 0.5026"
    assert narrow.text(1).rstrip() == "━ generator 2.101"
    assert draw_plot(plot, 26, 9, color=True).text(1).rstrip() == "━ discriminator 0.5026  +1"
    titled = draw_plot(replace(plot, title="loss of the discriminator"), 40, 9, color=True)
    assert titled.text(0).rstrip() == "loss of the discriminator"
