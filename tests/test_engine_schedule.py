"""Schedules against their closed forms."""

from __future__ import annotations

import math

import pytest

from sslterm.config.schema import ConstantSchedule, CosineSchedule, LinearSchedule, Schedule, StepSchedule
from sslterm.engine.schedule import factor
from sslterm.nn.ema import cosine_between

COSINE = CosineSchedule(name="cosine", warmup_images=100, final_fraction=0.1)


@pytest.mark.parametrize(
    ("schedule", "images", "expected"),
    [
        (ConstantSchedule(name="constant", warmup_images=0), 0, 1.0),
        (ConstantSchedule(name="constant", warmup_images=200), 50, 0.25),
        (LinearSchedule(name="linear", warmup_images=0, final_fraction=0.0), 250, 0.75),
        (LinearSchedule(name="linear", warmup_images=0, final_fraction=0.2), 1000, 0.2),
        (COSINE, 50, 0.5),
        (COSINE, 100, 1.0),
        (COSINE, 550, 0.55),
        (COSINE, 1000, 0.1),
        (COSINE, 5000, 0.1),
        (COSINE, 325, 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi / 4))),
        (StepSchedule(name="step", warmup_images=0, milestones_images=(300, 600), gamma=0.1), 299, 1.0),
        (StepSchedule(name="step", warmup_images=0, milestones_images=(300, 600), gamma=0.1), 300, 0.1),
        (StepSchedule(name="step", warmup_images=0, milestones_images=(300, 600), gamma=0.1), 900, 0.01),
    ],
)
def test_factor(schedule: Schedule, images: int, expected: float) -> None:
    assert factor(schedule, images=images, total_images=1000) == pytest.approx(expected, abs=1e-12)


def test_momentum_of_a_teacher_ends_at_one() -> None:
    assert cosine_between(0.99, 1.0, 0.0) == pytest.approx(0.99)
    assert cosine_between(0.99, 1.0, 0.5) == pytest.approx(0.995)
    assert cosine_between(0.99, 1.0, 1.0) == 1.0
