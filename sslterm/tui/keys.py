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

_LEAVE_EXPLORER = (
    Key("u", "newest", "u", "", "Go over to the newest checkpoint, where training has saved another one."),
    Key("enter", "again", "enter", "", "Start the worker again, where it has ended."),
    Key("ctrl+l", "repaint", "ctrl-l", "", "Draw the whole screen anew."),
    Key("escape,q,ctrl+c,ctrl+q", "leave", "q", "leave", "Go back; the training is not touched."),
    Key("question_mark", "help", "?", "keys", "Show this list."),
)

LATENT_KEYS = (
    Key("left", "move(-1,0)", "←↓↑→", "move", "Move by a picture of the plane; the mouse drags."),
    Key("right", "move(1,0)", "→", "", ""),
    Key("up", "move(0,1)", "↑", "", ""),
    Key("down", "move(0,-1)", "↓", "", ""),
    Key("shift+left", "move(-4,0)", "shift", "", "With an arrow: move four pictures at once."),
    Key("shift+right", "move(4,0)", "", "", ""),
    Key("shift+up", "move(0,4)", "", "", ""),
    Key("shift+down", "move(0,-4)", "", "", ""),
    Key("alt+left", "finely(-1,0)", "alt", "", "With an arrow: move an eighth of a picture."),
    Key("alt+right", "finely(1,0)", "", "", ""),
    Key("alt+up", "finely(0,1)", "", "", ""),
    Key("alt+down", "finely(0,-1)", "", "", ""),
    Key(
        "f",
        "fine",
        "f",
        "",
        "Arrows move finely, or by pictures again: where the terminal keeps alt to itself.",
    ),
    Key("space", "pin", "space", "pin", "Pin the code at the cursor: A, B, C and on; a click goes to one."),
    Key("backspace", "unpin", "⌫", "", "Take the last pin away."),
    Key("tab", "next_pin", "tab", "", "Go to the next pin."),
    Key("i", "interpolate", "i", "interpolate", "Show the path through the pins, and what is decoded on it."),
    Key("w", "save", "w", "save", "Write the path as PNG strip, GIF and .npz to RUN/outputs; says where."),
    Key("r", "random", "r", "random", "Go to a random code from the prior."),
    Key("0", "origin", "0", "centre", "Go to the middle: of the prior, or of the codes."),
    Key("e", "example", "e", "image", "Go to the code of another held-out image."),
    Key(
        "x",
        "direction(0,1)",
        "x X",
        "x axis",
        "Another direction to the right, in spaces of several dimensions.",
    ),
    Key("X", "direction(0,-1)", "X", "", ""),
    Key("y", "direction(1,1)", "y Y", "y axis", "Another direction upwards."),
    Key("Y", "direction(1,-1)", "Y", "", ""),
    Key("d", "family", "d", "directions", "Latent dimensions, or principal directions of the codes."),
    *_LEAVE_EXPLORER,
)

EMBEDDING_KEYS = (
    Key("left", "move(-1,0)", "←↓↑→", "move", "Go to the nearest point in a direction; a click goes to any."),
    Key("right", "move(1,0)", "→", "", ""),
    Key("up", "move(0,1)", "↑", "", ""),
    Key("down", "move(0,-1)", "↓", "", ""),
    Key("shift+left", "leap(-1,0)", "shift", "", "With an arrow: at least an eighth of the map further."),
    Key("shift+right", "leap(1,0)", "", "", ""),
    Key("shift+up", "leap(0,1)", "", "", ""),
    Key("shift+down", "leap(0,-1)", "", "", ""),
    Key("tab", "neighbour(1)", "tab", "neighbour", "Go to the nearest neighbour in the embedding."),
    Key("r", "random", "r", "random", "Go to a random image."),
    Key("t", "method", "t", "PCA/t-SNE", "Lay the map out by PCA, or by t-SNE (takes seconds to a minute)."),
    Key("w", "save", "w", "save", "Write the map as PNG and .npz to RUN/outputs; says where."),
    *_LEAVE_EXPLORER,
)
