"""The window on charts: what it does to a place, and that it never gets lost."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sslterm.render.view import ChartView, Domain

DOMAIN = Domain(0.0, 1000.0, positive=1.0, spacing=1.0)

Act = tuple[str, float, float]
acts = st.lists(
    st.tuples(st.sampled_from(["zoom", "pan", "move", "point"]), st.floats(0.01, 20), st.floats(-3, 3)),
    max_size=20,
)


def after(view: ChartView, domain: Domain, done: list[Act]) -> ChartView:
    for what, size, share in done:
        if what == "zoom":
            view = view.zoomed(domain, size, about=view.at_share(domain, min(max(share, 0), 1)))
        elif what == "pan":
            view = view.panned(domain, share)
        elif what == "move":
            view = view.moved(domain, round(share * 40), of=100)
        else:
            view = view.pointed(view.at_share(domain, min(max(share, 0), 1)))
    return view


@given(
    acts,
    st.booleans(),
    st.sampled_from([DOMAIN, Domain(3.0, 3.0), Domain(0.5, 2e6, 0.5, 0.1), Domain(0.0, 0.0)]),
)
def test_whatever_is_done_the_view_stays_on_the_data(done: list[Act], log_x: bool, domain: Domain) -> None:
    view = after(ChartView(log_x=log_x), domain, done)
    low, high = view.shown(domain)
    slack = 1e-9 * max(domain.high, 1)
    assert domain.start(log=log_x) - slack <= low <= high <= domain.high + slack
    if view.window is not None:
        assert high - low >= 0.9 * domain.spacing
        assert math.isfinite(high - low)
    if view.cursor is not None:
        assert low - slack <= view.cursor <= high + slack


@given(st.floats(0.05, 1), st.floats(0, 1), st.booleans())
def test_what_is_zoomed_about_stays_where_it_is(factor: float, share: float, log_x: bool) -> None:
    view = ChartView(log_x=log_x)
    place = view.at_share(DOMAIN, share)
    nearer = view.zoomed(DOMAIN, factor, about=place)
    assert nearer.share_of(DOMAIN, place) == pytest.approx(share, abs=1e-6)


def test_zooming_out_again_shows_everything_and_follows_what_comes() -> None:
    near = ChartView().zoomed(DOMAIN, 0.5, about=0.0)
    assert near.window == (0.0, 500.0)
    assert near.zoomed(DOMAIN, 2.0, about=0.0).window is None
    assert near.zoomed(DOMAIN, 100.0, about=250.0).window is None


def test_a_window_holds_a_few_points_at_least() -> None:
    view = ChartView()
    for _ in range(50):
        view = view.zoomed(DOMAIN, 0.5, about=700.0)
    low, high = view.shown(DOMAIN)
    assert high - low == pytest.approx(4.0)
    assert low < 700 < high
    assert view.zoomed(DOMAIN, 0.5, about=700.0).shown(DOMAIN) == pytest.approx((low, high))


def test_panning_keeps_the_width_and_stops_at_the_ends() -> None:
    view = ChartView(window=(100.0, 300.0))
    assert view.panned(DOMAIN, 0.5).window == (200.0, 400.0)
    assert view.panned(DOMAIN, -5).window == (0.0, 200.0)
    assert view.panned(DOMAIN, 50).shown(DOMAIN) == (800.0, 1000.0)
    assert ChartView().panned(DOMAIN, 0.3).window is None


def test_a_window_at_the_end_follows_what_comes() -> None:
    at_end = ChartView(window=(100.0, 300.0)).panned(DOMAIN, 50)
    longer = Domain(0.0, 1500.0, positive=1.0, spacing=1.0)
    assert at_end.shown(longer) == (800.0, 1500.0)
    assert at_end.panned(longer, -0.5).shown(longer) == (450.0, 1150.0)
    assert ChartView(window=(100.0, 300.0)).shown(longer) == (100.0, 300.0)


def test_a_cursor_that_is_led_out_of_sight_takes_the_window_along() -> None:
    view = ChartView(window=(100.0, 300.0), cursor=200.0)
    assert view.led(DOMAIN, 250.0) == ChartView(window=(100.0, 300.0), cursor=250.0)
    assert view.led(DOMAIN, 400.0).window == (200.0, 400.0)
    assert view.led(DOMAIN, 5000.0).cursor == 1000.0


def test_panning_a_logarithmic_axis_moves_by_factors() -> None:
    view = ChartView(log_x=True, window=(1.0, 10.0)).panned(DOMAIN, 1.0)
    assert view.shown(DOMAIN) == pytest.approx((10.0, 100.0))


def test_the_cursor_comes_from_the_end_and_takes_the_window_along() -> None:
    view = ChartView(window=(0.0, 100.0))
    assert view.moved(DOMAIN, 1, of=101).cursor == 0.0
    assert view.moved(DOMAIN, -1, of=101).cursor == 100.0
    further = view.pointed(95.0).moved(DOMAIN, 10, of=101)
    assert further.cursor == pytest.approx(105.0)
    assert further.window == pytest.approx((5.0, 105.0))
    assert ChartView().pointed(1000.0).moved(DOMAIN, 5, of=101).cursor == 1000.0


def test_another_axis_has_no_window_and_reset_keeps_the_scales() -> None:
    view = ChartView(log_x=True, smoothing=0.9, window=(1.0, 5.0), cursor=2.0)
    assert view.on_axis("epoch") == ChartView(axis="epoch", log_x=True, smoothing=0.9)
    assert view.reset() == ChartView(log_x=True, smoothing=0.9)


def test_smoothing_goes_round() -> None:
    view, seen = ChartView(), []
    for _ in range(4):
        view = view.with_next_smoothing()
        seen.append(view.smoothing)
    assert seen == [0.6, 0.9, 0.99, 0.0]


def test_a_logarithmic_axis_without_a_positive_place_is_linear() -> None:
    domain = Domain(-5.0, 0.0)
    view = ChartView(log_x=True).zoomed(domain, 0.5, about=-5.0)
    assert view.shown(domain) == (-5.0, -2.5)
