"""The fields of a new run, each edited where it stands, and the command that would do the same."""

from __future__ import annotations

from textwrap import wrap

from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message

from sslterm.render.cells import Cells, fit, text_width
from sslterm.render.palette import ACCENT, ERROR, FAINT, GROUND, MUTED, WARNING
from sslterm.tui.line_edit import LineEdit
from sslterm.tui.run_form import Field, RunForm
from sslterm.tui.widgets.canvas import Canvas

_VALUE_WIDTH = 22


class FormSheet(Canvas):
    """A line that starts the run, then a line a field; below, what the field takes, and the command."""

    class Start(Message):
        """A person has clicked on the line that starts the run."""

    def __init__(self) -> None:
        super().__init__()
        self.form: RunForm | None = None
        self.runs = ""
        """The folder of runs as the command names it; "" where it is the usual one."""
        self.trouble = ""
        """Why the run could not be started."""
        self.at = 0
        """0 is the line that starts the run; fields follow."""
        self.line = LineEdit()
        self._top = 0
        self._rows = 1

    def show_form(self, form: RunForm) -> None:
        self.form, self.at, self._top, self.trouble = form, 0, 0, ""
        self.redraw()

    @property
    def field(self) -> Field | None:
        """The field under the cursor."""
        return self.form.fields[self.at - 1] if self.form and 0 < self.at <= len(self.form.fields) else None

    def move(self, by: int) -> None:
        self.go(self.at + by)

    def page(self, by: int) -> None:
        self.move(by * max(self._rows - 1, 1))

    def go(self, place: int) -> None:
        """Put the cursor on a line."""
        if self.form is not None:
            self.at = min(max(place, 0), len(self.form.fields))
            self.line = LineEdit.of(self.form.text(self.field)) if self.field else LineEdit()
        self.redraw()

    def press(self, key: str, character: str | None) -> bool:
        """Edit the field under the cursor; whether the key was taken."""
        field = self.field
        if field is None or self.form is None:
            return False
        if field.choices and key in ("left", "right"):
            self._turn(field, 1 if key == "right" else -1)
            return True
        line = self.line.pressed(key)
        if line is None and character is not None and character.isprintable():
            line = self.line.typed(character)
        if line is None:
            return False
        self._put(field, line)
        return True

    def paste(self, text: str) -> None:
        if self.field is not None:
            self._put(self.field, self.line.typed(text))

    def restore(self) -> None:
        """Put the preset's value back."""
        if self.field is not None:
            self._put(self.field, LineEdit.of(self.field.preset or ""))

    def _turn(self, field: Field, by: int) -> None:
        choices, now = field.choices, self.line.text
        place = (choices.index(now) + by) % len(choices) if now in choices else 0
        self._put(field, LineEdit.of(choices[place]))

    def _put(self, field: Field, line: LineEdit) -> None:
        self.line, self.trouble = line, ""
        if self.form is not None:
            if self.form.text(field) != line.text:
                self.form.type(field, line.text)
            keys = [one.key for one in self.form.fields]  # another optimizer has other keys
            self.at = keys.index(field.key) + 1
        self.redraw()

    def draw(self, width: int, height: int) -> Cells:
        cells = Cells.blank(width, height)
        if self.form is None:
            return cells
        below = self._below(width, height)
        self._rows = max(height - len(below), 1)
        self._top = max(min(self._top, self.at), self.at - self._rows + 1, 0)
        key_width = min(max(text_width(field.key) for field in self.form.fields), max(width // 2 - 6, 8))
        for row in range(self._rows):
            place = self._top + row
            if place == 0:
                self._draw_start(cells, row)
            elif place <= len(self.form.fields):
                self._draw_field(cells, row, self.form.fields[place - 1], key_width, marked=place == self.at)
        for row, (text, tint) in enumerate(below, self._rows):
            cells.put(text, row, 0, tint if self.in_color else GROUND)
        return cells

    def _below(self, width: int, height: int) -> list[tuple[str, int]]:
        """Lines under the fields: what the field takes, and the command, as far as there is room."""
        if self.form is None or height < 6:
            return []
        field = self.field
        trouble = self.trouble or self.form.errors.get("", "")
        if field and not trouble and (wrong := self.form.errors.get(field.key)):
            trouble = f"{field.key}: {wrong}"
        about = (
            f"{field.key}: {field.about}" if field else self.form.header.partition("\n")[2].partition("\n")[0]
        )
        if field and field.choices:
            about += " (← →)"
        lines = [("─" * width, FAINT)]
        said = wrap(trouble or about, max(width, 8))
        room = 4 if trouble else 2 if height >= 16 else 1
        if len(said) > room:
            said = [*said[: room - 1], fit(" ".join(said[room - 1 :]), width)]
        if not trouble:
            said += [""] * (room - len(said))  # the fields above stay where they are
        lines += [(line, ERROR if trouble else MUTED) for line in said]
        lines += [(fit(line, width), GROUND) for line in self._command(width)]
        return lines[: max(height // 2, 1)]

    def _command(self, width: int) -> list[str]:
        text = self.form.command(self.runs) if self.form else ""
        return wrap(text, max(width - 2, 8), subsequent_indent="  ", break_on_hyphens=False)

    def _draw_start(self, cells: Cells, row: int) -> None:
        if self.form is None:
            return
        accent = ACCENT if self.in_color else GROUND
        wrong = sum(key != "" for key in self.form.errors)
        text = "start the training"
        if self.at == 0:
            cells.put("▸", row, 0, accent)
            text += "  (enter)"
        column = cells.put(text, row, 2, accent if self.at == 0 else GROUND)
        changed = f"{len(self.form.typed)} changed" if self.form.typed else ""
        if wrong:
            changed = f"{wrong} to put right first"
        cells.put(
            fit(changed, cells.width - column - 2), row, column + 2, self._tint(WARNING if wrong else MUTED)
        )

    def _tint(self, tint: int) -> int:
        return tint if self.in_color else GROUND

    def _draw_field(self, cells: Cells, row: int, field: Field, key_width: int, *, marked: bool) -> None:
        if self.form is None:
            return
        error, changed = self.form.errors.get(field.key, ""), self.form.is_changed(field)
        if marked:
            cells.put("▸", row, 0, self._tint(ACCENT))
        elif changed:
            cells.put("*", row, 0, self._tint(ACCENT))
        key_tint = ACCENT if marked else GROUND if changed else MUTED
        cells.put(fit(field.key, key_width), row, 2, self._tint(key_tint))
        column = key_width + 4
        room = max(cells.width - column, 1)
        text = self.form.text(field)
        if marked:
            shown, at = self.line.window(min(room, max(_VALUE_WIDTH, room // 2)))
            end = cells.put(shown, row, column)
            place = column + at
            if place < cells.width:  # the cursor, seen without colours as well
                cells.put("▏" if at >= len(shown) else shown[at], row, place, self._tint(ACCENT))
                if at < len(shown):
                    cells.bg[row, place] = self._tint(FAINT)
                    if not self.in_color:
                        cells.put("▏", row, place)
            end = max(end, place + 1)
        else:
            end = cells.put(fit(text, min(room, max(_VALUE_WIDTH, room // 2))), row, column)
        beside = error or (f"was {field.preset or 'empty'}" if changed and field.preset is not None else "")
        start = max(end + 2, column + (_VALUE_WIDTH if cells.width >= 76 else 12))
        cells.put(fit(beside, cells.width - start), row, start, self._tint(ERROR if error else MUTED))

    def on_click(self, event: Click) -> None:
        if self.form is not None and event.y < self._rows and self._top + event.y <= len(self.form.fields):
            again = self.at == self._top + event.y
            self.go(self._top + event.y)
            if self.at == 0 and again:
                self.post_message(self.Start())

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        self.move(1)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        self.move(-1)
