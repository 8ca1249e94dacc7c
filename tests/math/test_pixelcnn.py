"""PixelCNN by enumeration and perturbation: what sees what, that masses sum to one, that painting is exact."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from scipy.stats import chisquare, logistic
from torch import Tensor

from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.autoregressive import completion
from sslterm.methods.autoregressive.pixelcnn import PixelCNN
from sslterm.methods.base import Inputs
from sslterm.nn.causal_conv import group_mask
from sslterm.nn.pixel_values import LogisticMixture, discretized_logistic, pick, to_levels

NETWORKS = ("original", "gated")


def make(
    network: str, output: str = "binary", *, channels: int = 1, height: int = 4, width: int = 3, classes: int = 0,
    maps: int = 12, **changes: Any,
) -> PixelCNN:  # fmt: skip
    """A small one with weights that are far from 0."""
    fields: dict[str, Any] = {
        "network": network, "width": maps, "blocks": 2, "first_kernel": 5, "kernel": 3, "head": 24, "output": output,
        "mixtures": 3 if output == "logistic-mixture" else 0,
        "binarization": "threshold" if output == "binary" else "none", "conditional": classes > 0,
    }  # fmt: skip
    torch.manual_seed(0)
    inputs = Inputs(channels=channels, height=height, width=width, train_images=10, classes=classes)
    method = PixelCNN(PixelCNN.Config(**(fields | changes)), inputs)
    with torch.no_grad():
        for name, parameter in method.named_parameters():
            parameter.normal_(0.0, 0.6 if "head" in name or "class" in name else 0.3)
    return method.eval()


def last(partials: Iterator[Tensor]) -> Tensor:
    *_, final = partials
    return final


def every_image(height: int, width: int) -> Tensor:
    states = list(itertools.product([0.0, 1.0], repeat=height * width))
    return torch.tensor(states, dtype=torch.float32).view(-1, 1, height, width)


# -- probabilities


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("network", NETWORKS)
@torch.no_grad()
def test_probabilities_of_all_binary_images_sum_to_one(network: str, classes: int) -> None:
    if classes and network == "original":
        return
    method = make(network, height=4, width=3, classes=classes)
    p = method.log_prob(every_image(4, 3), torch.Generator()).exp()
    assert p.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert p.max() > 4 / len(p)
    if classes:  # the mean of the densities of every class
        labels = torch.arange(3)[:, None].expand(-1, len(p))
        each = [method.log_conditionals(every_image(4, 3), label).flatten(1).sum(1).exp() for label in labels]
        torch.testing.assert_close(p, torch.stack(each).mean(0))
        assert (each[0] - each[1]).abs().max() > 1e-4


@pytest.mark.parametrize("output", ["categorical", "logistic-mixture"])
@pytest.mark.parametrize("network", NETWORKS)
@torch.no_grad()
def test_probabilities_of_all_images_of_two_levels_pixels_sum_to_one(network: str, output: str) -> None:
    method = make(network, output, height=2, width=1)
    levels = torch.arange(256) / 255
    pairs = torch.cartesian_prod(levels, levels).view(-1, 1, 2, 1)
    parts = [method.log_prob(part, torch.Generator()).double() for part in pairs.split(8192)]
    assert torch.cat(parts).exp().sum().item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("network", NETWORKS)
@torch.no_grad()
def test_colours_are_conditionals_that_sum_to_one_given_the_colours_before(network: str) -> None:
    """p(R), p(G | R) and p(B | R, G) of one pixel, each over its 256 levels."""
    method = make(network, "categorical", channels=3, height=1, width=1)
    torch.manual_seed(0)
    colour = torch.randint(256, (3,)) / 255
    for channel in range(3):
        x = colour.repeat(256, 1)
        x[:, channel] = torch.arange(256) / 255
        x[:, channel + 1 :] = 0.5
        output = method.network(
            2 * x[:, :, None, None] - 1, method.network.context(2 * x[:, :, None, None] - 1)
        )
        scores = output[:, :, 0, 0].view(256, 3, 256)[:, channel].log_softmax(1)
        assert (scores - scores[0]).abs().max() < 1e-6  # it does not see itself, nor what comes after
        log_p = method.log_conditionals(x[:, :, None, None], None).flatten()
        rest = torch.stack([method.values.log_prob(output, x[:, :, None, None]).flatten()]).squeeze(0)
        torch.testing.assert_close(log_p, rest)
    mixture = LogisticMixture(3, 4)
    numbers = torch.randn(1, mixture.numbers, 1, 1)
    for channel in range(3):  # the sum over a colour of the joint of it and those before
        x = colour.repeat(256, 1)
        x[:, channel] = torch.arange(256) / 255
        joint = _joint_up_to(mixture, numbers, x, channel)
        before = _joint_up_to(mixture, numbers, x[:1], channel - 1) if channel else torch.zeros(1)
        assert joint.double().logsumexp(0).item() == pytest.approx(before.item(), abs=1e-5)


def _joint_up_to(mixture: LogisticMixture, numbers: Tensor, x: Tensor, channel: int) -> Tensor:
    """log p of the colours up to `channel`, by scipy's logistic distribution, [N]."""
    weight, mean, log_scale, lean = (part[0, ..., 0, 0].double() for part in mixture.parts(numbers))
    x = (2 * x - 1).double()
    terms = weight.log_softmax(0).expand(len(x), -1)
    means = [
        mean[0].expand(len(x), -1),
        mean[1] + lean[0] * x[:, :1],
        mean[2] + lean[1] * x[:, :1] + lean[2] * x[:, 1:2],
    ]
    for c in range(channel + 1):
        upper, lower = (
            torch.from_numpy(logistic.cdf(x[:, c, None] + side / 255, means[c], log_scale[c].exp()))
            for side in (1, -1)
        )
        upper = torch.where(x[:, c, None] > 0.999, 1.0, upper)
        lower = torch.where(x[:, c, None] < -0.999, 0.0, lower)
        terms = terms + (upper - lower).log()
    return terms.logsumexp(1)


@torch.no_grad()
def test_the_mixture_of_logistics_is_scipy_s() -> None:
    mixture = LogisticMixture(3, 4)
    torch.manual_seed(1)
    numbers = torch.randn(1, mixture.numbers, 1, 1)
    x = torch.randint(256, (50, 3)) / 255
    x[0], x[1] = 0.0, 1.0
    found = mixture.log_prob(numbers.expand(50, -1, -1, -1), x[:, :, None, None]).flatten()
    torch.testing.assert_close(found.double(), _joint_up_to(mixture, numbers, x, 2), rtol=0, atol=2e-4)


def test_a_level_far_in_the_tail_keeps_its_digits_and_its_gradient() -> None:
    mean = torch.tensor(-0.9, requires_grad=True)
    log_mass = discretized_logistic(torch.tensor(0.9), mean, torch.tensor(-5.0))
    exact = logistic.logsf(0.9 - 1 / 255, -0.9, math.exp(-5)) + math.log(-math.expm1(-2 / 255 * math.exp(5)))
    assert log_mass.item() == pytest.approx(float(exact), rel=1e-5)
    log_mass.backward()  # type: ignore[no-untyped-call]
    assert mean.grad is not None
    assert mean.grad.item() == pytest.approx(math.exp(5), rel=1e-3)


@pytest.mark.parametrize(
    ("network", "channels"), [("original", 1), ("original", 3), ("gated", 1), ("gated", 3)]
)
@torch.no_grad()
def test_levels_start_at_eight_bits_a_value_and_no_data_beats_it_on_noise(
    network: str, channels: int
) -> None:
    torch.manual_seed(0)
    inputs = Inputs(channels=channels, height=6, width=6, train_images=10)
    method = PixelCNN(make(network, "categorical", channels=channels).config, inputs)
    noise = torch.randint(256, (20, channels, 6, 6)) / 255
    _, aux = method.loss(Batch(noise, torch.arange(20), torch.full((20,), -1)))
    assert aux["bits_per_dim"].item() == pytest.approx(8.0, abs=1e-5)
    bits = -method.log_prob(noise, torch.Generator()) / (noise[0].numel() * math.log(2))
    torch.testing.assert_close(bits, torch.full((20,), 8.0))
    trained = make(network, "categorical", channels=channels, height=6, width=6)
    _, aux = trained.loss(Batch(noise, torch.arange(20), torch.full((20,), -1)))
    assert aux["bits_per_dim"].item() > 8.0


# -- what sees what


@pytest.mark.parametrize("output", ["binary", "categorical", "logistic-mixture"])
@pytest.mark.parametrize("network", NETWORKS)
@torch.no_grad()
def test_an_output_sees_earlier_values_alone(network: str, output: str) -> None:
    channels = 1 if output == "binary" else 3
    method = make(network, output, channels=channels, height=6, width=6)
    x = torch.rand(40, channels, 6, 6)
    before = method.network(x, method.network.context(x))
    groups = method.values.groups
    for row, column, channel in itertools.product(range(6), range(6), range(channels)):
        turned = x.clone()
        turned[:, channel, row, column] = 1 - turned[:, channel, row, column]
        after = method.network(turned, method.network.context(turned))
        changed = (after != before).view(40, groups, -1, 6, 6).any(2).any(0)  # [groups, 6, 6]
        assert not changed[:, :row].any()
        assert not changed[:, row, :column].any()
        assert not changed[: channel + 1 if groups > 1 else groups, row, column].any()
        if groups > 1:  # green and blue see red, blue sees green
            assert changed[channel + 1 :, row, column].all()
        if column < 5:
            assert changed[:, row, column + 1].all()
        if row < 5:
            assert changed[:, row + 1, column].all()


def seen_from(method: PixelCNN, row: int, column: int) -> Tensor:
    """Which pixels the output at a place depends on, by its gradient, [H, W]."""
    x = torch.rand(1, 1, *method.shape[1:], requires_grad=True)
    output = method.network(x, method.network.context(x))[0, :, row, column]
    (gradient,) = torch.autograd.grad(output.sum(), x)
    return gradient[0, 0] != 0


def test_the_original_network_has_a_blind_spot_and_the_gated_one_has_none() -> None:
    gated, original = (
        seen_from(make(network, height=7, width=7, first_kernel=3, blocks=6, kernel=3), 5, 2)
        for network in ("gated", "original")
    )
    expected = torch.zeros(7, 7, dtype=torch.bool)
    expected[:5] = True
    expected[5, :2] = True
    assert torch.equal(gated, expected)
    assert (original <= expected).all()
    missing = (expected & ~original).nonzero().tolist()
    assert [4, 4] in missing  # above, and two to the right: 3x3 windows reach one to the right a row
    assert all(column - 2 > 5 - row for row, column in missing)


@pytest.mark.parametrize(("output", "channels", "classes"), [("binary", 1, 0), ("categorical", 3, 2)])
@torch.no_grad()
def test_the_panel_of_the_receptive_field_shows_what_comes_before(
    output: str, channels: int, classes: int
) -> None:
    method = make("gated", output, channels=channels, height=6, width=5, classes=classes)
    batch = Batch(torch.rand(20, channels, 6, 5), torch.arange(20), torch.full((20,), -1))
    (panel,) = (panel for panel in method.panels(batch) if panel.name == "receptive-field")
    drawn = torch.from_numpy(panel.array) > -4
    before = torch.zeros(6, 5, dtype=torch.bool)
    before[:4] = True
    before[4, :2] = True
    before[4, 2] = channels > 1  # its own red and green
    assert (drawn <= before).all()
    assert drawn[3, 1:4].all()
    assert panel.array.max() == 0
    untrained = PixelCNN(
        method.config, Inputs(channels=channels, height=6, width=5, train_images=1, classes=2)
    )
    (panel,) = (panel for panel in untrained.panels(batch) if panel.name == "receptive-field")
    assert (panel.array == -4).all()


def test_masks_of_groups() -> None:
    a, b = (group_mask(3, 6, kind, groups=3) for kind in ("A", "B"))  # type: ignore[arg-type]
    assert a.tolist() == [[0, 0, 0]] * 2 + [[1, 0, 0]] * 2 + [[1, 1, 0]] * 2
    assert b.tolist() == [[1, 0, 0]] * 2 + [[1, 1, 0]] * 2 + [[1, 1, 1]] * 2
    assert group_mask(2, 4, "A").sum() == 0
    assert group_mask(2, 4, "B").sum() == 8
    halves = group_mask(3, 6, "B", groups=3, parts=2)
    assert torch.equal(halves[:3], halves[3:])
    assert torch.equal(halves[:3], torch.ones(3, 3).tril())
    uneven = group_mask(4, 4, "B", groups=3)  # groups 0 0 1 2
    assert uneven[:, 0].tolist() == [1, 1, 1, 1]
    assert uneven[0].tolist() == [1, 1, 0, 0]


# -- painting


@torch.no_grad()
def paint_slowly(
    method: PixelCNN, x: Tensor, hidden: Tensor, generator: torch.Generator, label: Tensor | None
) -> Tensor:
    """What `_paint` draws, by a pass over the whole image for every value."""
    x = x.clone()
    for row, column in itertools.product(*map(range, method.shape[1:])):
        uniform = torch.rand(len(x), x.shape[1] + 1, generator=generator)
        for group in range(method.values.groups):
            seen = method.values.to_network(x)
            output = method.network(seen, method.network.context(seen, label), label)[:, :, row, column]
            drawn = method.values.draw(output, x[:, :, row, column], group, uniform)
            x[:, :, row, column] = torch.where(hidden[:, row, column, None], drawn, x[:, :, row, column])
    return x


CASES = [
    (network, output, channels, classes)
    for network in NETWORKS
    for output, channels in (("binary", 1), ("categorical", 1), ("categorical", 3), ("logistic-mixture", 3))
    for classes in ((0, 3) if network == "gated" else (0,))
]


@pytest.mark.parametrize(("network", "output", "channels", "classes"), CASES)
@torch.no_grad()
def test_painting_by_memory_is_painting_by_whole_passes(
    network: str, output: str, channels: int, classes: int
) -> None:
    method = make(network, output, channels=channels, height=4, width=5, classes=classes)
    label = torch.arange(6) % classes if classes else None
    fast = last(method.sample(6, torch.Generator().manual_seed(5), label))
    blank, hidden = torch.zeros(6, channels, 4, 5), torch.ones(6, 4, 5, dtype=torch.bool)
    slow = paint_slowly(method, blank, hidden, torch.Generator().manual_seed(5), label)
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-6)
    assert len(fast.unique(dim=0)) == 6


@pytest.mark.parametrize("network", NETWORKS)
@torch.no_grad()
def test_samples_are_as_frequent_as_their_probabilities(network: str) -> None:
    method = make(network, height=2, width=3)
    n = 20_000
    p = method.log_prob(every_image(2, 3), torch.Generator()).exp().double()
    drawn = last(method.sample(n, torch.Generator().manual_seed(1))).flatten(1).long()
    counts = torch.bincount((drawn * 2 ** torch.arange(5, -1, -1)).sum(1), minlength=64)
    common = p * n > 5
    observed = [*counts[common].tolist(), int(counts[~common].sum())]
    expected = [*(p[common] * n).tolist(), max(float(p[~common].sum()) * n, 1e-9)]
    scale = sum(observed) / sum(expected)
    assert chisquare(observed, [value * scale for value in expected]).pvalue > 1e-3


@pytest.mark.parametrize("output", ["categorical", "logistic-mixture"])
@torch.no_grad()
def test_a_value_is_drawn_as_often_as_its_mass_says(output: str) -> None:
    method = make("original", output, height=1, width=1)
    levels = (torch.arange(256) / 255).view(-1, 1, 1, 1)
    p = method.log_prob(levels, torch.Generator()).exp().double()
    n = 50_000
    drawn = to_levels(last(method.sample(n, torch.Generator().manual_seed(2)))).flatten()
    counts = torch.bincount(drawn, minlength=256)
    common = p * n > 5
    observed = [*counts[common].tolist(), int(counts[~common].sum())]
    expected = [*(p[common] * n).tolist(), max(float(p[~common].sum()) * n, 1e-9)]
    scale = sum(observed) / sum(expected)
    assert chisquare(observed, [value * scale for value in expected]).pvalue > 1e-3


@torch.no_grad()
def test_completions_draw_the_hidden_and_keep_the_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "AT_ONCE", 1 << 20)
    monkeypatch.setattr(completion, "CANDIDATES", 2)
    method = make("gated", height=4, width=3)
    images, n = torch.tensor([[0, 1, 1], [1, 0, 1], [0, 0, 1], [1, 1, 0]]).float()[None, None], 5_000
    mask = torch.zeros(1, 1, 4, 3)
    mask[:, :, 3] = 1  # the last row: an exact conditional
    many = images.expand(n, -1, -1, -1)
    drawn = last(method.complete(many, mask.expand(n, -1, -1, -1), torch.Generator().manual_seed(0)))
    assert torch.equal(drawn[:, :, :3], many[:, :, :3])
    possible = images.repeat(8, 1, 1, 1)
    possible[:, 0, 3] = torch.tensor(list(itertools.product([0.0, 1.0], repeat=3)))
    p = method.log_prob(possible, torch.Generator()).softmax(0)
    counts = torch.bincount((drawn[:, 0, 3].long() * torch.tensor([4, 2, 1])).sum(1), minlength=8)
    assert ((counts / n - p).abs() < 4.5 * (p * (1 - p) / n).sqrt() + 1e-4).all()


@pytest.mark.parametrize(("output", "channels"), [("binary", 1), ("categorical", 3), ("logistic-mixture", 3)])
@torch.no_grad()
def test_painting_sums_up_the_likelihood_of_what_is_visible(output: str, channels: int) -> None:
    method = make("original", output, channels=channels, height=3, width=3)
    x = method.values.observe(torch.randint(256, (5, channels, 3, 3)) / 255)
    mask = (torch.rand(5, 1, 3, 3) > 0.5).float()
    painting = method._paint(x * (1 - mask), mask, torch.Generator().manual_seed(0))
    *_, (painted, log_p) = painting
    assert torch.equal(painted * (1 - mask), x * (1 - mask))
    expected = (method.log_conditionals(painted, None) * (1 - mask[:, 0])).sum((1, 2))
    torch.testing.assert_close(log_p, expected)


@torch.no_grad()
def test_a_class_is_painted_and_evenly_drawn_where_none_is_asked_for() -> None:
    method = make("gated", height=2, width=2, classes=2)
    for layer in method.network.layers:  # type: ignore[union-attr]
        layer.horizontal_class.mul_(8.0)  # type: ignore[union-attr, operator]
    shares = [
        last(method.sample(3000, torch.Generator().manual_seed(0), torch.full((3000,), c))).mean((0, 1))
        for c in range(2)
    ]
    either = last(method.sample(6000, torch.Generator().manual_seed(1))).mean((0, 1))
    assert (shares[0] - shares[1]).abs().max() > 0.1
    torch.testing.assert_close(either, (shares[0] + shares[1]) / 2, rtol=0, atol=0.04)


def test_picking_follows_the_cumulative_chances() -> None:
    chances = torch.tensor([[0.2, 0.0, 0.5, 0.3]]).expand(5, -1)
    uniform = torch.tensor([0.0, 0.19, 0.21, 0.71, 0.999])
    assert pick(chances, uniform).tolist() == [0, 0, 2, 3, 3]


def test_labels_that_are_not_known_train_what_all_classes_share() -> None:
    method = make("gated", classes=3)
    images = torch.rand(4, 1, 4, 3)
    unknown, _ = method.loss(Batch(images, torch.arange(4), torch.full((4,), -1)))
    with torch.no_grad():
        x = (images > 0.5).float()
        expected = -method.log_conditionals(x, None).sum() / 4
    assert unknown.item() == pytest.approx(expected.item())


# -- what cannot work


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"binarization": "none"}, "binarization"),
        ({"output": "categorical", "binarization": "dynamic"}, "binarization"),
        ({"mixtures": 5}, "mixtures"),
        ({"output": "logistic-mixture", "mixtures": 0}, "mixtures"),
        ({"kernel": 4}, "kernel"),
        ({"first_kernel": 1}, "first_kernel"),
        ({"conditional": True}, "original"),
        ({"maps": 1}, "width"),
    ],
)
def test_what_does_not_go_together_is_refused(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(UsageError, match=word) as error:
        make("original", **changes)
    assert error.value.hint


def test_what_the_data_cannot_give_is_refused() -> None:
    with pytest.raises(UsageError, match="3 channels"):
        make("original", channels=3)
    with pytest.raises(UsageError, match="no classes"):
        make("gated", conditional=True)
    with pytest.raises(UsageError, match="head"):
        make("original", "categorical", channels=3, head=2)
    with pytest.raises(UsageError, match="without classes"):
        last(make("gated").sample(2, torch.Generator(), torch.zeros(2, dtype=torch.long)))
