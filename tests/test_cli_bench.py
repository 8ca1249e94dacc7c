"""`sslterm bench`: what it prints, what it takes, and that it leaves nothing behind."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from sslterm.bench import Bench
from sslterm.catalog import CATALOG
from sslterm.config.presets import default_preset
from sslterm.engine import timing
from sslterm.engine.timing import Steps
from sslterm.engine.turns import POINTS
from sslterm.errors import DataError
from sslterm.methods.base import Method
from tests.cli_program import Cli, cli, validator_of

__all__ = ["cli"]  # a fixture

TINY = [
    "--set", "data.train_images=64", "--set", "data.test_images=32", "--set", "train.batch=8",
    "--seconds", "0", "--device", "cpu",
]  # fmt: skip


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it is called, and where runs, data and caches would be; auto takes bfloat16 here."""
    for name in ("SSLTERM_RUNS", "SSLTERM_DATA", "SSLTERM_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(timing, "has_bfloat16_units", lambda: True)
    monkeypatch.setattr(
        timing, "choose_precision", lambda asked, *_: "bfloat16" if asked == "auto" else asked
    )
    return tmp_path


def interrupted_at(turn: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C within the given turn of all, warm-ups counted."""
    there, count = Steps.take_turn, 0

    def take_turn(steps: Steps, *args: Any) -> Any:
        nonlocal count
        count += 1
        if count == turn:
            raise KeyboardInterrupt
        return there(steps, *args)

    monkeypatch.setattr(Steps, "take_turn", take_turn)


def test_one_method_is_told_in_every_precision(cli: Cli, place: Path) -> None:
    answer = cli("bench", "simclr", *TINY, "--set", "train.images=6400")
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["machine", "device", "preset"]
    assert lines[1] == f"device   cpu ({torch.get_num_threads()} threads), torch {torch.__version__}"
    assert lines[2].startswith("preset   simclr/patterns, 114,064 parameters, batches of 8 images of 32x32x3")
    head, plain, half = lines[4:7]
    assert head.split("  ")[0] == "PRECISION"
    assert re.match(r"float32 +[\d.,]+ +[\d.,]+ +[\d.,]+-[\d.,]+ +[\d hms]+$", plain)
    assert re.match(r"bfloat16 .* auto$", half)
    assert lines[8].startswith("A STEP IN BFLOAT16")
    assert [line.split()[0] for line in lines[9:15]] == [
        "batch", "views", "loss", "gradient", "optimizer", "method",
    ]  # fmt: skip
    assert "all 6,400 images at that rate" in lines[-1]
    assert list(place.iterdir()) == []


def test_its_json_adds_up(cli: Cli) -> None:
    told = cli("bench", "vae", *TINY, "--set", "train.images=640", "--json").json
    assert told["machine"]["torch"] == torch.__version__
    (one,) = told["methods"]
    assert (one["method"], one["preset"], one["data"]) == ("vae", "digits", "digits")
    assert (one["batch"], one["total_images"], one["epochs"], one["shape"]) == (8, 640, 10, [1, 16, 16])
    plain, half = one["timings"]
    assert (plain["precision"], plain["auto"], plain["taken"]) == ("float32", False, True)
    assert (half["precision"], half["auto"], half["taken"]) == ("bfloat16", True, False)
    for each in (plain, half):
        low, high = each["ms_quartiles"]
        assert low <= each["ms_per_step"] <= high
        assert (each["turns"], each["steps"], each["memory_bytes"]) == (3, 12, None)
        assert each["preset_seconds"] == pytest.approx(640 / each["images_per_second"])
    assert sum(part["share"] for part in one["parts"]) == pytest.approx(1)
    assert sum(part["ms"] for part in one["parts"]) == pytest.approx(plain["ms_per_step"])
    assert [point["progress"] for point in one["course"]] == list(POINTS)
    assert one["process_bytes"] > 10_000_000
    assert not told["interrupted"]


def test_what_the_preset_asks_for_is_told_from_what_auto_takes(cli: Cli) -> None:
    taken = {}
    for precision in ("auto", "float32", "bfloat16"):
        out = cli("bench", "vae", *TINY, "--set", f"train.precision={precision}").out
        rows = [line for line in out.splitlines() if re.match(r"(float32|bfloat16) ", line)]
        taken[precision] = [line.split()[-1] if line.split()[-1].isalpha() else "" for line in rows]
    assert taken == {
        "auto": ["s", "auto"], "float32": ["preset", "auto"], "bfloat16": ["s", "both"],
    }  # fmt: skip


def test_several_methods_are_a_table_in_the_precision_that_is_taken(cli: Cli) -> None:
    answer = cli("bench", "vae", "rbm", "vae", *TINY)
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[3].split() == ["METHOD", "PRESET", "PRECISION", "IMAGES/S", "MS", "A", "STEP", "TRAINING"]
    assert [line.split()[:2] for line in lines[4:6]] == [["vae", "digits"], ["rbm", "digits"]]
    assert len({len(line) for line in lines[3:6]}) == 1
    assert lines[6] == ""
    told = cli("bench", "vae", "rbm", *TINY, "--json").json
    for one in told["methods"]:
        assert [each["taken"] for each in one["timings"]] == [True]
        assert one["parts"] == []


def test_without_a_method_all_are_timed(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def measure(bench: Bench, experiment: Any, progress: Any, *, seconds: float, compare: bool) -> Any:
        seen.append((experiment.run.method, experiment.run.preset, compare))
        raise KeyboardInterrupt if len(seen) == len(CATALOG) else DataError("not here")

    monkeypatch.setattr(Bench, "measure", measure)
    answer = cli("bench", "--device", "cpu")
    assert seen == [(name, default_preset(name), False) for name in CATALOG]
    assert answer.code == 130
    assert len(re.findall("not here", answer.out)) == len(CATALOG) - 1


def test_a_method_that_fails_stops_no_other(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def step(method: Method, data: Any, update: Any) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr("sslterm.methods.energy.rbm.RBM.step", step)
    answer = cli("bench", "rbm", "vae", *TINY)
    assert answer.code == 1
    assert "rbm     digits  out of memory on the device\nvae     digits  " in answer.out
    alone = cli("bench", "rbm", *TINY)
    assert (alone.code, alone.out) == (4, "")
    assert alone.err.startswith("error: out of memory on the device\n  lower train.batch")


def test_an_interrupt_leaves_what_was_measured(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted_at(6, monkeypatch)  # two warm-ups, float32, bfloat16, bfloat16
    answer = cli("bench", "vae", *TINY)
    assert answer.code == 130
    assert "Stopped early" in answer.out
    assert re.search(r"^float32 ", answer.out, re.MULTILINE)
    assert "A STEP IN" not in answer.out


def test_an_interrupt_is_seen_in_the_json(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted_at(4, monkeypatch)  # before bfloat16 has had a turn
    answer = cli("bench", "vae", *TINY, "--json")
    assert answer.code == 130
    validator_of("bench").validate(answer.json)
    (one,) = answer.json["methods"]
    assert answer.json["interrupted"]
    assert one["interrupted"]
    assert [each["turns"] for each in one["timings"]] == [1, 0]
    assert one["timings"][1]["images_per_second"] is None


def test_an_interrupt_before_anything_was_measured(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted_at(1, monkeypatch)
    answer = cli("bench", "vae", *TINY)
    assert (answer.code, answer.out, answer.err) == (130, "", "")
    interrupted_at(6, monkeypatch)  # of the second method: the first has a warm-up and three turns
    answer = cli("bench", "vae", "rbm", *TINY)
    assert answer.code == 130
    assert re.search(r"^vae +digits +float32 ", answer.out, re.MULTILINE)
    assert not re.search(r"^rbm", answer.out, re.MULTILINE)
    assert answer.out.endswith("stopped   after 1 of 2 methods\n")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("vea", 2, "there is no method 'vea'\n  did you mean 'vae'?"),
        ("vae --preset dgits", 2, "vae has no preset 'dgits'\n  did you mean 'digits'?"),
        ("vae --set train.bach=3", 2, "--set train.bach=3: there is no key 'train.bach'"),
        ("vae --device gpu", 2, "--device gpu: unknown"),
        ("vae --data ./nowhere", 3, "--data ./nowhere: there is no such folder"),
        ("vae --config no.toml", 2, "cannot read no.toml"),
        (
            "simclr --set train.batch=1 --set data.train_images=64",
            2,
            "train.batch = 1: simclr compares the images of a batch",
        ),
        ("vae --seconds -1", 2, "invalid value for '--seconds'"),
    ],
)
def test_mistakes_are_said_as_train_says_them(words: str, code: int, says: str, cli: Cli) -> None:
    answer = cli("bench", *words.split())
    assert (answer.code, answer.out) == (code, "")
    assert answer.err.startswith(f"error: {says}")
    trained = cli("train", *words.split(), "--foreground")
    if "--seconds" not in words:
        assert answer.err == trained.err
