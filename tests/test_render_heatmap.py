"""Heatmaps: pooling that says what it did, signs without colour, few levels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from sslterm.render.cells import Cells
from sslterm.render.halfblock import half_blocks, halves, merge_runs
from sslterm.render.heatmap import draw_matrix, pool
from sslterm.render.palette import GROUND, map_colors
from sslterm.render.panel import draw_panel
from sslterm.run.panels import Panel


def matrix(array: object, **fields: object) -> Panel:
    return Panel(name="m", kind="matrix", array=np.asarray(array, dtype=np.float32), **fields)  # type: ignore[arg-type]


def test_the_mean_of_blocks_and_its_name() -> None:
    pooled, note = pool(np.arange(16.0).reshape(4, 4), 2, 2, center=None)
    assert pooled.tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert note == "mean of 2x2"


def test_around_a_centre_the_strongest_of_a_block_survives_with_its_sign() -> None:
    values = np.zeros((8, 8))
    values[1, 2], values[6, 6], values[7, 7] = -0.9, 0.5, -0.4
    pooled, note = pool(values, 2, 2, center=0.0)
    assert pooled.tolist() == [[-0.9, 0.0], [0.0, 0.5]]
    assert note == "strongest of 4x4"


def test_a_matrix_that_fits_is_left_alone() -> None:
    values = np.eye(4)
    pooled, note = pool(values, 4, 9, center=None)
    assert pooled is values
    assert note == ""


def test_blocks_at_the_edge_may_be_smaller_and_long_matrices_are_pooled_each_way() -> None:
    assert pool(np.ones((5, 5)), 2, 2, center=None)[0].shape == (2, 2)
    pooled, note = pool(np.ones((4, 400)), 4, 100, center=None)
    assert pooled.shape == (4, 100)
    assert note == "mean of 1x4"


def test_nan_is_left_out_of_a_mean_and_shown_where_there_is_nothing_else() -> None:
    values = np.array([[1.0, np.nan, np.nan, np.nan], [3.0, np.nan, np.nan, np.nan]] * 2)
    pooled, _ = pool(values, 2, 2, center=None)
    assert pooled[0, 0] == 2.0
    assert np.isnan(pooled[0, 1])


def test_a_small_matrix_without_colour_exactly() -> None:
    panel = matrix([[1, 0, -1], [0, 0.5, 0], [-1, 0, 1], [0, -0.5, 0]], center=0, low=-1, high=1)
    cells, note = draw_matrix(panel, 6, 4, color=False)
    assert note == ""
    assert cells.plain().splitlines() == ["██  ##", "  ▒▒", "##  ██", "  ≡≡"] or cells.plain().splitlines() == [
        "██  ##", "  ▒▒", "##  ██", "  ==",
    ]  # fmt: skip


def test_without_colour_density_grows_with_strength_and_signs_differ() -> None:
    strengths = np.repeat(np.linspace(-1, 1, 9)[None], 2, axis=0)
    text = draw_matrix(matrix(strengths, center=0, low=-1, high=1), 9, 1, color=False)[0].text(0)
    assert text[0] == "#"
    assert text[-1] == "█"
    positive, negative = text[5:], text[:4][::-1]
    assert [" ░▒▓█".index(glyph) for glyph in positive] == [1, 2, 3, 4]
    assert [" -=≡#".index(glyph) for glyph in negative] == [1, 2, 3, 4]


def test_the_identity_keeps_its_diagonal_when_it_is_pooled() -> None:
    panel = matrix(np.eye(256), center=0, low=-1, high=1)
    cells = draw_panel(panel, 40, 18, color=True)
    assert "strongest of 8x8" in cells.text(0)
    brightest = int(map_colors(np.array([1.0]), diverging=True)[0])
    pixels = halves(cells)[2:34, :32]
    assert (pixels[np.eye(32, dtype=bool)] == brightest).all()
    assert (pixels == brightest).sum() == 32


def runs(cells: Cells) -> int:
    return sum(len(list(cells.spans(row))) for row in range(cells.height))


@settings(deadline=None, max_examples=200)
@given(
    arrays(
        np.int32, st.tuples(st.integers(1, 7), st.integers(1, 12)), elements=st.sampled_from([-1, -80, 5, 9])
    )
)
def test_merged_runs_show_the_same_pixels_with_fewer_changes_of_colour(pixels: NDArray[np.int32]) -> None:
    plain = half_blocks(pixels)
    merged = merge_runs(plain)
    assert (halves(merged) == halves(plain)).all()
    assert (halves(merged)[: len(pixels)] == pixels).all()
    assert runs(merged) <= runs(plain)
    assert (merged.fg[merged.glyphs != ord(" ")] != GROUND).all()


def test_two_colours_are_one_run_however_they_alternate() -> None:
    board = np.where(np.add.outer(np.arange(6), np.arange(9)) % 2, 5, 9).astype(np.int32)
    assert runs(half_blocks(board)) == 27
    assert runs(merge_runs(half_blocks(board))) == 3
    assert merge_runs(half_blocks(board)).text(0) == "▀▄▀▄▀▄▀▄▀"


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 90), st.integers(1, 40), st.booleans())
def test_any_matrix_fits_any_size_with_few_colours(
    rows: int, columns: int, width: int, height: int, color: bool
) -> None:
    array = np.random.default_rng(rows).normal(size=(rows, columns))
    array.flat[0] = np.nan
    cells, _ = draw_matrix(matrix(array, center=0), width, height, color=color)
    assert (cells.width, cells.height) == (width, height)
    assert len(set(np.concatenate([cells.fg, cells.bg]).ravel().tolist())) <= 31 + 3
    if not color:
        assert (cells.bg == -1).all()


@pytest.mark.parametrize(
    "array", [np.zeros((3, 3)), np.full((3, 3), np.nan), np.zeros((0, 0)), [[np.inf, -np.inf]]]
)
def test_degenerate_matrices(array: object) -> None:
    for center in (None, 0.0):
        draw_panel(matrix(array, center=center), 40, 10, color=True)


def test_the_colour_bar_has_the_range_beside_it() -> None:
    cells, _ = draw_matrix(matrix([[0, 2], [4, 8]]), 30, 6, color=True)
    lines = cells.plain().splitlines()
    assert lines[0].endswith(" 8")
    assert lines[-1].endswith(" 0")
