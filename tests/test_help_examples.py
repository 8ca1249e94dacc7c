"""Every example of every help text is run, and what it prints with `--json` is as its schema says.

The examples are read from the help texts, and every one has to end well. They run in this process on tiny runs.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from PIL import Image

from sslterm.catalog import CATALOG
from sslterm.cli.outputs import OUTPUTS
from sslterm.config.presets import preset_names, read_preset
from sslterm.run.layout import RunDirectory
from sslterm.run.panels import save_panel
from tests.cli_program import Answer, Cli, cli, validator_of
from tests.help_examples import Example, commands, examples, help_texts
from tests.in_process import all_in_process
from tests.test_cli_control import trainer
from tests.test_data_video import write_frames, write_video
from tests.test_worker import make_run
from tests.tui.recorded import digits, put_events, put_metrics, put_panels, put_status

__all__ = ["all_in_process", "cli"]  # fixtures

EXAMPLES = examples()
SHRUNK = [
    f"--set={change}"
    for change in (
        "train.images=64", "train.batch=32", "data.train_images=64", "data.test_images=32",
        "watch.log_every_images=32",
    )
]  # fmt: skip
"""What makes a training of the digits short; it is the same training otherwise."""
SHORTER = {
    "train": SHRUNK, "sweep": SHRUNK, "bench": [*SHRUNK, "--seconds", "0"],
    "evaluate": ["-n", "64"], "track": ["-n", "1"],
}  # fmt: skip
"""Set behind an example, where it counts: how much is trained, measured, drawn."""

DRY = {
    "train dcgan --data '~/pictures' --detach": "a folder's pictures at the size of the preset train for minutes",
    "train simclr --preset imagenet --init resnet50.safetensors": "ImageNet is a folder of a million images",
    "sweep simclr --grid method.temperature=0.1,0.2 --grid optim.main.lr=3e-3,6e-3 --at-once 2":
        "four trainings of an encoder take minutes",
}  # fmt: skip
"""Examples that are configured to the end with --dry-run, and why they are not trained."""
PARSED = {
    "bench": "it times every method, for minutes",
    "data get mnist": "it needs a network",
    "data get mnist cifar10": "it needs a network",
    "probe last --data cifar100": "it needs a network, or a data set of 170 MB",
}
"""Examples whose command line is read, and why they go no further."""

MORE = (
    "train vae --dry-run", "sweep vae --seeds 2 --dry-run", "resume vae-digits-1", "plot last --out curves.png",
    "runs export last --to csv --force", "data get digits", "traverse last --from 1 --to 2 --gif",
    "explain simclr", "probe last --protocol finetune@2 --epochs 1", "monitor vae-digits-1",
    "evaluate vae-digits-1 -n 128",
)  # fmt: skip
"""Outputs that no example shows, to be held to their schemas too."""

TINY = ["data.train_images=64", "data.test_images=100", "train.batch=8"]
CLIPS = ["data.train_images=4", "data.test_images=4", "train.batch=4"]
NARROW = [*TINY, "method.widths=[4,4,4,4]", "method.projector=[8]"]
RESNET = [*TINY, 'data.name="patterns"', 'method.backbone="resnet18"', "method.projector=[8]"]
RUNS: dict[str, tuple[str, str, list[str]]] = {
    "vae-digits-2": ("vae", "digits", [*TINY, "method.widths=[16]", "optim.main.lr=0.002"]),
    "vae-digits-1": ("vae", "digits", [*TINY, "method.widths=[16]"]),
    "biggan-digits-1": (
        "biggan", "digits", [*TINY, "method.generator_widths=[8,8]", "method.discriminator_widths=[8,8,8]"]
    ),
    "progan-digits-1": ("progan", "digits", [*TINY, "method.widths=[8,8,8]"]),
    "ddpm-digits-1": ("ddpm", "digits", [*TINY, "method.width=8"]),
    "dcgan-digits-1": ("dcgan", "digits", TINY),
    "simclr-patterns-1": ("simclr", "patterns", NARROW),
    "simclr-cifar10-1": ("simclr", "cifar10", RESNET),
    "byol-cifar10-1": ("byol", "cifar10", [*RESNET, "method.predictor=[8]"]),
    "context-encoder-shapes-1": ("context-encoder", "shapes", TINY),
    "colorization-painted-1": ("colorization", "painted", TINY),
    "video-colorization-sprites-1": ("video-colorization", "sprites", [*CLIPS, "method.widths=[8,8,8,8]"]),
    "frame-prediction-sprites-1": ("frame-prediction", "sprites", CLIPS),
}  # fmt: skip
"""The runs that examples name: networks with their first weights, made when they are first asked for."""
LAST = {
    "complete": "context-encoder-shapes-1", "colorize": "colorization-painted-1",
    "track": "video-colorization-sprites-1", "predict": "frame-prediction-sprites-1",
    "probe": "simclr-patterns-1", "embed": "simclr-patterns-1", "neighbors": "simclr-patterns-1",
    "export": "simclr-patterns-1",
}  # fmt: skip
"""What `last` is to a command that a VAE of digits cannot serve."""

LIVE = {"pause": "paused", "continue": "running", "stop": "stopped", "checkpoint": "running"}
"""Commands to a training run, and what becomes of it: a thread answers as a trainer would."""


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs of `RUNS` are kept once they are made."""
    return tmp_path_factory.mktemp("shelf")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, all_in_process: None) -> Path:
    """A home with pictures and clips by the names that examples use, which is also where commands are called."""
    for name in ("HOME", "SSLTERM_DATA", "SSLTERM_CACHE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("SSLTERM_RUNS", str(tmp_path / "runs"))
    monkeypatch.chdir(tmp_path)
    folder = [f"pictures/{kind}/{number}.png" for kind in "ab" for number in range(12)]
    for number, name in enumerate(["cat.jpg", "dog.jpg", "grandmother.jpg", *folder]):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.effect_noise((40, 32), 5 * number + 10).convert("RGB").save(tmp_path / name)
    return tmp_path


def copy_run(shelf: Path, name: str, place: Path, *, started: float, state: str = "finished") -> RunDirectory:
    """Put a run of `RUNS` into `place`/runs, with what a training would have logged."""
    if not (shelf / name).exists():
        method, preset, changes = RUNS[name]
        made = make_run(shelf / f"making-{name}", method, preset, *changes)
        put_metrics(made, 400)
        put_panels(made, (0, 256))
        save_panel(replace(digits(), name="samples"), made.panel("samples", 256))
        put_events(made)
        made.path.rename(shelf / name)
    run = RunDirectory(place / "runs" / name)
    shutil.copytree(shelf / name, run.path)
    put_status(run, state=state, step=400, started=started, images_per_epoch=25_600)
    return run


def set_up(example: Example, shelf: Path, place: Path) -> None:
    """The runs and files that an example takes to be there; its command's `last` is the newest run."""
    last = LAST.get(example.command, "vae-digits-1")
    named = [word for word in example.arguments if word in RUNS and word != last]
    named += [name for name in ("vae-digits-2", "vae-digits-1") if name not in (*named, last)]
    for name in named:
        copy_run(shelf, name, place, started=1.0)
    state = "running" if example.command in LIVE else "finished"
    copy_run(shelf, last, place, started=2.0, state=state)
    for word in example.arguments:
        path = place / word
        if path.suffix == ".mp4":
            write_video(path)
        elif word in ("dog-0.png", "scratches.png"):
            draw_mask(path, (16, 12) if word == "dog-0.png" else (40, 32))
        elif word == "davis/frames/camel":
            write_frames(path)
            draw_mask(place / "davis" / "masks" / "camel" / "0.png", (16, 12))
        elif word == "resnet50.safetensors":
            path.touch()


def draw_mask(path: Path, size: tuple[int, int]) -> None:
    """White where an object is, or a hole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mask = Image.new("L", size)
    mask.paste(255, (2, 2, 8, 8))
    mask.save(path)


def put_trained(cli: Cli, shelf: Path, place: Path) -> None:
    """A run that was trained indeed, in place of those in the folder of runs."""
    name, there = "vae-digits-1", shelf / "trained"
    if not there.exists():
        assert cli("train", "vae", "--name", name, "--runs", there, *SHRUNK).code == 0
    shutil.rmtree(place / "runs")
    shutil.copytree(there, place / "runs")


def run_example(example: Example, cli: Cli, shelf: Path, place: Path, *more: str) -> Answer:
    """Run an example as far as it can be, `more` behind it."""
    arguments = [*example.arguments, *more]
    if str(example) in DRY:
        return cli(*arguments, "--dry-run")
    if "--dry-run" not in arguments:
        arguments += SHORTER.get(example.command, [])
    if any("finetune" in word for word in arguments):
        arguments += ["--epochs", "1"]
    if example.command in ("resume", "reproduce"):
        put_trained(cli, shelf, place)
    if example.command == "resume":  # as if it had been stopped after two thirds
        run = RunDirectory(place / "runs" / "vae-digits-1")
        run.config.write_text(run.config.read_text().replace("\nimages = 64\n", "\nimages = 96\n"))
        run.status.write_text(run.status.read_text().replace('"finished"', '"stopped"'))
    if "--features" in arguments:
        assert cli("embed", "last", "--out", arguments[arguments.index("--features") + 1]).code == 0
    if example.command == "runs import":
        assert cli("runs", "export", "vae-digits-1", "--force").code == 0
        shutil.rmtree(place / "runs")
    if example.command == "runs rm" and "--yes" not in arguments:
        arguments.append("--yes")  # there is nobody to ask
    if example.command in LIVE:
        run = RunDirectory(place / "runs" / "vae-digits-1")
        with trainer(run, "done", lambda: put_status(run, state=LIVE[example.command])):
            return cli(*arguments)
    return cli(*arguments)


def take_turns(of: str) -> list[tuple[Example, bool]]:
    """The examples of a help text, the last with --json; where it is the only one, without and with it."""
    mine = [example for example in EXAMPLES if example.help_of == of]
    turns = [(example, "--json" in example.arguments) for example in mine]
    last = mine[-1]
    if not turns[-1][1] and last.command in OUTPUTS:
        turns = [*(turns if len(mine) == 1 else turns[:-1]), (last, True)]
    return turns


@pytest.mark.parametrize("of", list(dict.fromkeys(example.help_of for example in EXAMPLES)))
def test_the_examples_of_a_help_text(of: str, cli: Cli, shelf: Path, place: Path) -> None:
    known = commands()
    for example, with_json in take_turns(of):
        if str(example) in PARSED:
            words = example.arguments[len(example.command.split()) :]
            known[example.command].make_context(example.command, list(words))
            continue
        shutil.rmtree(place / "runs", ignore_errors=True)
        set_up(example, shelf, place)
        more = ["--json"] if with_json and "--json" not in example.arguments else []
        answer = run_example(example, cli, shelf, place, *more)
        assert answer.code == 0, f"sslterm {example}: {answer.err}"
        assert answer.out.strip(), f"sslterm {example} has printed nothing"


@pytest.mark.parametrize("line", MORE)
def test_outputs_that_no_example_shows(line: str, cli: Cli, shelf: Path, place: Path) -> None:
    words = line.split()
    command = " ".join(words[:2]) if " ".join(words[:2]) in OUTPUTS else words[0]
    example = Example("", command, tuple(words))
    set_up(example, shelf, place)
    answer = cli(*words, "--json")
    assert answer.code == 0, answer.err


def test_what_is_left_out_is_there_to_be_left_out() -> None:
    lines = {str(example) for example in EXAMPLES}
    assert lines >= DRY.keys() | PARSED.keys()


def test_every_command_with_json_has_a_schema_and_an_example() -> None:
    takes_json = {
        path for path, command in commands().items() if any(one.name == "as_json" for one in command.params)
    }
    assert takes_json == OUTPUTS.keys()
    assert takes_json == commands().keys()
    assert {example.help_of for example in EXAMPLES} == help_texts().keys()


@pytest.mark.parametrize("command", OUTPUTS)
def test_a_schema_is_one_and_can_be_printed(command: str, cli: Cli) -> None:
    answer = cli(*command.split(), "--json-schema")
    assert answer.code == 0
    jsonschema.Draft202012Validator.check_schema(answer.json)
    assert answer.json["title"] == f"sslterm {command} --json"


def test_what_is_not_described_is_refused() -> None:
    told = {"run": "vae-digits-1", "do": "pause", "outcome": "done", "state": "paused"}
    validator_of("pause").validate(told)
    for wrong in ({**told, "new": 1}, {**told, "state": "gone"}, {"run": "vae-digits-1"}):
        with pytest.raises(jsonschema.ValidationError):
            validator_of("pause").validate(wrong)


def test_every_preset_is_as_its_schema_says() -> None:
    for method in CATALOG:
        for preset in preset_names(method):
            validator_of("presets show").validate(read_preset(method, preset)[0])


def test_help_fits_80_columns() -> None:
    too_long = [
        (path, line) for path, text in help_texts().items() for line in text.splitlines() if len(line) > 80
    ]
    assert too_long == []
