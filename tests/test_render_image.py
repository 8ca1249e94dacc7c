"""Images in half-blocks: sharp enlargement, whole layouts, what is left out is said."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sslterm.render.halfblock import half_blocks
from sslterm.render.image import draw_images, mosaic, plan, resize, whole_grid
from sslterm.render.palette import GROUND, unpack
from sslterm.run.panels import Panel


def images(count: int, tall: int = 4, wide: int = 4, channels: int = 1, **fields: object) -> Panel:
    array = np.random.default_rng(0).random((count, channels, tall, wide), dtype=np.float32)
    return Panel(name="samples", kind="images", array=array, **fields)  # type: ignore[arg-type]


def pixels_of(panel: Panel, width: int, height: int) -> NDArray[np.int32]:
    return mosaic(panel, plan(panel, width, height))


def test_two_pixels_a_cell() -> None:
    red, blue = 0xFF0000, 0x0000FF
    cells = half_blocks(
        np.array([[red, red, GROUND, GROUND], [blue, red, blue, GROUND], [red, GROUND, GROUND, red]])
    )
    assert cells.text(0) == "▀█▄ "
    assert cells.text(1) == "▀  ▀"
    assert (cells.fg[0, 0], cells.bg[0, 0], cells.fg[0, 2], cells.bg[0, 2]) == (red, blue, blue, GROUND)


def test_images_grow_by_whole_pixels() -> None:
    panel = images(1, 3, 3)
    pixels = pixels_of(panel, 12, 12)
    assert pixels.shape == (12, 12)
    assert (pixels.reshape(3, 4, 3, 4) == pixels[::4, ::4][:, None, :, None]).all()
    shown = unpack(pixels[::4, ::4])[..., 0] / 255
    assert np.abs(shown - panel.array[0, 0]).max() < 0.01


def test_images_shrink_by_means() -> None:
    array = np.arange(16.0).reshape(1, 4, 4, 1).repeat(3, axis=3)
    assert resize(array, 2, 2)[0, :, :, 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert np.isclose(resize(array, 3, 3).mean(), array.mean())


def test_a_grid_leaves_a_gap_and_fills_up_with_ground() -> None:
    panel = images(3, 8, 8, columns=2)
    pixels = pixels_of(panel, 17, 17)
    assert pixels.shape == (17, 17)
    assert (pixels[8] == GROUND).all()
    assert (pixels[:, 8] == GROUND).all()
    assert (pixels[9:, 9:] == GROUND).all()
    assert (pixels[:8, :8] != GROUND).all()


def test_what_is_left_out_is_said() -> None:
    cells, note = draw_images(images(64, 28, 28), 40, 10, color=True)
    assert note == "8 of 64 shown"
    assert (cells.width, cells.height) == (40, 10)


def test_a_plane_is_thinned_evenly() -> None:
    panel = images(400, 16, 16, columns=20, x_label="z1", y_label="z2")
    grid = plan(panel, 80, 40)
    assert grid.note == "every 4th of 20x20"
    assert grid.index.tolist() == np.arange(400).reshape(20, 20)[::4, ::4].tolist()


def test_a_row_that_runs_along_something_is_shown_from_its_first_image_to_its_last() -> None:
    panel = images(80, 16, 16, columns=10, x_label="from noise to image")
    grid = plan(panel, 29, 20)
    assert grid.index.tolist() == [[0, 4, 9], [10, 14, 19]]
    assert grid.note == "6 of 80 shown"
    assert plan(panel, 19, 8).index.tolist() == [[0, 9]]
    assert plan(panel, 12, 8).index.tolist() == [[0]]
    assert plan(panel, 400, 400).index.tolist() == np.arange(80).reshape(8, 10).tolist()


def test_pairs_stay_together_when_columns_are_cut() -> None:
    panel = images(64, 16, 16, columns=8)
    grid = plan(panel, 48, 24)
    assert grid.index.shape[1] % 2 == 0
    assert grid.index[1, 0] == 8


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 70), st.sampled_from([(1, 1), (8, 8), (28, 28), (16, 40), (32, 32)]),
    st.integers(0, 20), st.integers(1, 130), st.integers(1, 50), st.booleans(), st.sampled_from([1, 3]),
)  # fmt: skip
def test_any_images_fit_any_size(
    count: int, size: tuple[int, int], columns: int, width: int, height: int, color: bool, channels: int
) -> None:
    panel = images(count, *size, channels, columns=columns)
    cells, note = draw_images(panel, width, height, color=color)
    assert (cells.width, cells.height) == (width, height)
    grid = plan(panel, width, 2 * height)
    shown = set(grid.index[grid.index >= 0].tolist())
    assert shown
    assert (note == "") == (len(shown) == count)
    if not color:
        assert (cells.fg == GROUND).all()


def test_without_colour_lighter_is_denser() -> None:
    ramp = np.linspace(0, 1, 5, dtype=np.float32)[None].repeat(2, axis=0)
    panel = Panel(name="ramp", kind="images", array=ramp[None, None])
    assert draw_images(panel, 5, 1, color=False)[0].text(0) == " ░▒▓█"


@pytest.mark.parametrize("value", [np.nan, -3.0, 7.0])
def test_values_out_of_range_are_clipped(value: float) -> None:
    panel = Panel(name="x", kind="images", array=np.full((1, 3, 4, 4), value, dtype=np.float32))
    colors = set(pixels_of(panel, 4, 4).ravel().tolist())
    assert colors == {0xFFFFFF if value == 7.0 else 0x000000}


def test_a_grid_counts_row_by_row() -> None:
    assert whole_grid(5, 3).tolist() == [[0, 1, 2], [3, 4, -1]]
