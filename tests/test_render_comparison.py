"""The table of a comparison: what differs, what is best, in cells, Markdown and CSV."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sslterm.render.comparison import csv_text, markdown, short_keys, table_of
from sslterm.render.comparison_cells import TableView, draw_table, first_row, last_first, table_width
from sslterm.render.palette import GOOD
from sslterm.run.comparison import Result, Side

SIZES = [(1, 1), (3, 2), (20, 5), (80, 24), (200, 60)]


def side(place: int, results: Mapping[str, Result] | None = None, **about: Any) -> Side:
    fields: dict[str, Any] = {
        "place": place, "name": f"vae-digits-{place + 1}", "path": "", "method": "vae", "preset": "digits",
        "state": "finished", "step": 10, "images": 2560, "seconds": 75.0,
        "config": {"run.method": "vae", "optim.main.lr": 0.1},
    }  # fmt: skip
    return Side(**{**fields, **about}, results=results or {})


# overlays


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
