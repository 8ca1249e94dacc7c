"""Timing of training steps: how many are taken and when, what comes out of it, and that it changes no weight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from sslterm.config.schema import Experiment
from sslterm.data.source import load_source
from sslterm.engine import timing
from sslterm.engine.breakdown import PARTS, Stopwatch, parts_of
from sslterm.engine.timing import Steps, time_variants, variants_of
from sslterm.engine.turns import POINTS, Timing, Turn, Variant
from sslterm.errors import DivergedError
from tests.conformance.shrink import shrink

CPU = torch.device("cpu")
FLOAT32, BFLOAT16 = Variant("float32"), Variant("bfloat16")
COMPILED = Variant("float32", compile=True)


def silent(what: str, done: int, total: int) -> None: ...


class Hands:
    """A clock that only moves when it is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def steps_of(experiment: Experiment, **options: Any) -> Steps:
    return Steps(experiment, load_source(experiment.data), CPU, **options)


def fake_steps(
    cost: Callable[[str, float], float], *, draws: int = 1, seen: list[str] | None = None
) -> Steps:
    """Steps of 16 images (or `draws` times as many) that take cost(precision, progress) seconds of a clock."""
    hands = Hands()
    steps = steps_of(shrink("vae", "digits", steps=80), now=hands)

    def step(data: Any, update: Any) -> None:
        for _ in range(draws):
            next(data)
        hands.seconds += cost(update.precision, update.progress)
        if seen is not None:
            seen.append(update.precision)

    steps.method.step = step  # type: ignore[method-assign]
    return steps


def timed(steps: Steps, *variants: Variant, seconds: float) -> list[Timing]:
    timings: list[Timing] = []
    time_variants(steps, variants, seconds=seconds, timings=timings, progress=silent)
    return timings


def test_progress_says_how_many_turns_there_will_be() -> None:
    told: list[tuple[int, int]] = []
    steps = fake_steps(lambda *_: 0.125)
    timings: list[Timing] = []
    time_variants(
        steps,
        [FLOAT32],
        seconds=8.0,
        timings=timings,
        progress=lambda what, done, total: told.append((done, total)) if what == "timing" else None,
    )
    assert told == [(turn, 8) for turn in range(1, 9)]


def test_turns_are_as_many_as_there_is_time_for() -> None:
    (one,) = timed(fake_steps(lambda *_: 0.125), FLOAT32, seconds=8.0)
    assert [turn.steps for turn in one.turns] == [2] * 8  # at each of four points
    assert one.steps == 64
    assert one.seconds_per_step == 0.125
    assert one.images_per_second == 16 / 0.125
    assert one.quartiles == (0.125, 0.125)
    assert one.by_point == [0.125] * len(POINTS)
    assert not one.varies


def test_slow_steps_are_taken_a_few_times_all_the_same() -> None:
    (one,) = timed(fake_steps(lambda *_: 100.0), FLOAT32, seconds=1.0)
    assert [turn.steps for turn in one.turns] == [1] * timing.FEWEST_TURNS


def test_variants_take_turns_and_the_first_changes() -> None:
    seen: list[str] = []
    costs = {"float32": 1.0, "bfloat16": 0.5}
    steps = fake_steps(lambda precision, _: costs[precision], seen=seen)
    plain, half = timed(steps, FLOAT32, BFLOAT16, seconds=0.0)
    walk = len(POINTS)
    first, warm, turns = seen[:1], seen[1 : 1 + 2 * walk], seen[1 + 2 * walk :]
    assert first == ["float32"]
    assert warm == ["float32"] * walk + ["bfloat16"] * walk
    assert turns[::walk] == ["float32", "bfloat16", "bfloat16", "float32", "float32", "bfloat16"]
    assert half.images_per_second == 2 * plain.images_per_second


def test_the_rate_is_that_of_the_whole_training_where_steps_grow() -> None:
    (one,) = timed(fake_steps(lambda _, progress: 3.0 if progress > 0.5 else 1.0), FLOAT32, seconds=0.0)
    assert one.by_point == [1.0, 1.0, 3.0, 3.0]
    assert one.seconds_per_step == 2.0
    assert one.images_per_second == 16 / 2.0
    assert one.varies


def test_all_images_that_a_step_draws_are_counted() -> None:
    (one,) = timed(fake_steps(lambda *_: 1.0, draws=5), FLOAT32, seconds=0.0)
    assert one.images_per_second == 80.0
    assert one.seconds_per_step == 1.0


def test_what_is_told_is_the_median_over_turns() -> None:
    turns = [Turn(2, (32, 32), (each, each)) for each in (2.0, 9.0, 4.0, 3.0, 2.0)]
    one = Timing(FLOAT32, turns)
    assert one.seconds_per_step == 1.5
    assert one.quartiles == (1.0, 2.0)
    assert one.images_per_second == 32 / 3.0


def test_noise_is_no_growth() -> None:
    turns = [Turn(1, (16, 16), seconds) for seconds in ((1.0, 2.0), (1.0, 2.0), (2.0, 1.0))]
    assert not Timing(FLOAT32, turns).varies


def test_every_epoch_s_beginning_is_timed_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = fake_steps(lambda *_: 1.0)
    begun = []

    def begin_epoch(method: Any, sweep: Any, update: Any) -> None:
        begun.append((update.step, update.images, len(sweep(lambda images: images[:, 0, 0, 0]))))
        steps.now.seconds += 10.0 if update.step == 0 else 7.0  # type: ignore[attr-defined]

    monkeypatch.setattr(type(steps.method), "begin_epoch", begin_epoch)
    timed(steps, FLOAT32, seconds=0.0)
    assert begun == [(0, 0, 96), (6, 96, 96)]
    assert steps.epoch_seconds == (10.0, 7.0)
    assert steps.epochs == 14  # 80 steps of 16 of the 96 images


@pytest.mark.parametrize(
    ("method", "preset"), [("dcgan", "digits"), ("simclr", "patterns"), ("dino", "patterns")]
)
def test_weights_stay_and_optimizers_are_shared(method: str, preset: str) -> None:
    steps = steps_of(shrink(method, preset))
    before = [parameter.clone() for parameter in steps.method.parameters() if parameter.requires_grad]
    names = [name for name, parameter in steps.method.named_parameters() if parameter.requires_grad]
    plain, half = timed(steps, FLOAT32, BFLOAT16, seconds=0.0)
    after = dict(steps.method.named_parameters())
    for name, value in zip(names, before, strict=True):
        assert torch.equal(after[name], value), name
    assert plain.steps == half.steps == 3 * len(POINTS)
    assert steps.updater(FLOAT32).optimizers is steps.updater(BFLOAT16).optimizers
    assert steps.updater(BFLOAT16).precision == "bfloat16"


def test_memory_that_runs_out_leaves_the_others_to_be_timed() -> None:
    def cost(precision: str, progress: float) -> float:
        if precision == "float32" and progress > 0.8:
            raise torch.OutOfMemoryError
        return 1.0

    steps = fake_steps(cost)
    steps.taken = BFLOAT16
    plain, half = timed(steps, FLOAT32, BFLOAT16, seconds=0.0)
    assert (plain.fault, plain.turns) == ("out of memory on the device", [])
    assert (half.fault, len(half.turns)) == ("", 3)


def test_what_cannot_be_compiled_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise RuntimeError("no compiler\nand more")

    monkeypatch.setattr(torch, "compile", fail)
    steps = steps_of(shrink("vae", "digits"))
    steps.taken = COMPILED
    plain, compiled = timed(steps, FLOAT32, COMPILED, seconds=0.0)
    assert compiled.fault == "cannot be compiled: RuntimeError: no compiler"
    assert (plain.fault, len(plain.turns)) == ("", 3)


def test_losses_that_may_not_be_compiled_are_not_timed_as_if_they_were() -> None:
    steps = steps_of(shrink("nade", "digits"))
    steps.taken = COMPILED
    plain, compiled = timed(steps, FLOAT32, COMPILED, seconds=0.0)
    assert compiled.fault == "none of its losses can be compiled"
    assert plain.fault == ""
    assert steps.taken == FLOAT32  # which they are trained in
    (alone,) = timed(steps_of(shrink("nade", "digits")), COMPILED, seconds=0.0)
    assert (alone.fault, len(alone.turns)) == ("", 3)


def test_a_loss_that_is_not_finite_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = steps_of(shrink("vae", "digits"))
    there = steps.method.loss
    monkeypatch.setattr(steps.method, "loss", lambda batch: (there(batch)[0] * float("nan"), {}))
    with pytest.raises(
        DivergedError, match="main/loss is NaN or infinite with the first weights, in float32"
    ):
        timed(steps, FLOAT32, seconds=0.0)


@pytest.mark.parametrize(
    ("units", "asked", "compile_", "expected"),
    [
        (True, "float32", False, [FLOAT32, BFLOAT16]),
        (False, "float32", False, [FLOAT32]),
        (False, "bfloat16", False, [FLOAT32, BFLOAT16]),
        (False, "float32", True, [FLOAT32, COMPILED]),
    ],
)
def test_what_is_compared(
    units: bool, asked: str, compile_: bool, expected: list[Variant], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing, "has_bfloat16_units", lambda: units)
    monkeypatch.setattr(timing, "choose_precision", lambda asked, *_: "float32" if asked == "auto" else asked)
    steps = steps_of(shrink("vae", "digits"))
    steps.taken = Variant(asked, compile_)
    assert variants_of(steps) == expected


def test_auto_is_asked_beside_what_the_preset_wants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        timing, "choose_precision", lambda asked, *_: "bfloat16" if asked == "auto" else asked
    )
    steps = steps_of(shrink("vae", "digits"))  # float32 by name
    assert (steps.auto, steps.taken) == ("bfloat16", FLOAT32)


# -- where the time goes


def test_a_stopwatch_counts_time_for_the_innermost() -> None:
    hands, waits = Hands(), []
    watch = Stopwatch(hands, lambda: waits.append(hands.seconds))
    hands.seconds = 5.0
    with watch("outer"):
        hands.seconds += 1
        with watch("inner"):
            hands.seconds += 10
            with watch("outer"):
                hands.seconds += 100
        hands.seconds += 2
    hands.seconds += 50
    with watch("inner"):
        hands.seconds += 20
    assert watch.seconds == {"outer": 103.0, "inner": 30.0}
    assert len(waits) == 8


@pytest.mark.parametrize(
    ("method", "preset", "without"),
    [("vae", "digits", {"views"}), ("simclr", "patterns", set()), ("deepcluster", "patterns", set())],
)
def test_the_parts_of_a_step(method: str, preset: str, without: set[str]) -> None:
    steps = steps_of(shrink(method, preset))
    steps.begin(FLOAT32, silent)
    parts = parts_of(steps, FLOAT32, 1)
    assert list(parts) == [part for part in PARTS if part not in without]
    assert all(share > 0 for share in parts.values())
    assert sum(parts.values()) == pytest.approx(1.0)
    for optimizer in steps.updater(FLOAT32).optimizers.values():
        assert not optimizer._optimizer_step_pre_hooks
        assert not optimizer._optimizer_step_post_hooks
