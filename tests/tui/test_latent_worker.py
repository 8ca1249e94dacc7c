"""The latent explorer beside its worker: checkpoints that come, failures, any size, a real run."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import numpy as np
import pytest
from textual.pilot import Pilot

from sslterm.errors import DataError, UsageError
from sslterm.run.layout import RunDirectory
from sslterm.tui.screens.latent import LatentScreen
from sslterm.tui.screens.watch import Outcome
from tests.test_worker import make_run
from tests.tui.drive import Script, drive, until
from tests.tui.explore_latent import explore, press, screen_of, settled, text_of, z_of
from tests.tui.explored import Explored, explored_run, picture, put_checkpoint
from tests.tui.recorded import put_status


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
        assert (screen.picture.image == picture(np.array([z_of(screen)]))[0]).all()  # type: ignore[union-attr]

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
        await until(lambda: screen.picture.image is not None)
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
        await until(lambda: screen.picture.image is not None)

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
        await until(lambda: screen.picture.image is not None)

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
        for part in (screen.headline, screen.plane_view, screen.picture, screen.strips, screen.key_bar):
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
        await until(lambda: screen.plane_view.images is not None and screen.picture.image is not None, 60)
        await settled(screen)
        before = screen.picture.image
        await press(pilot, screen, "left", "space", "shift+right", "up", "space")
        assert before is not None
        assert screen.picture.image is not None
        assert screen.picture.image.shape == (1, 16, 16)
        assert (screen.picture.image != before).any()
        assert screen.picture.title in text_of(screen)
        await pilot.press("w")
        await until(lambda: screen.pins.path is not None and bool(screen.pins.path.saved), 30)
        assert "A→B · linear" in text_of(screen)

    drive([screen], script)
    names = sorted(path.name for path in (run.path / "outputs").iterdir())
    assert names == ["path-256-AB.gif", "path-256-AB.npz", "path-256-AB.png"]
    assert screen.thread is not None
    assert screen.thread.join(10)
