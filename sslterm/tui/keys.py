"""One table of keys: it makes the bindings, the footer, the help and the command palette."""

from __future__ import annotations

from sslterm.tui.key import Key

_REPAINT = Key("ctrl+l", "repaint", "ctrl-l", "", "Draw the whole screen anew.")
_PALETTE = Key("ctrl+p", "app.command_palette", "ctrl-p", "", "Find a command by its name.")
_HELP = Key("question_mark", "help", "?", "keys", "Show this list.")

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
    Key(
        "less_than_sign",
        "move(-1)",
        "< >",
        "",
        "Move the selected tile, remembered for the method; the mouse drags it by its title onto another.",
    ),
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
        "Write the screen (SVG, PNG, text), the chart (PNG) or the data (CSV) to files.",
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
    _REPAINT,
    _PALETTE,
    Key("q,ctrl+c,ctrl+q", "leave", "q", "leave", "Leave; the training goes on unless you stop it."),
    _HELP,
)

TEXT_KEYS = (
    Key("down,j", "scroll(1)", "↑↓", "scroll", "Scroll a line."),
    Key("up,k", "scroll(-1)", "↑", "", ""),
    Key("pagedown,space", "page(1)", "pgdn pgup", "page", "Scroll a page."),
    Key("pageup", "page(-1)", "pgup", "", ""),
    Key("home,g", "scroll(-1000000)", "home end", "", "To the beginning, or the end."),
    Key("end,G", "scroll(1000000)", "end", "", ""),
    Key("q,escape,ctrl+c,ctrl+q", "leave", "q", "back", "Back to the run."),
    _HELP,
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
    Key(
        "w", "write", "w", "write", "Write the screen (SVG, text) or the runs that are listed (CSV) to files."
    ),
    Key("down,j", "move(1)", "↑↓", "", "Go to another run."),
    Key("up,k", "move(-1)", "↑", "", ""),
    Key("pagedown", "page(1)", "pgdn pgup", "", "A screen further, or back."),
    Key("pageup", "page(-1)", "pgup", "", ""),
    Key("home,g", "move(-1000000)", "home end", "", "Go to the first run, or the last."),
    Key("end,G", "move(1000000)", "end", "", ""),
    Key("t", "theme", "t", "", "Another theme: dark, light, high contrast."),
    Key("escape", "back", "esc", "", "Take back the marks, then the filter."),
    _REPAINT,
    _PALETTE,
    Key("q,ctrl+c,ctrl+q", "leave", "q", "leave", "Leave; nothing is stopped by it."),
    _HELP,
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
    Key("enter", "keep", "enter", "keep", "Keep what is typed."),
    Key("", "", "↑↓", "move", "Go to another run."),
    Key("escape", "clear", "esc", "clear", "Take it back."),
    Key("ctrl+c", "app.leave", "ctrl-c", "leave", "Leave; nothing is stopped by it."),
)

_LEAVE_EXPLORER = (
    Key("u", "newest", "u", "", "Go over to the newest checkpoint, where training has saved another one."),
    Key("enter", "again", "enter", "", "Start the worker again, where it has ended."),
    Key("W", "write", "W", "", "Write the screen as SVG or as text to RUN/outputs."),
    _REPAINT,
    _PALETTE,
    Key("escape,q,ctrl+c,ctrl+q", "leave", "q", "leave", "Go back; the training is not touched."),
    _HELP,
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

COMPARE_KEYS = (
    Key("tab", "part(1)", "tab", "part", "Go on to the next part: overlay, table, panels."),
    Key("shift+tab", "part(-1)", "shift-tab", "", "Go to the part before."),
    Key("m", "metric(1)", "m", "metric", "The next metric; M, and up and down on the overlay, go both ways."),
    Key("M", "metric(-1)", "M", "", ""),
    Key(
        "left",
        "across(-1)",
        "←→",
        "read",
        "On the overlay: read all runs at a cursor, with shift ten columns on; on the table: scroll its columns; "
        "on the panels: scrub them all together.",
    ),
    Key("right", "across(1)", "→", "", ""),
    Key("shift+left", "across(-1, True)", "", "", ""),
    Key("shift+right", "across(1, True)", "", "", ""),
    Key("right_square_bracket", "panel(1)", "[ ]", "panel", "Another panel; those that all runs have first."),
    Key("left_square_bracket", "panel(-1)", "[", "", ""),
    Key("v", "table", "v", "figures", "The table of results, or what evaluate has found."),
    Key("down", "down(1)", "↑↓", "", "Mark another run (▸); on the overlay, another metric."),
    Key("up", "down(-1)", "↑", "", ""),
    Key("space", "hide", "space", "hide", "Take the marked run out of the overlay, or put it back."),
    Key(
        "plus,equals_sign", "zoom(1)", "+ -", "zoom", "Zoom the overlay about the cursor; the wheel does too."
    ),
    Key("minus", "zoom(-1)", "-", "", ""),
    Key(
        "comma", "pan(-0.25)", ", .", "", "Move the zoomed overlay to the left, or right; the mouse drags it."
    ),
    Key("full_stop", "pan(0.25)", ".", "", ""),
    Key("0", "whole", "0", "", "Show all of the axis, without a cursor."),
    Key("x", "axis", "x", "x axis", "Draw the overlay over images, epochs, time of training or steps."),
    Key("X", "log_x", "X", "", "Logarithmic x axis, on or off."),
    Key("y", "log_y", "y", "log y", "Logarithmic y axis, on or off."),
    Key(
        "e",
        "smooth",
        "e",
        "smooth",
        "Smooth the curves: not, a little, more; the values stay behind those of few runs.",
    ),
    Key("enter", "enlarge", "enter", "enlarge", "Give the part all the room, or put it back."),
    Key("home", "newest(False)", "home end", "", "The first drawings of all panels, or the newest."),
    Key("end", "newest(True)", "end", "", ""),
    Key(
        "w",
        "write",
        "w",
        "write",
        "Write it all: the screen (SVG, text), overlay and panels (PNG), table and curves (CSV).",
    ),
    Key("t", "theme", "t", "", "Another theme: dark, light, high contrast."),
    _REPAINT,
    _PALETTE,
    Key("escape", "back", "esc", "", "End the cursor and the zoom, the enlargement; then leave."),
    Key("q,ctrl+c,ctrl+q", "leave", "q", "leave", "Leave; nothing is stopped by it."),
    _HELP,
)
