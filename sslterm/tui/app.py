"""The application: its screens, its colours, what it remembers, and the way out."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from textual.app import App
from textual.binding import Binding
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.screen import Screen

from sslterm.errors import UsageError
from sslterm.render.theme import THEMES, choose_theme
from sslterm.run.layout import RunDirectory
from sslterm.tui.arrangement import Arrangement
from sslterm.tui.graphics import HALF, Graphics, prepare_graphics
from sslterm.tui.key import Key, keys_of
from sslterm.tui.screens.home import HomeScreen
from sslterm.tui.screens.watch import Outcome, WatchScreen
from sslterm.tui.settings import Settings, load_settings, save_settings, settings_path
from sslterm.tui.widgets.canvas import Canvas


class KeyCommands(Provider):
    """What the keys of a screen do, to be found by name in the command palette."""

    @property
    def _keys(self) -> list[Key]:
        return [
            key
            for key in keys_of(self.screen)
            if key.action and key.help and not key.action.endswith("command_palette")
        ]

    async def discover(self) -> Hits:
        for key in self._keys:
            yield DiscoveryHit(Content(_told(key)), partial(self.screen.run_action, key.action))

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for key in self._keys:
            if (score := matcher.match(_told(key))) > 0:
                yield Hit(score, matcher.highlight(_told(key)), partial(self.screen.run_action, key.action))


def _told(key: Key) -> str:
    """A command in the palette. No markup: signs of keys are brackets, too."""
    return f"{key.help}  {key.sign}"


class MonitorApp(App[Outcome]):
    """Shows screens in the terminal's own colours.

    Attributes:
        look: the theme that roles of colours are drawn in.
        settings: what is remembered from one session to the next.
        graphics: how pictures are shown.
    """

    COMMANDS = {KeyCommands}  # noqa: RUF012 - as Textual declares it
    BINDINGS = [  # noqa: RUF012 - as Textual declares it
        Binding("ctrl+c", "leave", show=False, priority=True),
        Binding("ctrl+q", "leave", show=False, priority=True),
    ]
    CSS = "App { background: ansi_default; }"

    def __init__(
        self, screens: Sequence[Screen[None]], *, settings: Settings | None = None, graphics: Graphics = HALF
    ) -> None:
        super().__init__(ansi_color=True)
        self.first_screens = screens
        self.settings = settings or load_settings(settings_path())
        self.graphics = graphics
        known = self.settings.theme if self.settings.theme in THEMES else ""
        self.look = choose_theme(os.environ, known)

    def on_mount(self) -> None:
        for screen in self.first_screens:
            self.push_screen(screen)
        if self.graphics.note:
            self.notify(self.graphics.note, timeout=10)

    def action_leave(self) -> None:
        """Leave by the screen's own way out."""
        leave = getattr(self.screen, "action_leave", self.exit)
        leave()

    def action_next_theme(self) -> None:
        """Another theme, which is remembered."""
        names = list(THEMES)
        self.look = THEMES[names[(names.index(self.look.name) + 1) % len(names)]]
        self._remember(replace(self.settings, theme=self.look.name))
        for screen in self.screen_stack:
            for canvas in screen.query(Canvas):
                canvas.refresh()

    def remember_arrangement(self, method: str, arrangement: Arrangement) -> None:
        """Keep how the tiles of a method's runs are arranged."""
        self._remember(self.settings.arranged(method, arrangement))

    def _remember(self, settings: Settings) -> None:
        self.settings = settings
        save_settings(settings, settings_path())


@contextmanager
def _own_environment() -> Iterator[None]:
    """Keep the environment: Textual takes NO_COLOR out of it, and whoever prints afterwards wants it.

    Meanwhile COLUMNS and LINES are out of it: Textual would take them for the size, and never see it change.
    """
    before = dict(os.environ)
    for name in ("COLUMNS", "LINES"):
        os.environ.pop(name, None)
    try:
        yield
    finally:
        os.environ.update({name: before[name] for name in ("NO_COLOR", "COLUMNS", "LINES") if name in before})


def _require_terminal() -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("the live view needs a terminal", "sslterm runs list prints the same off a terminal")


def _run(screens: Sequence[Screen[None]], *, images: str, mouse: bool) -> Outcome | None:
    """Show screens until the person leaves; how pictures were asked to be shown is remembered."""
    _require_terminal()
    with _own_environment():
        path = settings_path()
        settings = load_settings(path)
        if images and images != settings.images:
            graphics = prepare_graphics(images)
            settings = replace(settings, images=images)
            save_settings(settings, path)
        else:
            graphics = prepare_graphics(settings.images)
        return MonitorApp(screens, settings=settings, graphics=graphics).run(mouse=mouse)


def watch(run: RunDirectory, *, attached: bool) -> Outcome:
    """Show one run until the person leaves.

    Args:
        attached: this terminal started the trainer, so leaving asks: detach, stop and save, or keep watching.

    Returns:
        "detached": the training goes on. "stop": it was asked to save and stop, and has, unless the person
        did not wait. "ended": it had ended before the person left.

    Raises:
        UsageError: there is no terminal, or no such theme.
    """
    return _run([WatchScreen(run, attached=attached)], images="", mouse=True) or "detached"


def monitor(root: Path, runs: Sequence[RunDirectory] = (), *, images: str = "", mouse: bool = True) -> None:
    """Show all runs below `root`, or only those given; a single one is opened at once.

    Args:
        images: how pictures are shown, see `graphics.prepare_graphics`; "" leaves it as it was last asked for.
        mouse: whether the view takes the mouse; terminals mark text with shift held all the same.

    Raises:
        UsageError: there is no terminal, or no such theme.
    """
    screens: list[Screen[None]] = [HomeScreen(root, runs)]
    if len(runs) == 1:
        screens.append(WatchScreen(runs[0]))
    _run(screens, images=images, mouse=mouse)
