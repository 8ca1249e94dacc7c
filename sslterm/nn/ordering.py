"""Tuples of frames out of a clip, drawn by motion, and the orders that they can be shown in."""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.nn.precision import in_float32
from sslterm.rows import rand


@in_float32
def motion(clips: Tensor) -> Tensor:
    """Mean absolute difference of successive frames of [B, T, C, H, W]: [B, T - 1]."""
    return clips.diff(dim=1).abs().flatten(2).mean(2)


@in_float32
def draw_tuples(moved: Tensor, tuples: Tensor, first: int, last: int, power: float) -> Tensor:
    """One tuple for each clip, with a probability in proportion to the motion in it to a power.

    Args:
        moved: [B, T - 1].
        tuples: [Q, n] rising numbers of frames.
        first, last: between which of its frames the motion is counted.
        power: 0 makes all tuples alike.

    Returns:
        [B, n].
    """
    travelled = F.pad(moved.cumsum(1), (1, 0))  # [B, T]
    begin, end = tuples[:, first], tuples[:, last]
    mean = (travelled[:, end] - travelled[:, begin]) / (end - begin)  # [B, Q]
    weight = (mean / mean.amax(1, keepdim=True).clamp_min(1e-12)).pow(power) + 1e-6  # of a still clip: any
    below = weight.cumsum(1) / weight.sum(1, keepdim=True)
    chosen = (below < rand(len(moved), 1, like=moved)).sum(1).clamp_max(len(tuples) - 1)
    return tuples[chosen]


def possible_tuples(total: int, task: str, shown: int, gap: int, span: int) -> list[tuple[int, ...]]:
    """Numbers of frames that can be drawn together from a clip of `total`, rising.

    Of verification they are a, b, c, d, e: a and b, and d and e, are `gap` or more apart, and b and d at most
    `span`. Of sorting any two are `gap` or more apart, and the first and the last at most `span`; 0 is any.
    """
    reach = span or total
    if task == "verification":
        return [
            (a, b, c, d, e)
            for a, b, c, d, e in itertools.combinations(range(total), 5)
            if b - a >= gap and e - d >= gap and d - b <= reach
        ]
    return [
        chosen
        for chosen in itertools.combinations(range(total), shown)
        if min(after - before for before, after in itertools.pairwise(chosen)) >= gap
        and chosen[-1] - chosen[0] <= reach
    ]


def orders(shown: int, *, directed: bool) -> tuple[list[tuple[int, ...]], list[int], list[str]]:
    """All n! orders, the class of each, and the names of the classes.

    Without a direction the class of an order is also that of its reverse, and bears the name of the one that
    begins with the earlier frame.
    """
    every = list(itertools.permutations(range(shown)))
    named = [order for order in every if directed or order[0] < order[-1]]
    number = {order: place for place, order in enumerate(named)}
    classes = [number.get(order, number.get(order[::-1], -1)) for order in every]
    return every, classes, ["".join(str(place + 1) for place in order) for order in named]


def differences(units: int, inputs: int, features: int) -> nn.Linear:
    """A linear layer over several frames' features whose units begin as differences of two of them."""
    layer = nn.Linear(inputs, units)
    pairs = list(itertools.permutations(range(inputs // features), 2))
    with torch.no_grad():
        weight = layer.weight.view(units, -1, features)
        for unit in range(units):
            one, other = pairs[unit % len(pairs)]
            kept = weight[unit, one].clone()
            weight[unit] = 0
            weight[unit, one], weight[unit, other] = kept, -kept
    return layer
