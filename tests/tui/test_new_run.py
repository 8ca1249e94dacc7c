"""The form that starts a run."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from textual.pilot import Pilot

from sslterm.catalog import CATALOG
from sslterm.cli.app import main
from sslterm.config.presets import preset_names
from sslterm.run.events import append_event
from sslterm.run.layout import RunDirectory, list_runs
from sslterm.tui.run_form import RunForm
from sslterm.tui.screens.dialog import KeyList
from sslterm.tui.screens.home import HomeScreen
from sslterm.tui.screens.new_run import NewRunScreen
from sslterm.tui.screens.watch import Outcome, WatchScreen
from tests.tui.drive import drive, until
from tests.tui.recorded import new_run, put_status


def put(form: RunForm, key: str, text: str) -> None:
    form.type(next(field for field in form.fields if field.key == key), text)


def test_the_form_says_which_command_does_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    form = RunForm("vae", "digits")
    put(form, "train.images", "20_000")
    put(form, "method.widths", "[64, 32]")
    put(form, "optim.main.lr", "1e-2")
    put(form, "name", "mine")
    put(form, "device", "cpu")
    command = form.command()
    assert command == (
        "sslterm train vae --preset digits --set train.images=20_000 --set 'method.widths=[64, 32]' "
        "--set optim.main.lr=1e-2 --name mine --device cpu"
    )
    import shlex

    from sslterm.config.read import dump

    assert main([*shlex.split(command)[1:], "--dry-run"]) == 0
    assert capsys.readouterr().out == dump(form.experiment())
    put(form, "optim.main.lr", "0.001")  # as in the preset
    assert "lr" not in form.command()


@pytest.mark.parametrize(
    ("key", "text", "error"),
    [
        ("train.batch", "0", "0 is out of range: it must be at least 1"),
        ("train.batch", "many", "must be a whole number, not the text 'many'"),
        ("train.compile", "maybe", "must be true or false, not the text 'maybe'"),
        ("train.precision", "float8", "'float8' is not known; did you mean 'float32'?"),
        ("data.name", "mnst", "there is: digits, shapes, painted, patterns, scenes, folder, mnist"),
        ("method.widths", "3", "must be a list, not 3"),
    ],
)
def test_errors_stand_beside_the_field(key: str, text: str, error: str) -> None:
    form = RunForm("vae", "digits")
    put(form, key, text)
    assert list(form.errors) == [key]
    assert form.errors[key].startswith(error)
    put(form, key, next(field.preset or "" for field in form.fields if field.key == key))
    assert not form.errors


def test_another_optimizer_has_other_fields() -> None:
    form = RunForm("vae", "digits")
    put(form, "optim.main.name", "sgd")
    assert form.errors == {"optim.main.momentum": "is needed", "optim.main.nesterov": "is needed"}
    assert "optim.main.betas" not in [field.key for field in form.fields]
    put(form, "optim.main.momentum", "0.9")
    put(form, "optim.main.nesterov", "true")
    assert not form.errors
    assert form.experiment().optim["main"].name == "sgd"
    put(form, "optim.main.name", "adam")
    assert form.overrides == []


@pytest.mark.parametrize("method", CATALOG)
def test_every_preset_can_be_put_into_the_form(method: str) -> None:
    tried: set[str] = set()
    for preset in preset_names(method):
        form = RunForm(method, preset)
        assert not form.errors
        for field in form.fields:
            assert field.about, field.key
            if field.key not in ("name", "device", *tried) and field.preset:
                tried.add(field.key)  # once a method: every key that is typed reads the whole form anew
                put(form, field.key, field.preset + " ")  # read back as what it is
                assert field.key not in form.errors or field.choices, (field.key, form.errors)
                put(form, field.key, field.preset)


def fake(monkeypatch: pytest.MonkeyPatch, *, fails: bool) -> list[RunDirectory]:
    """A trainer that is at work at once, or fails at once."""
    started: list[RunDirectory] = []

    def start(run: RunDirectory, *, device: str, processes: int) -> subprocess.Popen[bytes]:
        started.append(run)
        code = "raise SystemExit(2)" if fails else "import time; time.sleep(60)"
        process = subprocess.Popen([sys.executable, "-c", code])
        put_status(run, state="failed" if fails else "running", pid=process.pid, step=0)
        if fails:
            append_event(run.events, "failed", message="network = 'foo' is not known", hint="there is: dense")
        return process

    monkeypatch.setattr("sslterm.tui.screens.new_run.start_trainer", start)
    return started


def text_of(screen: NewRunScreen) -> str:
    parts = (screen.title_line, screen.chooser, screen.sheet, screen.choose_bar, screen.form_bar)
    return "\n".join(part.shown.plain() for part in parts if part.shown is not None and part.display)


def test_a_run_is_started_from_the_list_and_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = fake(monkeypatch, fails=False)
    put_status(new_run(tmp_path, "barlow-twins-patterns-1", "barlow-twins"), state="finished", started=1.0)
    home = HomeScreen(tmp_path)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("n")
        screen = pilot.app.screen
        assert isinstance(screen, NewRunScreen)
        await pilot.press("v", "a", "e")
        assert "Kingma & Welling 2014, arXiv:1312.6114" in text_of(screen)
        assert "A decoder turns a code z" in text_of(screen)
        assert "barlow" not in text_of(screen)
        await pilot.press("enter")
        assert "digits" in text_of(screen).splitlines()[1]
        assert "no download" in text_of(screen).splitlines()[1]
        assert "Result: 101.8 nats" in text_of(screen)
        await pilot.press("enter", *["down"] * 10)
        assert screen.sheet.field is not None
        assert screen.sheet.field.key == "train.images"
        await pilot.press("ctrl+u", *"20000x")
        assert "must be a whole number" in text_of(screen)
        await pilot.press("ctrl+s")  # refused, with the cursor on what is wrong
        assert not started
        await pilot.press("backspace")
        assert "--set train.images=20000" in text_of(screen)
        assert "was 1_280_000" in text_of(screen)
        await pilot.press("ctrl+s")
        await until(lambda: isinstance(pilot.app.screen, WatchScreen))
        (run,) = started
        assert run.name == "vae-digits-1"
        assert tomllib.loads(run.config.read_text())["train"]["images"] == 20_000
        (_, trainer) = home.trainers[run.path]
        trainer.kill()
        trainer.wait()
        await pilot.press("escape")
        assert pilot.app.screen is home
        assert [listed.name for listed in home.list.runs] == ["vae-digits-1", "barlow-twins-patterns-1"]
        assert home.list.current is home.list.runs[0]  # the cursor is on what was started

    drive([home], script)


def test_a_trainer_that_dies_at_once_brings_the_form_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(monkeypatch, fails=True)
    screen = NewRunScreen(tmp_path)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("enter", "enter", "down", *"mine", "up", "enter")
        await until(lambda: "network = 'foo' is not known; there is: dense" in text_of(screen))
        assert screen.sheet.form is not None
        assert screen.sheet.form.name == "mine"
        assert list_runs(tmp_path) == []
        assert screen.started is None

    drive([HomeScreen(tmp_path), screen], script)


def test_a_name_that_is_taken_is_said_in_the_form(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    screen = NewRunScreen(tmp_path)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("enter", "enter", "down", *"mine", "ctrl+s")
        assert "there is a run 'mine'" in text_of(screen)

    drive([HomeScreen(tmp_path), screen], script)


def test_choices_are_gone_through_with_the_arrows(tmp_path: Path) -> None:
    screen = NewRunScreen(tmp_path)

    async def script(pilot: Pilot[Outcome]) -> None:
        await pilot.press("enter", "enter", "down", "down", "right")
        assert screen.sheet.form is not None
        assert screen.sheet.form.device == "cpu"
        await pilot.press("left", "left")
        assert screen.sheet.form.device == "mps"
        await pilot.press("ctrl+r")
        assert not screen.sheet.form.typed
        await pilot.press("right", "escape", "enter")  # what was typed is kept
        assert screen.sheet.form.device == "cpu"
        await pilot.press("f1")
        assert isinstance(pilot.app.screen, KeyList)

    drive([HomeScreen(tmp_path), screen], script)


@pytest.mark.parametrize("size", [(20, 5), (60, 15), (80, 24), (250, 80), (1, 1)])
def test_every_size_lets_one_go_through(tmp_path: Path, size: tuple[int, int]) -> None:
    screen = NewRunScreen(tmp_path)

    async def script(pilot: Pilot[Outcome]) -> None:
        keys = [
            "down",
            "up",
            "pagedown",
            "pageup",
            "enter",
            "down",
            "enter",
            "pagedown",
            "x",
            "left",
            "up",
            "tab",
        ]
        await pilot.press(*keys)
        assert screen.in_form
        if size[0] >= 60:
            assert "sslterm train" in text_of(screen)
        await pilot.resize_terminal(40, 10)
        await pilot.press("escape", "escape", "escape")
        assert not isinstance(pilot.app.screen, NewRunScreen)

    drive([HomeScreen(tmp_path), screen], script, size)


def test_a_field_says_what_it_means_and_takes() -> None:
    about = {
        field.key: field.about for field in RunForm("vae", "digits", {"beta": "Weight of the KL."}).fields
    }
    assert about["train.clip_norm"] == (
        "Largest gradient norm of an update; 0 leaves gradients as they are (a number, at least 0)"
    )
    assert about["optim.main.schedule.warmup_images"].startswith("The factor rises linearly from 0")
    assert about["method.beta"] == "Weight of the KL (a number)"
    assert about["train.batch"].startswith("Images in an update, over all devices (a whole number")
