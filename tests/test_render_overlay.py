"""One metric of several runs over each other, in cells and as a picture, against known values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sslterm.render.curve import frame_of
from sslterm.render.overlay import (
    OverlayRun,
    draw_overlay,
    letter,
    metrics_worth_seeing,
    name_of,
    overlay_plot,
    seen,
)
from sslterm.render.palette import categorical, categorical_behind, categorical_on_paper, rgb
from sslterm.render.picture_charts import behind_on_paper
from sslterm.render.picture_overlay import dashed, overlay_picture, spread
from sslterm.render.view import ChartView
from sslterm.run.metrics import Series

SIZES = [(1, 1), (3, 2), (20, 5), (80, 24), (200, 60)]


def falling(place: int, count: int = 40, *, images: int = 100) -> OverlayRun:
    step = np.arange(count)
    series = Series(step, step * images, step * 0.5, 10.0 * (place + 1) / (1 + step))
    return OverlayRun(place=place, name=f"run-{place}", series=series)


def test_a_run_keeps_its_letter_and_colour_when_others_are_left_out() -> None:
    whole = overlay_plot("main/loss", [falling(0), falling(1), falling(2)])
    part = overlay_plot("main/loss", [falling(2), replace(falling(5), series=None)])
    assert [(line.name, line.hue) for line in whole.lines] == [("A", 0), ("B", 1), ("C", 2)]
    assert [(line.name, line.hue) for line in part.lines] == [("C", 2)]
    assert (whole.title, whole.unit, whole.x_label) == ("loss (train)", "", "images")
    assert [letter(place) for place in (0, 25, 26, 51, 52)] == ["A", "Z", "a", "z", "+"]


def test_likelihoods_of_several_densities_are_not_drawn_over_each_other() -> None:
    bits = [replace(falling(place), density="dynamic binarization") for place in (1, 3)]
    grey = replace(falling(0), density="8-bit pixels")
    unmeasured = replace(falling(2), density="8-bit pixels", series=None)
    plot = overlay_plot("test/nll_nats", [grey, bits[0], unmeasured, bits[1]])
    assert [line.name for line in plot.lines] == ["B", "D"]
    assert plot.title == "negative log-likelihood (test), dynamic binarization"
    assert plot.notes == ("not A: 8-bit pixels",)
    alone = overlay_plot("test/nll_nats", [grey, unmeasured])
    assert ([line.name for line in alone.lines], alone.title, alone.notes) == (
        ["A"], "negative log-likelihood (test)", ()
    )  # fmt: skip


@pytest.mark.parametrize(("axis", "end"), [("step", 39), ("images", 3900), ("seconds", 19.5)])
def test_axes(axis: Any, end: float) -> None:
    assert overlay_plot("main/loss", [falling(0)], ChartView(axis=axis)).lines[0].x[-1] == end


def test_epochs_are_drawn_where_every_run_says_how_long_they_are() -> None:
    known = [replace(falling(place), images_per_epoch=size) for place, size in ((0, 100), (1, 390))]
    view = ChartView(axis="epoch")
    assert [line.x[-1] for line in overlay_plot("main/loss", known, view).lines] == [39, 10]
    plot = overlay_plot("main/loss", [known[0], falling(1)], view)
    assert plot.x_label == "images (epoch unknown)"
    assert [line.x[-1] for line in plot.lines] == [3900, 3900]


def test_letters_and_tags_stand_at_the_ends_of_lines_on_a_logarithmic_axis() -> None:
    plot = overlay_plot("main/loss", [falling(0), falling(1, 20)], ChartView(axis="images", log_x=True))
    cells = draw_overlay(plot, 100, 20, color=True)
    frame = frame_of(plot, 100, 20)
    for line in plot.lines:
        columns = np.nonzero(cells.glyphs[1:] == ord(line.name))[1]  # below the legend
        end = frame.column_at(float(line.x[-1]))
        assert end is not None
        assert columns.tolist() == [end]
    picture = np.asarray(overlay_picture(plot, {"A": "a", "B": "b"})).astype(int)
    for place in range(2):
        tags = np.nonzero((picture == rgb(categorical_on_paper(place))).all(axis=-1))
        assert len(tags[0]) > 150


def test_names_of_metrics_say_where_they_were_measured() -> None:
    names = ["test/neg_elbo_nats", "main/loss", "generator/loss", "test/knn", "speed/images_per_second", "fd"]
    assert [name_of(name) for name in names] == [
        "-ELBO (test)", "loss (train)", "loss (generator)", "kNN accuracy (test, uses labels)", "speed", "fd",
    ]  # fmt: skip


def test_metrics_to_choose_from_begin_with_the_headlines() -> None:
    one = {"main/loss": falling(0).series, "test/knn": falling(0).series, "main/lr": falling(0).series}
    two = {"test/mse": falling(0).series, "test/knn_pixels": falling(0).series}
    found = metrics_worth_seeing([one, two], ["test/mse", "test/none"])  # type: ignore[list-item]
    assert found == ["test/mse", "main/loss", "test/knn", "main/lr"]
    assert metrics_worth_seeing([], ["test/mse"]) == []


def test_letters_stand_at_the_ends_of_lines() -> None:
    plot = overlay_plot("main/loss", [falling(0), falling(1, 20)])
    cells = draw_overlay(plot, 60, 12, color=True)
    found = {
        chr(cells.glyphs[row, column]): (column, int(cells.fg[row, column]))
        for row in range(2, 11)
        for column in range(60)
        if cells.glyphs[row, column] in (ord("A"), ord("B"))
    }
    assert found["A"] == (59, categorical(0))
    assert 25 < found["B"][0] < 40  # it has half as many images
    assert found["B"][1] == categorical(1)


def test_without_colour_letters_stand_along_the_lines() -> None:
    runs = [falling(place, 200) for place in range(10)]
    cells = draw_overlay(
        overlay_plot("main/loss", runs, ChartView(axis="images", log_y=True)), 110, 30, color=False
    )
    body = "\n".join(cells.text(row) for row in range(3, 29))
    for place in range(10):
        assert body.count(letter(place)) >= 3
    assert (cells.fg == -1).all()


def noisy(place: int, count: int = 400) -> OverlayRun:
    noise = np.random.default_rng(place).normal(0, 0.3, count)
    step = np.arange(count)
    return OverlayRun(
        place=place, name=f"run-{place}", series=Series(step, step * 100, step * 0.5, place + 1 + noise)
    )


SMOOTH = ChartView(axis="images", smoothing=0.9)


def test_values_lie_behind_the_averages_of_few_runs() -> None:
    plot = overlay_plot("main/loss", [noisy(place) for place in range(3)], SMOOTH)
    cells = draw_overlay(plot, 100, 30, color=True)
    for place, line in enumerate(plot.lines):
        assert (cells.fg == categorical_behind(place)).sum() > 100
        assert line.smooth is not None
        assert np.ptp(line.smooth[100:]) < np.ptp(line.y[100:]) / 2
    frame = frame_of(plot, 100, 30)
    assert frame.ranges is not None
    assert frame.ranges.y[0] == min(line.y.min() for line in plot.lines)
    picture = np.asarray(overlay_picture(plot, {}))
    for place in range(3):
        assert (picture == behind_on_paper(place)).all(axis=-1).sum() > 100


def test_averages_of_many_runs_stand_alone() -> None:
    plot = overlay_plot("main/loss", [noisy(place) for place in range(5)], SMOOTH)
    cells = draw_overlay(plot, 100, 30, color=True)
    assert not np.isin(cells.fg, [categorical_behind(place) for place in range(5)]).any()
    frame = frame_of(plot, 100, 30)
    assert frame.ranges is not None
    assert frame.ranges.y[0] == min(line.strong.min() for line in plot.lines)  # no room for what is not seen
    assert "━ A 1.133" in draw_overlay(plot, 160, 30, color=True).text(0)  # the last value, not its average
    assert plot.lines[0].y[-1] == pytest.approx(1.133, abs=1e-3)


def test_without_colour_the_values_of_two_runs_lie_behind_and_those_of_three_do_not() -> None:
    for count, behind in ((2, True), (3, False)):
        plot = overlay_plot("main/loss", [noisy(place) for place in range(count)], SMOOTH)
        assert all((len(line.drawn) == 2) is behind for line in seen(plot, color=False).lines)
        assert seen(plot, color=True) is plot
        cells = draw_overlay(plot, 100, 30, color=False)
        assert (
            (cells.glyphs[2:] >= 0x2800).sum() > 700 if behind else (cells.glyphs[2:] >= 0x2800).sum() < 500
        )


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("color", [True, False])
def test_overlays_of_every_size_and_of_nothing(size: tuple[int, int], color: bool) -> None:
    nan = OverlayRun(place=1, name="nan", series=Series(*(np.arange(3),) * 3, np.full(3, np.nan)))  # type: ignore[arg-type]
    for runs in ([], [nan], [falling(0, 1)], [falling(0), nan, falling(2)]):
        for log_y in (True, False):
            plot = overlay_plot("main/loss", runs, ChartView(axis="images", log_y=log_y))
            cells = draw_overlay(plot, *size, color=color)
            assert (cells.width, cells.height) == size
    assert "no values yet" in draw_overlay(overlay_plot("main/loss", [nan]), 40, 8, color=True).plain()


def test_the_picture_of_an_overlay_shows_every_run_in_its_colour() -> None:
    runs = [falling(0, 2000), falling(1, 300), falling(6, 1)]
    names = {"A": "one", "B": "two", "G": "three"}
    picture = np.asarray(overlay_picture(overlay_plot("main/loss", runs), names))
    for run in runs:
        color = np.array(rgb(categorical_on_paper(run.place)))
        assert (picture == color).all(axis=-1).sum() > 200
    assert (np.asarray(overlay_picture(overlay_plot("main/loss", []), {})) < 255).any()


def test_letters_that_would_cover_each_other_move_apart() -> None:
    assert spread([10.0, 50.0], 20, 0, 100) == [10.0, 50.0]
    assert spread([50.0, 50.0, 50.0], 20, 0, 100) == [30.0, 50.0, 70.0]
    assert spread([98.0, 99.0, 99.0], 20, 0, 100) == [60.0, 80.0, 100.0]
    assert spread([0.0, 1.0, 60.0], 20, 0, 100) == [0.0, 20.0, 60.0]
    assert spread([], 20, 0, 100) == []


def test_ten_letters_are_in_the_picture_where_all_lines_end_at_the_bottom() -> None:
    plot = overlay_plot("main/loss", [falling(place, 300) for place in range(10)])
    picture = np.asarray(overlay_picture(plot, {}))
    right = picture[:, -70:]
    for place in range(10):
        assert (right == np.array(rgb(categorical_on_paper(place)))).all(axis=-1).sum() > 150


def test_dashes_have_their_lengths() -> None:
    parts = dashed([(0.0, 0.0), (7.0, 0.0), (7.0, 13.0)], [4, 2])
    assert parts == [
        [(0.0, 0.0), (4.0, 0.0)],
        [(6.0, 0.0), (7.0, 0.0), (7.0, 3.0)],
        [(7.0, 5.0), (7.0, 9.0)],
        [(7.0, 11.0), (7.0, 13.0)],
    ]


# tables
