"""Video colorization: the loss against loops, the clusters of colour, and tracking of what moves."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.methods.pretext.video_colorization import (
    VideoColorization,
    cross_entropy,
    evenly,
    grey,
    in_lab,
    quantized,
)
from sslterm.nn.lab import lab_to_rgb
from sslterm.nn.pointing import likeness

INPUTS = Inputs(channels=3, height=16, width=20, train_images=10, frames=3)
CONFIG = VideoColorization.Config(
    network="conv", widths=(8, 8), strides=(2, 1), dimensions=6, coordinates=False, unit_length=False, crop=0,
    colours=5, temperature=1.0, tracking_temperature=0.1, recent_frames=1, radius=0, strongest=1,
)  # fmt: skip


def make(inputs: Inputs = INPUTS, **changes: Any) -> VideoColorization:
    torch.manual_seed(0)
    return VideoColorization(replace(CONFIG, **changes), inputs)


def clips(count: int = 2, frames: int = 3) -> Tensor:
    return torch.rand(count, frames, 3, 16, 20, generator=torch.Generator().manual_seed(1))


def test_the_loss_is_the_cross_entropy_of_copied_colours() -> None:
    method, images = make().eval(), clips()
    with torch.no_grad():
        loss, _ = method.loss(Batch(images, torch.arange(2), torch.full((2,), -1)))
        lab = in_lab(images)
        embeddings = method.embed(lab).double()
        colours = quantized(lab, method.centres, 2)
    terms = []
    for b in range(2):
        for y in range(8):
            for x in range(10):
                weights = (
                    (embeddings[b, -1, :, y, x, None] * embeddings[b, :2].transpose(0, 1).flatten(1))
                    .sum(0)
                    .exp()
                )
                same = colours[b, :2].flatten() == colours[b, -1, y, x]
                terms.append(-math.log(float(weights[same].sum() / weights.sum())))
    assert loss.item() == pytest.approx(sum(terms) / len(terms), rel=1e-4)


def test_gradients_are_those_of_finite_differences() -> None:
    target, references = (torch.randn(2, 3, 4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    labels = torch.tensor([[0, 1, 1, 2], [2, 0, 0, 1]])

    def loss(target: Tensor, references: Tensor) -> Tensor:
        return cross_entropy(likeness(target, references, 0.5), labels, labels.flip(1))

    assert torch.autograd.gradcheck(loss, (target, references))


def test_pointers_too_weak_for_a_float_are_learned_from() -> None:
    logits = torch.tensor([[[0.0, -200.0, 3.0]]], requires_grad=True)
    loss = cross_entropy(logits, torch.tensor([[0, 1, 0]]), torch.tensor([[1]]))
    loss.backward()
    assert loss.item() == pytest.approx(203 + math.log(1 + math.exp(-3)))
    assert logits.grad is not None
    assert logits.grad[0, 0, 1].item() == pytest.approx(-1)


def test_a_colour_that_no_reference_has_asks_for_nothing() -> None:
    logits = torch.randn(1, 2, 3, requires_grad=True)
    loss = cross_entropy(logits, torch.tensor([[0, 1, 0]]), torch.tensor([[2, 1]]))
    alone = cross_entropy(logits[:, 1:], torch.tensor([[0, 1, 0]]), torch.tensor([[1]]))
    torch.testing.assert_close(loss, alone / 2)
    loss.backward()
    assert logits.grad is not None
    assert logits.grad[0].any(1).tolist() == [False, True]


def test_a_place_takes_the_cluster_nearest_to_its_mean_colour() -> None:
    method = make()
    colours = quantized(in_lab(clips()), method.centres, 2)
    assert colours.shape == (2, 3, 8, 10)
    ab = in_lab(clips())[1, 2, 1:]
    for y, x in ((0, 0), (3, 7), (7, 9)):
        mean = ab[:, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].mean((1, 2))
        distances = [(mean - centre).square().sum().item() for centre in method.centres]
        assert colours[1, 2, y, x] == distances.index(min(distances))


def test_clusters_are_found_once_and_are_those_of_the_data() -> None:
    """Frames of four colours, each place of one: k-means with four centres finds them."""
    palette = torch.tensor([[60.0, 40, 20], [60, -40, 30], [60, 10, -50], [60, 0, 0]])
    which = torch.randint(4, (10, 3, 8, 10), generator=torch.Generator().manual_seed(0))
    lab = palette[which].movedim(4, 2).repeat_interleave(2, 3).repeat_interleave(2, 4)
    images = lab_to_rgb(lab)
    method = make(colours=4)
    seen = []

    def sweep(fn: Any, index: Tensor) -> Tensor:
        seen.append(index.tolist())
        return torch.as_tensor(fn(images[index]))

    update: Any = SimpleNamespace(step=0)
    torch.manual_seed(0)
    method.begin_epoch(sweep, update)  # type: ignore[arg-type]
    assert seen == [list(range(10))]
    found = sorted(tuple(round(value) for value in centre) for centre in method.centres.tolist())
    assert found == sorted((int(a), int(b)) for _, a, b in palette.tolist())
    torch.testing.assert_close(quantized(in_lab(images), method.centres, 2).unique(), torch.arange(4))
    method.begin_epoch(sweep, update)  # type: ignore[arg-type]
    assert len(seen) == 1, "found again"
    restored = make(colours=4)
    restored.load_state_dict(method.state_dict())
    assert bool(restored.fitted)
    assert torch.equal(restored.centres, method.centres)


def test_training_sees_one_square_of_all_frames_and_evaluation_the_middle() -> None:
    method = make(crop=6)
    numbered = torch.arange(16 * 20.0).view(1, 1, 1, 16, 20).expand(50, 3, 3, 16, 20) / 320
    torch.manual_seed(0)
    cut = method.train().cut(numbered)
    assert cut.shape == (50, 3, 3, 6, 6)
    assert torch.equal(cut, cut[:, :1, :1].expand_as(cut)), "frames are cut at different places"
    corners = {(int(v) // 20, int(v) % 20) for v in (cut[:, 0, 0, 0, 0] * 320).round()}
    assert len(corners) > 30
    assert all(top <= 10 and left <= 14 for top, left in corners)
    steps = (cut[:, 0, 0].diff(dim=1) * 320).round()
    assert (steps == 20).all(), "not a square of the frame"
    assert torch.equal(method.eval().cut(numbered), numbered[..., 5:11, 7:13])


def test_embeddings_see_no_colour() -> None:
    lab = in_lab(clips())
    other = lab.clone()
    other[:, :, 1:] = 0
    method = make().eval()
    with torch.no_grad():
        assert torch.equal(method.embed(lab), method.embed(other))
    assert grey(torch.tensor([[[[0.0, 50, 100]], [[7.0, 7, 7]]]])).flatten().tolist() == [-1, 0, 1]


def test_unit_length_and_coordinates_do_what_they_say() -> None:
    with torch.no_grad():
        lengths = make(unit_length=True).eval().embed(in_lab(clips())).norm(dim=2)
        torch.testing.assert_close(lengths, torch.ones_like(lengths))
        flat = torch.full((1, 2, 3, 16, 20), 0.5)
        without, with_them = (make(coordinates=on).eval().embed(in_lab(flat)) for on in (False, True))
    inside = (..., slice(2, -2), slice(2, -2))  # away from the padding, a flat frame is the same everywhere
    assert without[inside].flatten(3).std(3).max() < 1e-5
    assert with_them[inside].flatten(3).std(3).max() > 1e-2


def test_solve_counts_places_and_compares_with_the_same_place() -> None:
    method, images = make().eval(), clips(3)
    images[2] = images[2, :1]  # nothing moves
    with torch.no_grad():
        figures = method.solve(images)
    colours = quantized(in_lab(images), method.centres, 2)
    same = (colours[:, -1] == colours[:, -2]).float().mean((1, 2))
    torch.testing.assert_close(figures["colour_same_place"], same)
    assert figures["colour_same_place"][2] == 1
    assert ((figures["colour"] > 0) & (figures["colour"] <= 1)).all()


def test_tracking_follows_a_textured_square() -> None:
    """Random features suffice where every place looks different and all of it moves by whole places."""
    ground = torch.rand(3, 16, 20, generator=torch.Generator().manual_seed(4))
    clip = torch.stack([ground.roll(2 * t, 2) for t in range(4)])
    mask = torch.zeros(1, 16, 20)
    mask[0, 4:10, 6:12] = 1
    method = make(unit_length=True, radius=2, widths=(32, 32), dimensions=32).eval()
    with torch.no_grad():
        for tracked in (method.track(clip, mask), method.track_pixels(clip, mask)):
            assert torch.equal(tracked[0], mask)
            for t in range(1, 4):
                hard, truth = tracked[t] > 0.5, mask.roll(2 * t, 2) > 0.5
                assert (hard & truth).sum() / (hard | truth).sum() > 0.8


def test_what_cannot_work_is_refused() -> None:
    for inputs, message in (
        (replace(INPUTS, frames=0), "still images"),
        (replace(INPUTS, frames=1), "data.frames = 1"),
        (replace(INPUTS, channels=1), "these are grey"),
    ):
        with pytest.raises(UsageError, match=message):
            make(inputs)
    with pytest.raises(UsageError, match=r"method\.crop = 17, and frames have 20x16 pixels"):
        make(crop=17)
    with pytest.raises(UsageError, match="as many strides"):
        make(strides=(2,))


def test_numbers_are_evenly_spread() -> None:
    assert evenly(5, 9).tolist() == [0, 1, 2, 3, 4]
    assert evenly(101, 5).tolist() == [0, 25, 50, 75, 100]
