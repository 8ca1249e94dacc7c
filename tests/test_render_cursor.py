"""The cursor over panels: what it reads, where it is marked, where keys take it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sslterm.render.cells import Cells
from sslterm.render.cursor import Spot
from sslterm.render.heatmap import summary
from sslterm.render.image_cursor import close_up, name_of
from sslterm.render.palette import ACCENT, GROUND
from sslterm.render.panel import difference, draw_panel, move_spot, read_panel, read_spot
from sslterm.render.theme import DARK
from sslterm.run.panels import Panel
from tests.test_render_panel import PANELS, panel


def correlation(seed: int, noise: float = 0.1, size: int = 256) -> Panel:
    """Blocks of correlated dimensions around a strong diagonal, with noise."""
    random = np.random.default_rng(seed)
    array = 0.9 * np.eye(size) + random.normal(0, noise, (size, size))
    for start in range(0, size, 32):
        array[start : start + 32, start : start + 32] += random.uniform(-0.5, 0.5)
    return panel("matrix", array.clip(-1, 1), low=-1, high=1, center=0)


def sent(now: Cells, before: Cells) -> int:
    """Bytes of an update: the changed runs, each with a move of the cursor."""
    total = 0
    for row, start, end in now.changes(before):
        one = (slice(row, row + 1), slice(start, end))
        total += len(Cells(now.glyphs[one], now.fg[one], now.bg[one]).ansi("truecolor", DARK).encode()) + 8
    return total


@pytest.mark.parametrize("noise", [0.02, 0.1, 0.3])
def test_a_large_matrix_is_sent_in_at_most_60_kilobytes(noise: float) -> None:
    before, now = (draw_panel(correlation(seed, noise), 120, 40, color=True) for seed in (0, 1))
    assert 5_000 < sent(now, before) <= 60_000


def test_a_matrix_reads_row_column_and_value() -> None:
    small = panel("matrix", np.arange(12).reshape(3, 4) / 8, x_label="view b", y_label="view a")
    reading = read_panel(small, 40, 12, 1, 0)
    assert reading is not None
    assert reading.text.startswith("(0, 0) 0")
    reading = read_spot(small, 40, 12, Spot(2, 3))
    assert reading is not None
    assert reading.text == "(2, 3) 1.38 · row: view a · column: view b"


def test_a_named_matrix_reads_names() -> None:
    confusion = panel("matrix", np.eye(2), labels=("cat", "dog"))
    reading = read_spot(confusion, 40, 12, Spot(0, 1))
    assert reading is not None
    assert reading.text == "(cat, dog) 0"


def test_of_a_block_the_strongest_value_is_read_where_it_is() -> None:
    array = np.zeros((64, 64))
    array[13, 22] = -0.7
    pooled = panel("matrix", array, low=-1, high=1, center=0)
    reading = read_spot(pooled, 40, 10, Spot(12, 20))
    assert reading is not None
    assert reading.text == "(13, 22) -0.7 · strongest of 4x4 in rows 12–15, columns 20–23".replace(
        "-0.7 ", "-0.700 "
    )


def test_of_a_block_around_no_centre_the_mean_is_read() -> None:
    pooled = panel("matrix", np.repeat(np.arange(64.0)[:, None], 64, axis=1))
    reading = read_spot(pooled, 40, 10, Spot(4, 8))
    assert reading is not None
    assert reading.text == "rows 4–7, columns 8–11: 5.50 · mean of 4x4"


def test_the_mark_is_a_frame_around_the_pixel_and_leaves_it() -> None:
    plain = draw_panel(correlation(0, size=16), 60, 20, color=True)
    marked = draw_panel(correlation(0, size=16), 60, 20, color=True, cursor=Spot(5, 5))
    reading = read_spot(correlation(0, size=16), 60, 20, Spot(5, 5))
    assert reading is not None
    assert reading.mark is not None
    mark = reading.mark
    inside = np.s_[-(-mark.top // 2) : mark.bottom // 2, mark.left : mark.right]
    assert (marked.fg[inside] == plain.fg[inside]).all()
    assert (marked.fg[mark.top // 2, mark.left - 1], marked.fg[mark.top // 2, mark.right]) == (GROUND, GROUND)
    assert marked.text(19).startswith("(5, 5) ")
    assert marked.fg[19, 0] == ACCENT


@pytest.mark.parametrize("name", [name for name in PANELS if not name.startswith(("no", "not"))])
@settings(deadline=None, max_examples=30)
@given(
    width=st.integers(1, 130), height=st.integers(1, 50), steps=st.lists(st.sampled_from("lrud"), max_size=6)
)
def test_a_cursor_never_leaves_a_panel(name: str, width: int, height: int, steps: list[str]) -> None:
    moves = {"l": (-1, 0), "r": (1, 0), "u": (0, -1), "d": (0, 1)}
    spot = move_spot(PANELS[name], width, height, None, 0, 0, place="a.png")
    for step in steps:
        spot = move_spot(PANELS[name], width, height, spot, *moves[step], place="a.png")
    if spot is None:
        return
    assert read_spot(PANELS[name], width, height, spot, place="a.png") is not None
    for color in (True, False):
        cells = draw_panel(PANELS[name], width, height, color=color, place="a.png", cursor=spot)
        assert (cells.width, cells.height) == (width, height)
        if not color:
            assert (cells.fg == GROUND).all()


@pytest.mark.parametrize("name", [name for name in PANELS if name not in ("no curve",)])
@settings(deadline=None, max_examples=30)
@given(
    width=st.integers(0, 100), height=st.integers(0, 40), row=st.integers(-1, 40), column=st.integers(-1, 100)
)
def test_any_cell_may_be_asked(name: str, width: int, height: int, row: int, column: int) -> None:
    reading = read_panel(PANELS[name], width, height, row, column, place="a.png")
    if reading is not None and reading.mark is not None:
        assert 0 <= reading.mark.top < 2 * height
        assert 0 <= reading.mark.left < width


def test_what_the_mouse_finds_is_what_is_marked() -> None:
    for name in ("images", "matrix", "bars", "many bars"):
        spot = move_spot(PANELS[name], 80, 24, None, 0, 0)
        assert spot is not None
        spot = move_spot(PANELS[name], 80, 24, spot, 1, 0)
        assert spot is not None
        reading = read_spot(PANELS[name], 80, 24, spot)
        assert reading is not None
        assert reading.mark is not None
        again = read_panel(PANELS[name], 80, 24, -(-reading.mark.top // 2), reading.mark.left)
        assert again is not None
        assert again.spot == spot


def test_keys_move_by_what_is_drawn() -> None:
    pooled = panel("matrix", np.zeros((64, 64)), center=0)
    assert move_spot(pooled, 40, 10, Spot(8, 8), 1, -1) == Spot(4, 12)
    assert move_spot(pooled, 40, 10, Spot(0, 60), 5, -5) == Spot(0, 60)
    nine = PANELS["images"]
    assert move_spot(nine, 80, 24, Spot(0, 4), 1, 0) == Spot(0, 5)
    assert move_spot(nine, 80, 24, Spot(0, 4), 0, 1) == Spot(0, 7)
    assert move_spot(PANELS["bars"], 40, 10, Spot(0, 0), 0, 2) == Spot(0, 2)


def test_points_are_found_by_nearness_and_direction() -> None:
    cross = panel(
        "scatter",
        [[0, 0, 0], [1, 0, 1], [0, 1, 1], [-1, 0, 0], [np.nan, 0, 0], [0, -1, 1]],
        labels=("a", "b"),
    )
    reading = read_panel(cross, 41, 21, 10, 39)
    assert reading is not None
    assert reading.text == "point 1 · b · (1, 0)"
    assert move_spot(cross, 41, 21, Spot(0, 0), 0, -1) == Spot(0, 2)
    assert move_spot(cross, 41, 21, Spot(0, 0), 0, 1) == Spot(0, 5)
    assert move_spot(cross, 41, 21, Spot(0, 0), -1, 0) == Spot(0, 3)
    assert move_spot(cross, 41, 21, Spot(0, 1), 1, 0) == Spot(0, 1)


def test_bars_and_curves_read_names_and_values() -> None:
    reading = read_panel(PANELS["bars"], 40, 10, 2, 3)
    assert reading is not None
    assert reading.text == "z2: -1"
    two = panel("curve", [[1, 2, 3], [4, 5, 6]], labels=("train", "test"), x_label="epoch", y_label="nats")
    reading = read_spot(two, 60, 12, Spot(0, 1))
    assert reading is not None
    assert reading.text == "epoch 1: train 2, test 5 nats"


def test_a_curve_with_a_range_is_drawn_and_read_where_its_points_stand() -> None:
    values = [[1, 2, 4, 8, 16]]
    logits = panel("curve", values, x_label="logit", x_range=(-10.0, 10.0))
    for column, x in enumerate((-10, -5, 0, 5, 10)):
        reading = read_spot(logits, 60, 12, Spot(0, column))
        assert reading is not None
        assert reading.text == f"logit {x}: {values[0][column]}"
        here = read_panel(logits, 60, 12, 2, reading.mark.left)
        assert here is not None
        assert here.spot == Spot(0, column)
    ticks = draw_panel(logits, 60, 12, color=False).plain().splitlines()[-1]
    assert ticks.split() == ["└-10", "0", "logit"]


def grid(name: str, count: int, columns: int, **fields: object) -> Panel:
    images = np.linspace(0, 1, count, dtype=np.float32)[:, None, None, None] * np.ones(
        (1, 1, 8, 8), np.float32
    )
    return Panel(name=name, kind="images", array=images, columns=columns, **fields)  # type: ignore[arg-type]


def test_images_are_named_by_number_pair_or_place() -> None:
    assert name_of(grid("samples", 64, 0), 12) == "image 13 of 64"
    assert name_of(grid("reconstructions", 64, 8), 13) == "pair 7 of 32: reconstruction"
    assert name_of(grid("views", 8, 4), 2) == "pair 2 of 4: view a"
    plane = grid("latent-plane", 16, 4, x_label="z1 from -2 to 2", y_label="z2 from 2 to -2")
    assert (
        name_of(plane, 6) == "row 2 of 4, column 3 of 4 (image 7 of 16) · z1 from -2 to 2 · z2 from 2 to -2"
    )
    walk = grid(
        "traversal", 6, 3, labels=("-3 sd", "+0 sd", "+3 sd"), x_label="standard deviations", y_label="direction",
        caption="a code of a held-out image (seed 0); rows: z3, z1, by variance of the codes; columns: -3 to 3 sd",
    )  # fmt: skip
    assert name_of(walk, 5) == "z1, +3 sd (image 6 of 6)"


def test_one_image_or_its_pair_close_up() -> None:
    one = close_up(grid("samples", 64, 0), Spot(0, 12))
    assert one.array.shape[0] == 1
    assert one.array[0, 0, 0, 0] == pytest.approx(12 / 63)
    assert one.caption == "image 13 of 64"
    pair = close_up(grid("reconstructions", 64, 8), Spot(0, 13))
    assert pair.array[:, 0, 0, 0] == pytest.approx([12 / 63, 13 / 63])
    assert pair.caption == "pair 7 of 32: image · reconstruction"


def test_the_difference_has_its_own_range_around_zero() -> None:
    before, now = (
        panel("matrix", [[1, 0], [0, 1]], low=-1, high=1),
        panel("matrix", [[1.5, 0], [-0.25, 1]], low=-1, high=1),
    )
    change = difference(now, before, "512 k images")
    assert change is not None
    assert change.array.tolist() == [[0.5, 0], [-0.25, 0]]
    assert (change.low, change.high, change.center) == (None, None, 0.0)
    assert change.caption == "change since 512 k images"
    assert difference(now, None) is None
    assert difference(now, panel("matrix", np.zeros((3, 3)))) is None
    assert difference(PANELS["images"], PANELS["images"]) is None


def test_the_summary_of_a_square_matrix_around_a_centre() -> None:
    assert (
        summary(panel("matrix", [[0.9, 0.3], [-0.3, 1.0]], center=0))
        == "diagonal 0.95 ± 0.050   off-diagonal 0.30 rms"
    )
    assert (
        summary(panel("matrix", [[0.9, np.nan], [-0.3, np.nan]], center=0))
        == "diagonal 0.90 ± 0   off-diagonal 0.30 rms"
    )
    assert summary(panel("matrix", np.eye(3))) == ""
    assert summary(panel("matrix", np.zeros((2, 3)), center=0)) == ""
    text = draw_panel(correlation(0), 60, 20, color=True, place="a.png").plain()
    assert "diagonal 0." in text
    assert "off-diagonal 0." in text


def test_a_reading_stands_in_place_of_the_caption_below_the_summary() -> None:
    long = panel(
        "matrix",
        np.eye(64),
        low=-1,
        high=1,
        center=0,
        caption="a caption " * 12,
        x_label="view b",
        y_label="view a",
    )
    lines = draw_panel(long, 60, 24, color=True, place="a.png", cursor=Spot(5, 5)).plain().splitlines()
    assert lines[-4].startswith("diagonal 1 ± 0")
    assert lines[-3].startswith("(4, 4) 1 · strongest of 2x2 in rows 4–5, columns 4–5")
    assert "caption" not in "".join(lines)
    assert lines[-1] == "a.png"


def test_of_a_long_path_the_end_is_shown() -> None:
    path = "/home/someone/runs/barlow-twins-cifar10-2/panels/cross-correlation/793600.png"
    last = draw_panel(correlation(0, size=16), 40, 12, color=True, place=path).text(11)
    assert last == "…" + path[-39:]
