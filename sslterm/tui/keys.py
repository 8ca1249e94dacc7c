"""One table of keys: it makes the bindings, the footer and the help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from textual.binding import Binding


@dataclass(frozen=True)
class Key:
    """Keys that do one thing.

    Attributes:
        keys: as Textual names them, comma-separated; "" for keys that a widget takes by itself.
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
        if one
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
    Key("n", "new", "n", "new", "Put a new run together, and start it."),
    Key("enter", "open", "enter", "open", "Open the run under the cursor (▸); so does a double click."),
    Key("space", "mark", "space", "mark", "Mark a run, or take the mark back; keys below act on all marked."),
    Key("c", "compare", "c", "compare", "Compare the marked runs, with the one under the cursor."),
    Key("r", "resume", "r", "resume", "Go on with a run that was stopped, failed or died."),
    Key("s", "stop", "s", "stop", "Stop the training: save first, or kill it (asks which)."),
    Key("p", "pause", "p", "pause", "Pause the training, or go on with it."),
    Key("d,delete", "remove", "d", "", "Remove a run with all it holds (asks first)."),
    Key(
        "slash", "filter", "/", "filter", "Show only runs that a query picks: method = vae and test/knn > 0.8"
    ),
    Key("o", "order", "o", "order", "Sort by any key: -test/knn puts the greatest first."),
    Key("down,j", "move(1)", "↑↓", "", "Go to another run."),
    Key("up,k", "move(-1)", "↑", "", ""),
    Key("pagedown", "page(1)", "pgdn pgup", "", "A screen further, or back."),
    Key("pageup", "page(-1)", "pgup", "", ""),
    Key("home,g", "move(-1000000)", "home end", "", "Go to the first run, or the last."),
    Key("end,G", "move(1000000)", "end", "", ""),
    Key("escape", "back", "esc", "", "Take back the marks, then the filter."),
    Key("ctrl+l", "repaint", "ctrl-l", "", "Draw the whole screen anew."),
    Key("q,ctrl+c,ctrl+q", "leave", "q", "leave", "Leave; nothing is stopped by it."),
    Key("question_mark", "help", "?", "keys", "Show this list."),
)

CHOOSE_KEYS = (
    Key("enter", "enter", "enter", "choose", "Choose what is under the cursor."),
    Key("down", "move(1)", "↑↓", "move", "Go to another."),
    Key("up", "move(-1)", "↑", "", ""),
    Key("pagedown", "page(1)", "pgdn pgup", "", "A screen further, or back."),
    Key("pageup", "page(-1)", "pgup", "", ""),
    Key("", "", "a-z", "find", "Show only what has these letters."),
    Key("escape", "back", "esc", "back", "A step back; at the first, leave the form."),
    Key("ctrl+c,ctrl+q", "leave", "ctrl-c", "leave", "Leave the form."),
    Key("f1", "help", "F1", "keys", "Show this list."),
)

FORM_KEYS = (
    Key("ctrl+s", "start", "ctrl-s", "start", "Start the training from anywhere in the form."),
    Key(
        "enter", "enter", "enter", "next", "Start, where the cursor is there; otherwise go to the next field."
    ),
    Key("down,tab", "move(1)", "↑↓", "field", "Go to another field."),
    Key("up,shift+tab", "move(-1)", "↑", "", ""),
    Key("pagedown", "page(1)", "pgdn pgup", "", "A screen further, or back."),
    Key("pageup", "page(-1)", "pgup", "", ""),
    Key("", "", "a-z 0-9", "", "Type into the field; the value is checked at once."),
    Key("", "", "←→", "value", "Move in the text, or take another value where there are only some."),
    Key("ctrl+r", "restore", "ctrl-r", "", "Put back the preset's value."),
    Key("escape", "back", "esc", "back", "Back to the presets; what was typed is kept for this preset."),
    Key("ctrl+c,ctrl+q", "leave", "ctrl-c", "leave", "Leave the form."),
    Key("f1", "help", "F1", "keys", "Show this list."),
)

QUERY_KEYS = (
    Key("enter", "", "enter", "keep", "Keep what is typed."),
    Key("", "", "↑↓", "move", "Go to another run."),
    Key("escape", "", "esc", "clear", "Take it back."),
    Key("ctrl+c", "", "ctrl-c", "leave", "Leave; nothing is stopped by it."),
)
