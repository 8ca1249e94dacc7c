"""The latent explorer: what its keys and the mouse do."""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from textual.pilot import Pilot

from sslterm.tui.screens.watch import Outcome
from tests.tui.drive import until
from tests.tui.explore_latent import explore, press, screen_of, settled, text_of, z_of
from tests.tui.explored import Explored, explored_run, picture

NORMAL = NormalDist()


def test_it_opens_on_the_plane_with_the_middle_decoded(tmp_path: Path) -> None:
    worker = Explored()

    async def script(pilot: Pilot[Outcome]) -> None:
        text = text_of(screen_of(pilot))
        assert "✓ vae-digits-1 · finished · checkpoint at 512 k images" in text
        assert "latent space of 2 dimensions, normal prior" in text
        assert "latent plane · z1 x z2 · normal quantiles 0.01-0.99" in text
        assert "decoded at z = (0.00, 0.00) · middle of the prior" in text
        assert "→ z1    0.00   quantile 0.500 ·····●·····" in text
        assert "space pin" in text

    explore(explored_run(tmp_path), worker, script)
    assert [do for do, _ in worker.asked] == ["explore", "decode", "decode"]
    (one, grid) = sorted(worker.codes_of("decode"), key=len)
    assert len(one) == 1
    assert len(grid) == round(len(grid) ** 0.5) ** 2
    ends = NORMAL.inv_cdf(0.01), NORMAL.inv_cdf(0.99)
    np.testing.assert_allclose(grid[0], ends, atol=1e-5)
    np.testing.assert_allclose(grid[-1], ends[::-1], atol=1e-5)


def test_arrows_move_by_a_picture_and_the_field_is_decoded_once(tmp_path: Path) -> None:
    worker = Explored()

    async def script(pilot: Pilot[Outcome]) -> None:
        screen = screen_of(pilot)
        steps = screen.plane_view.steps
        middle = (steps - 1) // 2
        place = lambda line: round(NORMAL.inv_cdf(0.01 + 0.98 * line / (steps - 1)), 4)  # noqa: E731
        await press(pilot, screen, "right", "right", "up")
        assert z_of(screen) == [place(middle + 2), place(middle + 1)]
        await press(pilot, screen, "shift+left", "shift+down")
        assert z_of(screen) == [place(middle - 2), place(middle - 3)]
        await press(pilot, screen, "alt+right")
        assert z_of(screen)[0] == place(middle - 2 + 1 / 8)
        await press(pilot, screen, "left")
        assert z_of(screen)[0] == place(middle - 2)  # back onto the grid
        await press(pilot, screen, "f", "up")
        assert z_of(screen)[1] == place(middle - 3 + 1 / 8)
        assert "fine steps" in text_of(screen)
        await press(pilot, screen, "f", *["shift+right"] * 9)
        assert z_of(screen)[0] == place(steps - 1)
        assert screen.plane_view.cursor == (
            pytest.approx(1),
            pytest.approx((middle - 3 + 1 / 8) / (steps - 1)),
        )
        assert screen.picture.image is not None
        assert (screen.picture.image == picture(np.array([z_of(screen)]))[0]).all()
        assert f"decoded at z = ({place(steps - 1):.2f}, " in text_of(screen)
        await press(pilot, screen, "0")
        assert z_of(screen) == [0, 0]

    explore(explored_run(tmp_path), worker, script)
    assert sum(len(codes) > 1 for codes in worker.codes_of("decode")) == 1


def test_while_the_worker_is_slow_only_the_newest_place_is_decoded(tmp_path: Path) -> None:
    worker = Explored()

    async def script(pilot: Pilot[Outcome]) -> None:
        screen = screen_of(pilot)
        before = len(worker.questions("decode"))
        worker.may_answer.clear()
        for _ in range(12):
            await pilot.press("left")
        assert screen.plane_view.cursor == pytest.approx((0.0, 0.5))  # the frame moves at once
        await until(lambda: "working …" in text_of(screen))
        worker.may_answer.set()
        await settled(screen)
        assert len(worker.questions("decode")) == before + 2  # the first, and the last
        np.testing.assert_allclose(worker.codes_of("decode")[-1][0], screen.here.z, atol=1e-6)  # type: ignore[union-attr]
        assert "working" not in text_of(screen)

    explore(explored_run(tmp_path), worker, script)


def test_pins_paths_and_what_is_saved(tmp_path: Path) -> None:
    worker = Explored()

    async def script(pilot: Pilot[Outcome]) -> None:
        screen = screen_of(pilot)
        await press(pilot, screen, "i")
        assert "a path needs two pins" in text_of(screen)
        await press(pilot, screen, "left", "space")
        first = z_of(screen)
        assert "a path needs" not in text_of(screen)
        assert "pins A" in text_of(screen)
        await press(pilot, screen, "right", "up", "space")
        second = z_of(screen)
        assert "pins A B · i interpolates" in text_of(screen)
        assert all(pin.image is not None for pin in screen.pins.pins)
        await press(pilot, screen, "i")
        assert "A→B · linear · 11 codes · w saves it" in text_of(screen)
        np.testing.assert_allclose(worker.codes_of("interpolate")[0], [first, second], atol=1e-3)
        await press(pilot, screen, "w")
        text = text_of(screen)
        assert "A→B · linear · 11 codes · saved as path-AB.png, .gif, .npz" in text
        assert "saved /runs/outputs/path-AB.png and .gif, .npz" in text
        await press(pilot, screen, "tab")
        assert z_of(screen) == first
        assert "pin A" in text_of(screen)
        await press(pilot, screen, "backspace")
        assert "pins A" in text_of(screen)
        assert "→B" not in text_of(screen)
        await press(pilot, screen, "backspace")
        assert screen.strips.strips == []
        for _ in range(11):
            await pilot.press("space")
        await settled(screen)
        assert "10 pins already" in text_of(screen)

    explore(explored_run(tmp_path), worker, script)
    saves = [arguments["save"] for arguments in worker.questions("interpolate")]
    assert saves == [False, True]


def test_the_mouse_points_drags_and_chooses_pins(tmp_path: Path) -> None:
    worker = Explored()

    async def script(pilot: Pilot[Outcome]) -> None:
        screen = screen_of(pilot)
        await press(pilot, screen, "space")
        await settled(screen)
        field = screen.plane_view._field
        assert field is not None
        row, column = field.corner(0.0, 1.0)
        at = (column + field.wide // 2, 1 + (row + field.tall // 2) // 2)
        await pilot.mouse_down(screen.plane_view, offset=at)
        await settled(screen)
        x, y = screen.plane_view.cursor or (9, 9)
        assert x < 0.1
        assert y > 0.9
        row, column = field.corner(1.0, 0.0)
        await pilot.hover(
            screen.plane_view, offset=(column + field.wide // 2, 1 + (row + field.tall // 2) // 2)
        )
        await pilot.mouse_up(screen.plane_view, offset=at)
        await settled(screen)
        x, y = screen.plane_view.cursor or (9, 9)
        assert (round(x), round(y)) in ((1, 0), (0, 1))  # dragged, and let go where it began
        await pilot.click(screen.strips, offset=(2, 2))
        await settled(screen)
        assert z_of(screen) == [0, 0]
        assert "pin A" in text_of(screen)

    explore(explored_run(tmp_path), worker, script)


def test_a_large_space_random_codes_images_and_other_directions(tmp_path: Path) -> None:
    worker = Explored(5)

    async def script(pilot: Pilot[Outcome]) -> None:
        screen = screen_of(pilot)
        fields = lambda: sum(len(codes) > 1 for codes in worker.codes_of("decode"))  # noqa: E731
        assert fields() == 1
        await press(pilot, screen, "r")
        np.testing.assert_allclose(z_of(screen), np.random.default_rng(0).standard_normal(5), atol=1e-4)
        assert "a draw from the prior (seed 0)" in text_of(screen)
        assert fields() == 2  # another plane
        await press(pilot, screen, "left")
        assert fields() == 2
        await press(pilot, screen, "x")
        assert "latent plane · z3 x z2" in text_of(screen)
        await press(pilot, screen, "Y")
        assert "latent plane · z3 x z1" in text_of(screen)
        await press(pilot, screen, "X", "y")
        assert "latent plane · z2 x z3" in text_of(screen)
        await press(pilot, screen, "d")
        assert "latent plane · PC1 (9 %) x PC2 (9 %) · quantiles of 300 codes" in text_of(screen)
        await press(pilot, screen, "e")
        assert z_of(screen) == [0.5] * 5
        assert "test[40], class three" in text_of(screen)
        await press(pilot, screen, "e")
        assert z_of(screen) == [1.5] * 5
        assert "|z| 3.35; draws from the prior: 2.24 ± 0.71" in text_of(screen)

    explore(explored_run(tmp_path), worker, script)


def test_what_a_space_lacks_is_said(tmp_path: Path) -> None:
    async def bare(pilot: Pilot[Outcome]) -> None:
        screen = screen_of(pilot)
        for key, text in (("e", "nothing encodes"), ("d", "no principal directions")):
            await press(pilot, screen, key)
            assert text in text_of(screen)

    async def priorless(pilot: Pilot[Outcome]) -> None:
        screen = screen_of(pilot)
        await press(pilot, screen, "r")
        assert "no prior to draw from" in text_of(screen)
        assert "no prior, 300 codes" in text_of(screen)

    async def small(pilot: Pilot[Outcome]) -> None:
        screen = screen_of(pilot)
        await press(pilot, screen, "x")
        assert "all dimensions" in text_of(screen)

    explore(explored_run(tmp_path / "a", "dcgan"), Explored(5, codes=0), bare)
    explore(explored_run(tmp_path / "b"), Explored(5, prior="none"), priorless)
    explore(explored_run(tmp_path / "c"), Explored(2), small)
