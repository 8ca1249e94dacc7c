"""Panels of several runs side by side, in cells and as a picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sslterm.render.palette import categorical, categorical_on_paper, rgb
from sslterm.render.picture_side_by_side import side_by_side_picture
from sslterm.render.side_by_side import Shot, draw_side_by_side, on_one_scale, seeds_note, slots_for
from sslterm.run.panels import Panel
from tests.tui.recorded import correlation, digits

SIZES = [(1, 1), (3, 2), (20, 5), (80, 24), (200, 60)]


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
