"""Comparing runs live: what the parts show, what keys and mouse do, and that nothing brings it down."""

from __future__ import annotations

import re
import shutil
from itertools import product
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image
from textual.events import MouseScrollDown, MouseScrollUp
from textual.pilot import Pilot

from sslterm.render.palette import categorical
from sslterm.render.view import ChartView
from sslterm.run.layout import RunDirectory, list_runs
from sslterm.run.metrics import MetricsWriter
from sslterm.run.panels import save_panel
from sslterm.tui.keys import COMPARE_KEYS
from sslterm.tui.screens.compare import NOTHING, CompareScreen
from sslterm.tui.screens.compare_layout import share_rows
from sslterm.tui.screens.dialog import KeyList
from sslterm.tui.screens.home import HomeScreen
from sslterm.tui.screens.watch import Outcome
from tests.tui.drive import drive, until
from tests.tui.recorded import BATCH, digits, full_run, new_run, put_metrics, put_status

Turn = type[MouseScrollDown] | type[MouseScrollUp]


def text_of(screen: CompareScreen) -> str:
    """Everything that is seen, part after part."""
    shown = (screen.head, *screen.parts, screen.key_bar)
    return "\n".join(one.shown.plain() for one in shown if one.shown is not None and one.display)


def lines_of(screen: CompareScreen) -> list[str]:
    return text_of(screen).splitlines()


@pytest.fixture
def runs(tmp_path: Path) -> list[RunDirectory]:
    """A running VAE, a finished one of another rate, and a Barlow Twins with panels of its own."""
    first = full_run(tmp_path, "vae-digits-1")
    second = full_run(tmp_path, "vae-digits-2", state="finished", step=5000)
    with second.config.open("a") as file:
        file.write("[optim.main]\nlr = 0.25\n")
    third = new_run(tmp_path, "barlow-twins-digits-1", "barlow-twins")
    put_metrics(third, 1000, start=20)
    put_status(third, state="paused", step=1000)
    for images in (0, 300_000):
        save_panel(digits(), third.panel("reconstructions", images))
        third.panel("reconstructions", images, ".png").touch()
    return [first, second, third]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_overlay_table_and_panels(runs: list[RunDirectory], size: tuple[int, int]) -> None:
    screen = CompareScreen(runs)

    async def script(pilot: Pilot[Outcome]) -> None:
        lines = lines_of(screen)
        assert lines[0] == "compare · 3 runs · 1 running · 1 paused · 1 finished"
        assert lines[1].startswith("▸ -ELBO (test) · nats")
        for part in ("━ A 1", "╍ B 1", "┅ C 1"):
            assert part in lines[1]
        rows = [line for line in lines if "vae-digits-" in line and "images" not in line]
        assert rows[0].startswith("▸━━ A vae-digits-1")
        assert "running" in rows[0]
        assert rows[1].startswith(" ━━ B vae-digits-2")
        panels = next(
            place for place, line in enumerate(lines) if line.startswith("reconstructions · newest")
        )
        assert "seed 0" in lines[panels]
        for name in ("A vae-digits-1", "B vae-digits-2", "C barlow-twins"):
            assert name in lines[panels + 1]
        assert lines[-1].startswith("tab part")
        assert lines[-1].endswith("? keys")
        assert max(map(len, lines)) <= size[0]

    drive([screen], script, size)


def test_what_one_run_has_not_measured_is_a_dash(runs: list[RunDirectory]) -> None:
    writer = MetricsWriter(runs[2].metrics)
    writer.write(step=1020, images=1, seconds=1.0, values={"main/on_diagonal": 2.5})
    screen = CompareScreen(runs)

    async def script(pilot: Pilot[Outcome]) -> None:
        while "on diagonal" not in lines_of(screen)[1]:
            await pilot.press("m")
        assert "┅ C 2.500" in lines_of(screen)[1]
        assert "━ A" not in lines_of(screen)[1]
        table = screen.table.table
        assert table is not None
        columns = {column.name: column.cells for column in table.columns}
        assert columns["on diagonal (train)"] == ("-", "-", "2.500")
        assert columns["run.method"] == ("vae", "vae", "barlow-twins")
        assert columns["optim.main.lr"] == ("-", "0.25", "-")

    drive([screen], script)


def test_metric_axis_scale_and_smoothing(runs: list[RunDirectory]) -> None:
    screen = CompareScreen(runs)

    async def script(pilot: Pilot[Outcome]) -> None:
        first = screen.comparison.metric
        await pilot.press("m")
        second = screen.comparison.metric
        assert second != first
        await pilot.press("down")
        assert screen.comparison.metric not in (first, second)
        await pilot.press("up", "M")
        assert screen.comparison.metric == first
        for label in ("time", "step", "images"):
            await pilot.press("x")
            assert screen.overlay.plot.x_label == label
        await pilot.press("y")
        assert "log y" in text_of(screen)
        await pilot.press("y")
        assert "log y" not in lines_of(screen)[1]
        while screen.comparison.metric != "main/loss":
            await pilot.press("m")
        for smoothing in ("EMA 0.6", "EMA 0.9", "EMA 0.99"):
            await pilot.press("e")
            assert smoothing in lines_of(screen)[1]
        await pilot.press("e")
        assert "EMA" not in text_of(screen)
        await pilot.press("X")
        assert "log x" in lines_of(screen)[1]

    drive([screen], script)


def read_at(screen: CompareScreen) -> int | None:
    """Where all runs are read, as the overlay says it."""
    said = re.search(r"images ([\d,]+) ", lines_of(screen)[1])
    return int(said[1].replace(",", "")) if said else None


def test_all_runs_are_read_at_a_place_of_the_overlay(runs: list[RunDirectory]) -> None:
    screen = CompareScreen(runs)

    async def script(pilot: Pilot[Outcome]) -> None:
        assert read_at(screen) is None
        await pilot.press("left")
        end = read_at(screen)
        assert end == 3000 * BATCH
        await pilot.press("shift+left", "shift+left", "shift+left")
        left = read_at(screen)
        assert left is not None
        assert left < end
        await pilot.press("right")
        assert left < (read_at(screen) or 0) < end
        await pilot.hover(screen.overlay, offset=(screen.overlay.size.width - 2, 3))
        assert (read_at(screen) or 0) > left
        await pilot.hover(screen.table, offset=(1, 1))
        assert read_at(screen) is None

    drive([screen], script)


def test_the_overlay_is_zoomed_and_moved(runs: list[RunDirectory]) -> None:
    screen = CompareScreen(runs)

    def seen() -> tuple[float, float]:
        assert screen.overlay.plot.x_range is not None
        return screen.overlay.plot.x_range

    async def script(pilot: Pilot[Outcome]) -> None:
        while screen.comparison.metric != "main/loss":
            await pilot.press("m")
        assert screen.overlay.plot.x_range is None
        await pilot.press("+", "+")
        low, high = seen()
        assert high - low == pytest.approx(0.64 * 3120 * BATCH)
        await pilot.press("comma")
        assert seen() == pytest.approx((low - 0.25 * (high - low), high - 0.25 * (high - low)), abs=1)
        await pilot.press("full_stop", "minus")
        assert seen()[1] - seen()[0] == pytest.approx(0.8 * 3120 * BATCH)
        await pilot.press("0")
        assert screen.overlay.plot.x_range is None
        await pilot.press("+", "left", "escape")
        assert screen.comparison.view == ChartView(axis="images")
        assert pilot.app.screen is screen
        middle = (screen.overlay.size.width // 2, 3)
        screen.overlay.post_message(MouseScrollUp(screen.overlay, *middle, 0, 0, 0, False, False, False))
        await pilot.pause()
        zoomed = seen()
        await pilot.mouse_down(screen.overlay, offset=middle)
        await pilot.hover(screen.overlay, offset=(middle[0] + 5, 3))
        await pilot.mouse_up(screen.overlay, offset=(middle[0] + 5, 3))
        assert seen()[0] < zoomed[0]

    drive([screen], script)


def test_panels_of_all_runs_are_scrubbed_together(runs: list[RunDirectory]) -> None:
    screen = CompareScreen(runs)

    def shown() -> list[str]:
        return [shot.when or shot.trouble for shot in screen.panels.shots]

    async def script(pilot: Pilot[Outcome]) -> None:
        assert shown() == ["at 768 k images", "at 768 k images", "at 300 k images"]
        await pilot.press("shift+tab", "left")
        assert shown() == ["at 512 k images", "at 512 k images", "at 300 k images"]
        assert "at or before 512 k images (4 of 5)" in text_of(screen)
        await pilot.press("left", "left")
        assert shown() == ["at 256 k images", "at 256 k images", "at 0 images"]
        await pilot.press("right_square_bracket")  # Barlow Twins has none of these
        assert "cross-correlation · at or before 256 k images (2 of 4)" in text_of(screen)
        assert shown() == ["at 256 k images", "at 256 k images", "no such panel"]
        await pilot.press("left_square_bracket", "home")
        assert shown() == ["at 0 images"] * 3
        await pilot.press("left")
        assert shown() == ["at 0 images"] * 3
        await pilot.press("end", "right")
        assert "newest" in text_of(screen)

    drive([screen], script)


def test_a_run_that_had_not_drawn_yet(runs: list[RunDirectory]) -> None:
    shutil.rmtree(runs[2].panels / "reconstructions")
    save_panel(digits(), runs[2].panel("reconstructions", 300_000))
    screen = CompareScreen(runs)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("home")
        assert screen.panels.shots[2].panel is None
        assert "not drawn yet" in text_of(screen)

    drive([screen], script)


def test_the_table_scrolls_and_a_run_is_hidden(runs: list[RunDirectory]) -> None:
    screen = CompareScreen(runs)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("tab")
        assert screen.table.selected
        assert "optim.main.lr"[6:] not in text_of(screen)
        for _ in range(20):
            await pilot.press("right")
        assert "main.lr" in text_of(screen)
        assert "‹" in text_of(screen)
        for _ in range(20):
            await pilot.press("left")
        assert "‹" not in text_of(screen)
        await pilot.press("down", "space")
        assert [line.name for line in screen.overlay.plot.lines] == ["A", "C"]
        assert [line.hue for line in screen.overlay.plot.lines] == [0, 2]
        assert any(line.startswith("▸ ○ B vae-digits-2") for line in lines_of(screen))
        await pilot.press("space", "up", "up", "space")
        assert [line.name for line in screen.overlay.plot.lines] == ["B", "C"]
        for _ in range(2):
            await pilot.press("down", "space")
        assert "all runs are hidden" in text_of(screen)

    drive([screen], script, (80, 24))


def test_parts_are_selected_and_enlarged(runs: list[RunDirectory]) -> None:
    screen = CompareScreen(runs)

    async def script(pilot: Pilot[Outcome]) -> None:
        heights = [part.size.height for part in screen.parts]
        assert min(heights) >= 4
        for part in screen.parts:
            assert part.selected
            await pilot.press("enter")
            assert [one.display for one in screen.parts] == [one is part for one in screen.parts]
            assert part.size.height == 38
            await pilot.press("escape", "tab")
        assert [part.size.height for part in screen.parts] == heights
        await pilot.press("shift+tab")
        assert screen.panels.selected
        assert len(pilot.app.screen_stack) == 2

    drive([screen], script)


def test_everything_is_written_beside_the_runs(runs: list[RunDirectory], tmp_path: Path) -> None:
    screen = CompareScreen(runs)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("w")
        names = "overlay.png, curves.csv, table.csv, table.md, reconstructions.png, screen.svg, screen.txt"
        assert screen.key_bar.notice == f"wrote {tmp_path}/compare-1/: {names}"
        await pilot.press("w")
        assert "compare-2" in screen.key_bar.notice

    drive([screen], script)
    written = tmp_path / "compare-1"
    for name in ("overlay.png", "reconstructions.png"):
        with Image.open(written / name) as picture:
            assert min(picture.size) > 300
    header, first, *_ = (written / "table.csv").read_text().splitlines()
    assert header.startswith("run,method,preset,state,step,images,seconds,test/neg_elbo_nats,")
    assert first.startswith("vae-digits-1,vae,digits,running,3120,798720,")
    curves = (written / "curves.csv").read_text().splitlines()
    assert curves[0] == "run,step,images,seconds,value"
    assert {line.partition(",")[0] for line in curves[1:]} == {run.name for run in runs}
    assert "compare · 3 runs" in (written / "screen.txt").read_text()
    assert ElementTree.parse(written / "screen.svg").getroot().tag.endswith("svg")
    assert "| A | vae-digits-1 | running |" in (written / "table.md").read_text()
    assert {run.name for run in list_runs(tmp_path)} == {run.name for run in runs}


def test_what_cannot_be_written_is_said(runs: list[RunDirectory], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device", "overlay.png")

    monkeypatch.setattr("sslterm.tui.comparison.save_picture", full)
    screen = CompareScreen(runs)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("w")
        assert screen.key_bar.notice == "cannot write overlay.png: No space left on device"

    drive([screen], script)


def test_running_runs_go_on(runs: list[RunDirectory]) -> None:
    screen = CompareScreen(runs)

    async def script(pilot: Pilot[Outcome]) -> None:
        MetricsWriter(runs[0].metrics).write(
            step=4000, images=4000 * BATCH, seconds=150.0, values={"test/neg_elbo_nats": 99.5}
        )
        save_panel(digits(), runs[0].panel("reconstructions", 1_000_000))
        await until(lambda: "━ A 99.50" in text_of(screen) and "at 1.0 M images" in text_of(screen))
        assert screen.table.table is not None
        assert any("99.50" in column.cells[0] for column in screen.table.table.columns)
        put_status(runs[0], state="finished", step=5000)
        await until(lambda: "1 paused · 2 finished" in text_of(screen))

    drive([screen], script)


def test_nothing_new_draws_nothing(runs: list[RunDirectory]) -> None:
    screen = CompareScreen(runs)

    async def script(pilot: Pilot[Outcome]) -> None:
        screen.tick()
        sent: list[object] = []
        for part in screen.parts:
            part.refresh = lambda *regions, **options: sent.append(regions)  # type: ignore[method-assign, assignment, return-value]
        screen.update()
        assert sent == []

    drive([screen], script)


def test_a_run_that_vanishes_and_a_damaged_panel(runs: list[RunDirectory]) -> None:
    runs[1].panel("reconstructions", 512_000).write_bytes(b"no panel")
    screen = CompareScreen(runs)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("shift+tab", "left")
        assert screen.panels.shots[1].panel is None
        assert "cannot read the panel" in screen.panels.shots[1].trouble
        shutil.rmtree(runs[0].path)
        await until(lambda: screen.panels.shots[0].panel is None)
        await pilot.press("m", "tab", "space", "left", "right_square_bracket", "enter", "enter")
        assert "vae-digits-1" in text_of(screen)

    drive([screen], script)


@pytest.mark.parametrize(
    ("size", "count", "no_color"),
    [
        ((1, 1), 3, False),
        ((20, 5), 10, True),
        ((80, 24), 1, False),
        ((80, 24), 3, True),
        ((250, 80), 10, False),
    ],
)
def test_every_key_at_every_size(
    tmp_path: Path, size: tuple[int, int], count: int, no_color: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    full_run(tmp_path, "vae-1")
    for number in range(2, count):
        shutil.copytree(tmp_path / "vae-1", tmp_path / f"vae-{number}")
    if count > 1:
        new_run(tmp_path, f"vae-{count}")  # of which nothing is known
    screen = CompareScreen([RunDirectory(tmp_path / f"vae-{number + 1}") for number in range(count)])

    async def script(pilot: Pilot[Outcome]) -> None:
        assert pilot.app.no_color == no_color
        for _ in range(3 if size == (80, 24) else 1):  # parts
            await pilot.press(
                "m", "M", "up", "down", "left", "shift+right", "[", "]", "x", "y", "e", "space", "+", "minus", "comma",
                "full_stop", "0", "enter", "home", "end", "escape", "tab",
            )  # fmt: skip
        await pilot.resize_terminal(max(size[1], 2), max(size[0] // 4, 1))
        await pilot.press("tab", "down", "w", "ctrl+l", "question_mark")
        assert isinstance(pilot.app.screen, KeyList)
        await pilot.press("escape")
        assert pilot.app.screen is screen
        await pilot.press("q")

    drive([screen], script, size)


def test_nothing_to_compare_says_so() -> None:
    screen = CompareScreen([])

    async def script(pilot: Pilot[Outcome]) -> None:
        assert " ".join(text_of(screen).split()).find(NOTHING) >= 0
        assert lines_of(screen)[0] == "compare · 0 runs"
        await pilot.press("m", "tab", "left", "space", "y", "right_square_bracket", "enter", "w")
        assert "nothing to write" in text_of(screen)

    drive([screen], script)


def test_ten_runs_are_told_apart(tmp_path: Path) -> None:
    for number in range(10):
        run = new_run(tmp_path, f"vae-{number}")
        MetricsWriter(run.metrics).write(step=0, images=0, seconds=0.0, values={"main/loss": 10.0 + number})
        MetricsWriter(run.metrics).write(step=9, images=9, seconds=9.0, values={"main/loss": 1.0 + number})
    screen = CompareScreen([RunDirectory(tmp_path / f"vae-{number}") for number in range(10)])

    async def script(pilot: Pilot[Outcome]) -> None:
        cells = screen.table.shown
        assert cells is not None
        letters = {chr(cells.glyphs[row, 4]): int(cells.fg[row, 4]) for row in range(2, cells.height)}
        assert list(letters) == list("ABCDEFGHIJ")
        assert list(letters.values()) == [categorical(number) for number in range(10)]
        assert len(set(letters.values())) == 10

    drive([screen], script)


def test_rows_are_shared_out_whole() -> None:
    for height, runs, part, enlarged in product(range(1, 90), (0, 1, 3, 10), range(3), (False, True)):
        shares = share_rows(height, runs, part=part, enlarged=enlarged)
        parts = (shares.overlay, shares.table, shares.panels)
        assert shares.header + sum(parts) + shares.keys == height
        assert min(parts) >= 0
        assert parts[part] > 0


# the mouse


def test_a_click_selects_a_part_and_a_run(runs: list[RunDirectory]) -> None:
    screen = CompareScreen(runs)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.click(screen.table, offset=(10, 4))
        assert screen.table.selected
        assert not screen.overlay.selected
        assert screen.marked == 2
        await pilot.click(screen.panels, offset=(60, 6))
        assert screen.panels.selected
        assert screen.marked == 1
        await pilot.click(screen.panels, offset=(60, 0))  # the title is no run
        assert screen.marked == 1
        await pilot.click(screen.overlay, times=2)
        assert screen.enlarged
        assert [part.display for part in screen.parts] == [True, False, False]

    drive([screen], script)


def test_the_wheel_scrolls(runs: list[RunDirectory]) -> None:
    screen = CompareScreen(runs)

    def turn(
        kind: type[MouseScrollDown] | type[MouseScrollUp], *, shift: bool = False
    ) -> MouseScrollDown | MouseScrollUp:
        return kind(screen.table, 5, 3, 0, 0, 0, shift, False, False)

    async def script(pilot: Pilot[Outcome]) -> None:
        screen.table.post_message(turn(MouseScrollDown))
        await pilot.pause()
        assert screen.marked == 1
        screen.table.post_message(turn(MouseScrollDown, shift=True))
        await pilot.pause()
        assert screen.table.first == 1
        screen.panels.post_message(turn(MouseScrollUp))
        await pilot.pause()
        assert "at or before 512 k images" in text_of(screen)

    drive([screen], script, (80, 30))


def test_escape_goes_back_to_the_list(runs: list[RunDirectory], tmp_path: Path) -> None:
    home = HomeScreen(tmp_path)

    async def script(pilot: Pilot[Outcome]) -> None:
        for key in ("escape", "q"):
            screen = CompareScreen(runs)
            pilot.app.push_screen(screen)
            await pilot.pause()
            assert pilot.app.screen is screen
            await pilot.press("enter", "escape", key)
            assert pilot.app.screen is home

    drive([home], script)


def test_no_key_has_two_meanings() -> None:
    keys = [key for spec in COMPARE_KEYS for key in spec.keys.split(",")]
    assert len(keys) == len(set(keys))
