"""Colorization: cells, soft encoding, rebalancing and annealing against brute force; what it sees and refuses."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.color import rgb2lab
from torch import Tensor

from sslterm.data.batch import Batch
from sslterm.data.source import Split
from sslterm.data.store import Store
from sslterm.engine.sweep import sweep_over
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.methods.pretext.colorization import Colorization, colour_cross_entropy
from sslterm.nn.colour_cells import ColourCells, annealed_mean, rebalancing_weights
from sslterm.nn.dilated import DilatedNet
from sslterm.nn.lab import lab_to_rgb, rgb_to_lab
from sslterm.nn.norm import BatchNorm

CONFIG = Colorization.Config(
    widths=(6, 8), trunk=8, enlarging=(8,), convolutions=1, uniform_share=0.5, temperature=0.38
)
INPUTS = Inputs(channels=3, height=16, width=16, train_images=40)


def build(config: Colorization.Config = CONFIG, inputs: Inputs = INPUTS) -> Colorization:
    torch.manual_seed(0)
    return Colorization(config, inputs)


def pictures(n: int = 10, side: int = 16) -> Tensor:
    """Smooth, colourful."""
    noise = torch.rand(n, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    return F.interpolate(noise, size=(side, side), mode="bilinear", align_corners=False)


def batch_of(images: Tensor) -> Batch:
    return Batch(images, torch.arange(len(images)), torch.full((len(images),), -1))


def count(method: Colorization, images: Tensor) -> None:
    """What happens when an epoch begins, with a training set of these images."""
    method.train_images = len(images)
    store = Store(Split((images * 255).round().byte(), torch.full((len(images),), -1)), torch.device("cpu"))
    method.begin_epoch(partial(sweep_over, store, size=16), None)  # type: ignore[arg-type]


# -- the cells


def test_the_nearest_cells_are_found_among_few() -> None:
    table = ColourCells()
    ab = rgb_to_lab(torch.rand(20, 3, 30, 30, generator=torch.Generator().manual_seed(0)))[:, 1:].movedim(
        1, -1
    )
    between = torch.rand(4000, 2) * torch.tensor([190.0, 200.0]) - torch.tensor([90.0, 110.0])
    for points in (ab.flatten(0, 2), between):  # colours, and means of colours, which can lie between cells
        numbers, squared = table.nearest(points)
        expected = torch.cdist(points.double(), table.centres.double()).square().topk(5, largest=False)
        torch.testing.assert_close(squared.double(), expected.values, rtol=1e-5, atol=1e-3)
        first = (points - table.centres[numbers[:, 0]]).square().sum(1)
        torch.testing.assert_close(first, squared[:, 0], rtol=1e-5, atol=1e-3)
        assert (numbers.sort(1).values.diff(dim=1) > 0).all(), "five different cells"


def test_a_colour_is_spread_by_a_gaussian() -> None:
    table = ColourCells()
    numbers, shares = table.spread(torch.tensor([[12.0, -3.0], [0.0, 0.0]]))
    assert table.centres[numbers[0]].tolist()[:2] == [[10.0, 0.0], [10.0, -10.0]]
    squared = torch.tensor([4 + 9.0, 4 + 49, 64 + 9, 64 + 49, 144 + 9], dtype=torch.float64)
    expected = (-squared / 50).exp()
    torch.testing.assert_close(shares[0].double(), expected / expected.sum(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(shares.sum(1), torch.ones(2))
    assert table.centres[numbers[1, 0]].tolist() == [0.0, 0.0]


def test_a_smoothed_prior_is_a_distribution_and_wider() -> None:
    table = ColourCells()
    prior = torch.zeros(261)
    grey = int(table.centres.norm(dim=1).argmin())
    prior[grey] = 1
    smoothed = table.smoothed(prior)
    torch.testing.assert_close(smoothed.sum(), torch.tensor(1.0))
    beside = int((table.centres - torch.tensor([10.0, 0.0])).norm(dim=1).argmin())
    torch.testing.assert_close(smoothed[beside] / smoothed[grey], torch.tensor(-2.0).exp())
    torch.testing.assert_close(
        table.smoothed(torch.rand(261) / 130).sum(), torch.tensor(1.0), rtol=0.1, atol=0
    )


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_weights_are_one_on_average(share: float) -> None:
    prior = torch.rand(50, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.01
    prior = prior / prior.sum()
    weights = rebalancing_weights(prior, share)
    torch.testing.assert_close((prior * weights).sum(), torch.tensor(1.0, dtype=torch.float64))
    unscaled = [1 / ((1 - share) * p + share / 50) for p in prior.tolist()]  # Eq. 4
    torch.testing.assert_close(
        weights / weights[0], torch.tensor(unscaled, dtype=torch.float64) / unscaled[0]
    )
    if share == 1.0:
        torch.testing.assert_close(weights, torch.ones_like(weights))


def test_the_annealed_mean_lies_between_mean_and_mode() -> None:
    generator = torch.Generator().manual_seed(0)
    centres = torch.randn(7, 2, generator=generator, dtype=torch.float64)
    logits = torch.randn(2, 7, 3, 3, generator=generator, dtype=torch.float64)
    for temperature in (1.0, 0.38):
        z = logits.softmax(1)
        sharper = z ** (1 / temperature)  # Eq. 5
        sharper = sharper / sharper.sum(1, keepdim=True)
        expected = sum(sharper[:, q, None] * centres[q].view(1, 2, 1, 1) for q in range(7))
        torch.testing.assert_close(annealed_mean(logits, centres, temperature), expected)
    mode = centres[logits.argmax(1)].movedim(-1, 1)
    torch.testing.assert_close(annealed_mean(logits, centres, 1e-4), mode)


# -- the loss


def test_the_loss_is_that_of_whole_distributions() -> None:
    generator = torch.Generator().manual_seed(0)
    table = ColourCells()
    ab = rgb_to_lab(torch.rand(3, 3, 4, 4, generator=generator))[:, 1:].movedim(1, -1)  # [B, h, w, 2]
    logits = torch.randn(3, 261, 4, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    weights = torch.rand(261, generator=generator, dtype=torch.float64)
    numbers, shares = table.spread(ab)
    loss = colour_cross_entropy(logits, numbers, shares.double(), weights)
    (gradient,) = torch.autograd.grad(loss, logits)

    squared = torch.cdist(ab.double().flatten(0, 2), table.centres.double()).square()
    near = squared.topk(5, largest=False)
    z = torch.zeros_like(squared).scatter(1, near.indices, (-near.values / 50).exp())
    z = z / z.sum(1, keepdim=True)  # [pixels, Q]
    v = weights[z.argmax(1)]  # Eq. 3
    answers = logits.movedim(1, -1).flatten(0, 2)
    expected = -(v * (z * answers.log_softmax(1)).sum(1)).mean()
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
    (slope,) = torch.autograd.grad(expected, logits)
    torch.testing.assert_close(gradient, slope, rtol=1e-4, atol=1e-8)


def test_the_methods_loss_sees_colours_at_the_size_of_its_answers() -> None:
    method, images = build(), pictures()
    count(method, images)
    loss, aux = method.loss(batch_of(images))
    assert aux == {}
    lab = torch.from_numpy(rgb2lab(images.movedim(1, -1).numpy())).movedim(-1, 1).float()
    ab = lab[:, 1:].unfold(2, 2, 2).unfold(3, 2, 2).mean((-1, -2))  # every 2x2 pixels
    torch.manual_seed(0)
    logits = method.network(lab[:, :1] / 50 - 1)
    assert logits.shape == (10, 261, 8, 8)
    numbers, shares = method.cells.spread(ab.movedim(1, -1))
    torch.testing.assert_close(
        loss, colour_cross_entropy(logits, numbers, shares, method.weights), rtol=1e-3, atol=1e-4
    )


# -- the prior


def test_the_prior_is_counted_once_and_survives() -> None:
    method, images = build(), (pictures(40) * 255).round() / 255
    assert method.prior.sum() == 1
    assert torch.equal(method.weights, torch.ones(261))
    count(method, images)
    assert int(method.counted) == 40
    lab = rgb2lab(F.avg_pool2d(images, 1).movedim(1, -1).numpy())
    ab = torch.from_numpy(lab[..., 1:]).unfold(1, 2, 2).unfold(2, 2, 2).mean((-1, -2))
    cell = (ab / 10).round().flatten(0, 2)
    grey = float((cell == 0).all(1).double().mean())
    torch.testing.assert_close(
        float(method.prior[method.cells.centres.norm(dim=1).argmin()]), grey, atol=1e-3, rtol=0
    )
    torch.testing.assert_close(method.prior.sum(), torch.tensor(1.0))
    expected = rebalancing_weights(method.cells.smoothed(method.prior), 0.5)
    assert torch.equal(method.weights, expected)
    before = method.prior.clone()
    count(method, pictures(40) * 0.2)  # the next epoch
    assert torch.equal(method.prior, before)
    again = build()
    again.load_state_dict(method.state_dict())
    assert torch.equal(again.weights, expected)


def test_grey_pictures_are_refused_with_the_reason() -> None:
    with pytest.raises(UsageError, match="learns from colour pictures, and these are grey") as error:
        build(inputs=replace(INPUTS, channels=1))
    assert "--data" in error.value.hint
    grey = pictures(40)[:, :1].expand(-1, 3, -1, -1)
    with pytest.raises(
        UsageError, match=r"the training pictures are grey, and there is no colour to learn: 100\.0 %"
    ):
        count(build(), grey)
    count(build(), torch.cat((grey[:30], pictures(10))))  # some may be


@pytest.mark.parametrize(
    "changes", [{"widths": (4, 4, 4, 4, 4)}, {"widths": (4,), "enlarging": (4, 4)}], ids=["halved", "doubled"]
)
def test_networks_that_do_not_fit_are_a_usage_error(changes: dict[str, tuple[int, ...]]) -> None:
    with pytest.raises(UsageError, match=r"method\.widths: a side of 16x16 pixels cannot be halved"):
        build(replace(CONFIG, **changes))


# -- what it sees and gives


def test_it_sees_lightness_alone() -> None:
    method = build().eval()
    lab = rgb_to_lab(pictures())
    faded = lab_to_rgb(lab * torch.tensor([1.0, 0.3, 0.3]).view(3, 1, 1))  # in gamut as the colours were
    torch.testing.assert_close(method.encode(faded), method.encode(lab_to_rgb(lab)), rtol=1e-3, atol=1e-4)
    assert method.encode(faded).shape == (10, 8)
    assert list(method.layers(faded)) == ["conv1", "conv2", "conv3", "conv4", "conv5", "conv6", "pooled"]


def test_the_lightness_stays() -> None:
    method = build().eval()
    grey = torch.linspace(0.2, 0.8, 16).expand(2, 1, 16, 16)
    coloured = method.colorize(grey)
    lab, before = rgb_to_lab(coloured), rgb_to_lab(grey.expand(-1, 3, -1, -1))
    inside = ((coloured > 0) & (coloured < 1)).all(1)
    assert inside.float().mean() > 0.5
    torch.testing.assert_close(lab[:, 0][inside], before[:, 0][inside], rtol=0, atol=1e-2)
    assert before[:, 1:].abs().max() < 0.01


def test_figures_of_perfect_and_of_grey_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    method, images = build(), pictures()
    count(method, images)
    monkeypatch.setattr(method, "colorize", lambda grey: images)
    figures = method.solve(images)
    torch.testing.assert_close(figures["accuracy"], torch.ones(10))
    ab = rgb2lab(images.movedim(1, -1).numpy())[..., 1:]
    np.testing.assert_allclose(figures["chroma"], np.linalg.norm(ab, axis=-1).mean((1, 2)), rtol=1e-3)
    assert torch.equal(figures["chroma"], figures["chroma_real"])
    monkeypatch.setattr(method, "colorize", lambda grey: grey.expand(-1, 3, -1, -1))
    figures = method.solve(images)
    assert torch.equal(figures["accuracy"], figures["accuracy_grey"])
    assert figures["chroma"].max() < 0.1
    assert set(figures) == set(method.solved)
    cell = np.round(rgb2lab(images.movedim(1, -1).numpy())[..., 1:] / 10)
    np.testing.assert_allclose(figures["accuracy_grey"], (cell == 0).all(-1).mean((1, 2)), atol=0.01)
    frequent = method.cells.centres[method.prior.argmax()].numpy() / 10
    np.testing.assert_allclose(
        figures["accuracy_most_frequent"], (cell == frequent).all(-1).mean((1, 2)), atol=0.01
    )


def test_the_papers_network_answers_at_a_quarter_of_the_side() -> None:
    net = DilatedNet(1, widths=(4, 6, 8), trunk=10, enlarging=(6,), convolutions=3, outputs=313)
    assert net(torch.zeros(2, 1, 32, 32)).shape == (2, 313, 8, 8)
    convolutions = [part for part in net.blocks.modules() if isinstance(part, torch.nn.Conv2d)]
    assert [part.stride[0] for part in convolutions[:7]] == [1, 2, 1, 2, 1, 1, 2]
    assert [part.dilation[0] for part in convolutions[7:]] == [1] * 3 + [2] * 6 + [1] * 3
    assert sum(isinstance(part, BatchNorm) for part in net.modules()) == 7  # none behind conv7 (Tab. 4)


def test_the_histogram_has_true_and_given_side_by_side() -> None:
    method, images = build().eval(), pictures()
    with torch.no_grad():
        coloured, histogram = method.panels(batch_of(images))
    assert coloured.array.shape == (30, 3, 16, 16)
    np.testing.assert_allclose(coloured.array[2::3], images)
    assert np.ptp(coloured.array[0], axis=0).max() < 1e-3  # grey
    assert histogram.array.shape == (2, 3, 21, 20)
    assert histogram.labels == ("true", "given")
    alone = torch.zeros(261)
    alone[int((method.cells.centres - torch.tensor([50.0, 60.0])).norm(dim=1).argmin())] = 1
    picture = method.picture_of(alone)
    lit = picture.sum(0).nonzero()
    assert lit.tolist() == [[3, 14]]  # b = 60 is 3 rows below 90, a = 50 is 14 columns right of -90
    red, green, blue = picture[:, 3, 14].tolist()
    assert red > green > blue
