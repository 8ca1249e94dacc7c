"""Drives the latent explorer over a worker that stands for a real one."""

from __future__ import annotations

import asyncio

from textual.pilot import Pilot

from sslterm.run.layout import RunDirectory
from sslterm.tui.screens.latent import LatentScreen
from sslterm.tui.screens.watch import Outcome
from sslterm.tui.widgets.canvas import Canvas
from tests.tui.drive import Script, drive, until
from tests.tui.explored import Explored


def text_of(screen: LatentScreen) -> str:
    parts: tuple[Canvas, ...] = (
        screen.headline, screen.plane_view, screen.picture, screen.strips, screen.key_bar,
    )  # fmt: skip
    return "\n".join(part.shown.plain() for part in parts if part.shown is not None and part.display)


def explore(
    run: RunDirectory, worker: Explored, script: Script, size: tuple[int, int] = (120, 40)
) -> LatentScreen:
    screen = LatentScreen(run, lambda run, live: worker)

    async def ready(pilot: Pilot[Outcome]) -> None:
        await until(lambda: screen.picture.image is not None)
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


def screen_of(pilot: Pilot[Outcome]) -> LatentScreen:
    screen = pilot.app.screen
    assert isinstance(screen, LatentScreen)
    return screen
