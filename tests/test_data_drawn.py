"""Drawn sources: what they return agrees with their pixels."""

from __future__ import annotations

import colorsys
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.config.schema import ClipConfig, DataConfig
from sslterm.data import painted, patterns, shapes, sprites
from sslterm.data.catalog import SHAPES
from sslterm.data.distance import AREAS, DISTANCES, distance
from sslterm.data.procedural import Block, coverage, hsv_to_rgb, pixel_centres, turn
from sslterm.data.progress import silent
from sslterm.data.source import Source, load_source, seeded

FACTOR = {name: column for column, name in enumerate(shapes.FACTORS)}


def load(name: str, *, size: int = 32, train: int = 200, test: int = 10) -> Source:
    config = DataConfig(name=name, path="", size=size, train_images=train, test_images=test, seed=0)
    return load_source(config, silent)


def fine_grid(side: int) -> tuple[Tensor, Tensor]:
    """Points of [-1.5, 1.5]^2, float64."""
    line = (torch.arange(side, dtype=torch.float64) + 0.5) / side * 3 - 1.5
    x, y = torch.meshgrid(line, line, indexing="xy")
    return x, y


# -- signed distances


@pytest.mark.parametrize("number", range(10), ids=SHAPES)
def test_shapes_are_centred_and_fill_their_circle(number: int) -> None:
    x, y = fine_grid(1200)
    inside = DISTANCES[number](x.clone(), y.clone()) < 0
    assert abs(inside.double().mean().item() * 9 - AREAS[number]) < 0.01
    assert abs(x[inside].mean().item()) < 2e-3
    assert abs(y[inside].mean().item()) < 2e-3
    assert abs(torch.hypot(x, y)[inside].max().item() - 1) < 5e-3


@pytest.mark.parametrize("number", range(10), ids=SHAPES)
def test_distances_outside_are_the_way_to_the_nearest_point(number: int) -> None:
    x, y = fine_grid(300)
    values = DISTANCES[number](x.clone(), y.clone())
    points = torch.stack((x, y), dim=-1)
    inside = points[values <= 0]
    outside = points[values > 0][::41]
    nearest = torch.cdist(outside, inside).amin(1)
    # Points of a grid are never nearer than the outline, and at most two cells farther, at a tip.
    gap = nearest - values[values > 0][::41]
    assert gap.min() > -1e-6
    assert gap.max() < 2 * 3 / 300
    assert gap.mean() < 3 / 300


@pytest.mark.parametrize("number", range(10), ids=SHAPES)
def test_distances_grow_at_the_rate_of_one_near_the_outline(number: int) -> None:
    x, y = fine_grid(900)
    values = DISTANCES[number](x.clone(), y.clone())
    down, right = torch.gradient(values, spacing=3 / 900)
    slopes = torch.hypot(down, right)[values.abs() < 0.1]
    assert abs(slopes.median().item() - 1) < 1e-4
    assert ((slopes - 1).abs() > 0.02).double().mean() < 0.02, "more than the creases of corners"


def test_rows_of_several_shapes_are_those_of_each_alone() -> None:
    generator = seeded(0)
    shape = torch.randint(10, (50,), generator=generator)
    x, y = torch.randn(2, 50, 7, 9, generator=generator)
    together = distance(shape, x, y)
    for row in range(50):
        alone = DISTANCES[int(shape[row])](x[row], y[row])
        assert torch.allclose(together[row], alone, atol=1e-6)


def test_an_edge_covers_pixels_by_their_share() -> None:
    """The sum of coverage is the area, wherever the shape lies between pixels."""
    centres = pixel_centres(64)
    for number, offset in ((0, 0.0), (2, 0.31), (4, 0.5), (6, 0.77)):
        dx, dy = (centres - 32 - offset)[None, None, :], (centres - 32)[None, :, None]
        x, y = turn(dx, dy, torch.tensor([17.0]))
        alpha = coverage(torch.tensor([number]), x, y, torch.tensor([20.0]))
        assert abs(alpha.sum().item() / 400 - AREAS[number]) < 0.01 * AREAS[number]
        assert ((alpha > 0) & (alpha < 1)).float().mean() < 0.1, "the edge is one pixel wide"


def test_turn_is_counter_clockwise() -> None:
    """The triangle's upper corner, turned by 90 degrees, points to the left of the image."""
    offsets = pixel_centres(33) - 16.5
    x, y = turn(offsets[None, None, :], offsets[None, :, None], torch.tensor([90.0]))
    alpha = coverage(torch.tensor([SHAPES.index("triangle")]), x, y, torch.tensor([14.0]))[0]
    assert alpha[16, 3] > 0.999
    assert alpha[16, 29] == 0.0
    assert torch.allclose(alpha, alpha.flip(0), atol=1e-4)


def test_hsv_is_that_of_the_standard_library() -> None:
    hue, saturation, value = torch.rand(3, 200, generator=seeded(1))
    ours = hsv_to_rgb(hue + 3, saturation, value)
    for row in range(200):
        theirs = colorsys.hsv_to_rgb(hue[row].item(), saturation[row].item(), value[row].item())
        assert torch.allclose(ours[row], torch.tensor(theirs), atol=2e-6)


def test_a_block_is_the_beginning_of_a_longer_one() -> None:
    short, long = (Block(seeded(4), rows, whole=8) for rows in (3, 8))
    for draw in (
        lambda block: block.uniform(-1, 1, 2),
        lambda block: block.normal(3),
        lambda block: block.integers(10),
        lambda block: block.permutations(10, 3),
    ):
        assert torch.equal(draw(short), draw(long)[:3])


# -- shapes


@pytest.mark.parametrize("size", [32, 64])
def test_shapes_are_drawn_again_from_their_factors(size: int) -> None:
    source = load("shapes", size=size, train=300)
    assert source.factor_names == shapes.FACTORS
    assert source.train.factors is not None
    assert torch.equal(shapes.render(source.train.factors, size), source.train.images)
    assert torch.equal(source.train.factors[:, 0].long(), source.train.labels)


def foreground(source: Source) -> Tensor:
    """How much of every pixel is shape, from the colours alone: [N, S, S]."""
    images = source.train.images.float() / 255
    ground, full = images[:, :, 0, 0], images.flatten(2)
    away = (images - ground[:, :, None, None]).flatten(2)
    far = away.norm(dim=1).argmax(1)
    figure = full[torch.arange(len(full)), :, far] - ground
    share = torch.einsum("nc,ncp->np", figure, away) / figure.square().sum(1, keepdim=True)
    return share.view(len(images), *images.shape[-2:])


@pytest.mark.parametrize("size", [32, 64])
def test_factors_of_shapes_agree_with_the_pixels(size: int) -> None:
    source = load("shapes", size=size, train=400)
    factors, alpha = source.train.factors, foreground(source)
    assert factors is not None
    centres = pixel_centres(size) / size
    mass = alpha.sum((1, 2))
    x, y = ((alpha * centres).sum((1, 2)) / mass, (alpha * centres[:, None]).sum((1, 2)) / mass)
    assert (x - factors[:, FACTOR["x"]]).abs().max() < 0.2 / size, "the centroid is the place"
    assert (y - factors[:, FACTOR["y"]]).abs().max() < 0.2 / size
    area = torch.tensor(AREAS)[source.train.labels] * (factors[:, FACTOR["size"]] * size) ** 2
    assert (mass / area - 1).abs().max() < 0.08, "the area is that of the size"
    # Colours: that of the pixel farthest from the ground, and that of the corner.
    images = source.train.images.float() / 255
    for row in range(100):
        inner = images[row].flatten(1)[:, int(alpha[row].argmax())]
        for rgb, name in ((inner, "hue"), (images[row, :, 0, 0], "background")):
            hue = colorsys.rgb_to_hsv(*rgb.tolist())[0]
            gap = abs(hue - factors[row, FACTOR[name]].item())
            assert min(gap, 1 - gap) < 0.02


def test_shapes_are_never_cut_and_factors_are_independent() -> None:
    source = load("shapes", train=3000)
    alpha = foreground(source)
    border = torch.cat((alpha[:, 0], alpha[:, -1], alpha[:, :, 0], alpha[:, :, -1]), dim=1)
    assert border.abs().max() < 0.02
    assert source.train.factors is not None
    correlation = torch.corrcoef(source.train.factors.T) - torch.eye(7)
    assert correlation.abs().max() < 5 / math.sqrt(3000)


def test_angles_turn_the_shape() -> None:
    factors = torch.tensor([[3.0, 0.1, 0.25, 0.5, 0.5, angle, 0.6] for angle in (0.0, 45.0, 120.0)])
    upright, turned, third = shapes.render(factors, 64)
    assert (upright.float() - turned.float()).abs().mean() > 3
    assert (upright.float() - third.float()).abs().max() <= 3, (
        "a triangle looks the same after a third of a turn"
    )


# -- painted


@pytest.mark.parametrize("size", [32, 64])
def test_painted_images_have_the_colours_of_their_kind(size: int) -> None:
    source = load("painted", size=size, train=400)
    factors, labels = source.train.factors, source.train.labels
    assert factors is not None
    assert source.factor_names == painted.FACTORS
    assert torch.equal(painted.render(factors, size), source.train.images)
    assert torch.equal(factors[:, 0].long(), labels)
    ground = source.train.images[:, :, 0, 0].double() / 255
    far = (foreground(source).flatten(1) - 1).abs().argmin(1)
    figure = source.train.images.flatten(2)[torch.arange(400), :, far].double() / 255
    for colour, opposite, column in ((figure, 0.0, 5), (ground, 0.5, 6)):
        luma = colour @ torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
        assert (luma - factors[:, column]).abs().max() < 0.004
        for row in range(400):
            hue, saturation, _ = colorsys.rgb_to_hsv(*colour[row].tolist())
            away = (hue - labels[row].item() / 10 - opposite + 0.5) % 1 - 0.5
            assert abs(away) < 0.02
            assert abs(saturation - painted.SATURATION) < 0.03


def test_lightness_tells_nothing_of_the_kind_of_painted_images() -> None:
    source = load("painted", train=4000)
    factors, labels = source.train.factors, source.train.labels
    assert factors is not None
    for column in (5, 6):
        means = torch.stack([factors[labels == shape, column].mean() for shape in range(10)])
        assert means.max() - means.min() < 0.015


# -- patterns


def test_patterns_lie_on_a_torus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawn with the same numbers but another offset, the copies are the same picture rolled."""
    shape = torch.arange(10).repeat(2)
    covers = []
    original = Block.uniform
    for shift in (0, 11):
        block = Block(seeded(5), 20)

        def moved(self: Block, low: float, high: float, *form: int, shift: int = shift) -> Tensor:
            drawn = original(self, low, high, *form)
            return drawn + shift if form == (1, 2) else drawn  # the offset of the grid

        monkeypatch.setattr(Block, "uniform", moved)
        covers.append(patterns._copies(block, shape, 32))
    assert torch.allclose(covers[0].roll((11, 11), dims=(2, 3)), covers[1], atol=2e-5)
    # Nothing is lost at the border: rolled or not, there are four copies' worth of shape.
    radius = (5.5**2 + 5.5 * 7.5 + 7.5**2) / 3
    areas = torch.tensor(AREAS)[shape] * patterns._EVENED[shape] ** 2 * radius * 4
    assert 0.75 < (covers[0].sum((1, 2, 3)) / areas).mean() < 1.05


def test_patterns_have_two_nearly_opposite_colours() -> None:
    source = load("patterns", train=256)
    images = source.train.images.float() / 255
    means = images.mean((2, 3))
    assert means.std(0).min() > 0.05, "colours vary"
    for image in images[:64]:
        hues = torch.tensor([colorsys.rgb_to_hsv(*pixel)[0] for pixel in image.flatten(1).T.tolist()])
        turns = torch.exp(2j * math.pi * hues)
        # Two opposite clusters: doubling the angle folds them into one.
        assert (turns**2).mean().abs() > 0.75


def test_patterns_have_the_noise_that_is_said() -> None:
    """Neighbouring pixels differ by sqrt(2) * 0.04 where the ground is smooth, and by more elsewhere."""
    images = load("patterns", train=256).train.images.float() / 255
    chroma = images[:, 0] - images[:, 1]  # light and dark cancel in part; noise does not
    steps = (chroma[:, :, 1:] - chroma[:, :, :-1]).abs().flatten(1)
    assert 0.6 < (steps.median(1).values.median() / (0.6745 * 2 * patterns.NOISE)).item() < 1.4


def test_raw_pixels_do_badly_on_patterns() -> None:
    """The baseline of every preset on them: kNN finds 41 %, with a standard error of 1.5 here."""
    source = load("patterns", train=20_000, test=1_000)
    gallery, queries = (split.images.flatten(1).float() / 255 - 0.5 for split in (source.train, source.test))
    near = (F.normalize(queries) @ F.normalize(gallery).T).topk(20, dim=1).indices
    votes = F.one_hot(source.train.labels[near], 10).sum(1).argmax(1)
    accuracy = (votes == source.test.labels).float().mean().item()
    assert 0.36 < accuracy < 0.45


# -- sprites


def clips(*, size: int = 32, frames: int = 6, stride: int = 2, train: int = 40) -> Source:
    config = ClipConfig(
        name="sprites",
        path="",
        size=size,
        train_images=train,
        test_images=4,
        seed=0,
        frames=frames,
        stride=stride,
        motion=1.0,
    )
    return load_source(config, silent)


def test_sprites_have_clips_and_masks_of_three_objects() -> None:
    source = clips()
    assert source.train.images.shape == (40, 6, 3, 32, 32)
    assert source.train.masks is not None
    assert source.train.masks.shape == (40, 6, 32, 32)
    assert source.train.masks.unique().tolist() == [0, 1, 2, 3]
    front = (source.train.masks == 3).sum((2, 3))
    assert front.min() > 0, "what is in front is seen in every frame"


def test_stride_takes_every_nth_frame() -> None:
    slow, fast = clips(frames=7, stride=1), clips(frames=3, stride=3)
    assert torch.equal(slow.train.images[:, ::3], fast.train.images)
    assert slow.train.masks is not None
    assert fast.train.masks is not None
    assert torch.equal(slow.train.masks[:, ::3], fast.train.masks)


def test_the_object_in_front_has_the_area_of_its_shape_and_stays_whole() -> None:
    source = clips(size=64, frames=8, stride=4)
    assert source.train.masks is not None
    front = (source.train.masks == 3).float()
    area = front.sum((2, 3))  # [N, T]
    assert (area / area.mean(1, keepdim=True) - 1).abs().max() < 0.12, "cut, occluded or growing"
    radius = (area.mean(1) / torch.tensor(AREAS)[source.train.labels]).sqrt() / 64
    assert radius.min() > sprites.RADIUS[0] * 0.95
    assert radius.max() < sprites.RADIUS[1] * 1.05


def test_objects_move_at_a_constant_pace_until_they_bounce() -> None:
    source = clips(size=64, frames=10, stride=1)
    assert source.train.masks is not None
    front = (source.train.masks == 3).float()
    centres = pixel_centres(64)
    mass = front.sum((2, 3))
    place = torch.stack(
        ((front * centres).sum((2, 3)) / mass, (front * centres[:, None]).sum((2, 3)) / mass), dim=-1
    )
    steps = place.diff(dim=1)  # [N, T - 1, 2]
    speed = steps.norm(dim=-1).median(1).values / 64
    assert speed.min() > sprites.SPEED[0] * 0.8
    assert speed.max() < sprites.SPEED[1] * 1.2
    # Each component keeps its size, and its sign but for a bounce.
    size = steps.abs()
    assert ((size - size.median(1, keepdim=True).values).abs() < 0.45).float().mean() > 0.93


def test_motion_is_reflected_inside_the_image() -> None:
    one = torch.ones(1)
    motion = sprites.Motion(
        shape=torch.zeros(1, dtype=torch.int64), radius=8 * one, start=torch.tensor([[50.0, 32.0]]),
        velocity=torch.tensor([[3.0, 0.0]]), angle=0 * one, spin=0 * one,
    )  # fmt: skip
    x = motion.centre(torch.arange(5.0), 64)[0, :, 0]
    assert x.tolist() == [50, 53, 56, 53, 50]
    far = motion.centre(torch.arange(500.0), 64)
    assert far.min() >= 8
    assert far.max() <= 56


def test_everything_turns_clockwise() -> None:
    """Second moments of the front T, bar and stem, turn to the right as seen."""
    source = clips(size=64, frames=8, stride=1, train=300)
    assert source.train.masks is not None
    rows = source.train.labels == SHAPES.index("L")
    front = (source.train.masks[rows] == 3).float()
    line = pixel_centres(64)
    mass = front.sum((2, 3))
    x, y = ((front * line).sum((2, 3)) / mass, (front * line[:, None]).sum((2, 3)) / mass)
    dx = line - x[..., None, None]
    dy = -(line[:, None] - y[..., None, None])  # up
    xx, yy, xy = ((front * term).sum((2, 3)) for term in (dx * dx, dy * dy, dx * dy))
    axis = torch.atan2(2 * xy, xx - yy) / 2  # of the long side, up to half a turn
    steps = (axis.diff(dim=1) + math.pi / 2).remainder(math.pi) - math.pi / 2
    assert rows.sum() > 10
    assert (steps.mean(1) < 0).all()
    degrees = torch.rad2deg(steps.mean(1))
    assert degrees.min() > -9
    assert degrees.max() < -1


def test_masks_and_pictures_agree() -> None:
    """Where a mask changes from one frame to the next, the picture does; where all is ground, it stays."""
    source = clips(size=64)
    images, masks = source.train.images.float(), source.train.masks
    assert masks is not None
    change = (images[:, 1:] - images[:, :-1]).abs().amax(2)
    ground = (masks[:, 1:] == 0) & (masks[:, :-1] == 0)
    # Beside an object lies its antialiased edge; tips thinner than a pixel reach a little farther.
    solid = F.max_pool2d((~ground).float().flatten(0, 1), 3, 1, 1).view_as(change) == 0
    assert (change[solid] > 0).float().mean() < 0.003
    came = (masks[:, 1:] > 0) & (masks[:, :-1] == 0)
    assert change[came].median() > 25
