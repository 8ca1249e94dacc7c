"""The embedding map: moving over it, what lies near an image, and what is said of labels."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from textual.pilot import Pilot

from sslterm.render.map import dots_of, draw_legend, draw_map, legend_of
from sslterm.run.layout import RunDirectory
from sslterm.run.panels import Panel
from sslterm.tui.map_cursor import nearest_towards
from sslterm.tui.screens.embedding import EmbeddingScreen
from sslterm.tui.screens.watch import Outcome
from sslterm.tui.widgets.canvas import Canvas
from tests.tui.drive import Script, drive, until
from tests.tui.explored import POINTS, Explored, explored_run, put_checkpoint


def text_of(screen: EmbeddingScreen) -> str:
    parts: tuple[Canvas, ...] = (
        screen.headline, screen.map_view, screen.picture, screen.strips, screen.key_bar,
    )  # fmt: skip
    return "\n".join(part.shown.plain() for part in parts if part.shown is not None and part.display)


def screen_of(pilot: Pilot[Outcome]) -> EmbeddingScreen:
    screen = pilot.app.screen
    assert isinstance(screen, EmbeddingScreen)
    return screen


def explore(run: RunDirectory, worker: Explored, script: Script, size: tuple[int, int] = (120, 40)) -> None:
    screen = EmbeddingScreen(run, lambda run, live: worker)

    async def ready(pilot: Pilot[Outcome]) -> None:
        await until(lambda: screen.picture.image is not None)
        await script(pilot)

    drive([screen], ready, size)
    assert worker.ended.wait(5)


async def at(screen: EmbeddingScreen, place: int) -> None:
    """Wait until an image is shown, with its neighbours."""
    await until(
        lambda: screen.picture.title.startswith(f"test[{100 + place}]") and bool(screen.map_view.near)
    )
    assert screen.map_view.cursor == place


# -- pure


def test_the_nearest_in_a_direction_is_what_looking_at_all_points_gives() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        points = rng.integers(0, 12, (30, 2)).astype(np.float64)
        current, least = int(rng.integers(30)), float(rng.choice([0, 0.5, 3]))
        direction = [(1, 0), (-1, 0), (0, 1), (0, -1)][rng.integers(4)]
        best, distance = current, np.inf
        for place, point in enumerate(points):
            dx, dy = point - points[current]
            along = dx * direction[0] + dy * direction[1]
            across = abs(dy if direction[0] else dx)
            if along > 0 and along >= least and across <= along and np.hypot(dx, dy) < distance:
                best, distance = place, float(np.hypot(dx, dy))
        assert nearest_towards(points, current, direction, least=least) == best


def panel(labels: bool = True) -> Panel:
    classes = np.arange(12, dtype=np.float32)[:, None] // 4
    array = np.concatenate([POINTS, classes], axis=1) if labels else POINTS
    return Panel(name="embedding-map", kind="scatter", array=array, labels=("ant", "bee", "cat"))


@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize(("width", "height"), [(40, 12), (9, 5), (3, 3), (60, 4)])
def test_the_cursor_is_drawn_on_its_point(labels: bool, width: int, height: int) -> None:
    plain = draw_map(panel(labels), width, height, color=False, marked=None)
    assert (plain.width, plain.height) == (width, height)
    dots = np.rint(dots_of(POINTS, width, height)).astype(int)
    for row, column in {(int(y) // 4, int(x) // 2) for x, y in dots}:
        assert plain.text(row)[column] != " "  # where `dots_of` says that there is a point, one is drawn
    for place, (x, y) in enumerate(dots):
        cells = draw_map(panel(labels), width, height, color=False, marked=place)
        assert cells.text(y // 4)[x // 2] == "◆"


def test_neighbours_are_circled_and_the_legend_takes_the_lines_it_needs() -> None:
    cells = draw_map(panel(), 40, 12, color=False, marked=0, near=(5, 11))
    assert cells.plain().count("○") == 2
    names = {0: "ant", 1: "bee", 2: "caterpillar"}
    lines = legend_of(names, 16, color=False)
    assert draw_legend(lines, 16, color=False).plain() == "0 ant  1 bee\n2 caterpillar"
    assert (
        draw_legend(legend_of(names, 40, color=True), 40, color=True).plain() == "● ant  ● bee  ● caterpillar"
    )
    assert draw_legend(legend_of(names, 6, color=False), 6, color=False).plain() == "0 ant\n1 bee\n2 cat…"
    assert legend_of({}, 40, color=True) == []


# -- the screen


def test_the_map_the_image_and_its_neighbours(tmp_path: Path) -> None:
    worker = Explored()

    async def script(pilot: Pilot[Outcome]) -> None:
        screen = screen_of(pilot)
        await at(screen, 0)
        text = text_of(screen)
        assert "embedding · codes · 12 held-out images" in text
        assert "pca of 12 images (uses labels)" in text
        assert "● ant  ● bee  ● cat" in text
        assert "test[100] · class ant" in text
        assert "nearest neighbours by cosine in 2 dimensions · 2 of 3 of its class (uses labels)" in text
        assert "ant 0.90" in text
        assert "bee 0.70" in text
        assert screen.map_view.near == [1, 2, 4]

    explore(explored_run(tmp_path), worker, script)
    assert worker.questions("neighbours") == [{"place": 0, "k": 10, "n": 2000}]


def test_arrows_tab_and_mouse_go_to_points(tmp_path: Path) -> None:
    worker = Explored()

    async def script(pilot: Pilot[Outcome]) -> None:
        screen = screen_of(pilot)
        await at(screen, 0)
        for key, place in (
            ("right", 1),
            ("up", 5),
            ("left", 4),
            ("down", 0),
            ("left", 0),
            ("tab", 1),
            ("tab", 2),
        ):
            await pilot.press(key)
            await at(screen, place)  # points lie in rows of four, the first one below
        await pilot.press("shift+left")
        await at(screen, 1)
        x, y = screen.map_view.dots()[11]
        await pilot.click(screen.map_view, offset=(int(x) // 2, int(y) // 4 + 1))
        await at(screen, 11)
        await pilot.click(screen.strips, offset=(1, 1))
        await at(screen, 0)
        await pilot.press("r")
        await until(lambda: screen.map_view.cursor != 0)
        await at(screen, screen.map_view.cursor)

    explore(explored_run(tmp_path), worker, script)


def test_tsne_and_back_and_what_is_saved(tmp_path: Path) -> None:
    worker = Explored(64)

    async def script(pilot: Pilot[Outcome]) -> None:
        screen = screen_of(pilot)
        assert "embedding · PCA" in text_of(screen)
        await pilot.press("right")
        await at(screen, 1)
        worker.may_answer.clear()
        await pilot.press("t")
        await until(lambda: "loading the run …" in text_of(screen))  # its progress
        assert "embedding · PCA" in text_of(screen)
        worker.may_answer.set()
        await until(lambda: "embedding · t-SNE" in text_of(screen))
        assert screen.map_view.cursor == 1  # the same image, elsewhere
        await pilot.press("w")
        await until(lambda: "saved /runs/outputs/embedding-tsne.png and .npz" in text_of(screen))
        worker.may_answer.clear()
        await pilot.press("t", "t")  # thought better of it
        worker.may_answer.set()
        await until(lambda: screen.thread is not None and not screen.thread.busy)
        await until(lambda: "embedding · t-SNE" in text_of(screen))
        await pilot.press("t")
        await until(lambda: "embedding · PCA" in text_of(screen))

    explore(explored_run(tmp_path), worker, script)


def test_a_newer_checkpoint_keeps_the_image(tmp_path: Path) -> None:
    worker, run = Explored(), explored_run(tmp_path)

    async def script(pilot: Pilot[Outcome]) -> None:
        screen = screen_of(pilot)
        await pilot.press("right")
        await at(screen, 1)
        worker.newest = 768_000
        put_checkpoint(run, 768_000)
        await until(lambda: "u loads it" in text_of(screen))
        await pilot.press("u")
        await until(lambda: screen.images == 768_000)
        assert screen.map_view.cursor == 1

    explore(run, worker, script)


def test_without_labels_none_are_spoken_of(tmp_path: Path) -> None:
    async def script(pilot: Pilot[Outcome]) -> None:
        screen = screen_of(pilot)
        await at(screen, 0)
        text = text_of(screen)
        assert "class" not in text
        assert "nearest neighbours by cosine in 2 dimensions" in text
        assert "0.90" in text
        assert "ant" not in text.replace("distant", "")

    explore(explored_run(tmp_path), Explored(codes=0), script)


def test_a_dead_worker_is_started_again(tmp_path: Path) -> None:
    worker = Explored()

    async def script(pilot: Pilot[Outcome]) -> None:
        screen = screen_of(pilot)
        await at(screen, 0)
        worker.dies = True
        await pilot.press("right")
        await until(lambda: "killed by signal 9" in text_of(screen))
        await pilot.press("t", "w", "enter")
        await until(lambda: screen.thread is not None and not screen.thread.busy)
        assert screen.trouble == ""

    explore(explored_run(tmp_path), worker, script)


@pytest.mark.parametrize(
    ("size", "no_color"), [((1, 1), False), ((20, 5), True), ((80, 24), True), ((250, 80), False)]
)
def test_any_size_with_and_without_colour(
    tmp_path: Path, size: tuple[int, int], no_color: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    run = explored_run(tmp_path)

    async def script(pilot: Pilot[Outcome]) -> None:
        screen = screen_of(pilot)
        await pilot.press("right", "shift+up")
        if size == (80, 24):
            assert "0 ant  1 bee  2 cat" in text_of(screen)  # classes are signs
        await pilot.resize_terminal(20, 5)
        await pilot.press("left")
        await pilot.resize_terminal(90, 30)
        await pilot.press("down", "question_mark", "a")
        await until(lambda: screen.map_view.display)
        shutil.rmtree(run.path)
        await pilot.press("left", "u", "escape")

    explore(run, Explored(), script, size)
