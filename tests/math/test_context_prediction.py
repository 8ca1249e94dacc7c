"""Context prediction: where patches lie, what the pair head sees, and the guards against shortcuts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.augment.aberration import project
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.methods.pretext.context_prediction import (
    PLACES,
    STEPS,
    ContextPrediction,
    pairs_panel,
    pixelate,
)
from tests.embedding_parts import ENCODER, STILL, batch_of, images_of, inputs

SIDE = 32


def build(given: Inputs | None = None, **changes: object) -> ContextPrediction:
    fields = {
        "tile": 8, "tile_features": 6, "head": (10,), "gap": 4, "jitter": 2, "pairs": 3, "colour": "keep",
        "least_side": 0,
    }  # fmt: skip
    torch.manual_seed(0)
    config = ContextPrediction.Config(**{**ENCODER, **fields, **changes})  # type: ignore[arg-type]
    return ContextPrediction(config, given or inputs(a=STILL, side=SIDE))


def numbered(n: int) -> Tensor:
    """Images whose pixels say where they are: row * side + column."""
    return torch.arange(float(SIDE * SIDE)).view(1, 1, SIDE, SIDE).expand(n, 3, SIDE, SIDE)


def places(patches: Tensor) -> Tensor:
    """Row and column of the upper left corner of patches [N, 2, C, t, t]: [N, 2, 2]."""
    corner = patches[:, :, 0, 0, 0].long()
    return torch.stack((corner // SIDE, corner % SIDE), dim=2)


def test_the_second_patch_lies_where_it_is_said() -> None:
    method = build()
    patches, right = method.pairs(numbered(800))
    assert patches.shape == (800, 3, 2, 3, 8, 8)
    assert (patches[:, :, :, 0].diff(dim=4) == 1).all(), "patches are pieces of the picture"
    found = places(patches.flatten(0, 1))
    away = (found[:, 1] - found[:, 0]).double()
    for answer, (down, across) in enumerate(STEPS):
        steps = away[right == answer]
        expected = torch.tensor([12.0 * down, 12.0 * across], dtype=torch.float64)  # tile + gap
        assert (steps - expected).abs().max() == 4, "jitter of 2 of both"
        assert (steps.mean(0) - expected).abs().max() < 0.4
    share = torch.bincount(right, minlength=8) / len(right)
    assert (share - 1 / 8).abs().max() < 0.03
    # Neighbours never overlap nor touch beyond what jitter leaves of the gap.
    assert (away.abs().amax(1) >= 8).all()


def test_patches_lie_everywhere() -> None:
    """Row and column of either patch reach both borders, so that the place in the picture is not the answer."""
    patches, right = build().pairs(numbered(2000))
    found = places(patches.flatten(0, 1))
    assert found.amin((0, 1)).tolist() == [0, 0]
    assert found.amax((0, 1)).tolist() == [SIDE - 8, SIDE - 8]
    for answer, (down, _) in enumerate(STEPS):
        rows = found[right == answer][:, 0, 0]
        low, high = 12 * (down < 0), SIDE - 8 - 12 * (down > 0)
        assert (rows.min(), rows.max()) == (low, high)


def test_without_gap_and_jitter_neighbours_are_continued() -> None:
    patches, right = build(gap=0, jitter=0).pairs(numbered(200))
    found = places(patches.flatten(0, 1))
    assert torch.equal(found[:, 1] - found[:, 0], 8 * torch.tensor(STEPS)[right])


def test_the_loss_asks_for_the_place_of_the_second() -> None:
    method, batch = build().eval(), batch_of(5, side=SIDE)
    torch.manual_seed(4)
    loss, aux = method.loss(batch)
    torch.manual_seed(4)
    method.view(batch.images)
    patches, right = method.pairs(batch.images)
    logits = []
    for pair in patches.flatten(0, 1):
        towers = [method.tower(method.encoder.layers(patch[None])["stage2"].flatten(1)) for patch in pair]
        logits.append(method.head(torch.cat(towers, dim=1)))  # the first, then the second
    torch.testing.assert_close(loss, F.cross_entropy(torch.cat(logits), right), rtol=1e-5, atol=1e-6)
    hits = torch.cat(logits).argmax(1) == right
    assert aux["accuracy"].item() == pytest.approx(hits.float().mean().item())


def test_accuracy_is_the_share_of_the_pairs_of_an_image() -> None:
    method, images = build().eval(), images_of(6, side=SIDE)
    torch.manual_seed(1)
    (accuracy,) = method.solve(images).values()
    torch.manual_seed(1)
    patches, right = method.pairs(images)
    hits = (method.place(patches).argmax(1) == right).view(6, 3).float()
    torch.testing.assert_close(accuracy, hits.mean(1))


def test_colours_are_projected_dropped_or_kept() -> None:
    images = images_of(4, side=8)
    patches = torch.rand(4, 3, 2, 3, 8, 8)
    assert torch.equal(build().seen(images), images)
    assert torch.equal(build().guarded(patches), patches)
    projected = build(colour="project").eval()
    assert torch.equal(projected.seen(images), project(images))
    assert torch.equal(projected.encode(images), projected.encoder(project(images)))
    dropped = build(colour="drop").guarded(patches)
    same = (dropped == patches).flatten(4).all(4)  # [B, n, 2, C]
    assert (same.sum(3) == 1).all()


def test_pixelation_leaves_few_numbers_of_some_patches_in_training() -> None:
    torch.manual_seed(0)
    patches = torch.rand(40, 6, 1, 16, 16)
    result = pixelate(patches, 4)
    ranks = torch.linalg.matrix_rank(result[:, :, 0].double(), atol=1e-5)
    counts = torch.bincount(ranks.flatten(), minlength=17)
    assert counts.nonzero().flatten().tolist() == [4, 6, 8, 16], "sides of 4, 6 and 8 pixels, and untouched"
    assert (counts[[4, 6, 8, 16]] / 240 - 0.25).abs().max() < 0.1
    untouched = (result == patches).flatten(2).all(2)
    assert torch.equal(untouched, ranks == 16)
    torch.testing.assert_close(result.mean((2, 3, 4)), patches.mean((2, 3, 4)), rtol=0, atol=0.02)
    method, pairs = build(least_side=3), torch.rand(4, 3, 2, 3, 8, 8)
    assert not torch.equal(method.train().guarded(pairs), pairs)
    assert torch.equal(method.eval().guarded(pairs), pairs)


def test_the_panel_puts_patches_where_they_were_said_to_be() -> None:
    patches = torch.rand(2, 2, 3, 4, 4)
    panel = pairs_panel(patches, torch.tensor([2, 6]), torch.tensor([2, 3]))
    boards = torch.from_numpy(panel.array)
    assert boards.shape == (2, 3, 24, 24)

    def cell(board: Tensor, row: int, column: int) -> Tensor:
        return board[:, 8 * row + 1 : 8 * row + 7, 8 * column + 1 : 8 * column + 7]

    for board, pair in zip(boards, patches, strict=True):
        assert torch.equal(cell(board, 1, 1)[:, 1:-1, 1:-1], pair[0])
    right = cell(boards[0], 0, 2)
    assert torch.equal(right[:, 1:-1, 1:-1], patches[0, 1])
    assert right[1, 0, 0] > right[0, 0, 0], "green"
    wrong, truth = cell(boards[1], 1, 0), cell(boards[1], 2, 1)
    assert torch.equal(wrong[:, 1:-1, 1:-1], patches[1, 1])
    assert wrong[0, 0, 0] > wrong[1, 0, 0], "red"
    assert truth[:, 0, 0].tolist() == [1, 1, 1]
    assert len(PLACES) == len(STEPS)


def test_what_does_not_fit_is_refused_with_what_does() -> None:
    with pytest.raises(UsageError, match="two patches of 13, a gap of 4 and jitter of 2 need 34") as caught:
        build(tile=13)
    assert "method.tile=12 or less" in caught.value.hint
    assert "augment.a.size=34" in caught.value.hint
    build(tile=12)
    with pytest.raises(UsageError, match="lets patches overlap") as caught:
        build(jitter=3)
    assert "method.jitter=2, or method.gap=6" in caught.value.hint
    with pytest.raises(UsageError, match="need 36"):
        build(gap=10, jitter=5)
    grey = replace(inputs(a=STILL, side=SIDE), channels=1)
    with pytest.raises(UsageError, match="colour = project needs images of 3 channels"):
        build(given=grey, colour="project")
    build(given=grey)
    with pytest.raises(UsageError, match="no reduction of patches of 8 pixels"):
        build(least_side=8)


def test_images_that_are_not_square_have_pairs_too() -> None:
    method = build(given=replace(inputs(a=STILL, side=SIDE), width=48)).eval()
    patches, _ = method.pairs(torch.rand(50, 3, 32, 48))
    assert patches.shape == (50, 3, 2, 3, 8, 8)
