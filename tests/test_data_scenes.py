"""Scenes: what stands in them, where, in what light; and that the class is hidden from raw pixels."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.config.schema import DataConfig
from sslterm.data import scenes
from sslterm.data.catalog import THINGS
from sslterm.data.procedural import Block
from sslterm.data.progress import silent
from sslterm.data.source import Source, load_source, seeded
from sslterm.data.standing import DRAWN, HALF_WIDTHS, HEIGHTS, Paint

every_thing = pytest.mark.parametrize("number", range(len(THINGS)), ids=THINGS)


def load(*, size: int = 32, train: int = 200, test: int = 10) -> Source:
    config = DataConfig(name="scenes", path="", size=size, train_images=train, test_images=test, seed=0)
    return load_source(config, silent)


def grid(step: float) -> tuple[Tensor, Tensor]:
    """Points of [-0.7, 0.7] x [-0.1, 1.1], y up, float64."""
    x, y = torch.meshgrid(
        torch.arange(-0.7, 0.7, step, dtype=torch.float64),
        torch.arange(-0.1, 1.1, step, dtype=torch.float64),
        indexing="xy",
    )
    return x, y


def outline(number: int, x: Tensor, y: Tensor) -> Tensor:
    """Distance to the nearest part of a thing."""
    return torch.stack([part for part, _ in DRAWN[number](x, y)]).amin(0)


@every_thing
def test_things_stand_on_the_ground_and_are_as_large_as_is_said(number: int) -> None:
    x, y = grid(0.002)
    inside = outline(number, x, y) < 0
    assert -0.04 < y[inside].min() < 0.01, "feet may sink in a little"
    assert abs(y[inside].max() - HEIGHTS[number]) < 0.006
    assert abs(x[inside].abs().max() - HALF_WIDTHS[number]) < 0.006


@every_thing
def test_parts_have_distances_beside_their_outlines(number: int) -> None:
    """The slope is 1 there, so that an edge is one pixel wide; corners inside of several parts aside."""
    x, y = grid(0.002)
    for part, _ in DRAWN[number](x, y):
        slopes = torch.hypot(*torch.gradient(part, spacing=0.002))[part.abs() < 0.004]
        assert len(slopes) > 50
        assert ((slopes - 1).abs() < 0.08).double().mean() > 0.9


@every_thing
def test_drawing_leaves_its_coordinates_alone(number: int) -> None:
    x, y = grid(0.05)
    before = x.clone(), y.clone()
    parts = DRAWN[number](x, y)
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])
    assert all(part.shape == x.shape for part, _ in parts)
    assert {paint for _, paint in parts} <= set(Paint)


def test_no_two_things_have_one_outline() -> None:
    x, y = grid(0.01)
    shapes = torch.stack([outline(number, x, y) < 0 for number in range(10)]).flatten(1).double()
    shared = shapes @ shapes.T
    union = shapes.sum(1)[:, None] + shapes.sum(1) - shared
    overlap = (shared / union).fill_diagonal_(0)
    assert overlap.max() < 0.85


def without_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "NOISE", 0.0)


def painted(
    monkeypatch: pytest.MonkeyPatch, size: int, rows: int = 128
) -> tuple[Tensor, Tensor, scenes.Stage]:
    """Coverage by the thing in front of each scene, [N, S, S] in [0, 1], the classes, and the stage."""
    monkeypatch.setattr(scenes, "_paints", lambda block: torch.ones(block.rows, 5, 3))
    block = Block(seeded(3), rows)
    thing, stage = block.integers(10), scenes.Stage.draw(block, size)
    images = torch.zeros(rows, 3, size, size)  # a shadow on black is black
    scenes._stand(block, stage, images, thing)
    return (images[:, 0] > 0.25).float(), thing, stage


@pytest.mark.parametrize("size", [32, 64])
def test_things_are_whole_and_stand_below_the_horizon(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    cover, _, stage = painted(monkeypatch, size)
    border = torch.cat((cover[:, 0], cover[:, -1], cover[:, :, 0], cover[:, :, -1]), dim=1)
    assert border.sum() == 0, "a thing is cut"
    rows = cover.amax(2)  # [N, S]
    lowest = size - rows.flip(1).argmax(1)
    highest = rows.argmax(1)
    assert (lowest / size > stage.horizon + 0.02).all(), "something floats in the air"
    assert ((lowest - highest) / size).min() > 0.2
    assert ((lowest - highest) / size).max() < scenes.HEIGHT[1] + 0.08


def test_shadows_fall_away_from_the_light(monkeypatch: pytest.MonkeyPatch) -> None:
    """On white ground, what is dark lies on the other side than the sun, and not above the feet."""
    monkeypatch.setattr(scenes, "_paints", lambda block: torch.full((block.rows, 5, 3), 10.0))
    block = Block(seeded(3), 128)
    thing, stage = block.integers(10), scenes.Stage.draw(block, 64)
    images = torch.ones(128, 3, 64, 64)
    scenes._stand(block, stage, images, thing)
    dark, bright = (images[:, 0] < 0.8).float(), (images[:, 0] > 1.5).float()
    column = torch.arange(64.0)
    centre = (dark * column).sum((1, 2)) / dark.sum((1, 2)).clamp_min(1)
    middle = (bright * column).sum((1, 2)) / bright.sum((1, 2))
    seen = dark.sum((1, 2)) > 30
    assert seen.float().mean() > 0.5
    away = -(centre - middle) * stage.light
    assert (away[seen] > 0).float().mean() > 0.93
    feet = 64 - bright.amax(2).flip(1).argmax(1)
    top = dark.amax(2).argmax(1)
    assert (top[seen] >= feet[seen] - 4).float().mean() > 0.97


def test_sky_and_ground_differ_but_in_haze(monkeypatch: pytest.MonkeyPatch) -> None:
    def apart() -> Tensor:
        block = Block(seeded(1), 128)
        images = scenes._landscape(block, scenes.Stage.draw(block, 32))
        assert images.isfinite().all()
        return (images[:, :, :6].mean((2, 3)) - images[:, :, -6:].mean((2, 3))).norm(dim=1)

    hazy = apart()
    monkeypatch.setattr(scenes, "HAZE", 0.0)
    clear = apart()
    assert clear.median() > 0.3
    assert 0.3 < (hazy < clear - 1e-4).float().mean() < 0.7, "half of the scenes lie in haze"
    assert hazy.min() < 0.1 < clear.quantile(0.05), "in haze they can look alike"


def test_the_ground_is_finer_far_away() -> None:
    """Along a row below the horizon light and dark change faster than along one at the viewer's feet."""
    block = Block(seeded(1), 128)
    stage = scenes.Stage.draw(block, 64)
    texture = scenes._texture(block, stage)[:, 0]  # [N, S, S]
    waves = texture.diff(dim=2).abs().mean(2) / texture.std(2).clamp_min(1e-6)
    far = waves[torch.arange(128), (stage.horizon * 64).long() + 6]
    assert (far > 1.5 * waves[:, -1]).float().mean() > 0.8


def test_labels_are_of_what_stands_there_and_balanced() -> None:
    source = load(train=4000)
    assert source.class_names == THINGS
    counts = torch.bincount(source.train.labels, minlength=10).double()
    expected = 400.0
    assert ((counts - expected).square() / expected).sum() < 28, (
        "chi-square with 9 degrees of freedom, p = 0.001"
    )


def test_size_64_is_the_same_scene_in_more_detail(monkeypatch: pytest.MonkeyPatch) -> None:
    without_noise(monkeypatch)
    small, large = (load(size=size, train=128).train for size in (32, 64))
    assert torch.equal(small.labels, large.labels)
    halved = F.avg_pool2d(large.images.float(), 2)
    assert (halved - small.images.float()).abs().mean() < 4


def test_raw_pixels_do_badly_on_scenes() -> None:
    """The baseline of every preset on them: kNN finds 40 %, with a standard error of 1.5 here."""
    source = load(train=8_000, test=1_000)
    gallery, queries = (split.images.flatten(1).float() / 255 for split in (source.train, source.test))
    mean = gallery.mean(0)
    near = (F.normalize(queries - mean) @ F.normalize(gallery - mean).T).topk(20, dim=1).indices
    votes = F.one_hot(source.train.labels[near], 10).sum(1).argmax(1)
    accuracy = (votes == source.test.labels).float().mean().item()
    assert 0.34 < accuracy < 0.5


def test_light_comes_from_both_sides() -> None:
    block = Block(seeded(0), 128)
    light = scenes.Stage.draw(block, 32).light
    assert 0.35 < (light > 0).float().mean() < 0.65
    assert light.abs().min() >= 0.4
    assert math.isclose(float(light.abs().max()), 1.0, abs_tol=0.05)
