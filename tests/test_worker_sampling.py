"""Choices of a sampler that would do nothing: refused, before anything is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sslterm.methods.base import Inputs
from sslterm.methods.diffusion.flow_matching import FlowMatching
from tests.test_worker import asked


class Counted(FlowMatching):
    """A flow of noise that counts how often it is asked for images."""

    def __init__(self, **changes: Any) -> None:
        fields: dict[str, Any] = {
            "width": 8, "multipliers": (1,), "blocks": 1, "attention": (), "heads": 1, "dropout": 0.0, "ema": 0.9,
            "conditional": False, "label_dropout": 0.0, "guidance": 0.0, "sigma_min": 0.0, "pairing": "independent",
            "sampler": "heun", "sampling_steps": 2, "tolerance": 0.1, "trace": "exact",
        }  # fmt: skip
        inputs = Inputs(channels=1, height=8, width=8, train_images=10, classes=10)
        super().__init__(self.Config(**{**fields, **changes}), inputs)
        self.drawn = 0

    def sample(self, n: int, generator: torch.Generator, label: Tensor | None = None) -> Iterator[Tensor]:
        self.drawn += 1
        return super().sample(n, generator, label)


CLASSES = {"conditional": True, "label_dropout": 0.1, "guidance": 1.0}


@pytest.mark.parametrize(
    ("changes", "choices", "says", "instead"),
    [
        ({}, ["sampler=dopri5", "steps=3"], "dopri5 chooses its steps", "use --tolerance"),
        ({"sampler": "dopri5"}, ["steps=3"], "dopri5 chooses its steps", "use --tolerance"),
        ({}, ["sampler=euler,dopri5", "steps=3"], "dopri5 chooses its steps", "use --tolerance"),
        ({}, ["tolerance=0.5"], "the sampler heun takes equal steps", "use --steps"),
        ({}, ["guidance=2"], "trained without classes", "leave it out"),
    ],
)
def test_a_choice_that_would_do_nothing_is_refused(
    tmp_path: Path, changes: dict[str, Any], choices: list[str], says: str, instead: str
) -> None:
    method = Counted(**changes)
    before = method.sampling
    for do in ("sample", "evaluate"):
        if do == "evaluate" and "sampler=euler,dopri5" in choices:
            continue  # which takes one value of each
        (answer,) = asked(tmp_path / "run", method, {"do": do, "n": 2, "sampling": choices})
        assert says in answer["error"]["message"]
        assert instead in answer["error"]["hint"]
        assert answer["error"]["exit_code"] == 2
    assert method.drawn == 0
    assert method.sampling == before
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "choices"),
    [
        ({}, ["sampler=dopri5", "tolerance=0.5"]),
        ({"sampler": "dopri5"}, ["sampler=euler", "steps=2"]),
        ({}, ["sampler=euler,heun", "steps=2"]),
        (CLASSES, ["guidance=2"]),
    ],
)
def test_a_choice_that_does_something_is_taken(
    tmp_path: Path, changes: dict[str, Any], choices: list[str]
) -> None:
    (answer,) = asked(tmp_path / "run", Counted(**changes), {"do": "sample", "n": 1, "sampling": choices})
    assert Path(answer["result"]["path"]).is_file()
