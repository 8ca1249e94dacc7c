"""Putting a new run together: a method, one of its presets, the preset's keys; and starting it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from textual.app import ComposeResult
from textual.binding import Binding
from textual.events import Key as KeyPress
from textual.events import Paste
from textual.screen import Screen

from sslterm.catalog import CATALOG, Entry
from sslterm.config.presets import needs_download, preset_names, read_preset
from sslterm.config.read import dump
from sslterm.errors import SsltermError
from sslterm.method_text import TOPICS, draw_tree, family_tree, first_sentence, read_method_text
from sslterm.render.quantity import amount
from sslterm.run.launch import remove_if_untouched, start_trainer, what_happened, write_config
from sslterm.run.layout import RunDirectory, create_run, runs_root
from sslterm.run.status import read_status
from sslterm.tui.key import Key, bindings
from sslterm.tui.keys import CHOOSE_KEYS, FORM_KEYS
from sslterm.tui.run_form import RunForm
from sslterm.tui.screens.dialog import KeyList
from sslterm.tui.seen import is_seen
from sslterm.tui.widgets.chooser import Choice, Chooser
from sslterm.tui.widgets.form_sheet import FormSheet
from sslterm.tui.widgets.keybar import KeyBar
from sslterm.tui.widgets.line import Line

POLL_SECONDS = 0.1


def _either() -> list[Binding | tuple[str, str] | tuple[str, str, str]]:
    """The keys of both steps; an action does what the step wants."""
    by_key: dict[str, Key] = {}
    for key in (*FORM_KEYS, *CHOOSE_KEYS):
        by_key.update((one, key) for one in key.keys.split(",") if one)
    return bindings([Key(one, key.action, "", "", key.help) for one, key in by_key.items()])


class NewRunScreen(Screen[RunDirectory | None]):
    """Method, preset, keys; dismisses with the started run, or None.

    Attributes:
        trainer: the process that was started; whoever goes on with the run waits for it.
    """

    BINDINGS = _either()
    CSS = """
    NewRunScreen { background: ansi_default; }
    NewRunScreen Line, NewRunScreen KeyBar { width: 1fr; height: 1; }
    NewRunScreen Chooser, NewRunScreen FormSheet { width: 1fr; height: 1fr; }
    """

    def __init__(self, root: Path) -> None:
        super().__init__()
        self.root = root
        self.method = ""
        self.trainer: subprocess.Popen[bytes] | None = None
        self.started: RunDirectory | None = None
        """The run whose trainer has been started and is not at work yet."""
        self.title_line = Line()
        self.chooser, self.sheet = Chooser(), FormSheet()
        self.choose_bar, self.form_bar = KeyBar(CHOOSE_KEYS), KeyBar(FORM_KEYS)
        self._forms: dict[tuple[str, str], RunForm] = {}

    def compose(self) -> ComposeResult:
        yield self.title_line
        yield self.chooser
        yield self.sheet
        yield self.choose_bar
        yield self.form_bar

    def on_mount(self) -> None:
        self.sheet.runs = "" if self.root == runs_root() else str(self.root)
        self._choose_method()
        self.set_interval(POLL_SECONDS, self._look_at_trainer)

    @property
    def in_form(self) -> bool:
        return self.sheet.display

    @property
    def key_bar(self) -> KeyBar:
        """The keys of the step."""
        return self.form_bar if self.in_form else self.choose_bar

    # -- the steps

    def _choose_method(self, value: str = "") -> None:
        self.method = ""
        self._show(form=False, title="new run · which method?")
        self.chooser.offer(list(_methods()), value)

    def _choose_preset(self, value: str = "") -> None:
        self._show(form=False, title=f"new run · {self.method} · which preset?")
        self.chooser.offer([_preset(self.method, name) for name in preset_names(self.method)], value)

    def _fill_in(self, preset: str) -> None:
        try:
            form = self._forms.get((self.method, preset)) or RunForm(self.method, preset, _about(self.method))
        except SsltermError as error:
            self.choose_bar.say(error.message)
            return
        self._forms[(self.method, preset)] = form
        self._show(form=True, title=f"new run · {self.method} · {preset}")
        self.sheet.show_form(form)

    def _show(self, *, form: bool, title: str) -> None:
        self.chooser.display = self.choose_bar.display = not form
        self.sheet.display = self.form_bar.display = form
        self.choose_bar.notice = self.form_bar.notice = ""
        self.title_line.say(title)
        self.call_after_refresh(self._redraw)

    def _redraw(self) -> None:
        for part in (self.chooser, self.sheet, self.choose_bar, self.form_bar):
            part.redraw()

    # -- keys

    def action_enter(self) -> None:
        if self.started is not None:
            self.dismiss(self.started)
        elif self.in_form and self.sheet.at == 0:
            self.action_start()
        elif self.in_form:
            self.sheet.move(1)
        elif (chosen := self.chooser.chosen) is not None:
            if self.method:
                self._fill_in(chosen.value)
            else:
                self.method = chosen.value
                self._choose_preset()

    def action_move(self, by: int) -> None:
        (self.sheet if self.in_form else self.chooser).move(by)

    def action_page(self, by: int) -> None:
        (self.sheet if self.in_form else self.chooser).page(by)

    def action_restore(self) -> None:
        self.sheet.restore()

    def action_back(self) -> None:
        if self.started is not None:
            self.dismiss(self.started)
        elif self.in_form and self.sheet.form is not None:
            self._choose_preset(self.sheet.form.preset)
        elif self.chooser.typed:
            self.chooser.find("")
        elif self.method:
            self._choose_method(self.method)
        else:
            self.dismiss(None)

    def action_leave(self) -> None:
        self.dismiss(self.started)

    def action_help(self) -> None:
        self.app.push_screen(KeyList("Keys", self.key_bar.all_keys))

    def on_key(self, event: KeyPress) -> None:
        if self.in_form:
            if self.sheet.press(event.key, event.character):
                event.stop()
        elif event.key == "ctrl+u":
            self.chooser.find("")
        elif event.key == "backspace":
            self.chooser.find(self.chooser.typed[:-1])
        elif event.character is not None and event.character.isprintable():
            self.chooser.find(self.chooser.typed + event.character)
        if not self.in_form:
            title = self.title_line.text.partition("   ")[0]
            self.title_line.say(f"{title}   {self.chooser.typed}▏" if self.chooser.typed else title)

    def on_paste(self, event: Paste) -> None:
        if self.in_form:
            self.sheet.paste(event.text)
        else:
            self.chooser.find(event.text.strip())

    def on_chooser_chosen(self, event: Chooser.Chosen) -> None:
        self.action_enter()

    def on_form_sheet_start(self, event: FormSheet.Start) -> None:
        self.action_start()

    # -- starting

    def action_start(self) -> None:
        """Start the run; what hinders it stands in the form."""
        form = self.sheet.form
        if not self.in_form or form is None or self.started is not None:
            return
        wrong = [key for key in form.errors if key]
        if wrong:
            self.sheet.go([field.key for field in form.fields].index(wrong[0]) + 1)
            return
        try:
            text = dump(form.experiment())
            run = create_run(self.root, form.method, form.preset, form.name)
            try:
                write_config(run, text)
                self.trainer = start_trainer(run, device=form.device, processes=1)
            except (SsltermError, OSError):
                remove_if_untouched(run)
                raise
        except SsltermError as error:
            self._tell(error)
        except OSError as error:
            self._tell(SsltermError(f"cannot start the trainer: {error.strerror or error}"))
        else:
            self.started = run
            self.form_bar.say(f"starting {run.name} … (enter goes to its screen)")

    def _tell(self, error: SsltermError) -> None:
        self.sheet.trouble = f"{error.message}; {error.hint}" if error.hint else error.message
        self.form_bar.say("")
        self.sheet.redraw()

    def _look_at_trainer(self) -> None:
        """Go on to the run once its trainer is at work; come back to the form where it has died."""
        run, trainer = self.started, self.trainer
        if run is None or trainer is None or not is_seen(self):
            return
        status = read_status(run.status)
        error = what_happened(run, trainer)
        if error is not None:
            self.started = self.trainer = None
            remove_if_untouched(run)
            self._tell(error)
        elif trainer.poll() is not None or (status is not None and status.state in ("running", "paused")):
            self.dismiss(run)
        elif status is not None and status.message:
            self.form_bar.say(f"starting {run.name}: {status.message} … (enter goes to its screen)")


def _methods() -> Iterable[Choice]:
    """The tree of all methods."""
    for topic, title in TOPICS.items():
        lines = list(draw_tree(family_tree(entry for entry in CATALOG.values() if entry.topic == topic)))
        if lines:
            yield Choice("", lead=title)
        for line, entry in lines:
            if entry is None:
                yield Choice("", lead=line)
            else:
                lead = line.removesuffix(entry.name)
                yield Choice(entry.name, lead, f"{entry.year}  {entry.title}", _about_method(entry))


def _about_method(entry: Entry) -> tuple[str, ...]:
    return entry.title, f"{entry.authors} {entry.year}, {entry.paper}", first_sentence(entry)


def _preset(method: str, name: str) -> Choice:
    """A preset, with what its header says."""
    try:
        table, header = read_preset(method, name)
        data, images = table["data"]["name"], int(table["train"]["images"])
    except (SsltermError, KeyError, TypeError, ValueError) as error:
        return Choice(name, beside=f"cannot be used: {error}")
    own = data in ("folder", "frames")
    needs = "a folder of yours" if own else f"downloads {data}" if needs_download(table) else "no download"
    lines = [line for line in header.split("\n") if not line.startswith("sslterm ")]
    about = " ".join(lines[1:] if lines[0].startswith(CATALOG[method].title) else lines)
    what, _, result = about.partition(" Result: ")
    paragraphs = (what, f"Result: {result}") if result else (what,)
    return Choice(name, beside=f"{needs}, {amount(images)} images", about=paragraphs)


def _about(method: str) -> dict[str, str]:
    """What the keys of a method's own section mean."""
    try:
        settings = read_method_text(CATALOG[method]).settings
    except (OSError, SyntaxError, ValueError):
        return {}
    return {setting.name: " ".join(setting.about.split()) for setting in settings}
