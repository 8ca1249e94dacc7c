"""Learning-rate factors as functions of the images seen: nothing to save, nothing to resume."""

from __future__ import annotations

import math

from sslterm.config.schema import ConstantSchedule, CosineSchedule, LinearSchedule, Schedule, StepSchedule


def factor(schedule: Schedule, *, images: int, total_images: int) -> float:
    """What the base rate is multiplied by once `images` of `total_images` have been drawn.

    During the warm-up the factor rises linearly from 0 to 1; the schedule's own course begins after it.
    """
    if images < schedule.warmup_images:
        return images / schedule.warmup_images
    span = max(total_images - schedule.warmup_images, 1)
    done = min((images - schedule.warmup_images) / span, 1.0)
    match schedule:
        case ConstantSchedule():
            return 1.0
        case LinearSchedule(final_fraction=final):
            return 1.0 + (final - 1.0) * done
        case CosineSchedule(final_fraction=final):
            return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * done))
        case StepSchedule(milestones_images=milestones, gamma=gamma):
            return float(gamma ** sum(images >= milestone for milestone in milestones))
