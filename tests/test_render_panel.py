"""Panels of every kind at every size, bars and scatter plots in detail."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sslterm.render.bars import draw_bars, sparkline
from sslterm.render.palette import categorical
from sslterm.render.panel import draw_panel
from sslterm.render.scatter import draw_scatter
from sslterm.run.panels import Panel


def panel(kind: str, array: object, **fields: object) -> Panel:
    return Panel(name="p", kind=kind, array=np.asarray(array, dtype=np.float32), **fields)  # type: ignore[arg-type]


NOISE = np.random.default_rng(0)
PANELS = {
    "images": panel(
        "images", NOISE.random((9, 3, 8, 8)), labels=("in", "out", "true"), columns=3, caption="9 images"
    ),
    "matrix": panel(
        "matrix", NOISE.normal(size=(30, 30)), center=0, caption="noise", x_label="i", y_label="j"
    ),
    "bars": panel("bars", [3.3, -1, np.nan], labels=("z1", "z2")),
    "many bars": panel("bars", NOISE.random(500)),
    "scatter": panel("scatter", np.c_[NOISE.normal(size=(50, 2)), np.arange(50) % 12], labels=("a", "b")),
    "points": panel("scatter", NOISE.normal(size=(50, 2))),
    "curve": panel("curve", NOISE.random((2, 40)), labels=("train", "test"), x_label="epoch", y_label="nats"),
    "no images": panel("images", np.zeros((0, 1, 4, 4))),
    "no matrix": panel("matrix", np.zeros((0, 3))),
    "no bars": panel("bars", []),
    "no points": panel("scatter", np.zeros((0, 3))),
    "no curve": panel("curve", np.zeros((0, 0))),
    "not a number": panel("scatter", np.full((4, 3), np.nan)),
    "one value": panel("bars", [0.0]),
}


@pytest.mark.parametrize("name", PANELS)
@settings(deadline=None, max_examples=60)
@given(width=st.integers(0, 130), height=st.integers(0, 50), color=st.booleans())
def test_every_panel_at_every_size(name: str, width: int, height: int, color: bool) -> None:
    cells = draw_panel(PANELS[name], width, height, color=color, when="at 798 k images", place="runs/a/b.png")
    assert (cells.width, cells.height) == (width, height)
    if not color:
        assert (cells.bg == -1).all()
        assert (cells.fg == -1).all()


def test_a_panel_says_what_it_is_when_it_was_made_and_where_its_picture_lies() -> None:
    cells = draw_panel(
        PANELS["matrix"], 80, 20, color=False, when="at 798 k images", place="panels/p/1.png", selected=True
    )
    assert cells.text(0).rstrip() == "▸ p · 30x30 · at 798 k images"
    assert cells.text(18).rstrip() == "noise · x: i · y: j"
    assert cells.text(19).rstrip() == "panels/p/1.png"


def test_how_it_was_drawn_moves_to_the_caption_where_the_title_is_full() -> None:
    large = panel("matrix", np.eye(200), center=0, caption="identity")
    cells = draw_panel(large, 30, 10, color=True, when="at 798 k images")
    assert cells.text(0).rstrip() == "p · at 798 k images"
    assert cells.text(9).rstrip() == "diag 1 ± 0   off 0 rms"
    no_center = panel("matrix", np.eye(200), caption="identity")
    cells = draw_panel(no_center, 30, 10, color=True, when="at 798 k images")
    assert cells.text(9).rstrip() == "mean of 13x13 · identity"
    assert "strongest of" in draw_panel(large, 60, 10, color=True, when="at 798 k images").text(0)


def test_bars_exactly() -> None:
    cells, note = draw_bars(
        panel("bars", [4, 2, 0.5, 0], labels=("z1", "z2", "z3", "z4")), 24, 4, color=False
    )
    assert note == ""
    assert cells.plain().splitlines() == [
        "z1 ████████████████ 4.00",
        "z2 ████████         2.00",
        "z3 ██               0.50",
        "z4                  0.00",
    ]


def test_negative_bars_go_to_the_left_of_zero() -> None:
    text = draw_bars(panel("bars", [2, -2]), 20, 2, color=False)[0].plain().splitlines()
    positive, negative = ([at for at, glyph in enumerate(row) if glyph == "█"] for row in text)
    assert min(positive) == max(negative) + 1
    assert len(positive) == len(negative)


def test_bars_too_many_to_name_stand_and_say_how_they_were_pooled() -> None:
    values = np.zeros(400)
    values[399] = 1
    cells, note = draw_bars(panel("bars", values), 50, 10, color=False)
    assert note == "largest of 9 a column"
    assert cells.text(0)[46] == "█"  # the peak of a single bar survives
    assert cells.text(9).split() == ["0", "399"]


def test_a_scatter_cell_has_the_colour_of_its_most_frequent_class() -> None:
    points = [[0, 0, 1]] * 3 + [[0, 0, 0]] * 2 + [[1, 1, 0]]
    cells, note = draw_scatter(panel("scatter", points), 10, 4, color=True)
    assert note == "6 points"
    assert cells.fg[3, 0] == categorical(1)
    assert cells.fg[0, 9] == categorical(0)
    plain = draw_scatter(panel("scatter", points), 10, 4, color=False)[0].plain().splitlines()
    assert (plain[3][0], plain[0][9]) == ("1", "0")


def test_a_scatter_legend_names_the_classes() -> None:
    points = [[0, 0, 0], [1, 1, 1]]
    cells, _ = draw_scatter(panel("scatter", points, labels=("cat", "dog")), 30, 8, color=True)
    assert cells.text(7).rstrip() == "● cat  ● dog"


def test_sparklines() -> None:
    assert sparkline(np.array([0.0, 1, 2, 3]), 8) == "▁▃▆█"
    assert len(sparkline(np.arange(1000.0), 10)) == 10
    assert sparkline(np.array([np.nan, np.nan]), 5) == ""
    assert sparkline(np.array([2.0, np.nan, 2.0]), 5) == "▁▁"


def test_few_points_are_large_enough_to_be_seen_and_many_are_fine() -> None:
    few = draw_scatter(panel("scatter", NOISE.normal(size=(20, 2))), 40, 20, color=True)[0].plain()
    assert few.count("•") > 15
    many = draw_scatter(panel("scatter", NOISE.normal(size=(2000, 2))), 40, 20, color=True)[0].plain()
    assert "•" not in many
    assert sum(0x2800 < ord(glyph) < 0x2900 for glyph in many) > 100


def test_a_caption_ends_where_it_is_cut() -> None:
    long = panel("matrix", np.eye(4), caption="many words " * 20, x_label="i", y_label="j")
    assert draw_panel(long, 40, 10, color=False).text(9).endswith("…")
    short = panel("matrix", np.eye(4), caption="thirty-five characters of a caption", x_label="predicted")
    assert draw_panel(short, 40, 10, color=False).text(9).rstrip() == short.caption
