"""One table of keys: it makes the bindings, the footer and the help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.binding import Binding


@dataclass(frozen=True)
class Key:
    """Keys that do one thing.

    Attributes:
        keys: as Textual names them, comma-separated.
        action: of the screen.
        sign: what is printed on the keys.
        label: in the footer, short; "" leaves it out there.
        help: in the help, a sentence; "" where the key before it says it all.
    """

    keys: str
    action: str
    sign: str
    label: str
    help: str


def bindings(keys: Sequence[Key]) -> list[Binding | tuple[str, str] | tuple[str, str, str]]:
    """What Textual wants to know; all keys work on top of its own."""
    return [
        Binding(one, key.action, key.help, show=False, priority=True)
        for key in keys
        for one in key.keys.split(",")
    ]


def keys_of(screen: object) -> Sequence[Key]:
    """The keys that a screen has in this file: those its footer is made of."""
    bar = getattr(screen, "key_bar", None)
    found: Sequence[Key] = getattr(bar, "all_keys", ())
    return found


WATCH_KEYS = (
    Key("p", "pause", "p", "pause", "Pause the training, or go on with it."),
    Key("k", "ask('checkpoint')", "k", "checkpoint", "Save a checkpoint now."),
    Key("s", "ask('sample')", "s", "sample", "Draw all panels now, samples among them."),
    Key("b", "ask('probe')", "b", "probe", "Evaluate on held-out images now."),
    Key("l", "rate", "l", "lr", "Change a learning rate (asks first)."),
    Key("S", "stop", "S", "stop", "Stop the training: save first, or kill it (asks first)."),
    Key("tab,right_square_bracket", "turn(1)", "tab ]", "next", "Select the next tile; [ the one before."),
    Key("shift+tab,left_square_bracket", "turn(-1)", "[", "", ""),
    Key("enter", "enlarge", "enter", "enlarge", "Enlarge what is selected (▸), or put it back."),
    Key(
        "left",
        "across(-1)",
        "←→",
        "history",
        "On a panel: as it was before, or after; on a chart: move the cursor. With shift: all panels; ten columns.",
    ),
    Key("right", "across(1)", "→", "", ""),
    Key("shift+left", "across(-1, True)", "", "", ""),
    Key("shift+right", "across(1, True)", "", "", ""),
    Key("down", "down(1)", "↑↓", "", "Select another tile, or move the cursor of the panel that is read."),
    Key("up", "down(-1)", "↑", "", ""),
    Key("shift+down", "down(1, True)", "", "", ""),
    Key("shift+up", "down(-1, True)", "", "", ""),
    Key("i", "inspect", "i", "read", "Read values: arrows move a cursor over the selected panel."),
    Key(
        "plus,equals_sign",
        "zoom(1)",
        "+ -",
        "zoom",
        "Zoom charts about the cursor; on a panel: the picture under it.",
    ),
    Key("minus", "zoom(-1)", "-", "", ""),
    Key("comma", "pan(-0.25)", ", .", "", "Move zoomed charts to the left, or right."),
    Key("full_stop", "pan(0.25)", ".", "", ""),
    Key("0", "whole", "0", "", "Show all of the axis, without cursors."),
    Key("x", "axis", "x", "x axis", "Draw curves over steps, images, epochs or seconds of training."),
    Key("X", "log_x", "X", "", "Logarithmic x axis, on or off."),
    Key("y", "log_y", "y", "log y", "Logarithmic y axis, on or off, for all charts."),
    Key(
        "e",
        "smooth",
        "e",
        "smooth",
        "Smooth curves by a moving average, with the values behind; again for more.",
    ),
    Key("d", "difference", "d", "", "Show what has changed in the panel since the drawing before."),
    Key("z", "latent", "z", "latent", "Explore the latent space, where the method has one."),
    Key("m", "map", "m", "map", "Explore the map of the embedding, where the method encodes."),
    Key("less_than_sign", "move(-1)", "< >", "", "Move the selected tile; it is remembered for the method."),
    Key("greater_than_sign", "move(1)", ">", "", ""),
    Key("h", "hide", "h", "", "Hide the selected tile."),
    Key("a", "add", "a", "", "Show a tile that was hidden, or all as they were at first."),
    Key("c", "copy", "c", "", "Copy the path of the panel's picture."),
    Key("o", "open", "o", "", "Open the panel's picture, where there is a desktop."),
    Key(
        "w",
        "write",
        "w",
        "write",
        "Write the screen (SVG, text), the chart (PNG) or the data (CSV) to files.",
    ),
    Key("C", "config", "C", "", "The run's configuration."),
    Key("L", "events", "L", "", "All events of the run."),
    Key("t", "app.next_theme", "t", "", "Another theme: dark, light, high contrast."),
    Key(
        "escape",
        "back",
        "esc",
        "",
        "End the cursor, the zoom, the enlargement; then back to the list of runs.",
    ),
    Key("ctrl+l", "repaint", "ctrl-l", "", "Draw the whole screen anew."),
    Key("ctrl+p", "app.command_palette", "ctrl-p", "", "Find a command by its name."),
    Key("q,ctrl+c,ctrl+q", "leave", "q", "leave", "Leave; the training goes on unless you stop it."),
    Key("question_mark", "help", "?", "keys", "Show this list."),
)

TEXT_KEYS = (
    Key("down,j", "scroll(1)", "↑↓", "scroll", "Scroll a line."),
    Key("up,k", "scroll(-1)", "↑", "", ""),
    Key("pagedown,space", "page(1)", "pgdn pgup", "page", "Scroll a page."),
    Key("pageup", "page(-1)", "pgup", "", ""),
    Key("home,g", "scroll(-1000000)", "home end", "", "To the beginning, or the end."),
    Key("end,G", "scroll(1000000)", "end", "", ""),
    Key("q,escape,ctrl+c,ctrl+q", "leave", "q", "back", "Back to the run."),
    Key("question_mark", "help", "?", "keys", "Show this list."),
)

HOME_KEYS = (
    Key("enter", "open", "enter", "open", "Open the run that is marked."),
    Key("down,j", "move(1)", "↑↓", "move", "Mark another run."),
    Key("up,k", "move(-1)", "↑", "", ""),
    Key("pagedown,space", "page(1)", "pgdn pgup", "", "A screen further, or back."),
    Key("pageup", "page(-1)", "pgup", "", ""),
    Key("home,g", "move(-1000000)", "home end", "", "Mark the newest run, or the oldest."),
    Key("end,G", "move(1000000)", "end", "", ""),
    Key("ctrl+l", "repaint", "ctrl-l", "", "Draw the whole screen anew."),
    Key("q,ctrl+c,ctrl+q", "leave", "q", "leave", "Leave; nothing is stopped by it."),
    Key("question_mark", "help", "?", "keys", "Show this list."),
)
