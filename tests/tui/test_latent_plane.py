"""Which code a place of a plane means, against brute force in float64; pins and their strips."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sslterm.run.packed import pack
from sslterm.tui.latent_plane import Axis, Plane, field_steps, next_direction, read_space, step_place
from sslterm.tui.latent_words import axes_line, code_lines, code_title, plane_title
from sslterm.tui.pins import NAMES, STEPS, Path, Pins
from sslterm.tui.screens.explorer_layout import share_out
from sslterm.tui.whereabouts import Whereabouts
from tests.tui.explored import Explored, picture

RNG = np.random.default_rng(0)
NORMAL = NormalDist()


def directions(dimensions: int) -> NDArray[np.float64]:
    """Two directions at right angles, in rows."""
    return np.linalg.qr(RNG.standard_normal((dimensions, 2)))[0].T


def test_the_axis_of_a_normal_prior_lies_at_its_quantiles() -> None:
    axis = Axis("z1", np.array([1.0, 0.0]), None)
    for place in np.linspace(0, 1, 11):
        assert axis.coordinate(place) == pytest.approx(NORMAL.inv_cdf(0.01 + 0.98 * place), abs=1e-12)
        assert axis.place(axis.coordinate(place)) == pytest.approx(place, abs=1e-12)
        assert axis.quantile(axis.coordinate(place)) == pytest.approx(0.01 + 0.98 * place, abs=1e-12)
    assert axis.place(5.0) > 1
    assert axis.ends == (NORMAL.inv_cdf(0.01), NORMAL.inv_cdf(0.99))


def test_the_axis_of_codes_is_even_between_their_quantiles() -> None:
    codes = RNG.gamma(2.0, size=5000)
    axis = Axis("z1", np.array([1.0]), np.quantile(codes, np.linspace(0, 1, 101)))
    low, high = np.quantile(codes, (0.01, 0.99))
    for place in np.linspace(0, 1, 7):
        assert axis.coordinate(place) == pytest.approx(low + (high - low) * place, rel=1e-9)
        assert axis.place(axis.coordinate(place)) == pytest.approx(place, abs=1e-12)
    for value in (0.3, 1.0, 4.0):  # the share of the codes below it, but for the interpolation
        assert axis.quantile(value) == pytest.approx(np.mean(codes < value), abs=0.01)
    flat = Axis("z1", np.array([1.0]), np.full(101, 3.0))
    assert flat.place(3.0) == 0.5


@pytest.mark.parametrize("dimensions", [2, 3, 64])
def test_moving_on_a_plane_changes_its_two_coordinates_and_nothing_else(dimensions: int) -> None:
    u, v = directions(dimensions)
    quantiles = np.quantile(RNG.standard_normal(999) * 3 + 1, np.linspace(0, 1, 101))
    plane = Plane(Axis("u", u, None), Axis("v", v, quantiles))
    z = RNG.standard_normal(dimensions)
    moved = plane.move(z, 0.2, 0.7)
    assert moved @ u == pytest.approx(NORMAL.inv_cdf(0.01 + 0.98 * 0.2))
    low, high = plane.y.ends
    assert moved @ v == pytest.approx(low + 0.7 * (high - low))
    # everything across the plane is as it was: the projections onto its complement agree
    across = np.eye(dimensions) - np.outer(u, u) - np.outer(v, v)
    np.testing.assert_allclose(across @ moved, across @ z, atol=1e-12)
    assert plane.place(moved) == (pytest.approx(0.2), pytest.approx(0.7))
    assert np.allclose(plane.move(moved, *plane.place(z)), z)


def test_the_grid_goes_by_rows_from_the_top_and_is_what_moving_gives() -> None:
    u, v = directions(5)
    plane = Plane(Axis("u", u, None), Axis("v", v, None))
    z = RNG.standard_normal(5)
    grid = plane.grid(z, 7).reshape(7, 7, 5)
    for row, column in np.ndindex(7, 7):
        np.testing.assert_allclose(grid[row, column], plane.move(z, column / 6, 1 - row / 6), atol=1e-12)


def test_the_grid_of_two_dimensions_is_the_latent_plane_of_the_panels() -> None:
    import torch

    from sslterm.evaluate.latent import latent_plane
    from tests.test_evaluate_latent import Transparent

    panel = latent_plane(Transparent(2), torch.zeros(1, 1, 1, 2), steps=9)
    space = read_space(Explored()._explore())
    grid = Whereabouts(space).plane.grid(space.origin, 9)
    np.testing.assert_allclose(grid, panel.array.reshape(81, 2), atol=1e-6)


def test_a_space_of_one_dimension_has_a_plane_in_which_up_changes_nothing() -> None:
    here = Whereabouts(read_space(Explored(1)._explore()))
    here.step(1, 1, 5)
    assert here.z == pytest.approx([NORMAL.inv_cdf(0.01 + 0.98 * 0.75)])
    assert here.plane.grid(here.z, 3).shape == (9, 1)
    assert "z1 ·" in plane_title(here.space, here.plane)
    assert axes_line(here.plane) == "→ z1 from -2.33 to 2.33"
    assert len(code_lines(here.space, here.plane, here.axes, here.z)) == 1


@given(st.floats(0, 1), st.sampled_from([-4, -1, 1, 4]), st.integers(2, 21))
def test_whole_steps_end_on_the_grid(place: float, by: int, steps: int) -> None:
    after = step_place(place, by, steps)
    assert 0 <= after <= 1
    assert after * (steps - 1) == pytest.approx(round(after * (steps - 1)), abs=1e-9)
    lines = [line / (steps - 1) for line in range(steps)]
    ahead = [line for line in lines if (line > place + 1e-5 if by > 0 else line < place - 1e-5)]
    if by in (-1, 1) and ahead:  # the nearest line in that direction
        assert after == pytest.approx(min(ahead) if by > 0 else max(ahead), abs=1e-9)


def test_fine_steps_go_anywhere_and_stop_at_the_edge() -> None:
    assert step_place(0.5, 0.125, 9) == pytest.approx(0.5 + 0.125 / 8)
    assert step_place(0.99, 0.5, 9) == 1.0
    assert step_place(0.0, -0.125, 9) == 0.0


def test_directions_go_round_without_the_other_axis() -> None:
    seen, current = [], 0
    for _ in range(4):
        current = next_direction(current, 2, 1, 5)
        seen.append(current)
    assert seen == [1, 3, 4, 0]
    assert next_direction(0, 4, -1, 5) == 3
    assert next_direction(0, 1, 1, 2) == 0


def test_ways_through_a_large_space() -> None:
    here = Whereabouts(read_space(Explored(5)._explore()))
    assert here.whose == "middle of the prior"
    assert here.random() == ""
    drawn = here.z
    np.testing.assert_array_equal(drawn, np.random.default_rng(0).standard_normal(5))
    plane = here.plane_id
    here.step(1, -1, 9)
    assert here.plane_id == plane  # moving on a plane stays on it
    np.testing.assert_array_equal(here.z[2:], drawn[2:])
    assert here.turn(0, 1) == ""
    assert here.chosen == (2, 1)
    assert here.plane_id != plane
    assert here.switch() == ""
    assert (here.family, here.chosen, here.plane.x.name) == ("principal", (0, 1), "PC1 (9 %)")
    here.point(0.5, 0.5)
    np.testing.assert_allclose(here.z[[3, 4]], 0, atol=1e-6)  # the median of the codes
    here.origin()
    assert not here.z.any()
    lines = code_lines(here.space, here.plane, here.axes, drawn)
    assert lines[2] == f"  |z| {np.linalg.norm(drawn):.2f}; draws from the prior: 2.24 ± 0.71"
    assert lines[0].startswith("→ PC1 ")
    assert code_title(here.space, here.plane, drawn, "a draw").endswith(" · a draw")


def test_what_cannot_be_done_is_said() -> None:
    small = Whereabouts(read_space(Explored(2)._explore()))
    assert "all dimensions" in small.turn(0, 1)
    assert "all dimensions" in small.switch()
    bare = Whereabouts(read_space(Explored(5, codes=0)._explore()))
    assert "nothing encodes" in bare.switch()
    priorless = Whereabouts(read_space(Explored(5, prior="none")._explore()))
    assert "no prior" in priorless.random()
    assert priorless.whose == "mean of the codes"
    assert "quantiles of 300 codes" in plane_title(priorless.space, priorless.plane)


def test_another_checkpoint_keeps_the_code_where_the_space_is_the_same() -> None:
    here = Whereabouts(read_space(Explored(5)._explore()))
    here.random()
    here.switch()
    z = here.z
    assert here.follow(read_space(Explored(5, codes=0)._explore()))
    assert here.z is z
    assert here.family == "dimensions"  # there are no principal directions any more
    assert not here.follow(read_space(Explored(3)._explore()))
    assert here.z.shape == (3,)


def test_a_quantile_axis_in_words() -> None:
    here = Whereabouts(read_space(Explored(2)._explore()))
    here.go(np.array([-0.82, 1.34]))
    assert plane_title(here.space, here.plane) == "latent plane · z1 x z2 · normal quantiles 0.01-0.99"
    assert code_title(here.space, here.plane, here.z, "") == "decoded at z = (-0.82, 1.34)"
    first, second = code_lines(here.space, here.plane, here.axes, here.z)
    assert first == f"→ z1   -0.82   quantile {NORMAL.cdf(-0.82):.3f} ··●········"
    assert "↑ z2    1.34   quantile 0.910" in second


@pytest.mark.parametrize(
    "bad", [{}, {"dimensions": 2}, Explored()._explore() | {"origin": pack(np.zeros(2)) | {"shape": [9]}}]
)
def test_a_space_that_is_none_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises((KeyError, ValueError, TypeError)):
        read_space(bad)


@given(st.integers(1, 300), st.integers(1, 100), st.booleans(), st.booleans())
def test_rooms_never_exceed_the_screen(width: int, height: int, strips: bool, square: bool) -> None:
    rooms = share_out(width, height, strips=strips, square=square)
    assert rooms.head + rooms.strip + rooms.keys < max(height, 2)
    assert rooms.field + rooms.image + (2 if rooms.field else 0) == width
    assert rooms.image > 0


@given(st.integers(1, 64), st.integers(1, 64), st.integers(4, 200), st.integers(4, 200))
def test_a_field_has_a_middle_and_at_most_441_images(tall: int, wide: int, width: int, height: int) -> None:
    steps = field_steps((tall, wide), width, height)
    assert steps % 2 == 1
    assert 3 <= steps <= 21


def test_pins_are_named_in_order_and_found_again() -> None:
    pins = Pins()
    for number in range(len(NAMES)):
        pins.add(np.array([number, 0.0]))
    assert pins.full
    assert pins.names == NAMES
    assert pins.after(np.array([1.0, 0.0])).name == "C"
    assert pins.after(np.array([9.0, 0.0])).name == "A"
    assert pins.after(np.array([0.5, 0.0])).name == "A"
    pins.drop()
    assert pins.names == NAMES[:-1]
    pins.fill("AB", picture(pins.codes[:2]))
    assert [pin.image is not None for pin in pins.pins[:3]] == [True, True, False]
    (strip,) = pins.strips(80, 4)
    assert strip.title == "pins A B C D E F G H I · i interpolates"
    assert [item.text for item in strip.items] == list(NAMES[:-1])


def test_a_path_takes_the_place_of_its_pins_and_is_thinned_to_the_room() -> None:
    pins = Pins()
    for number in range(3):
        pins.add(np.array([number, 0.0]))
    codes = np.concatenate([np.linspace(pins.codes[i], pins.codes[i + 1], STEPS) for i in (0, 1)])
    pins.path = Path("ABC", "spherical", codes, picture(codes))
    (strip,) = pins.strips(300, 4)
    assert strip.title == "A→B→C · spherical (slerp) · 22 codes · w saves it"
    assert [item.text for item in strip.items if item.text] == ["A", "B", "B", "C"]
    (strip,) = pins.strips(40, 4)  # an image of 4x4 takes 8 cells and a gap
    assert "4 of 22 codes" in strip.title
    assert [item.text for item in strip.items] == ["A", "", "", "C"]
    shown = pins.shown_codes(40, 4)
    assert len(shown) == 4
    assert (shown[0][0] == codes[0]).all()
    assert (shown[-1][0] == codes[-1]).all()
    assert shown[0][1] == "on the path A→B→C"
    pins.add(np.zeros(2))
    assert pins.path is None
