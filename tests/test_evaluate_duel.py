"""How a game goes: spread of samples at its ends, and each trouble seen where it is made to happen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sslterm.data.source import load_source
from sslterm.data.store import Store
from sslterm.evaluate.duel import SWINGS_WINDOWS, WON_WINDOWS, Referee, sample_spread, swings
from sslterm.evaluate.embedding import find_collapse
from sslterm.run.reader import RunReader
from tests.conformance.shrink import make_trainer, shrink


class Fixed(nn.Module):
    """`Samples` of what it is given."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.register_buffer("images", images)

    def sample(self, n: int, generator: torch.Generator, label: Tensor | None = None) -> Iterator[Tensor]:
        yield self.images[torch.randperm(len(self.images), generator=generator)[:n]]


def test_spread_of_real_images_of_copies_and_of_noise() -> None:
    source = load_source(shrink("gan", "digits").data)
    train = Store(source.train, torch.device("cpu"))
    test = Store(source.test, torch.device("cpu"))
    real = train.batch(torch.arange(len(test))).images
    assert sample_spread(Fixed(real), test, seed=0) == pytest.approx(1, abs=0.15)
    four = real[torch.arange(len(real)) % 4] + 1e-3 * torch.randn(
        real.shape
    )  # four shapes, whatever their number
    assert sample_spread(Fixed(four), test, seed=0) < 0.03
    assert sample_spread(Fixed(torch.rand(real.shape)), test, seed=0) > 1.3


def test_samples_that_repeat_each_other_are_called_mode_collapse() -> None:
    found = find_collapse({"test/sample_spread": 0.05})
    assert found is not None
    assert found.kind == "modes"
    assert found.text.startswith("mode collapse: samples are 5 % as far from each other as images are")
    assert find_collapse({"test/sample_spread": 0.4}) is None


def test_swings_are_counted_from_end_to_end() -> None:
    assert swings([0.0, 1.0, 0.0, 1.0], 0.2, 0.8) == 3
    assert swings([0.0, 0.5, 1.0, 0.5, 0.9, 0.1], 0.2, 0.8) == 2
    assert swings([0.5] * 9, 0.2, 0.8) == swings([], 0.2, 0.8) == 0


def accuracies(real: float, fake: float) -> dict[str, float]:
    return {
        "discriminator/accuracy_real": real,
        "discriminator/accuracy_fake": fake,
        "generator/loss": 1.0,
    }


def gap_of(value: float) -> dict[str, float]:
    return {"critic/gap": value, "generator/loss": 1.0}


def test_a_discriminator_has_won_where_it_makes_no_errors_for_long() -> None:
    referee = Referee()
    told = [referee.look(accuracies(1.0, 0.999)) for _ in range(WON_WINDOWS + 5)]
    assert [bool(text) for text in told].index(True) == WON_WINDOWS - 1
    assert sum(map(bool, told)) == 1  # once
    assert told[WON_WINDOWS - 1].startswith(
        "the discriminator has won: it is right about 100.0 % of real and 99.9 %"
    )
    assert referee.look(accuracies(0.8, 0.9)) == ""
    again = [referee.look(accuracies(1.0, 1.0)) for _ in range(WON_WINDOWS)]
    assert [bool(text) for text in again] == [False] * (WON_WINDOWS - 1) + [True]
    aid = Referee()  # as to a context encoder, whose own group is `main`
    assert not any(
        aid.look({key: value for key, value in accuracies(1.0, 1.0).items() if key != "generator/loss"})
        for _ in range(3 * WON_WINDOWS)
    )
    careful = Referee()
    assert not any(careful.look(accuracies(1.0, 0.98)) for _ in range(3 * WON_WINDOWS))


def test_a_game_in_circles_is_told_from_one_that_drifts() -> None:
    circling = Referee()
    told = [circling.look(accuracies(level, level)) for level in (1.0, 0.8, 0.5, 0.97, 0.55, 0.9, 0.5, 0.99)]
    assert next(filter(None, told)).startswith("the game goes in circles: the discriminator's accuracy")
    drifting = Referee()
    falling = torch.linspace(1, 0.5, 40).tolist()
    assert not any(drifting.look(accuracies(level, level)) for level in falling)
    noisy = Referee()
    assert not any(noisy.look(accuracies(0.7 + 0.1 * (-1) ** n, 0.75)) for n in range(40))


def test_a_gap_that_swings_is_told_from_one_that_falls() -> None:
    circling = Referee()
    told = [circling.look(gap_of(gap)) for gap in (5.0, 1.0, 9.0, 5.0, 1.0, 10.0, 5.0, 0.5, 9.0, 5.0)]
    assert next(filter(None, told)).startswith("the game goes in circles: the critic's gap swings between")
    falling = Referee()
    gaps = (20 * torch.exp(-torch.arange(3 * SWINGS_WINDOWS) / 9)).tolist()
    assert not any(falling.look(gap_of(gap)) for gap in gaps)
    assert not any(Referee().look(gap_of(gap)) for gap in (0.0, -1.0, 1.0, -1.0, 0.0))  # around nothing


def warnings_of(folder: Path, *, generator_lr: float, discriminator_lr: float) -> list[str]:
    """The warnings of a real game on built-in digits, at these rates."""
    batch, steps = 32, 120
    experiment = shrink("gan", "digits", batch=batch, steps=steps, log_every_images=4 * batch)
    rates = {"generator": generator_lr, "discriminator": discriminator_lr}
    experiment = replace(
        experiment,
        watch=replace(
            experiment.watch,
            evaluate_every_images=batch * 40,
            panels_every_images=batch * steps,
            checkpoint_every_images=batch * steps,
        ),
        optim={name: replace(optim, lr=rates[name]) for name, optim in experiment.optim.items()},
    )
    trainer = make_trainer(experiment, folder)
    trainer.prepare(None)
    trainer.train()
    reader = RunReader(trainer.scribe.run)
    reader.refresh()
    assert min(reader.metrics.series["generator/grad_norm"].value) > 0
    return [str(event["text"]) for event in reader.events if event["kind"] == "warning"]


def test_a_generator_that_finds_what_a_slow_discriminator_likes_collapses(tmp_path: Path) -> None:
    told = warnings_of(tmp_path, generator_lr=5e-3, discriminator_lr=1e-6)
    assert any(text.startswith("mode collapse") for text in told)


def test_a_discriminator_against_a_generator_that_stands_still_wins(tmp_path: Path) -> None:
    told = warnings_of(tmp_path, generator_lr=1e-8, discriminator_lr=3e-3)
    assert any(text.startswith("the discriminator has won") for text in told)
