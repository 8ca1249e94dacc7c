"""Overlays, tables and panels of several runs, in cells and as pictures, against known values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sslterm.render.comparison import csv_text, markdown, short_keys, table_of
from sslterm.render.comparison_cells import TableView, draw_table, first_row, last_first, table_width
from sslterm.render.overlay import (
    OverlayRun,
    draw_overlay,
    letter,
    metrics_worth_seeing,
    name_of,
    overlay_plot,
)
from sslterm.render.palette import GOOD, categorical, categorical_on_paper, rgb
from sslterm.render.picture_overlay import dashed, overlay_picture, spread
from sslterm.render.picture_side_by_side import side_by_side_picture
from sslterm.render.side_by_side import Shot, draw_side_by_side, on_one_scale, seeds_note, slots_for
from sslterm.run.comparison import Result, Side
from sslterm.run.metrics import Series
from sslterm.run.panels import Panel
from tests.tui.recorded import correlation, digits

SIZES = [(1, 1), (3, 2), (20, 5), (80, 24), (200, 60)]


def falling(place: int, count: int = 40, *, images: int = 100) -> OverlayRun:
    step = np.arange(count)
    series = Series(step, step * images, step * 0.5, 10.0 * (place + 1) / (1 + step))
    return OverlayRun(place=place, name=f"run-{place}", series=series)


def side(place: int, results: Mapping[str, Result] | None = None, **about: Any) -> Side:
    fields: dict[str, Any] = {
        "place": place, "name": f"vae-digits-{place + 1}", "path": "", "method": "vae", "preset": "digits",
        "state": "finished", "step": 10, "images": 2560, "seconds": 75.0,
        "config": {"run.method": "vae", "optim.main.lr": 0.1},
    }  # fmt: skip
    return Side(**{**fields, **about}, results=results or {})


# overlays


def test_a_run_keeps_its_letter_and_colour_when_others_are_left_out() -> None:
    whole = overlay_plot("main/loss", [falling(0), falling(1), falling(2)])
    part = overlay_plot("main/loss", [falling(2), replace(falling(5), series=None)])
    assert [(line.name, line.hue) for line in whole.lines] == [("A", 0), ("B", 1), ("C", 2)]
    assert [(line.name, line.hue) for line in part.lines] == [("C", 2)]
    assert (whole.title, whole.unit, whole.x_label) == ("loss (train)", "", "images")
    assert [letter(place) for place in (0, 25, 26, 51, 52)] == ["A", "Z", "a", "z", "+"]


@pytest.mark.parametrize(("axis", "end"), [("step", 39), ("images", 3900), ("seconds", 19.5)])
def test_axes(axis: Any, end: float) -> None:
    assert overlay_plot("main/loss", [falling(0)], axis=axis).lines[0].x[-1] == end


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
    cells = draw_overlay(overlay_plot("main/loss", runs, log_y=True), 110, 30, color=False)
    body = "\n".join(cells.text(row) for row in range(3, 29))
    for place in range(10):
        assert body.count(letter(place)) >= 3
    assert (cells.fg == -1).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("color", [True, False])
def test_overlays_of_every_size_and_of_nothing(size: tuple[int, int], color: bool) -> None:
    nan = OverlayRun(place=1, name="nan", series=Series(*(np.arange(3),) * 3, np.full(3, np.nan)))  # type: ignore[arg-type]
    for runs in ([], [nan], [falling(0, 1)], [falling(0), nan, falling(2)]):
        for log_y in (True, False):
            cells = draw_overlay(overlay_plot("main/loss", runs, log_y=log_y), *size, color=color)
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

KNN = "test/knn"


def two_sides(**about: Any) -> list[Side]:
    other = {"run.method": "vae", "optim.main.lr": 0.25, "optim.head.lr": None, "watch.log_every_images": 9}
    return [
        side(0, {KNN: Result(0.5, 0.75, 512)}),
        side(
            1,
            {KNN: Result(0.625, 0.625, 2560), "generator/loss": Result(float("nan"))},
            config={**other, **about},
        ),
    ]


def test_the_table_shows_the_differences_alone_and_marks_the_best() -> None:
    table = table_of(two_sides(), [KNN, "generator/loss"])
    assert table.common == "method vae · preset digits · kNN accuracy: higher is better, uses labels"
    columns = {column.name: column for column in table.columns}
    assert list(columns) == [
        "state", "images", "kNN accuracy (test)", "best", "loss (generator)", "time", "optim.main.lr",
        "watch.log_every_images",
    ]  # fmt: skip
    assert columns["kNN accuracy (test)"].cells == ("0.5000", "0.6250")
    assert columns["kNN accuracy (test)"].best == {1}
    assert columns["best"].best == {0}
    assert columns["loss (generator)"].cells == ("-", "nan")
    assert columns["optim.main.lr"].cells == ("0.1", "0.25")
    assert columns["watch.log_every_images"].cells == ("-", "9")
    assert columns["time"].cells == ("1 m 15 s", "1 m 15 s")


def test_on_different_data_no_value_is_the_best() -> None:
    sides = two_sides()
    sides = [
        replace(one, config={**one.config, "data.name": name}) for one, name in zip(sides, "ab", strict=True)
    ]
    table = table_of(sides, [KNN])
    assert "different data: numbers do not compare" in table.common
    assert not any(column.best for column in table.columns)


def test_what_one_method_alone_has_is_left_out_unless_its_runs_differ_in_it() -> None:
    gan = {"run.method": "dcgan", "method.leak": 0.2, "optim.main.lr": 0.5}
    vae = {"run.method": "vae", "method.beta": 1.0, "optim.main.lr": 0.5}
    sides = [
        side(0, config=vae | {"method.width": 9}),
        side(1, config=vae),
        side(2, config=gan, method="dcgan"),
    ]
    table = table_of(sides, [])
    assert [column.name for column in table.settings] == ["run.method", "method.width"]
    assert "2 settings that one method alone has left out" in table.common
    header = csv_text(sides, []).splitlines()[0]
    assert "method.leak" in header


def test_keys_are_as_short_as_they_can_be_told_apart() -> None:
    keys = ["optim.main.lr", "method.widths", "optim.a.schedule.name", "optim.b.schedule.name", "seed"]
    assert short_keys(keys) == ["main.lr", "method.widths", "a.schedule.name", "b.schedule.name", "seed"]


def test_markdown_and_csv() -> None:
    sides = two_sides()
    sides[1] = replace(sides[1], name="a|b_c")
    lines = markdown(table_of(sides, [KNN])).splitlines()
    assert lines[0].startswith(
        "|  | run | state | images | kNN accuracy (test) | best | time | optim.main.lr"
    )
    assert lines[1].startswith("| :- | :- | :- | -: | -: | -: | -: | :-")
    assert lines[2].startswith(
        "| A | vae-digits-1 | finished | 2,560 | 0.5000 | **0.7500** | 1 m 15 s | 0.1 |"
    )
    assert "a\\|b\\_c" in lines[3]
    rows = [line.split(",") for line in csv_text(sides, [KNN, "generator/loss"]).splitlines()]
    assert rows[0] == [
        "run", "method", "preset", "state", "step", "images", "seconds", KNN, f"{KNN} best",
        f"{KNN} best images", "generator/loss", "optim.main.lr", "watch.log_every_images",
    ]  # fmt: skip
    assert rows[1][:7] == ["vae-digits-1", "vae", "digits", "finished", "10", "2560", "75.0"]
    assert rows[1][7:] == ["0.5", "0.75", "512", "", "0.1", ""]
    assert rows[2][7:] == ["0.625", "0.625", "2560", "nan", "0.25", "9"]


def test_names_stay_while_columns_scroll() -> None:
    table = table_of([*two_sides(), side(2)], [KNN])
    width = 50
    plain = (
        draw_table(table, width, 5, color=False, view=TableView(marked=1, hidden={2})).plain().splitlines()
    )
    assert plain[1].rstrip().endswith("›")
    assert "━━ A vae-digits-1" in plain[2]
    assert plain[3].startswith("▸╍╍ B vae-digits-2")
    assert plain[4].startswith("  ○ C vae-digits-3")
    end = last_first(table, width)
    scrolled = draw_table(table, width, 5, color=False, view=TableView(first=end)).plain().splitlines()
    assert "‹" in scrolled[1]
    assert "watch.log_every_images" in scrolled[1]
    assert "›" not in scrolled[1]
    assert "━━ A vae-digits-1" in scrolled[2]
    assert "›" not in draw_table(table, table_width(table), 5, color=False, view=TableView()).plain()


def test_the_best_is_marked_with_and_without_colour() -> None:
    table = table_of(two_sides(), [KNN])
    cells = draw_table(table, table_width(table), 4, color=True, view=TableView())
    assert "◆ 0.6250" in cells.plain()
    assert (cells.fg == GOOD).any()
    assert "◆ 0.6250" in draw_table(table, 100, 4, color=False, view=TableView()).plain()


def test_many_runs_scroll_with_the_mark() -> None:
    assert [first_row(10, 6, marked) for marked in (None, 0, 3, 4, 9)] == [0, 0, 0, 1, 6]
    table = table_of([side(place) for place in range(10)], [])
    plain = draw_table(table, 50, 6, color=False, view=TableView(marked=9)).plain()
    assert "vae-digits-10" in plain
    assert "vae-digits-6" not in plain
    for size in SIZES:
        for marked in (None, 0, 9):
            cells = draw_table(
                table, *size, color=True, view=TableView(marked=marked, first=2, selected=True)
            )
            assert (cells.width, cells.height) == size


# panels side by side


def shots_of(count: int, panel: Panel | None = None) -> list[Shot]:
    return [
        Shot(place=i, name=f"run-{i}", when="at 512 k images", panel=panel or digits(16))
        for i in range(count)
    ]


def test_panels_stand_side_by_side_under_their_runs() -> None:
    shots = [*shots_of(2), Shot(place=2, name="run-2", trouble="not drawn yet")]
    cells = draw_side_by_side(shots, 100, 16, color=True, title="samples", selected=True, marked=0)
    lines = cells.plain().splitlines()
    assert lines[0] == "▸ samples · seed 0"
    assert [lines[1].find(f"{sign} run-{i}") for i, sign in enumerate("ABC")] == [0, 34, 68]
    assert int(cells.fg[1, 34]) == categorical(1)
    assert "not drawn yet" in cells.plain()
    assert (cells.glyphs[3:8, :32] == ord("▀")).any()


def test_as_many_as_fit_are_seen_and_the_marked_one_always() -> None:
    shown = draw_side_by_side(
        shots_of(10), 66, 10, color=True, title="samples", selected=False, marked=9
    ).plain()
    assert "J run-9" in shown
    assert "8-10 of 10 runs" in shown
    assert slots_for(3, 100, 15, 0).across == 3
    assert (slots_for(4, 100, 60, 0).across, slots_for(4, 100, 60, 0).down) == (2, 2)


@pytest.mark.parametrize("size", SIZES)
def test_side_by_side_at_every_size(size: tuple[int, int]) -> None:
    for count in (1, 3, 10):
        for panel in (digits(4), correlation(0.5)):
            shots = [*shots_of(count, panel), Shot(place=count, name="none")]
            for color in (True, False):
                cells = draw_side_by_side(shots, *size, color=color, title="x", selected=True, marked=count)
                assert (cells.width, cells.height) == size


def test_values_that_are_compared_have_one_scale() -> None:
    bars = [Panel(name="kl", kind="bars", array=np.array(values, np.float32)) for values in ([1, 2], [0, 8])]
    scaled = on_one_scale([replace(shot, panel=bar) for shot, bar in zip(shots_of(2), bars, strict=True)])
    assert [(shot.panel.low, shot.panel.high) for shot in scaled if shot.panel] == [(0.0, 8.0)] * 2
    fixed = on_one_scale(shots_of(2, correlation(0.5)))
    assert [(shot.panel.low, shot.panel.high) for shot in fixed if shot.panel] == [(-1, 1)] * 2
    images = shots_of(2)
    assert on_one_scale(images) == images


def test_different_seeds_are_told() -> None:
    other = replace(digits(16), caption="16 images, seed 3")
    assert seeds_note(shots_of(2)) == "seed 0"
    assert seeds_note([*shots_of(1), Shot(place=1, name="b", panel=other)]) == "different seeds: 0, 3"
    assert seeds_note([Shot(place=0, name="a")]) == ""


def test_the_picture_has_every_run() -> None:
    curve = Panel(name="c", kind="curve", array=np.ones((1, 5), np.float32))
    points = Panel(
        name="p", kind="scatter", array=np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32)
    )
    bars = Panel(name="b", kind="bars", array=np.arange(3, dtype=np.float32))
    nothing = Panel(name="n", kind="bars", array=np.empty(0, np.float32))
    for panel in (digits(16), correlation(0.5), curve, points, bars, nothing):
        picture = np.asarray(
            side_by_side_picture([*shots_of(2, panel), Shot(place=2, name="none")], "samples")
        )
        for place in range(3):
            assert (picture == np.array(rgb(categorical_on_paper(place)))).all(axis=-1).sum() > 150
    wide = side_by_side_picture(shots_of(10), "samples")
    assert wide.width < 2600
    narrow = side_by_side_picture(shots_of(1), "samples")
    assert wide.width > 3 * narrow.width
