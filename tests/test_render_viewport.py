"""Windows, logarithmic x, smoothing, cursor and best value of curves; that no spike is lost through any of them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from sslterm.render.cells import Cells
from sslterm.render.curve import Line, Plot, Ranges, draw_lines, draw_plot, frame_of, ranges_of
from sslterm.render.envelope import column_edges, envelope
from sslterm.render.palette import categorical, categorical_behind

Floats = NDArray[np.float64]


def line(y: object, *, x: object = None, name: str = "train", hue: int = 0, smooth: object = None) -> Line:
    values = np.asarray(y, dtype=np.float64)
    places = np.arange(len(values)) if x is None else np.asarray(x)
    return Line(name=name, x=places, y=values, hue=hue, smooth=None if smooth is None else np.asarray(smooth))


def dots(cells: Cells) -> NDArray[np.bool_]:
    bits = np.where(cells.glyphs >= 0x2800, cells.glyphs - 0x2800, 0).astype(np.uint32)
    weights = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
    blocks = (bits[:, None, :, None] & weights[None, :, None, :]) > 0
    return blocks.reshape(4 * cells.height, 2 * cells.width)


def by_points(x: Floats, y: Floats, edges: Floats, *, log_x: bool) -> tuple[Floats, Floats]:
    """What `envelope` says, found point by point and column by column."""
    count = len(edges) - 1
    low, high = np.full(count, np.inf), np.full(count, -np.inf)

    def widen(column: int, value: float) -> None:
        low[column], high[column] = min(low[column], value), max(high[column], value)

    def column_of(place: float) -> int:
        return int(np.searchsorted(edges, place, side="right")) - 1

    def join(a: tuple[int, float], b: tuple[int, float]) -> None:
        for column in range(a[0], b[0] + 1):
            for place in (column - 0.5, column + 0.5):
                share = (min(max(place, a[0]), b[0]) - a[0]) / max(b[0] - a[0], 1)
                widen(column, a[1] + (b[1] - a[1]) * share)

    def at(place: float, i: int) -> float:
        x_a, x_b, place = (math.log(v) for v in (x[i], x[i + 1], place)) if log_x else (x[i], x[i + 1], place)
        return float(y[i] + (y[i + 1] - y[i]) * (place - x_a) / (x_b - x_a))

    first, last = float(edges[0]), float(edges[-1])
    for i in range(len(x)):
        inside = first <= x[i] < last
        if inside and np.isfinite(y[i]):
            widen(column_of(x[i]), y[i])
        if (
            i + 1 == len(x)
            or not np.isfinite(y[i : i + 2]).all()
            or (log_x and x[i] <= 0)
            or x[i + 1] < first
        ):
            continue
        if x[i] >= last or x[i] == x[i + 1]:
            continue
        a = (column_of(x[i]), y[i]) if x[i] >= first else (0, at(first, i))
        b = (column_of(x[i + 1]), y[i + 1]) if x[i + 1] < last else (count - 1, at(last, i))
        if a[0] != b[0] or x[i] < first or x[i + 1] >= last:
            join(a, b)
    empty = low > high
    return np.where(empty, np.nan, low), np.where(empty, np.nan, high)


some_values = arrays(np.float64, st.integers(1, 80), elements=st.floats(-100, 100) | st.just(np.nan))


@settings(deadline=None, max_examples=200)
@given(some_values, st.data(), st.integers(1, 60), st.booleans(), st.booleans())
def test_the_envelope_is_what_the_line_does_in_every_column(
    y: Floats, data: st.DataObject, columns: int, log_x: bool, whole: bool
) -> None:
    gaps = data.draw(arrays(np.int64, len(y), elements=st.integers(1, 9)))
    x: NDArray[np.generic] = np.cumsum(gaps) - gaps[0]
    x = x if whole else x / 7
    ends = sorted(data.draw(st.tuples(st.floats(0.5, 400), st.floats(0.5, 400))))
    if not ends[0] * 1.0001 < ends[1]:
        ends[1] = ends[0] + 1
    low, high = (math.log10(end) for end in ends) if log_x else ends
    edges = column_edges(low, high, columns, log=log_x)
    found = envelope(x, y, edges, log_x=log_x)
    wanted = by_points(x.astype(np.float64), y, edges, log_x=log_x)
    for ours, theirs in zip(found, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(20, 3000), st.integers(0, 10**6), st.booleans(), st.booleans(), st.booleans(),
    st.floats(0, 1), st.floats(0.001, 1),
)  # fmt: skip
def test_no_spike_is_lost_in_any_window(
    count: int, at: int, log_x: bool, color: bool, smooth: bool, start: float, wide: float
) -> None:
    at = 1 + at % (count - 1)
    y = np.full(count, 1.0)
    y[at] = 2.0
    low = max(at - 1 - start * wide * count, 1.0)
    high = min(low + max(wide * count, at - low + 1), count - 1.0)
    if not low < high:
        return
    averages = np.ones(count) if smooth else None
    plot = Plot(title="", lines=(line(y, smooth=averages),), x_range=(low, high), log_x=log_x)
    ranges = ranges_of(plot)
    assert ranges is not None
    assert ranges.y == (1.0, 2.0)
    shown = dots(draw_lines(plot.lines, ranges, 40, 6, color=color))
    assert shown[0].any()


def test_y_follows_what_is_visible_and_the_line_at_the_ends() -> None:
    plot = Plot(title="", lines=(line([0, 10, 20, 30, 1000]),), x_range=(0.5, 2.5))
    assert ranges_of(plot) == Ranges((0.5, 2.5), (5.0, 25.0), log_y=False)
    between = replace(plot, x_range=(1.25, 1.75))
    assert ranges_of(between) == Ranges((1.25, 1.75), (12.5, 17.5), log_y=False)
    shown = dots(draw_plot(between, 40, 10, color=True))
    assert shown.any(axis=0)[-76:].mean() > 0.9  # crossed from end to end without a point


def test_a_window_onto_a_gap_says_so_and_has_axes() -> None:
    y = np.arange(100.0)
    y[20:60] = np.nan
    text = draw_plot(
        Plot(title="t", x_label="step", lines=(line(y),), x_range=(30, 50)), 60, 12, color=False
    ).plain()
    assert "no values here" in text
    assert "40" in text.splitlines()[-1]


def test_logarithmic_x_begins_at_the_first_positive_place_with_round_ticks() -> None:
    plot = Plot(title="t", x_label="step", lines=(line(np.arange(1001.0)),), log_x=True)
    ranges = ranges_of(plot)
    assert ranges == Ranges((0.0, 3.0), (1.0, 1000.0), log_y=False, log_x=True)
    text = draw_plot(plot, 80, 12, color=False).plain().splitlines()
    assert "log x" in text[0]
    assert [word for word in text[-1].split() if word.strip("└")][:4] == ["└1", "3", "10", "30"]
    assert ranges_of(Plot(title="", lines=(line([1.0], x=[0]),), log_x=True)) == Ranges(
        (0.0, 1.0), (0.95, 1.05), log_y=False
    )


def test_raw_values_lie_fainter_and_woven_behind_their_average() -> None:
    y = np.tile([0.0, 1.0], 500)
    plot = Plot(title="", lines=(line(y, smooth=np.full(1000, 0.5)),))
    ranges = ranges_of(plot)
    assert ranges is not None
    cells = draw_lines(plot.lines, ranges, 20, 9, color=True)
    assert set(cells.fg[4].tolist()) == {categorical(0)}
    assert set(cells.fg[[1, 2, 6, 7]].ravel().tolist()) == {categorical_behind(0)}
    plain = dots(draw_lines(plot.lines, ranges, 20, 9, color=False))
    assert plain[18].all()  # the average
    assert plain[6:10].mean() == 0.5  # every second dot
    assert plain[0].all()
    assert plain[-1].all()


def test_the_cursor_reads_every_line_where_the_legend_is() -> None:
    y = np.arange(101.0)
    y[50] = np.nan
    lines = (line(y), line([7.0, 9.0], x=[0, 80], name="test", hue=1))
    plot = Plot(title="loss", x_label="step", lines=lines, cursor=50.2)
    cells = draw_plot(plot, 70, 12, color=False)
    assert cells.text(0).split() == ["loss", "step", "50", "━", "train", "nan", "╍", "test", "9"]
    frame = frame_of(plot, 70, 12)
    column = frame.column_at(50.2)
    assert column is not None
    assert sum(chr(cells.glyphs[row, column]) == "│" for row in range(1, 11)) >= 8
    assert frame == replace(frame_of(replace(plot, cursor=None), 70, 12))
    assert abs(frame.share_at(column) - 0.502) < 0.02


def test_the_cursor_takes_no_row_however_narrow() -> None:
    lines = tuple(line(np.arange(50.0), name=f"a-long-name-{i}", hue=i) for i in range(4))
    for width in (20, 30, 40, 60, 80, 120):
        for height in (5, 8, 16, 40):
            plot = Plot(title="negative log-likelihood", x_label="images", lines=lines, unit="nats")
            with_cursor = replace(plot, cursor=20.0)
            assert frame_of(plot, width, height) == frame_of(with_cursor, width, height)
            assert draw_plot(with_cursor, width, height, color=True).width == width


def test_a_cursor_outside_the_window_reads_nothing() -> None:
    plot = Plot(title="t", x_label="step", lines=(line(np.arange(50.0)),), x_range=(10, 20), cursor=40.0)
    assert "step" not in draw_plot(plot, 60, 10, color=False).text(0)


def test_the_best_value_is_marked_and_named() -> None:
    y = [5.0, 1.0, 3.0, np.nan, 2.0, 2.5]
    plot = Plot(title="loss", lines=(replace(line(y), best="min"),))
    cells = draw_plot(plot, 60, 10, color=False)
    assert cells.text(0).rstrip().endswith("━ train 2.500 ▾1")
    (row,), (column,) = np.nonzero(cells.glyphs[1:] == ord("▾"))
    frame = frame_of(plot, 60, 10)
    assert (row + 1, column) == (frame.row_at(1.0), frame.column_at(1.0))
    most = replace(plot, lines=(replace(line(y), best="max"),))
    assert "▴5" in draw_plot(most, 60, 10, color=False).text(0)
    assert "▾" not in draw_plot(replace(plot, x_range=(2, 5)), 60, 10, color=False).plain().split("\n", 1)[1]


def test_dashes_of_overlaid_runs_show_in_colour_too() -> None:
    flat = [replace(line(np.full(100, 0.5), hue=hue), dashed=True) for hue in range(8)]
    ranges = Ranges((0, 99), (0, 1), log_y=False)
    patterns = {dots(draw_lines((one,), ranges, 50, 2, color=True)).any(axis=0).tobytes() for one in flat}
    assert len(patterns) == 8


def test_a_steady_range_stays_for_most_values_that_come() -> None:
    ends = []
    for count in range(1000, 1100):
        plot = Plot(title="", lines=(line(np.sqrt(np.arange(count))),), steady=True)
        ranges = ranges_of(plot)
        assert ranges is not None
        assert ranges.y[0] <= 0 <= math.sqrt(count - 1) <= ranges.y[1] <= 1.07 * math.sqrt(count)
        ends.append(ranges.y)
    assert len(set(ends)) <= 3


def test_being_selected_hides_no_line_of_the_legend() -> None:
    plot = Plot(title="loss", lines=(line([1.0, 2.0], name="train"),))
    for width in range(12, 40):
        cells = draw_plot(plot, width, 9, color=False, selected=True)
        assert cells.plain().startswith("▸ loss")
        assert "train 2" in cells.plain()


def test_a_level_is_read_everywhere_and_no_place_of_its_own() -> None:
    level = replace(line([0.3, 0.3], x=[0, 100], name="raw pixels", hue=2), level=True)
    plot = Plot(title="t", x_label="step", lines=(line([0.5, 0.6], x=[10, 80]), level), cursor=99.0)
    words = draw_plot(plot, 70, 12, color=False).text(0).split()
    assert words == ["t", "step", "80", "━", "train", "0.6000", "┅", "raw", "pixels", "0.3000"]


def test_a_line_that_is_over_is_not_read() -> None:
    short, long = line(np.arange(11.0)), line(np.arange(101.0), name="other", hue=1)
    assert [short.read_at(place) for place in (-2.0, 0.0, 10.4, 11.0, 12.0)] == [None, 0, 10, 10, None]
    plot = Plot(title="loss", x_label="step", lines=(short, long), cursor=60.0)
    cells = draw_plot(plot, 70, 12, color=False)
    assert cells.text(0).split() == ["loss", "step", "60", "━", "train", "-", "╍", "other", "60"]
    assert (cells.glyphs == ord("●")).sum() == 1


def test_the_next_place_is_that_of_a_neighbour() -> None:
    some = line([1.0, 2.0, 3.0], x=[0, 50, 50])
    assert [some.next_place(at, 1) for at in (-5.0, 0.0, 50.0)] == [0.0, 50.0, None]
    assert [some.next_place(at, -1) for at in (0.0, 50.0, 70.0)] == [None, 0.0, 50.0]


def test_times_have_round_minutes() -> None:
    lines = (line([1.0, 2.0], x=[0.0, 5400.0]),)
    text = draw_plot(Plot(title="t", x_label="time", lines=lines), 80, 12, color=False).plain()
    assert " ".join(text.splitlines()[-1].split()) == "└0 30 m 1 h time"
