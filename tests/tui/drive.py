"""Drives screens without a terminal: presses keys, waits for what should follow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from textual.pilot import Pilot
from textual.screen import Screen

from sslterm.tui.app import MonitorApp
from sslterm.tui.export import screen_cells
from sslterm.tui.screens.tiles import TileScreen
from sslterm.tui.screens.watch import Outcome

Script = Callable[[Pilot[Outcome]], Awaitable[None]]


def drive(screens: list[Screen[None]], script: Script, size: tuple[int, int] = (120, 40)) -> Outcome | None:
    """Run an application over `script`; what it ended with."""
    app = MonitorApp(screens)

    async def play() -> None:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await script(pilot)

    asyncio.run(play())
    return app.return_value


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for a condition; fail where it does not come true."""
    for _ in range(int(seconds / 0.02)):
        if condition():
            return
        await asyncio.sleep(0.02)
    raise AssertionError("what was waited for did not happen")


def text_of(screen: TileScreen) -> str:
    """Everything that a run's screen shows."""
    return screen_cells(screen).plain()
