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
        help: in the help, a sentence.
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


WATCH_KEYS = (
    Key("p", "pause", "p", "pause", "Pause the training, or go on with it."),
    Key("k", "checkpoint", "k", "checkpoint", "Save a checkpoint now."),
    Key("s", "stop", "s", "stop", "Save and stop the training (asks first)."),
    Key("tab,right_square_bracket", "panel(1)", "tab ]", "panel", "Show the next panel."),
    Key("shift+tab,left_square_bracket", "panel(-1)", "[", "", "Show the panel before."),
    Key("left", "history(-1)", "←→", "history", "Show the panel as it was before."),
    Key("right", "history(1)", "→", "", "Show the panel as it was next; the last one follows the training."),
    Key("enter", "enlarge", "enter", "enlarge", "Enlarge what is selected (▸), or put it back."),
    Key("down", "select(1)", "↑↓", "select", "Select the next chart; after the last, the panel."),
    Key("up", "select(-1)", "↑", "", "Select the chart before."),
    Key("y", "log", "y", "log y", "Logarithmic y axis, on or off, for all charts."),
    Key("x", "axis", "x", "x axis", "Draw curves over steps, images or seconds of training."),
    Key("escape", "back", "esc", "", "Put back what is enlarged; from the list of runs, go back to it."),
    Key("ctrl+l", "repaint", "ctrl-l", "", "Draw the whole screen anew."),
    Key("q,ctrl+c,ctrl+q", "leave", "q", "leave", "Leave; the training goes on unless you stop it."),
    Key("question_mark", "help", "?", "keys", "Show this list."),
)

HOME_KEYS = (
    Key("enter", "open", "enter", "open", "Open the run that is marked."),
    Key("down,j", "move(1)", "↑↓", "move", "Mark the next run."),
    Key("up,k", "move(-1)", "↑", "", "Mark the run before."),
    Key("pagedown,space", "page(1)", "pgdn", "", "A screen further."),
    Key("pageup", "page(-1)", "pgup", "", "A screen back."),
    Key("home,g", "move(-1000000)", "home", "", "Mark the newest run."),
    Key("end,G", "move(1000000)", "end", "", "Mark the oldest run."),
    Key("ctrl+l", "repaint", "ctrl-l", "", "Draw the whole screen anew."),
    Key("q,ctrl+c,ctrl+q", "leave", "q", "leave", "Leave; nothing is stopped by it."),
    Key("question_mark", "help", "?", "keys", "Show this list."),
)
