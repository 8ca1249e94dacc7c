"""Screens as people see them, over recorded runs: 80x24 and 120x40, dark, light, without colour."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.screen import Screen

from sslterm.run.layout import RunDirectory, list_runs
from sslterm.run.panels import Panel, save_panel
from sslterm.tui.app import MonitorApp
from sslterm.tui.screens.compare import CompareScreen
from sslterm.tui.screens.embedding import EmbeddingScreen
from sslterm.tui.screens.home import HomeScreen
from sslterm.tui.screens.latent import LatentScreen
from sslterm.tui.screens.watch import WatchScreen
from tests.tui import snapshots
from tests.tui.explored import Explored, explored_run
from tests.tui.recorded import full_run

NOW = 1_700_100_000.0


@pytest.fixture
def still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of runs named by a short path, and a world in which no clock goes and no machine is loaded."""
    for module in ("facts", "widgets.log", "requests"):
        monkeypatch.setattr(f"sslterm.tui.{module}.clock_time", lambda event: "14:02:11")
    monkeypatch.setattr(
        "sslterm.tui.load.Load.parts", lambda self, status, *, working: [(0, "CPU 198 % 1.1 GB")]
    )
    monkeypatch.chdir(tmp_path)
    return Path("runs")


def take(
    name: str, screens: Sequence[Screen[Any]], keys: str = "", *, size: tuple[int, int] = (120, 40)
) -> None:
    """Press keys (with spaces between), and compare what is then on the screen with what was kept."""
    app = MonitorApp(list(screens))

    async def play() -> str:
        async with app.run_test(size=size) as pilot:
            await pilot.pause(0.3)
            for key in keys.split():
                await pilot.press(key)
                await pilot.pause(0.05)
            await pilot.pause(0.3)
            return app.export_screenshot(title=name)

    snapshots.check(name, asyncio.run(play()))


def vae(root: Path, **status: object) -> RunDirectory:
    """A VAE with a latent plane that fades from corner to corner."""
    run = full_run(root, **status)
    side = np.linspace(0, 1, 16)
    y, x = np.mgrid[:8, :8] / 7
    tiles = [(1 - abs(x - a)) * (1 - abs(y - b)) for b in side[::2] for a in side[::2]]
    plane = Panel(
        name="latent-plane", kind="images", array=np.array(tiles, dtype=np.float32)[:, None], columns=8,
        low=0, high=1, caption="8x8 decoded codes at normal quantiles 0.01 to 0.99",
        x_label="z1 from -2.33 to 2.33", y_label="z2 from -2.33 to 2.33",
    )  # fmt: skip
    save_panel(plane, run.panel(plane.name, 768_000))
    run.panel(plane.name, 768_000, ".png").touch()
    return run


def barlow(root: Path) -> RunDirectory:
    """Barlow Twins, which opens on its correlation matrix."""
    run = full_run(root, "barlow-twins-patterns-1", "barlow-twins")
    shutil.rmtree(run.panels / "reconstructions")
    return run


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids="{0[0]}x{0[1]}".format)
@pytest.mark.parametrize("look", ["dark", "light", "no-color"])
def test_a_vae_in_training(
    still: Path, monkeypatch: pytest.MonkeyPatch, look: str, size: tuple[int, int]
) -> None:
    monkeypatch.setenv("NO_COLOR" if look == "no-color" else "SSLTERM_THEME", look)
    take(f"vae-{look}-{size[0]}x{size[1]}", [WatchScreen(vae(still))], size=size)


def test_barlow_twins_opens_on_its_matrix(still: Path) -> None:
    take("barlow-twins", [WatchScreen(barlow(still))])


def test_a_matrix_that_is_read(still: Path) -> None:
    take("matrix-read", [WatchScreen(barlow(still))], "enter i down down right", size=(100, 36))


def test_what_a_matrix_has_changed_without_colour(still: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    take("matrix-difference-no-color", [WatchScreen(barlow(still))], "enter d", size=(80, 24))


def test_a_curve_smoothed_zoomed_and_read(still: Path) -> None:
    take(
        "curve-read",
        [WatchScreen(vae(still))],
        "tab tab tab tab enter e e left shift+left plus plus",
        size=(100, 30),
    )


def test_the_keys(still: Path) -> None:
    take("keys", [WatchScreen(vae(still))], "question_mark", size=(80, 24))


def test_stopping_asks(still: Path) -> None:
    take("stop", [WatchScreen(vae(still))], "S", size=(80, 24))


def test_a_run_that_diverged(still: Path) -> None:
    run = vae(still, state="diverged", message="step 3,120: main/loss is NaN")
    take("diverged", [WatchScreen(run)], size=(80, 24))


def test_a_run_that_just_starts(still: Path) -> None:
    run = RunDirectory(still / "vae-digits-1")
    run.path.mkdir(parents=True)
    run.config.write_text('[run]\nmethod = "vae"\n')
    take("starting", [WatchScreen(run)], size=(80, 24))


def several(root: Path) -> list[RunDirectory]:
    """One run of every kind of ending, and one at work."""
    barlow(root)
    vae(root, heartbeat=NOW)
    full_run(root, "vae-mnist-7", state="finished", step=5000, heartbeat=NOW - 7300, elapsed_seconds=94.0)
    full_run(
        root,
        "simclr-patterns-4",
        state="diverged",
        message="step 1,204: main/loss is NaN",
        heartbeat=NOW - 300,
    )
    full_run(root, "dcgan-digits-1", "dcgan", state="paused", step=2310, heartbeat=NOW)
    return list_runs(root)


@pytest.fixture
def at_rest(still: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As `still`, with the clock of the list of runs stopped as well."""
    monkeypatch.setattr("sslterm.tui.screens.home.time.time", lambda: NOW)
    monkeypatch.setattr("sslterm.tui.machine_load.MachineLoad.texts", lambda self, *, working: ["CPU  97 %"])
    return still


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids="{0[0]}x{0[1]}".format)
def test_the_list_of_runs(at_rest: Path, size: tuple[int, int]) -> None:
    several(at_rest)
    take(f"home-{size[0]}x{size[1]}", [HomeScreen(at_rest)], size=size)


def test_the_list_of_runs_filtered(at_rest: Path) -> None:
    several(at_rest)
    take(
        "home-filtered",
        [HomeScreen(at_rest)],
        "slash s t a t e space equals_sign space r u n n i n g",
        size=(100, 24),
    )


def test_no_runs_yet(at_rest: Path) -> None:
    take("home-empty", [HomeScreen(at_rest)], size=(80, 24))


def test_putting_a_run_together(at_rest: Path) -> None:
    take("new-run", [HomeScreen(at_rest)], "n v a e enter enter", size=(100, 30))


def test_three_runs_compared(at_rest: Path) -> None:
    runs = [
        vae(at_rest),
        full_run(at_rest, "vae-digits-2"),
        full_run(at_rest, "vae-digits-3", state="finished"),
    ]
    for number, run in enumerate(runs):
        with run.config.open("a") as file:
            file.write(f"[optim.main]\nlr = {0.001 * (number + 1)}\n")
    take("compare", [CompareScreen(runs)])


def test_the_latent_explorer(at_rest: Path) -> None:
    screen = LatentScreen(explored_run(at_rest), lambda run, live: Explored())
    take("latent", [screen], "right right up space shift+left space i")


def test_the_embedding_map(at_rest: Path) -> None:
    screen = EmbeddingScreen(explored_run(at_rest), lambda run, live: Explored())
    take("embedding", [screen], "right")
