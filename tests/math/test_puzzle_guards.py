"""The guards of the puzzles act: pictures in which nothing but a shortcut gives the answer, read with and without.

What is read are the tiles just as the methods hand them to their networks. The readers know no pictures: they
compare borders, measure how far colours are shifted, or look at brightness; so whatever they get right, a
network could get right without having learned to see.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from sslterm.config.schema import ViewConfig
from sslterm.methods.pretext.context_prediction import STEPS, ContextPrediction
from sslterm.methods.pretext.jigsaw import Jigsaw
from tests.embedding_parts import ENCODER, STILL, inputs, view

SIDE = 48


def jigsaw(given: ViewConfig = STILL, **changes: object) -> Jigsaw:
    """Tiles that fill their cells, without any guard besides `changes`."""
    fields = {
        "tile": 16, "tile_features": 4, "head": (), "grid": 3, "permutations": 8, "normalize": False,
        "channel_shift": 0,
    }  # fmt: skip
    config = Jigsaw.Config(**{**ENCODER, **fields, **changes})  # type: ignore[arg-type]
    return Jigsaw(config, inputs(a=given, side=SIDE)).train()


def pairs(**changes: object) -> ContextPrediction:
    """Patches that touch, without any guard besides `changes`."""
    fields = {
        "tile": 14, "tile_features": 4, "head": (), "gap": 0, "jitter": 0, "pairs": 4, "colour": "keep",
        "least_side": 0,
    }  # fmt: skip
    config = ContextPrediction.Config(**{**ENCODER, **fields, **changes})  # type: ignore[arg-type]
    return ContextPrediction(config, inputs(a=STILL, side=SIDE)).train()


def cloth(n: int, cells: int, seed: int = 0) -> Tensor:
    """Grey textures, alike everywhere: whoever knows a piece of one knows nothing of where it lies."""
    noise = torch.randn(n, 1, cells, cells, generator=torch.Generator().manual_seed(seed))
    smooth = F.interpolate(noise, (SIDE, SIDE), mode="bicubic")
    return (0.5 + 0.12 * smooth).clamp(0, 1).expand(-1, 3, -1, -1).contiguous()


def tiles_seen(method: Jigsaw, images: Tensor) -> Tensor:
    """What the network gets of every cell, [N, 9, C, t, t]."""
    tiles = method.tiles(method.view(images))
    return method.seen(tiles.flatten(0, 1)).view_as(tiles)


def pairs_seen(method: ContextPrediction, images: Tensor) -> tuple[Tensor, Tensor]:
    """What the network gets of pairs, [N, 2, C, t, t], and the right answers."""
    patches, right = method.pairs(method.view(images))
    flat = method.guarded(patches).flatten(0, 1)
    return method.seen(flat.flatten(0, 1)).view_as(flat), right


def readable(features: Tensor, right: Tensor) -> float:
    """Share of the second half that a linear reader of the first half gets right."""
    half = len(features) // 2
    scaled = (features - features.mean(0)) / features.std(0).clamp_min(1e-12)
    reader = LogisticRegression(max_iter=300).fit(scaled[:half].numpy(), right[:half].numpy())
    return float(reader.score(scaled[half:].numpy(), right[half:].numpy()))


# -- continued edges


BESIDE = [number for number, (down, across) in enumerate(STEPS) if not down or not across]
"""The answers above, left, right and below, where patches share a side."""


def continued(patches: Tensor) -> Tensor:
    """On which side the second patch fits, by how little changes across the common border: [N] answers."""
    first, second = patches.unbind(1)
    misfit = []
    for answer in BESIDE:
        down, across = STEPS[answer]
        axis, onward = (2, down > 0) if down else (3, across > 0)
        last = first.shape[axis] - 1
        mine, other = first.select(axis, last if onward else 0), second.select(axis, 0 if onward else last)
        misfit.append((mine - other).square().mean((1, 2)))
    return torch.tensor(BESIDE)[torch.stack(misfit, dim=1).argmin(1)]


def test_a_gap_and_jitter_hide_continued_edges() -> None:
    """The four sides are read off touching borders nearly always, and hardly ever across a gap."""
    images = cloth(300, 16)
    found = {}
    for name, guards in {"none": {}, "gap": {"gap": 6}, "both": {"gap": 6, "jitter": 3}}.items():
        torch.manual_seed(0)
        patches, right = pairs_seen(pairs(**guards), images)  # type: ignore[arg-type]
        beside = torch.isin(right, torch.tensor(BESIDE))
        found[name] = float((continued(patches) == right)[beside].float().mean())
    assert found["none"] > 0.9
    assert found["gap"] < 0.35, "chance is 0.25"
    assert found["both"] < 0.35


def test_tiles_smaller_than_their_cells_hide_continued_edges() -> None:
    """Which tile is right of the left one? Of the eight others, the one whose border continues it."""
    images, found = cloth(200, 16), {}
    for tile in (16, 10):
        torch.manual_seed(0)
        tiles = tiles_seen(jigsaw(tile=tile), images)
        others = tiles[:, [0, 1, 2, 4, 5, 6, 7, 8]]
        misfit = (tiles[:, 3, None, :, :, -1] - others[..., 0]).square().mean((2, 3))
        found[tile] = float((misfit.argmin(1) == 3).float().mean())  # the centre
    assert found[16] > 0.9
    assert found[10] < 0.35


def test_jitter_hides_lines_that_a_gap_leaves() -> None:
    """A stripe through both patches, at one height to the pixel, says that they lie side by side.

    Stripes are so far apart that heights agree by chance seldom: with a gap alone the reader finds the patches
    beside each other; with jitter less often.
    """
    generator = torch.Generator().manual_seed(0)
    rows = torch.rand(400, SIDE, generator=generator) < 0.12
    images = 0.3 + 0.4 * rows[:, None, :, None].float().expand(-1, 3, -1, SIDE)
    found = {}
    for jitter in (0, 3):
        torch.manual_seed(0)
        patches, right = pairs_seen(pairs(gap=6, jitter=jitter), images)
        same = (patches[:, 0] - patches[:, 1]).abs().amax((1, 2, 3)) < 0.01
        beside = torch.tensor([down == 0 for down, _ in STEPS])[right]
        found[jitter] = float((same == beside).float().mean())
    assert found[0] > 0.9
    assert found[3] < found[0] - 0.1


# -- chromatic aberration


def aberrated(images: Tensor, most: float = 0.05) -> Tensor:
    """As through a lens that magnifies green more than red and blue, about the centre of the picture."""
    line = (torch.arange(SIDE) + 0.5) / SIDE * 2 - 1
    grid = torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1).expand(len(images), -1, -1, -1)
    green = F.grid_sample(images[:, 1:2], grid / (1 + most), padding_mode="border", align_corners=False)
    return torch.cat((images[:, :1], green, images[:, 2:]), dim=1)


def colour_shift(tiles: Tensor) -> Tensor:
    """How far green is shifted against red and blue, estimated by least squares: [N, 3, t, t] -> [N, 4]."""
    shifts = []
    for other in (0, 2):
        down, across = torch.gradient(tiles[:, other], dim=(1, 2))
        apart = tiles[:, 1] - tiles[:, other]
        for slope in (down, across):
            slope = slope - slope.mean((1, 2), keepdim=True)
            shifts.append((apart * slope).mean((1, 2)) / slope.square().mean((1, 2)).add(1e-9))
    return torch.stack(shifts, dim=1)


def test_a_lens_gives_the_place_of_a_tile_away_and_losing_colours_hides_it() -> None:
    images = aberrated(cloth(250, 24))
    place = torch.arange(9).repeat(250)
    found = {}
    grey: dict[str, Any] = {"given": view(crop=(1.0, 1.0), crop_ratio=(1.0, 1.0), flip=0.0, grey=1.0)}
    for name, guards in {"none": {}, "grey": grey, "channels": {"channel_shift": 2, "tile": 12}}.items():
        torch.manual_seed(0)
        tiles = tiles_seen(jigsaw(**guards), images)
        found[name] = readable(colour_shift(tiles.flatten(0, 1)), place)
    torch.manual_seed(0)
    found["tile"] = readable(colour_shift(tiles_seen(jigsaw(tile=12), images).flatten(0, 1)), place)
    assert found["none"] > 0.6, "and chance is 0.11"
    assert found["grey"] < 0.17
    assert found["channels"] < 0.6 * found["tile"]


@pytest.mark.parametrize("colour", ["project", "drop"])
def test_projection_and_dropping_hide_the_lens_from_pairs(colour: str) -> None:
    images, found = aberrated(cloth(400, 24)), {}
    for guard in ("keep", colour):
        torch.manual_seed(0)
        patches, right = pairs_seen(pairs(colour=guard), images)
        features = torch.cat([colour_shift(patches[:, which]) for which in (0, 1)], dim=1)
        features = torch.cat((features, features[:, :4] - features[:, 4:]), dim=1)
        found[guard] = readable(features, right)
    assert found["keep"] > 0.4, "and chance is 0.125"
    assert found[colour] < 0.19


# -- low-level statistics


@pytest.mark.parametrize("statistic", ["mean", "deviation"])
def test_normalization_hides_brightness_and_contrast(statistic: str) -> None:
    """Light from the upper left: every tile is brighter, or richer in contrast, than those below it.

    The reader sees numbers to a hundredth, as a network in half precision does.
    """
    line = torch.linspace(1, -1, SIDE)
    ramp = 0.2 * line[:, None] + 0.1 * line
    images = cloth(200, 24)
    images = images + ramp if statistic == "mean" else 0.5 + (images - 0.5) * (1 + 2 * ramp)
    found = {}
    for normalize in (False, True):
        torch.manual_seed(0)
        tiles = tiles_seen(jigsaw(normalize=normalize), images).flatten(0, 1)
        numbers = torch.stack((tiles.mean((1, 2, 3)), tiles.std((1, 2, 3))), dim=1)
        found[normalize] = readable((numbers * 100).round(), torch.arange(9).repeat(200))
    assert found[False] > (0.6 if statistic == "mean" else 0.3)
    assert found[True] < 0.17, "chance is 0.11"


def test_pixelation_hides_sharpness() -> None:
    """A lens is sharp in the middle: the softer of two patches lies outside, unless any may have few pixels."""
    line = torch.linspace(-1, 1, SIDE)
    images = cloth(400, 48)
    soft = F.avg_pool2d(F.pad(images, (2, 2, 2, 2), mode="reflect"), 5, stride=1)
    images = torch.lerp(images, soft, line.square().expand(SIDE, SIDE))  # towards the left and the right
    found = {}
    for least in (0, 4):
        torch.manual_seed(0)
        patches, right = pairs_seen(pairs(least_side=least), images)
        edges = patches.diff(dim=4).abs().mean((2, 3))  # [N, 2, t - 1]: sharpness from column to column
        found[least] = readable(
            edges.flatten(1).clamp_min(1e-3).log(), torch.tensor([across for _, across in STEPS])[right]
        )
    assert found[0] > 0.55, "chance of left, middle and right is 0.375"
    assert found[4] < found[0] - 0.1
