"""Comparing runs live: the quality of their samples, as `compare` prints it."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.pilot import Pilot

from sslterm.cli.app import main
from sslterm.run.events import append_event
from sslterm.run.layout import RunDirectory
from sslterm.tui.screens.compare import CompareScreen
from sslterm.tui.screens.watch import Outcome
from tests.test_render_figures import FD, evaluated
from tests.tui.drive import drive
from tests.tui.recorded import full_run
from tests.tui.test_compare import lines_of, text_of

OTHER = {"space": "pixels-v1", "space_sha256": "b" * 12}
MANY = [
    {"name": f"{name}[judge-v1]@1000"}
    for name in ("precision", "recall", "density", "coverage", "C2ST", "CS")
]


def put_quality(run: RunDirectory, value: float) -> None:
    kd = FD | {"name": "KD[judge-v1]@1000", "value": 2 * value}
    rows = [FD | {"value": value}, kd, *(FD | one for one in MANY)]
    for result in (evaluated(*rows), evaluated(kd | OTHER | {"name": "KD[pixels-v1]@1000"})):
        append_event(run.results, result.pop("kind"), **result)


@pytest.fixture
def runs(tmp_path: Path) -> list[RunDirectory]:
    made = [full_run(tmp_path, f"vae-digits-{number}") for number in range(1, 4)]
    put_quality(made[0], 4.5)
    put_quality(made[1], 6.25)
    return made


def table_lines(screen: CompareScreen) -> list[str]:
    assert screen.table.shown is not None
    return [line.rstrip() for line in screen.table.shown.plain().splitlines()]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_v_shows_every_space_and_then_the_results_again(
    runs: list[RunDirectory], size: tuple[int, int], capsys: pytest.CaptureFixture[str]
) -> None:
    screen = CompareScreen(runs)

    async def script(pilot: Pilot[Outcome]) -> None:
        results = table_lines(screen)
        await pilot.press("v")
        lines = table_lines(screen)
        assert lines[0] == "1,000 samples of each, judged in judge-v1-ae609c (1 of 2)"
        assert lines[2].split()[:4] == ["real", "images", "0.610", "0.610"]
        assert lines[3].startswith("▸A vae-digits-1")
        assert lines[3].split()[2:5] == ["◆", "4.50", "◆"]
        assert lines[4].split()[:3] == ["untrained", "212", "212"]
        assert len(lines) == min(7, 2 + screen.table.rows())
        assert max(map(len, lines)) <= size[0]
        await pilot.press("v")
        assert table_lines(screen)[0] == "1,000 samples of each, judged in pixels-v1-bbbbbb (2 of 2)"
        await pilot.press("v")
        assert table_lines(screen) == results

    drive([screen], script, size)
    assert main(["compare", *(str(run.path) for run in runs), "--markdown"]) == 0
    printed = capsys.readouterr().out
    for table in screen.comparison.evaluated():  # the same numbers
        assert f"{table.title}:" in printed
        assert all(cell.strip() in printed for row in table.rows for cell in row)


def test_figures_scroll_and_a_click_marks_a_run(runs: list[RunDirectory]) -> None:
    screen = CompareScreen(runs)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("tab", "v")
        assert table_lines(screen)[1].split()[:2] == ["FD↓", "KD↓"]
        assert table_lines(screen)[1].endswith("›")
        await pilot.press("right")
        assert table_lines(screen)[1].split()[:2] == ["‹", "KD↓"]
        for _ in range(12):
            await pilot.press("right")
        assert not table_lines(screen)[1].endswith("›")
        await pilot.click(screen.table, offset=(5, 6))  # the untrained network of the second run
        assert screen.marked == 1
        await pilot.press("v", "v")
        assert table_lines(screen)[1].split()[:1] == ["state"]  # not scrolled

    drive([screen], script, (80, 24))


def test_without_any_it_is_said(tmp_path: Path) -> None:
    screen = CompareScreen([full_run(tmp_path, "vae-digits-1"), full_run(tmp_path, "vae-digits-2")])

    async def script(pilot: Pilot[Outcome]) -> None:
        before = table_lines(screen)
        await pilot.press("v")
        assert "nothing is evaluated yet: sslterm evaluate RUN measures it" in lines_of(screen)[-1]
        assert table_lines(screen) == before

    drive([screen], script)


def test_what_is_measured_meanwhile_appears(runs: list[RunDirectory]) -> None:
    screen = CompareScreen(runs)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("v")
        assert "C vae-digits-3" not in "\n".join(table_lines(screen))
        put_quality(runs[2], 1.5)
        screen.tick()
        await pilot.pause()
        lines = table_lines(screen)
        assert any(line.startswith(" C vae-digits-3") and "◆ 1.50" in line for line in lines)
        assert len(lines) == 9

    drive([screen], script)


def test_quality_is_written_too(runs: list[RunDirectory], tmp_path: Path) -> None:
    screen = CompareScreen(runs)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("w")
        assert "wrote" in text_of(screen)

    drive([screen], script)
    text = (tmp_path / "compare-1" / "table.md").read_text()
    assert "1,000 samples of each, judged in judge-v1-ae609c:" in text
    assert "| A vae-digits-1 | ◆ 4.50 | ◆ 9 |" in text
