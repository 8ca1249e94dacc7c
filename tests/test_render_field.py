"""Fields, pictures and strips of images, as cells and pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from sslterm.render.animation import write_gif
from sslterm.render.cells import Cells
from sslterm.render.field import (
    StripItem,
    as_images,
    draw_field,
    draw_picture,
    draw_strip,
    fitted,
    lay_out,
    row_of_images,
)
from sslterm.render.palette import ACCENT, GROUND


def pixels(cells: Cells) -> np.ndarray:
    """The two pixels of every cell, [2 * height, width]."""
    top = np.where(cells.glyphs == ord("▄"), cells.bg, cells.fg)
    bottom = np.where(cells.glyphs == ord("▀"), cells.bg, cells.fg)
    blank = cells.glyphs == ord(" ")
    return np.stack([np.where(blank, cells.bg, top), np.where(blank, cells.bg, bottom)], 1).reshape(
        -1, cells.width
    )


def greys(count: int, side: int = 4) -> np.ndarray:
    """Images of one grey each, every one another."""
    values = (np.arange(count) * 255 // max(count - 1, 1)).astype(np.uint8)
    return np.broadcast_to(values[:, None, None, None], (count, 1, side, side)).copy()


def test_a_frame_stands_around_the_image_at_the_cursor() -> None:
    field = lay_out((4, 4), 3, 20, 10)
    assert field is not None
    images = greys(9)
    for row in range(3):
        for column in range(3):
            cursor = (column / 2, 1 - row / 2)
            shown = pixels(draw_field(images, field, cursor, 20, 10, color=True))
            top, left = field.corner(*cursor)
            inside = shown[top : top + field.tall, left : left + field.wide]
            assert len(np.unique(inside)) == 1
            assert abs((int(inside[0, 0]) & 255) - int(images[3 * row + column, 0, 0, 0])) <= 5
            edge = shown[top - 1, left - 1 : left + field.wide + 1]
            assert (edge == ACCENT).all()
            assert (shown == ACCENT).sum() == 2 * (field.tall + field.wide) + 4
            assert field.place(top + field.tall / 2, left + field.wide / 2) == (
                pytest.approx(cursor[0]), pytest.approx(cursor[1]),
            )  # fmt: skip


def test_between_images_the_frame_shows_what_is_there() -> None:
    field = lay_out((4, 4), 3, 20, 10)
    assert field is not None
    inset = np.full((1, 4, 4), 255, np.uint8)
    shown = pixels(
        draw_field(np.zeros((9, 1, 4, 4), np.uint8), field, (0.25, 0.8), 20, 10, color=True, inset=inset)
    )
    assert (shown == 0xFFFFFF).sum() == field.tall * field.wide
    off = draw_field(greys(9), field, (7.0, -3.0), 20, 10, color=True)  # a code off the plane: at its edge
    assert (pixels(off) == ACCENT).any()
    plain = draw_field(greys(9), field, (0.0, 0.0), 20, 10, color=False)
    assert "┌" in plain.plain()
    assert set(np.unique(plain.fg)) == {GROUND}


@given(st.integers(1, 40), st.integers(1, 40), st.integers(3, 21), st.integers(1, 120), st.integers(1, 60))
def test_a_field_fits_into_its_room(tall: int, wide: int, steps: int, width: int, height: int) -> None:
    field = lay_out((tall, wide), steps, width, height)
    if field is None:
        return
    bottom, right = field.corner(1.0, 0.0)
    assert field.top >= 1
    assert field.left >= 1
    assert bottom + field.tall < 2 * height
    assert right + field.wide < width


def test_a_picture_is_enlarged_by_whole_numbers_where_that_fills_the_room() -> None:
    assert fitted((16, 16), 50, 50) == (48, 48)
    assert fitted((28, 28), 50, 50) == (50, 50)
    assert fitted((28, 28), 10, 50) == (10, 10)
    image = np.zeros((3, 2, 2), np.uint8)
    image[:, 0, 0], image[0, 1, 1] = 255, 255
    shown = pixels(draw_picture(image, 4, 2, color=True))
    expected = np.array([[0xFFFFFF] * 2 + [0] * 2] * 2 + [[0] * 2 + [0xFF0000] * 2] * 2)
    assert (shown == expected).all()
    assert draw_picture(image, 0, 3, color=True).width == 0


def test_a_strip_has_images_with_their_texts_below_and_starts() -> None:
    items = [StripItem(image, name) for image, name in zip(greys(3), ("A", "long name", ""), strict=True)]
    cells, starts = draw_strip(items, (4, 4), 30, 3, color=True)
    assert starts == [0, 5, 15]
    assert cells.plain().splitlines()[-1] == "A    long name"
    narrow, starts = draw_strip(items, (4, 4), 12, 3, color=True)
    assert starts == [0]
    unknown, _ = draw_strip([StripItem(None, "A")], (4, 4), 12, 3, color=False)
    assert "…" in unknown.plain()
    assert narrow.width == 12
    assert draw_strip(items, (4, 4), 30, 0, color=True)[1] == []


def test_a_row_shrinks_its_images_before_it_leaves_some_out() -> None:
    assert row_of_images(11, (16, 16), 120, 6) == (list(range(11)), 5)
    assert row_of_images(5, (16, 16), 120, 6) == (list(range(5)), 6)
    shown, high = row_of_images(40, (16, 16), 60, 6)
    assert high == 4
    assert shown[0] == 0
    assert shown[-1] == 39
    assert len(shown) == 6
    assert row_of_images(9, (4, 4), 1, 1)[0] == [0]


def test_what_is_no_image_is_refused() -> None:
    for array in (np.zeros((1, 1, 2, 2)), np.zeros((2, 2), np.uint8), np.zeros((0, 1, 2, 2), np.uint8)):
        with pytest.raises(ValueError, match="no images"):
            as_images(array)


def test_a_gif_goes_forth_and_back_in_the_colours_of_its_images(tmp_path: Path) -> None:
    grey = np.linspace(0, 255, 4).astype(np.uint8)[:, None, None, None].repeat(8, 2).repeat(8, 3)
    write_gif(grey, tmp_path / "new" / "grey.gif")
    with Image.open(tmp_path / "new" / "grey.gif") as gif:
        assert (gif.size, gif.n_frames) == ((256, 256), 6)
        seen = []
        for frame in range(6):
            gif.seek(frame)
            seen.append(int(np.asarray(gif.convert("L"))[100, 100]))
    assert seen == [0, 85, 170, 255, 170, 85]
    color = np.zeros((3, 3, 8, 8), np.uint8)
    color[0, 0], color[1, 1], color[2, 2] = 250, 250, 250
    write_gif(color, tmp_path / "color.gif")
    with Image.open(tmp_path / "color.gif") as gif:
        for frame, channel in ((0, 0), (1, 1), (2, 2)):
            gif.seek(frame)
            pixel = np.asarray(gif.convert("RGB"))[9, 9]
            assert pixel.argmax() == channel
            assert pixel.max() == pytest.approx(250, abs=6)
