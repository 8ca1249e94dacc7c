"""PNGs: sharp pixels where they belong, gaps, colours of the map, and files that are whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from sslterm.render import png
from sslterm.render.curve import Line, Plot
from sslterm.render.ink import spelled, wrapped
from sslterm.render.palette import categorical_on_paper, map_colors_on_paper, rgb
from sslterm.render.picture_charts import plot_picture
from sslterm.render.picture_tiles import images_picture, matrix_picture
from sslterm.render.png import panel_picture, write_png
from tests.test_render_panel import PANELS, panel


def pixels(picture: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(picture.convert("RGB"))


def find_tiles(picture: NDArray[np.uint8], tile: NDArray[np.uint8]) -> tuple[int, int]:
    """Upper left corner of `tile` in a picture."""
    height, width = tile.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(picture, (height, width, 3))[:, :, 0]
    places = np.argwhere((windows == tile).all(axis=(2, 3, 4)))
    assert len(places)
    return int(places[0, 0]), int(places[0, 1])


def test_images_are_enlarged_pixel_by_pixel_with_a_gap_of_two() -> None:
    array = np.random.default_rng(0).random((4, 1, 8, 8), dtype=np.float32)
    shown = pixels(images_picture(panel("images", array, columns=2))[0])
    zoom = 16
    assert shown.shape == (2 * 8 * zoom + 2, 2 * 8 * zoom + 2, 3)
    for index in range(4):
        top, left = (index // 2) * (8 * zoom + 2), (index % 2) * (8 * zoom + 2)
        tile = shown[top : top + 8 * zoom, left : left + 8 * zoom].reshape(8, zoom, 8, zoom, 3)
        assert (tile == tile[:, :1, :, :1]).all()  # every pixel is a square of one colour
        expected = np.rint(array[index, 0] * 255)
        assert (tile[:, 0, :, 0] == expected[..., None]).all()
    gap = shown[8 * zoom : 8 * zoom + 2]
    assert (gap == gap[0, 0]).all()
    assert tuple(gap[0, 0]) not in {(0, 0, 0), (255, 255, 255)}  # black and white images both stand out


def test_large_images_are_not_touched() -> None:
    array = np.random.default_rng(0).random((1, 3, 1200, 700), dtype=np.float32)
    shown = pixels(images_picture(panel("images", array))[0])
    assert (shown == np.rint(array[0].transpose(1, 2, 0).astype(float) * 255)).all()


def test_a_matrix_shows_every_entry_in_the_colour_of_the_map() -> None:
    array = np.eye(64, dtype=np.float32) * 0.9 - 0.3
    picture = pixels(matrix_picture(panel("matrix", array, low=-1, high=1, center=0))[0])
    share = (array + 1) / 2
    colors = map_colors_on_paper(share, diverging=True, levels=255)
    zoom = 10
    tile = np.array([rgb(int(c)) for c in colors[:3, :3].ravel()], dtype=np.uint8).reshape(3, 3, 3)
    top, left = find_tiles(picture[:100, :100], tile.repeat(zoom, 0).repeat(zoom, 1)[: 3 * zoom, : 3 * zoom])
    diagonal = [tuple(picture[top + i * zoom + 5, left + i * zoom + 5]) for i in range(64)]
    assert set(diagonal) == {rgb(int(colors[0, 0]))}
    assert tuple(picture[top + 5, left + 63 * zoom + 5]) == rgb(int(colors[0, 63]))


def test_the_colour_bar_runs_from_the_top_of_the_map_to_its_bottom() -> None:
    picture = pixels(matrix_picture(panel("matrix", np.zeros((64, 64)), low=-1, high=1, center=0))[0])
    ends = [rgb(int(c)) for c in map_colors_on_paper(np.array([1.0, 0.0]), diverging=True, levels=255)]
    rows = [np.flatnonzero((picture == end).all(axis=2).any(axis=1)) for end in ends]
    assert len(rows[0])
    assert len(rows[1])
    assert rows[0].max() < rows[1].min()


def test_values_that_are_missing_are_grey() -> None:
    picture = pixels(matrix_picture(panel("matrix", [[np.nan, 1.0], [0.0, 0.5]]))[0])
    assert (picture == 0x7A).all(axis=2).any()


def test_huge_matrices_are_pooled_and_say_so() -> None:
    picture, note = matrix_picture(panel("matrix", np.eye(4100), center=0))
    assert note == "strongest of 3x3"
    assert picture.width < 2000


def test_a_line_keeps_its_spike() -> None:
    y = np.zeros(200_000)
    y[123_456] = 1.0
    plot = Plot(title="", lines=(Line(name="", x=np.arange(len(y)), y=y),))
    shown = pixels(plot_picture(plot, 400, 200))
    blue = np.array(rgb(categorical_on_paper(0)))
    close = np.abs(shown.astype(int) - blue).sum(axis=2) < 120
    columns = np.flatnonzero(close[20:150].all(axis=0))  # a column drawn from top to bottom
    assert len(columns) >= 1
    area = shown.shape[1] - 24 - 400
    assert abs(columns.mean() - (area + 400 * 123_456 / 200_000)) < 3


def test_marks_at_the_ends_of_y_are_whole() -> None:
    plot = Plot(title="", lines=(Line(name="", x=np.arange(3), y=np.array([0.0, 1.0, 0.0]), best="max"),))
    shown = pixels(plot_picture(plot, 400, 200)).astype(int)
    close = np.abs(shown - np.array(rgb(categorical_on_paper(0)))).sum(axis=2) < 60
    rows = np.flatnonzero(close.any(axis=1))
    assert rows[0] > 10  # the ring around the best value ends below the upper border
    assert np.flatnonzero(close[rows[0]]).mean() == pytest.approx(shown.shape[1] - 24 - 200, abs=3)


@pytest.mark.parametrize("name", PANELS)
def test_every_panel_becomes_a_picture(name: str, tmp_path: Path) -> None:
    path = tmp_path / "new" / "p.png"
    write_png(PANELS[name], path)
    with Image.open(path) as picture:
        picture.load()
        assert picture.format == "PNG"
        assert min(picture.size) > 100
        assert max(picture.size) < 2500
    assert [file.name for file in path.parent.iterdir()] == ["p.png"]


def test_the_same_panel_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_png(PANELS["scatter"], tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_failed_write_leaves_the_old_picture_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p.png"
    path.write_bytes(b"old")

    def full(self: Image.Image, *arguments: object, **named: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(OSError, match="No space"):
        write_png(PANELS["bars"], path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_long_captions_are_wrapped_within_the_picture() -> None:
    caption = " ".join(["words"] * 80)
    picture = panel_picture(panel("bars", [1, 2], caption=caption))
    assert picture.width < 800
    assert len(wrapped(caption, picture.width - 2 * png.MARGIN)) > 3
    margin = pixels(picture)[:, -png.MARGIN + 1 :]
    assert (margin == 255).all()


def test_what_the_font_lacks_is_spelled_out() -> None:
    assert spelled("σ ≈ 0.5 ± 0.1 · 256×256 → café") == "sigma ~ 0.5 ± 0.1 · 256x256 -> café".replace(
        "café", spelled("café")
    )
    assert spelled("数") == "?"
    assert "·" in spelled("a · b")
