"""Frame order: tuples and orders by enumeration, what is drawn and asked, and that the guards act."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.methods.pretext.frame_order import FrameOrder
from sslterm.nn.ordering import draw_tuples, motion, orders, possible_tuples

INPUTS = Inputs(channels=3, height=16, width=16, train_images=10, frames=8)
CONFIG = FrameOrder.Config(
    task="sorting", shown=4, directed=False, gap=1, span=0, motion_power=1.0, ordered=0.5, jitter=0,
    channel_splitting=False, backbone="conv", widths=(8, 8), pixel_mean=(0.5,), pixel_std=(0.25,), grid=2,
    features=8, joint_features=8,
)  # fmt: skip


def make(inputs: Inputs = INPUTS, **changes: Any) -> FrameOrder:
    torch.manual_seed(0)
    return FrameOrder(replace(CONFIG, **changes), inputs)


def numbered(count: int = 400, frames: int = 8) -> Tensor:
    """Clips whose frame t has the value t / 10 all over."""
    return (torch.arange(frames) / 10).view(1, -1, 1, 1, 1).expand(count, -1, 3, 16, 16)


def shown_numbers(frames: Tensor) -> Tensor:
    """Which frames these are, [B, n]."""
    return (frames.mean((2, 3, 4)) * 10).round().long()


# -- tuples and orders


@pytest.mark.parametrize(("gap", "span"), [(1, 0), (2, 0), (1, 4), (2, 3)])
def test_tuples_of_verification_keep_their_distances(gap: int, span: int) -> None:
    expected = [
        (a, b, c, d, e)
        for a in range(9) for b in range(9) for c in range(9) for d in range(9) for e in range(9)
        if a + gap <= b < c < d <= e - gap and d - b <= (span or 99)
    ]  # fmt: skip
    assert possible_tuples(9, "verification", 3, gap, span) == expected
    assert expected


def test_tuples_of_sorting_keep_their_distances() -> None:
    found = possible_tuples(9, "sorting", 3, 2, 5)
    expected = [(a, b, c) for a in range(9) for b in range(a + 2, 9) for c in range(b + 2, 9) if c - a <= 5]
    assert found == expected


@pytest.mark.parametrize("shown", [3, 4, 5])
def test_an_order_and_its_reverse_are_one_class(shown: int) -> None:
    every, classes, names = orders(shown, directed=False)
    assert len(every) == math.factorial(shown)
    assert len(names) == math.factorial(shown) // 2
    assert set(Counter(classes).values()) == {2}
    class_of = dict(zip(every, classes, strict=True))
    for order in every:
        assert class_of[order] == class_of[order[::-1]]
        assert names[class_of[order]] in ("".join(str(i + 1) for i in one) for one in (order, order[::-1]))


def test_with_a_direction_every_order_is_a_class() -> None:
    every, classes, names = orders(4, directed=True)
    assert sorted(classes) == list(range(24)) == [classes[place] for place in range(24)]
    assert names == ["".join(str(i + 1) for i in order) for order in every]


# -- what is drawn


def test_motion_is_the_mean_difference_of_successive_frames() -> None:
    clips = torch.rand(2, 4, 3, 5, 6)
    expected = [[(clip[t + 1] - clip[t]).abs().mean().item() for t in range(3)] for clip in clips]
    torch.testing.assert_close(motion(clips), torch.tensor(expected))


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0])
def test_tuples_are_drawn_in_proportion_to_motion(power: float) -> None:
    tuples = torch.tensor([(0, 1, 2), (0, 2, 3), (1, 2, 3)])
    moved = torch.tensor([0.1, 0.3, 0.8])
    means = [0.2, 0.4, 0.55]  # between the first and the last frame of each
    torch.manual_seed(0)
    drawn = draw_tuples(moved.expand(20_000, 3), tuples, 0, -1, power)
    expected = [mean**power / sum(other**power for other in means) for mean in means]
    counts = Counter(tuple(row) for row in drawn.tolist())
    for one, share in zip(tuples.tolist(), expected, strict=True):
        assert counts[tuple(one)] / 20_000 == pytest.approx(share, abs=0.015)


def test_of_a_still_clip_any_tuple_is_drawn() -> None:
    tuples = torch.tensor([(0, 1), (0, 2), (1, 2)])
    torch.manual_seed(0)
    drawn = draw_tuples(torch.zeros(3000, 2), tuples, 0, -1, 2.0)
    counts = Counter(tuple(row) for row in drawn.tolist())
    assert min(counts.values()) > 900


# -- what is asked


def test_verification_asks_whether_the_middle_frame_lies_between() -> None:
    """b and d are the same for tuples in order and for those not; so only the middle tells (§3.1)."""
    method = make(task="verification", shown=3, gap=2, span=3, ordered=0.25)
    torch.manual_seed(0)
    frames, answer, places = method.ask(numbered(2000), 0.25)
    shown = shown_numbers(frames)
    assert torch.equal(shown, places)
    first, middle, last = shown.unbind(1)
    low, high = torch.minimum(first, last), torch.maximum(first, last)
    between = (low < middle) & (middle < high)
    assert torch.equal(between, answer == 1)
    assert answer.float().mean() == pytest.approx(0.25, abs=0.03)
    outside = ~between
    assert ((middle <= low - 2) | (middle >= high + 2))[outside].all(), "nearer than tau_min"
    assert (high - low <= 3).all(), "farther than tau_max"
    assert (middle < low)[outside].float().mean() == pytest.approx(0.5, abs=0.05)
    for rows in (between, outside):  # reversed as often as not
        assert (first < last)[rows].float().mean() == pytest.approx(0.5, abs=0.06)
    spans = [(high - low)[rows] for rows in (between, outside)]
    for distance in (2, 3):
        shares = [(distances == distance).float().mean().item() for distances in spans]
        assert shares[0] == pytest.approx(shares[1], abs=0.08), "the distance of b and d tells the answer"


@pytest.mark.parametrize("directed", [False, True])
def test_sorting_asks_for_the_order(directed: bool) -> None:
    method = make(directed=directed)
    torch.manual_seed(0)
    frames, answer, places = method.ask(numbered(3000), 0.5)
    shown = shown_numbers(frames)
    assert torch.equal(shown, places)
    for row, number in zip(shown[:300].tolist(), answer[:300].tolist(), strict=True):
        ranks = [sorted(row).index(place) for place in row]
        name = "".join(str(rank + 1) for rank in ranks)
        assert method.names[number] in ({name} if directed else {name, name[::-1]})
    counts = answer.bincount(minlength=len(method.names)) / len(answer)
    assert counts.sub(1 / len(method.names)).abs().max() < 0.03


def test_pairs_see_both_frames_and_the_classifier_all_pairs() -> None:
    method = make().eval()
    assert method.pairs == list(itertools.combinations(range(4), 2))
    frames = torch.rand(2, 4, 3, 16, 16)
    with torch.no_grad():
        features = torch.stack(
            [method.features(method.encoder.layers(frames[:, i])) for i in range(4)], dim=1
        )
        parts = [method.joint(torch.cat((features[:, i], features[:, j]), dim=1)) for i, j in method.pairs]
        expected = method.classifier(torch.cat(parts, dim=1))
        torch.testing.assert_close(method.classify(frames), expected)


def test_answers_allow_for_how_many_tuples_were_in_order_in_training() -> None:
    """Bayes: logits learned at a share of 0.2 are shifted by log(0.5 / 0.2) - log(0.5 / 0.8) at a share of a half."""
    method = make(task="verification", shown=3, ordered=0.2).eval()
    frames = torch.rand(64, 3, 3, 16, 16)
    with torch.no_grad():
        margin = method.classify(frames).diff(dim=1).squeeze(1)
        method.classifier.bias[1] -= margin.median() + 0.5 * math.log(4)  # between the two thresholds
        margin = method.classify(frames).diff(dim=1).squeeze(1)
        assert torch.equal(method.answers(frames, 0.5) == 1, margin > -math.log(4))
        assert torch.equal(method.answers(frames, 0.2) == 1, margin > 0)
        assert (method.answers(frames, 0.5) != method.answers(frames, 0.2)).any()


# -- the guards


def sorted_right(method: FrameOrder, clips: Tensor, clue: Any) -> float:
    """How often an order is read off one number of each frame."""
    torch.manual_seed(0)
    frames, answer, _ = method.ask(clips, 0.5)
    ranks = clue(frames).argsort(1).argsort(1)
    names = ["".join(str(int(rank) + 1) for rank in row) for row in ranks]
    right = [
        method.names[int(number)] in (name, name[::-1]) for name, number in zip(names, answer, strict=True)
    ]
    return sum(right) / len(right)


def test_jitter_hides_where_in_the_frame_things_are() -> None:
    """A dot that drifts by a pixel a frame tells the order by its column, unless frames are shifted at random."""
    clips = torch.zeros(300, 8, 3, 16, 16)
    for t in range(8):
        clips[:, t, :, 8, 4 + t] = 1

    def column(frames: Tensor) -> Tensor:
        return frames.sum((2, 3)).argmax(2)

    assert sorted_right(make(), clips, column) == 1
    assert sorted_right(make(jitter=4), clips, column) < 0.6


def test_channel_splitting_hides_colour() -> None:
    """Frames of equal brightness whose hue drifts tell the order by it, unless one channel stands for all."""
    drift = (torch.arange(8) / 20).view(1, 8, 1, 1)
    clips = torch.full((300, 8, 3, 16, 16), 0.5)
    clips[:, :, 0] += drift
    clips[:, :, 1] -= drift

    def hue(frames: Tensor) -> Tensor:
        return (frames[:, :, 0] - frames[:, :, 1]).mean((2, 3)) + 1e-6 * torch.rand(frames.shape[:2])

    assert sorted_right(make(), clips, hue) == 1
    assert sorted_right(make(channel_splitting=True), clips, hue) < 0.3
    frames, _, _ = make(channel_splitting=True).ask(torch.rand(20, 8, 3, 16, 16), 0.5)
    assert torch.equal(frames, frames[:, :, :1].expand_as(frames))


# -- learning, and what is refused


def test_a_little_training_sorts_a_dot_that_moves() -> None:
    torch.manual_seed(0)
    start, columns = torch.randint(0, 8, (64,)), torch.arange(16)
    clips = torch.stack(
        [(columns == start[:, None] + t).float()[:, None, None].expand(-1, 3, 16, 16) for t in range(8)],
        dim=1,
    )
    method = make(grid=8, features=32, joint_features=32, widths=(16,), shown=3)
    optimizer = torch.optim.Adam(method.parameters(), 0.004)
    batch = Batch(clips, torch.arange(64), torch.full((64,), -1))
    for _ in range(120):
        optimizer.zero_grad()
        method.loss(batch)[0].backward()
        optimizer.step()
    with torch.no_grad():
        accuracy = method.eval().solve(clips)["accuracy"].mean().item()
    assert accuracy > 0.8  # chance 1/3


def test_chance_is_said() -> None:
    assert make().solved["accuracy"] == "share (chance 0.0833)"
    assert make(directed=True).solved["accuracy"] == "share (chance 0.0417)"
    assert make(task="verification", shown=3).solved["accuracy"] == "share (chance 0.5)"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "verification"}, "verification shows three frames"),
        ({"shown": 2}, "have 2 orders"),
        ({"shown": 7}, "have 5,040 orders"),
        ({"joint_features": 0}, "features of pairs"),
        ({"jitter": 16}, "leaves nothing of 16x16"),
        ({"gap": 3}, "no 4 frames of a clip are 3 apart within 8"),
        ({"widths": ()}, "method.widths"),
    ],
)
def test_what_cannot_work_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make(**changes)


def test_short_clips_are_refused() -> None:
    with pytest.raises(UsageError, match=r"data\.frames = 3: frame-order needs 4"):
        make(replace(INPUTS, frames=3))
    with pytest.raises(UsageError, match=r"data\.frames = 4: frame-order needs 5"):
        make(replace(INPUTS, frames=4), task="verification", shown=3)
