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


WATCH_KEYS = (
    Key("p", "pause", "p", "pause", "Pause the training, or go on with it."),
    Key("k", "checkpoint", "k", "checkpoint", "Save a checkpoint now."),
    Key("s", "stop", "s", "stop", "Save and stop the training (asks first)."),
    Key(
        "tab,right_square_bracket",
        "panel(1)",
        "tab ]",
        "panel",
        "Show the next panel; [ shows the one before.",
    ),
    Key("shift+tab,left_square_bracket", "panel(-1)", "[", "", ""),
    Key(
        "left",
        "history(-1)",
        "←→",
        "history",
        "Show the panel as it was before, or after; the last one follows the training.",
    ),
    Key("right", "history(1)", "→", "", ""),
    Key("enter", "enlarge", "enter", "enlarge", "Enlarge what is selected (▸), or put it back."),
    Key("down", "select(1)", "↑↓", "select", "Select a chart, or the panel."),
    Key("up", "select(-1)", "↑", "", ""),
    Key("y", "log", "y", "log y", "Logarithmic y axis, on or off, for all charts."),
    Key("x", "axis", "x", "x axis", "Draw curves over steps, images or seconds of training."),
    Key("escape", "back", "esc", "", "Put back what is enlarged, or go back to the list of runs."),
    Key("ctrl+l", "repaint", "ctrl-l", "", "Draw the whole screen anew."),
    Key("q,ctrl+c,ctrl+q", "leave", "q", "leave", "Leave; the training goes on unless you stop it."),
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

COMPARE_KEYS = (
    Key("tab", "part(1)", "tab", "part", "Go on to the next part: overlay, table, panels."),
    Key("shift+tab", "part(-1)", "shift-tab", "", "Go to the part before."),
    Key("m", "metric(1)", "m", "metric", "The next metric; M, and up and down on the overlay, go both ways."),
    Key("M", "metric(-1)", "M", "", ""),
    Key(
        "left", "across(-1)", "←→", "history", "Scrub all panels together; on the table, scroll its columns."
    ),
    Key("right", "across(1)", "→", "", ""),
    Key("right_square_bracket", "panel(1)", "[ ]", "panel", "Another panel; those that all runs have first."),
    Key("left_square_bracket", "panel(-1)", "[", "", ""),
    Key("down", "down(1)", "↑↓", "", "Mark another run (▸); on the overlay, another metric."),
    Key("up", "down(-1)", "↑", "", ""),
    Key("space", "hide", "space", "hide", "Take the marked run out of the overlay, or put it back."),
    Key("x", "axis", "x", "x axis", "Draw the overlay over images, seconds of training or steps."),
    Key("y", "log", "y", "log y", "Logarithmic y axis, on or off."),
    Key("e", "smooth", "e", "smooth", "Smooth the curves: not, a little, more."),
    Key("enter", "enlarge", "enter", "enlarge", "Give the part all the room, or put it back."),
    Key("home", "newest(False)", "home end", "", "The first drawings of all panels, or the newest."),
    Key("end", "newest(True)", "end", "", ""),
    Key("w", "write", "w", "write", "Write overlay and panels as PNG, the table as CSV and Markdown."),
    Key("ctrl+l", "repaint", "ctrl-l", "", "Draw the whole screen anew."),
    Key("escape", "back", "esc", "", "Put back what is enlarged, or leave."),
    Key("q,ctrl+c,ctrl+q", "leave", "q", "leave", "Leave; nothing is stopped by it."),
    Key("question_mark", "help", "?", "keys", "Show this list."),
)
