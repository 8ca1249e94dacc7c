"""The live view of one run: what it shows, what its keys do, and that nothing brings it down."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from textual.pilot import Pilot

from sslterm.run.events import append_event
from sslterm.run.metrics import MetricsWriter
from sslterm.run.panels import save_panel
from sslterm.tui.keys import WATCH_KEYS
from sslterm.tui.screens.dialog import Dialog, KeyList
from sslterm.tui.screens.watch import Outcome, WatchScreen
from sslterm.tui.widgets.canvas import Canvas
from tests.tui.drive import drive, text_of, until
from tests.tui.recorded import (
    BATCH,
    correlation,
    digits,
    full_run,
    new_run,
    put_metrics,
    put_panels,
    put_status,
)

SIZES = [(1, 1), (20, 5), (80, 24), (250, 80)]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
def test_a_running_run(tmp_path: Path, size: tuple[int, int]) -> None:
    screen = WatchScreen(full_run(tmp_path))

    async def script(pilot: Pilot[Outcome]) -> None:
        text = text_of(screen)
        assert "● vae-digits-1 · running · step 3,120" in text
        assert "1 m 14 s left" in text
        assert "62 %" in text
        assert "-ELBO · nats" in text
        assert "━ test" in text
        assert "━ train" in text
        assert "▸ reconstructions" in text
        assert "warning at step 2,600: posterior collapse" in text
        assert "p pause" in text
        assert "? keys" in text
        assert any(0x2800 < ord(glyph) < 0x2900 for glyph in text)
        assert "▀" in text

    drive([screen], script, size)


@pytest.mark.parametrize(
    ("kind", "size"),
    [*(("running", size) for size in SIZES), ("empty", (1, 1)), ("died", (80, 24)), ("finished", (20, 5))],
)
def test_every_key_at_every_size(tmp_path: Path, kind: str, size: tuple[int, int]) -> None:
    if kind == "empty":
        run = new_run(tmp_path)
    elif kind == "died":
        run = full_run(tmp_path, pid=2**22 + 1, heartbeat=1_700_000_000.0)
    else:
        run = full_run(tmp_path, state=kind)
    screen = WatchScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        for key in ("tab", "left", "left", "right", "enter", "y", "x", "down", "enter", "down", "up", "up",
                    "enter", "[", "]", "p", "k", "question_mark", "down", "escape", "s", "escape", "ctrl+l",
                    "escape", "escape", "i", "shift+up", "plus", "minus", "comma", "full_stop",
                    "0", "X", "e", "d", "less_than_sign", "greater_than_sign", "h", "a", "escape", "c", "o", "w",
                    "escape", "C", "escape", "L", "q", "t", "s", "b", "l", "escape", "S", "escape", "z", "escape",
                    "m", "escape", "escape", "escape"):  # fmt: skip
            await pilot.press(key)
        while isinstance(pilot.app.screen, Dialog):
            await pilot.press("escape")
        await pilot.resize_terminal(size[1] * 2, max(size[0] // 3, 1))
        await pilot.press("tab", "enter")
        assert pilot.app.screen is screen
        await pilot.press("q")

    assert drive([screen], script, size) == ("detached" if kind in ("running", "empty") else "ended")


def test_a_new_run_directory_is_empty_and_then_fills(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    screen = WatchScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        await until(lambda: "nothing to see yet" in text_of(screen))
        put_status(run, state="starting", step=0, message="reading mnist")
        await until(lambda: "starting · reading mnist" in text_of(screen))
        put_metrics(run, 200)
        put_panels(run, (0,))
        put_status(run, step=200)
        await until(lambda: "-ELBO · nats" in text_of(screen) and "reconstructions" in text_of(screen))

    drive([screen], script)


def test_a_failure_says_what_and_what_to_do(tmp_path: Path) -> None:
    run = full_run(tmp_path, state="diverged")
    append_event(
        run.events, "failed", message="step 3,120: main/loss is NaN", hint="try a lower rate", exit_code=5
    )
    screen = WatchScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        text = text_of(screen)
        assert "✗ vae-digits-1 · diverged" in text
        assert "diverged: step 3,120: main/loss is NaN" in text
        assert "try a lower rate" in text
        assert "sslterm resume vae-digits-1" in text
        assert text.count("main/loss is NaN") == 1

    drive([screen], script, (80, 24))


def test_a_trainer_that_dies_is_noticed_though_no_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = full_run(tmp_path)
    screen = WatchScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        assert "running" in text_of(screen)
        monkeypatch.setattr("sslterm.run.reader.state_now", lambda status: "died")
        await until(lambda: "✗ vae-digits-1 · died" in text_of(screen))
        assert "the trainer is gone without a word" in text_of(screen)

    drive([screen], script)


def test_a_run_directory_that_is_removed_is_said_and_what_was_read_stays(tmp_path: Path) -> None:
    run = full_run(tmp_path, state="finished")
    screen = WatchScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        assert "the run is gone" not in text_of(screen)
        shutil.rmtree(run.path)
        await until(lambda: "the run is gone, and shown is what was read of it" in text_of(screen))
        assert "-ELBO" in text_of(screen)
        for key in ("left", "z", "w", "t", "C", "q"):
            await pilot.press(key)
        assert "the run is gone, and shown is what was read of it" in text_of(screen)

    drive([screen], script)


def test_panels_and_their_history(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    screen = WatchScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("tab")
        await until(lambda: "▸ cross-correlation · at 768 k images" in text_of(screen))
        await until(lambda: "off-diagonal" in text_of(screen))
        await pilot.press("left")
        await until(lambda: "at 512 k images (3 of 4)" in text_of(screen))
        await until(lambda: "diagonal 0.50" in text_of(screen))
        await pilot.press("left", "left", "left", "left")
        await until(lambda: "at 0 images (1 of 4)" in text_of(screen))
        newer = correlation(0.95)
        save_panel(newer, run.panel(newer.name, 1_000_000))
        await until(lambda: "(1 of 5)" in text_of(screen))  # history stands still while it is looked at
        await pilot.press("right", "right", "right", "right", "right")
        await until(lambda: "at 1.0 M images" in text_of(screen))
        await until(lambda: "diagonal 0.95" in text_of(screen))
        newest = correlation(0.99)
        save_panel(newest, run.panel(newest.name, 1_200_000))
        await until(lambda: "diagonal 0.99" in text_of(screen))  # and the newest follows
        await pilot.press("left_square_bracket")
        await until(lambda: "▸ reconstructions" in text_of(screen))

    drive([screen], script)


def test_enlarging_and_selecting(tmp_path: Path) -> None:
    screen = WatchScreen(full_run(tmp_path))

    async def script(pilot: Pilot[Outcome]) -> None:
        def widths() -> dict[str, int]:
            return {tile.key: tile.size.width for tile in screen.board.seen()}

        before = widths()
        assert list(before) == ["chart:neg_elbo_nats", "chart:kl_nats", "panel:reconstructions"]
        await pilot.press("enter")
        await until(lambda: widths() == {"panel:reconstructions": 80})
        await pilot.press("enter")
        await until(lambda: widths() == before)
        await pilot.press("down", "down", "down")
        await until(lambda: "▸ KL" in text_of(screen))
        assert "▸ reconstructions" not in text_of(screen)
        await pilot.press("enter")
        await until(lambda: widths() == {"chart:kl_nats": 80})
        assert text_of(screen).count("└") == 1  # one chart, one pair of axes
        await pilot.press("escape")
        await until(lambda: widths() == before)

    drive([screen], script, (80, 24))


def test_log_axis_and_x_axis(tmp_path: Path) -> None:
    screen = WatchScreen(full_run(tmp_path))

    async def script(pilot: Pilot[Outcome]) -> None:
        assert "· log y" not in text_of(screen)
        await pilot.press("y")
        assert "· log y" in text_of(screen)
        assert " step" in text_of(screen)
        await pilot.press("x")
        chart = screen.board.tiles["chart:loss"]
        assert chart.shown is not None
        assert chart.shown.plain().rstrip().endswith("images")
        await pilot.press("X")
        assert "log x" in chart.shown.plain()  # over images from 1 to a million

    drive([screen], script)


def test_help_lists_every_key_of_the_footer(tmp_path: Path) -> None:
    screen = WatchScreen(full_run(tmp_path))

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("question_mark")
        dialog = pilot.app.screen
        assert isinstance(dialog, KeyList)
        await until(lambda: dialog.sheet.shown is not None)
        assert dialog.sheet.shown is not None
        text = dialog.sheet.shown.plain()
        for _ in range(3):
            await pilot.press("pagedown")
            text += dialog.sheet.shown.plain()
        for key in WATCH_KEYS:
            assert not key.help or f" {key.sign} " in text
        await pilot.press("x")
        assert pilot.app.screen is screen

    drive([screen], script, (80, 24))


def test_torn_missing_and_foreign_files(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    with run.metrics.open("a") as file:
        file.write('{"step": 3140, "images": 8')
    with run.events.open("a") as file:
        file.write('{"kind": "ack"}\n{"kind": "from the future", "step": "x"}\n[1]\n')
        file.write('{"kind": "evaluation", "test/knn": null}\n{"ki')
    run.panel("reconstructions", 768_000).write_bytes(b"PK\x03\x04 torn")
    (run.panels / "stray").mkdir()
    (run.panels / "stray" / "5.npz").write_bytes(b"")
    run.config.write_text("[run\n")
    screen = WatchScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("tab", "tab", "tab", "tab")
        assert "cannot read the panel" in text_of(screen) or "cross-correlation" in text_of(screen)
        run.status.write_text('{"state": "runn')
        run.meta.write_text("null")
        shutil.rmtree(run.panels)
        await pilot.pause(0.6)
        await pilot.press("tab", "left", "enter", "k")
        shutil.rmtree(run.path)
        await pilot.pause(0.6)
        await pilot.press("p")
        assert pilot.app.screen is screen

    drive([screen], script)


def test_metrics_without_a_number(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    put_status(run, last={"test/neg_elbo_nats": float("nan")})
    with run.metrics.open("a") as file:
        for step in range(0, 100, 10):
            line = {
                "step": step,
                "images": step * BATCH,
                "seconds": step / 10,
                "main/loss": None if step > 50 else 1.5,
            }
            file.write(json.dumps(line | {"main/grad_norm": None}) + "\n")
    screen = WatchScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        text = text_of(screen)
        assert "no values yet" in text
        assert "train 1.500" in text
        await pilot.press("y", "x", "x")

    drive([screen], script)


def test_the_method_may_be_unknown(tmp_path: Path) -> None:
    screen = WatchScreen(full_run(tmp_path, "new-1", "a-method-of-tomorrow", state="finished"))

    async def script(pilot: Pilot[Outcome]) -> None:
        assert "✓ new-1 · finished" in text_of(screen)
        assert "done in" in text_of(screen)

    drive([screen], script)


def test_no_color_draws_without_any_colour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    screen = WatchScreen(full_run(tmp_path))

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("tab", "S")
        await pilot.press("escape")
        for part in screen.query(Canvas):
            if not part.display:
                continue
            assert part.shown is not None
            assert (part.shown.fg == -1).all()
            assert (part.shown.bg == -1).all()
        assert "█" in text_of(screen)
        assert "╍ test" in text_of(screen)

    drive([screen], script)


def test_nothing_is_drawn_anew_where_nothing_changed(tmp_path: Path) -> None:
    run = full_run(tmp_path, state="paused")
    screen = WatchScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.pause(0.5)
        refreshed: list[object] = []
        for part in screen.query(Canvas):
            part.refresh = lambda *regions, **named: refreshed.append(regions)  # type: ignore[assignment,method-assign,misc]
        put_status(run, state="paused")  # a heartbeat
        await pilot.pause(0.8)
        assert refreshed == []
        put_metrics(run, 3200, start=3140)
        await until(lambda: bool(refreshed))
        rows = {region.y for regions in refreshed for region in regions}  # type: ignore[attr-defined]
        assert 0 < len(rows) < 35

    drive([screen], script)


def test_a_million_points_open_and_answer_keys(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    put_status(run)
    values = np.random.default_rng(0).random(1_000_000)
    lines = (
        f'{{"step":{i},"images":{i},"seconds":{i / 10},"main/loss":{v:.6f}}}\n' for i, v in enumerate(values)
    )
    run.metrics.write_text("".join(lines))
    screen = WatchScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        assert "train" in text_of(screen)
        await pilot.press("y", "x", "down", "enter")

    drive([screen], script)


def test_the_panel_most_worth_seeing_comes_first_until_one_is_chosen(tmp_path: Path) -> None:
    run = full_run(tmp_path)
    screen = WatchScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        assert "▸ reconstructions" in text_of(screen)
        plane = replace(digits(), name="latent-plane")  # which a VAE opens on
        save_panel(plane, run.panel(plane.name, 0))
        await until(lambda: "▸ latent-plane" in text_of(screen))
        await pilot.press("tab")
        assert "▸ reconstructions" in text_of(screen)
        save_panel(plane, run.panel(plane.name, 256_000))
        await pilot.pause(0.6)
        assert "▸ reconstructions" in text_of(screen)

    drive([screen], script)


@pytest.mark.parametrize("width", [20, 40, 80, 120])
def test_the_way_out_and_the_help_are_always_in_the_footer(tmp_path: Path, width: int) -> None:
    screen = WatchScreen(full_run(tmp_path))

    async def script(pilot: Pilot[Outcome]) -> None:
        assert screen.key_bar.shown is not None
        assert screen.key_bar.shown.text(0).rstrip().endswith("q leave  ? keys")

    drive([screen], script, (width, 24))


def test_the_selected_chart_stays_selected_when_others_come(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    put_status(run)
    writer = MetricsWriter(run.metrics)
    writer.write(step=1, images=1, seconds=1.0, values={"main/kl_nats": 1.0})
    screen = WatchScreen(run)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("tab")
        assert "▸ KL" in text_of(screen)
        writer.write(step=2, images=2, seconds=2.0, values={"main/loss": 1.0, "test/knn": 0.5})
        await until(lambda: "loss" in text_of(screen))
        assert "▸ KL" in text_of(screen)

    drive([screen], script)
