"""What `evaluate` prints of an answer, in a pipe and on terminals of 80 and 120 columns; and its --space."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sslterm.cli import use
from sslterm.cli.evaluate_output import print_evaluation
from tests.cli_program import Cli, cli
from tests.tui.recorded import new_run

__all__ = ["cli"]  # a fixture

SHARED = {
    "n": 1000, "split": "test", "seed": 0, "space": "digits-16px-judge32-v1", "space_sha256": "e69deb761382",
    "dimensions": 32, "judge_accuracy": 0.993, "n_real": 297, "n_floor": 1000, "untrained_seed": 7,
}  # fmt: skip
FD, C2ST = (
    {"name": f"{name}[digits-16px-judge32-v1]@1000", "unit": unit, "kind": "estimate", **about, **SHARED}
    for name, unit, about in (
        ("FD", "", {"value": 21.62, "floor": 0.6083, "baseline_untrained": 221.3}),
        (
            "C2ST", "share (chance 0.5)",
            {"value": 0.8514, "standard_error": 0.02, "interval": [0.806, 0.887], "floor": 0.49,
             "baseline_untrained": None},
        ),
    )
)  # fmt: skip
NLL = {
    "name": "nll_nats", "value": 37.4, "unit": "nats", "kind": "exact", "n": 297, "split": "test",
    "protocol": "binarized at 0.5", "seed": 0, "standard_error": 0.4, "baseline_independent": 96.5,
    "baseline_untrained": 177.4,
}  # fmt: skip
SKIPPED = {"name": "FD", "reason": "120 samples are too few", "hint": "take --n 160 or more"}


def answer(*rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    found = {"run": "pixelcnn-1", "data": "digits", "images": 40000, "sampling": {}}
    return {**found, "results": list(rows), "skipped": [], "pictures": [], **more}


def test_samples_have_a_table_of_their_own_and_say_once_what_they_share(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_evaluation(answer(NLL, FD, C2ST, skipped=[SKIPPED]), seed=0)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "pixelcnn-1 after 40,000 images, on held-out images of digits"
    assert lines[1].split() == ["measure", "value", "error", "independent", "untrained", "unit", "kind", "n"]
    assert lines[3:7] == [
        "likelihood: binarized at 0.5, seed 0",
        "",
        "1,000 samples against 297 held-out images, seed 0",
        "space: digits-16px-judge32-v1 (e69deb), 32 dimensions, right on 99.3 % of held-out images",
    ]
    assert lines[7].split() == ["measure", "value", "error", "floor", "untrained", "unit"]
    assert lines[8].split() == ["FD", "21.62", "0.6083", "221.3"]
    assert lines[9].split() == ["C2ST", "0.8514", "0.02", "0.49", "share", "(chance", "0.5)"]
    assert lines[10:] == [
        "C2ST: with 95 % confidence in 0.806 to 0.887",
        "floor: 1,000 training images in place of samples",
        "untrained: the network as it was built with seed 7",
        "FD left out: 120 samples are too few",
        "  take --n 160 or more",
    ]


def test_the_tables_of_samples_fit_into_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    agreement = {**C2ST, "name": "label_agreement[digits-16px-judge32-v1]@1000", "value": 0.00012345}
    print_evaluation(answer(FD, C2ST, {**agreement, "floor": 0.99327, "baseline_untrained": 0.09512}), seed=0)
    lines = capsys.readouterr().out.splitlines()
    table = [line for line in lines if not line.startswith(("space:", "pixelcnn"))]
    assert max(map(len, table)) <= 80


def test_a_space_is_a_word_or_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    monkeypatch.setenv("SSLTERM_RUNS", str(tmp_path))
    other = new_run(tmp_path, "simclr-patterns-1", "simclr")
    asked: list[str] = []

    def ask(*arguments: Any, **options: Any) -> dict[str, Any]:
        asked.append(options["space"])
        return answer(FD)

    monkeypatch.setattr(use, "ask", ask)
    for words in ([], ["--space", "pixels"], ["--space", "simclr"]):
        assert cli("evaluate", "pixelcnn-1", *words).code == 0
    assert asked == ["judge", "pixels", str(other.path)]
    wrong = cli("evaluate", "pixelcnn-1", "--space", "simlcr-patterns-1")
    assert wrong.code == 3
    assert "simlcr-patterns-1" in wrong.err
    assert "simclr-patterns-1" in wrong.err
    assert len(wrong.err.splitlines()) <= 2


def test_the_path_of_the_picture_is_printed(
    monkeypatch: pytest.MonkeyPatch, cli: Cli, tmp_path: Path
) -> None:
    picture = {"name": "nearest-training-images", "path": str(tmp_path / "n.png"), "caption": ""}
    monkeypatch.setattr(use, "ask", lambda *arguments, **options: answer(FD, pictures=[picture]))
    assert cli("evaluate", "a").out.splitlines()[-1] == picture["path"]
    assert cli("evaluate", "a", "--json").json["pictures"] == [picture]
