"""The latent explorer: what its keys and the mouse do, what it says, and that its worker may fail."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from textual.pilot import Pilot

from sslterm.errors import DataError, UsageError
from sslterm.run.layout import RunDirectory
from sslterm.tui.keys import LATENT_KEYS
from sslterm.tui.screens.latent import LatentScreen
from sslterm.tui.screens.watch import Outcome
from sslterm.tui.widgets.canvas import Canvas
from tests.test_worker import make_run
from tests.tui.drive import Script, drive, until
from tests.tui.explored import Explored, explored_run, picture, put_checkpoint
from tests.tui.recorded import put_status

NORMAL = NormalDist()


def text_of(screen: LatentScreen) -> str:
    parts: tuple[Canvas, ...] = (
        screen.headline, screen.plane_view, screen.decoded, screen.strips, screen.key_bar,
    )  # fmt: skip
    return "\n".join(part.shown.plain() for part in parts if part.shown is not None and part.display)


def explore(
    run: RunDirectory, worker: Explored, script: Script, size: tuple[int, int] = (120, 40)
) -> LatentScreen:
    screen = LatentScreen(run, lambda run, live: worker)

    async def ready(pilot: Pilot[Outcome]) -> None:
        await until(lambda: screen.decoded.image is not None)
        await settled(screen)
        await script(pilot)

    drive([screen], ready, size)
    assert worker.ended.wait(5)  # with the screen
    return screen


async def settled(screen: LatentScreen) -> None:
    """Wait until everything asked is answered and shown."""
    for _ in range(3):
        await until(lambda: screen.thread is None or not screen.thread.busy)
        await asyncio.sleep(0.03)


async def press(pilot: Pilot[Outcome], screen: LatentScreen, *keys: str) -> None:
    await pilot.press(*keys)
    await settled(screen)


def z_of(screen: LatentScreen) -> list[float]:
    assert screen.here is not None
    return [round(float(value), 4) for value in screen.here.z]


def test_every_key_does_something() -> None:
    for key in LATENT_KEYS:
        assert hasattr(LatentScreen, "action_" + key.action.partition("(")[0]), key


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


def screen_of(pilot: Pilot[Outcome]) -> LatentScreen:
    screen = pilot.app.screen
    assert isinstance(screen, LatentScreen)
    return screen


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
        assert screen.decoded.image is not None
        assert (screen.decoded.image == picture(np.array([z_of(screen)]))[0]).all()
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


def test_a_newer_checkpoint_is_offered_and_taken_with_u(tmp_path: Path) -> None:
    worker, run = Explored(), explored_run(tmp_path)

    async def script(pilot: Pilot[Outcome]) -> None:
        screen = screen_of(pilot)
        await press(pilot, screen, "u")
        assert "this is the newest checkpoint" in text_of(screen)
        await press(pilot, screen, "left", "space")
        place = z_of(screen)
        put_checkpoint(run, 768_000)
        worker.newest = 768_000
        await until(lambda: "newer checkpoint at 768 k images: u loads it" in text_of(screen))
        await press(pilot, screen, "u")
        await until(lambda: screen.images == 768_000)
        await settled(screen)
        assert "newer" not in text_of(screen)
        assert "loaded the checkpoint at 768 k images" in text_of(screen)
        assert z_of(screen) == place  # one stays where one was
        assert screen.pins.names == "A"

    explore(run, worker, script)
    assert len(worker.questions("explore")) == 2
    assert sum(len(codes) > 1 for codes in worker.codes_of("decode")) >= 2


def test_a_dead_worker_is_told_and_started_again(tmp_path: Path) -> None:
    worker = Explored()

    async def script(pilot: Pilot[Outcome]) -> None:
        screen = screen_of(pilot)
        worker.dies = True
        await pilot.press("left")
        await until(lambda: "killed by signal 9" in text_of(screen))
        assert "enter starts it again" in screen.trouble
        await pilot.press("right", "space", "i")  # nobody answers, and nothing breaks
        await press(pilot, screen, "enter")
        assert screen.trouble == ""
        assert "killed" not in text_of(screen)
        await press(pilot, screen, "left")
        assert (screen.decoded.image == picture(np.array([z_of(screen)]))[0]).all()  # type: ignore[union-attr]

    explore(explored_run(tmp_path), worker, script)


def test_a_refusal_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    worker = Explored()

    async def script(pilot: Pilot[Outcome]) -> None:
        screen = screen_of(pilot)
        worker.refusal = UsageError("the disk is full", "make room")
        await press(pilot, screen, "space", "space", "w")
        assert "the disk is full · make room" in text_of(screen)
        worker.refusal = None
        await press(pilot, screen, "left")
        assert "the disk is full" not in text_of(screen)

    explore(explored_run(tmp_path), worker, script)


def idle(run: RunDirectory, worker: Explored, script: Script) -> None:
    """Drive a screen that has nothing to show yet."""
    drive([LatentScreen(run, lambda run, live: worker)], script)


def test_without_a_checkpoint_it_says_so_and_begins_when_there_is_one(tmp_path: Path) -> None:
    worker, run = Explored(), explored_run(tmp_path, checkpoint=None)
    put_status(run, state="running")

    async def script(pilot: Pilot[Outcome]) -> None:
        screen = screen_of(pilot)
        assert "no checkpoint yet" in text_of(screen)
        await pilot.press(
            "left", "space", "i", "r", "u", "enter", "e", "d", "x", "0", "tab", "backspace", "f"
        )
        assert worker.asked == []
        put_checkpoint(run, 256_000)
        await until(lambda: screen.decoded.image is not None)
        assert "no checkpoint" not in text_of(screen)

    idle(run, worker, script)


def test_a_method_without_a_latent_space_says_so_and_starts_nothing(tmp_path: Path) -> None:
    worker = Explored()

    async def script(pilot: Pilot[Outcome]) -> None:
        text = text_of(screen_of(pilot))
        assert "barlow-twins decodes nothing" in " ".join(text.split())
        await pilot.press("enter", "u")
        assert worker.asked == []

    idle(explored_run(tmp_path, "barlow-twins"), worker, script)


def test_a_run_that_cannot_be_loaded_says_why(tmp_path: Path) -> None:
    worker = Explored()
    worker.refusal = DataError("the checkpoint is damaged", "train on")

    async def script(pilot: Pilot[Outcome]) -> None:
        screen = screen_of(pilot)
        await until(lambda: "the checkpoint is damaged" in text_of(screen))
        assert "train on" in screen.trouble
        worker.refusal = None
        await pilot.press("enter")
        await until(lambda: screen.decoded.image is not None)

    idle(explored_run(tmp_path), worker, script)


def test_the_worker_of_a_run_in_training_keeps_out_of_its_way(tmp_path: Path) -> None:
    from sslterm.run.worker_client import Worker
    from sslterm.tui.screens.explorer import start_worker

    live, done = (
        start_worker(explored_run(tmp_path / name), state) for name, state in (("a", True), ("b", False))
    )
    assert isinstance(live, Worker)
    assert isinstance(done, Worker)
    assert live._command[-3:] == ["--device", "cpu", "--background"]
    assert done._command[-2:] == ["--device", "auto"]
    asked = []

    def start(run: RunDirectory, live: bool) -> Explored:
        asked.append(live)
        return Explored()

    run = explored_run(tmp_path / "c")
    put_status(run, state="running")
    screen = LatentScreen(run, start)

    async def script(pilot: Pilot[Outcome]) -> None:
        await until(lambda: screen.decoded.image is not None)

    drive([screen], script)
    assert asked == [True]


@pytest.mark.parametrize(
    ("size", "no_color"),
    [((1, 1), False), ((20, 5), True), ((30, 10), False), ((80, 24), True), ((250, 80), False)],
)
def test_any_size_with_and_without_colour(
    tmp_path: Path, size: tuple[int, int], no_color: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    worker, run = Explored(5), explored_run(tmp_path)

    async def script(pilot: Pilot[Outcome]) -> None:
        screen = screen_of(pilot)
        await press(pilot, screen, "left", "alt+up", "space", "right", "space", "i")
        if no_color and size == (80, 24):
            assert "┌───" in text_of(screen)  # the cursor
        await pilot.resize_terminal(20, 5)
        await settled(screen)
        assert screen.plane_view.display is False
        await pilot.resize_terminal(100, 30)
        await settled(screen)
        assert screen.plane_view.images is not None
        assert "A→B" in text_of(screen)
        shutil.rmtree(run.path)
        await press(pilot, screen, "left", "u")

    explore(run, worker, script, size)


def test_nothing_is_drawn_while_nothing_happens(tmp_path: Path) -> None:
    async def script(pilot: Pilot[Outcome]) -> None:
        screen = screen_of(pilot)
        await asyncio.sleep(0.3)
        drawn: list[object] = []
        for part in (screen.headline, screen.plane_view, screen.decoded, screen.strips, screen.key_bar):
            part.refresh = lambda *regions, **more: drawn.append(regions)  # type: ignore[method-assign,assignment]
        await asyncio.sleep(1.2)
        assert drawn == []

    explore(explored_run(tmp_path), Explored(), script)


def test_help_and_leaving(tmp_path: Path) -> None:
    from sslterm.tui.screens.dialog import KeyList

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("question_mark")
        await until(lambda: isinstance(pilot.app.screen, KeyList))
        await pilot.press("a")
        await until(lambda: isinstance(pilot.app.screen, LatentScreen))
        await pilot.press("ctrl+l", "escape")

    explore(explored_run(tmp_path), Explored(), script)


def test_a_real_run_through_a_real_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run = make_run(tmp_path, "vae", "digits", "method.widths=[32]")
    screen = LatentScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        await until(lambda: screen.plane_view.images is not None and screen.decoded.image is not None, 60)
        await settled(screen)
        before = screen.decoded.image
        await press(pilot, screen, "left", "space", "shift+right", "up", "space")
        assert before is not None
        assert screen.decoded.image is not None
        assert screen.decoded.image.shape == (1, 16, 16)
        assert (screen.decoded.image != before).any()
        assert screen.decoded.title in text_of(screen)
        await pilot.press("w")
        await until(lambda: screen.pins.path is not None and bool(screen.pins.path.saved), 30)
        assert "A→B · linear" in text_of(screen)

    drive([screen], script)
    names = sorted(path.name for path in (run.path / "outputs").iterdir())
    assert names == ["path-256-AB.gif", "path-256-AB.npz", "path-256-AB.png"]
    assert screen.thread is not None
    assert screen.thread.join(10)
