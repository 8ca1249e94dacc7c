"""FVSBN, NADE and MADE by enumeration: every image of a few pixels, in every order, under every mask."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.autoregressive import completion
from sslterm.methods.autoregressive.fvsbn import FVSBN
from sslterm.methods.autoregressive.made import MADE
from sslterm.methods.autoregressive.nade import NADE
from sslterm.methods.autoregressive.ordered_bits import OrderedBits, bernoulli_log_prob
from sslterm.methods.base import Inputs

KINDS = ("fvsbn", "nade", "made", "made, deep", "made, masks")


def make(kind: str, *, height: int = 3, width: int = 3, seed: int = 0, order: str = "random") -> OrderedBits:
    """A density with weights that are far from 0."""
    torch.manual_seed(seed)
    inputs = Inputs(channels=1, height=height, width=width, train_images=10)
    shared = {"order": order, "binarization": "threshold"}
    method: OrderedBits
    if kind == "fvsbn":
        method = FVSBN(FVSBN.Config(**shared), inputs)  # type: ignore[arg-type]
    elif kind == "nade":
        method = NADE(NADE.Config(hidden=7, **shared), inputs)  # type: ignore[arg-type]
    else:
        widths, masks = {"made": ((40,), 1), "made, deep": ((30, 25), 1), "made, masks": ((30,), 4)}[kind]
        method = MADE(MADE.Config(widths=widths, direct=True, masks=masks, **shared), inputs)  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in method.parameters():
            parameter.normal_(0.0, 1.0)
    return method.eval()


def every_image(height: int = 3, width: int = 3) -> Tensor:
    """[2^D, 1, H, W]."""
    states = list(itertools.product([0.0, 1.0], repeat=height * width))
    return torch.tensor(states, dtype=torch.float32).view(-1, 1, height, width)


def probabilities(method: OrderedBits, images: Tensor) -> Tensor:
    with torch.no_grad():
        return method.log_prob(images, torch.Generator()).exp()


def component_probabilities(method: OrderedBits, images: Tensor, component: int) -> Tensor:
    x = images.flatten(1)
    with torch.no_grad():
        return bernoulli_log_prob(method.logits(x, component), x).sum(1).exp()


@pytest.mark.parametrize("order", ["raster", "random"])
@pytest.mark.parametrize("kind", KINDS)
def test_probabilities_of_all_images_sum_to_one(kind: str, order: str) -> None:
    method, images = make(kind, order=order), every_image()
    p = probabilities(method, images)
    assert p.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert p.max() > 2 / len(p)  # far from uniform, so that the sum says something
    for component in range(method.components):  # every mask by itself
        total = component_probabilities(method, images, component).sum().item()
        assert total == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("kind", ["fvsbn", "nade", "made"])
def test_they_sum_to_one_in_every_order(kind: str) -> None:
    images = every_image(2, 2)
    method = make(kind, height=2, width=2)
    for order in itertools.permutations(range(4)):
        if isinstance(method, MADE):
            method.get_buffer("degrees0").copy_(torch.tensor(order).argsort() + 1)
        else:
            method.get_buffer("order").copy_(torch.tensor(order))
            method.get_buffer("place").copy_(torch.tensor(order).argsort())
        assert method.order_of(0).tolist() == list(order)
        assert probabilities(method, images).sum().item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_an_output_depends_on_all_earlier_pixels_and_on_no_other(kind: str) -> None:
    method = make(kind)
    x = (torch.rand(20, 9) > 0.5).float()
    with torch.no_grad():
        for component in range(method.components):
            place = method.order_of(component).argsort()
            before = method.logits(x, component)
            for pixel in range(9):
                turned = x.clone()
                turned[:, pixel] = 1 - turned[:, pixel]
                changed = (method.logits(turned, component) != before).any(0)
                assert torch.equal(changed, place > place[pixel])


def paint_slowly(method: OrderedBits, x: Tensor, hidden: Tensor, generator: torch.Generator) -> Tensor:
    """What `_paint` draws, by a whole pass for every pixel."""
    which = torch.randint(method.components, (len(x),), generator=generator)
    uniform = torch.rand(x.shape[1], len(x), generator=generator)
    x = x.clone()
    for row in range(len(x)):
        component = int(which[row])
        for place, pixel in enumerate(method.order_of(component).tolist()):
            if hidden[row, pixel]:
                chance = method.logits(x[row, None], component)[0, pixel].sigmoid()
                x[row, pixel] = float(uniform[place, row] < chance)
    return x


def last(partials: Iterator[Tensor]) -> Tensor:
    *_, final = partials
    return final


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_unrolled_samples_are_those_of_whole_passes(kind: str) -> None:
    method = make(kind, height=4, width=3)
    fast = last(method.sample(40, torch.Generator().manual_seed(3)))
    slow = paint_slowly(
        method, torch.zeros(40, 12), torch.ones(40, 12).bool(), torch.Generator().manual_seed(3)
    )
    assert torch.equal(fast.flatten(1), slow)
    assert len(fast.unique(dim=0)) > 10


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_unrolled_logits_are_those_of_one_pass(kind: str) -> None:
    method = make(kind)
    x = (torch.rand(5, 9) > 0.5).float()
    for component in range(method.components):
        steps, bits = method.unroll(5, component), None
        expected = method.logits(x, component)
        for pixel in method.order_of(component).tolist():
            found = next(steps) if bits is None else steps.send(bits)
            torch.testing.assert_close(found, expected[:, pixel])
            bits = x[:, pixel]
        steps.close()


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_samples_are_as_frequent_as_their_probabilities(kind: str) -> None:
    method = make(kind, height=2, width=3)
    n = 20_000
    p = probabilities(method, every_image(2, 3))
    drawn = last(method.sample(n, torch.Generator().manual_seed(1))).flatten(1).long()
    counts = torch.bincount((drawn * 2 ** torch.arange(5, -1, -1)).sum(1), minlength=64)
    common = p * n > 5
    observed = [*counts[common].tolist(), int(counts[~common].sum())]
    expected = [*(p[common] * n).tolist(), max(float(p[~common].sum()) * n, 1e-9)]
    scale = sum(observed) / sum(expected)
    assert chisquare(observed, [value * scale for value in expected]).pvalue > 1e-3


def completed(method: OrderedBits, visible: str, hidden_row: int, n: int) -> Tensor:
    """How often each of the 8 hidden rows is drawn to a visible one of 2x3 pixels, [8] counts."""
    images, mask = torch.zeros(n, 1, 2, 3), torch.zeros(n, 1, 2, 3)
    images[:, 0, 1 - hidden_row] = torch.tensor([float(bit) for bit in visible])
    mask[:, :, hidden_row] = 1
    drawn = last(method.complete(images, mask, torch.Generator().manual_seed(0)))
    assert torch.equal(drawn[:, :, 1 - hidden_row], images[:, :, 1 - hidden_row])
    return torch.bincount((drawn[:, 0, hidden_row].long() * torch.tensor([4, 2, 1])).sum(1), minlength=8)


@pytest.mark.parametrize("kind", ["fvsbn", "nade", "made"])
@torch.no_grad()
def test_completions_of_what_comes_last_are_the_conditional(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last three of six pixels, many times over, against p(hidden | visible) by enumeration."""
    monkeypatch.setattr(completion, "AT_ONCE", 1 << 20)
    method, n = make(kind, height=2, width=3, order="raster"), 4000
    p = probabilities(method, every_image(2, 3)).view(8, 8)[2]  # the first row is 010
    conditional = p / p.sum()
    error = (conditional * (1 - conditional) / n).sqrt()
    shares = completed(method, "010", 1, n) / n
    assert ((shares - conditional).abs() < 4.5 * error + 1e-3).all()


@pytest.mark.parametrize("kind", ["fvsbn", "made", "made, masks"])
@torch.no_grad()
def test_completions_of_what_comes_first_approach_the_conditional(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion, "AT_ONCE", 1 << 20)
    order = "random" if kind == "made, masks" else "raster"
    method, n = make(kind, height=2, width=3, order=order), 2000
    p = probabilities(method, every_image(2, 3)).view(8, 8)[:, 5]  # the second row is 101
    distances = []
    for candidates in (1, 8, 100):
        monkeypatch.setattr(completion, "CANDIDATES", candidates)
        shares = completed(method, "101", 0, n) / n
        distances.append(float((shares - p / p.sum()).abs().sum()) / 2)
    assert distances[0] > 0.06
    assert distances[1] < distances[0] / 2
    assert distances[2] < 0.02


@torch.no_grad()
def test_what_is_visible_stays_grey_and_is_conditioned_on_as_bits() -> None:
    method = make("nade", order="raster")
    images = torch.full((2, 1, 3, 3), 0.8)
    mask = torch.zeros(2, 1, 3, 3)
    mask[:, :, 2] = 1
    ones = last(method.complete(torch.ones(2, 1, 3, 3), mask, torch.Generator().manual_seed(0)))
    greys = last(method.complete(images, mask, torch.Generator().manual_seed(0)))
    assert torch.equal(greys[:, :, :2], images[:, :, :2])
    assert torch.equal(greys[:, :, 2], ones[:, :, 2])


@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_is_the_mean_of_nats_and_logs_bits(kind: str) -> None:
    method, images = make(kind), every_image()[100:130]
    loss, aux = method.loss(Batch(images, torch.arange(30), torch.full((30,), -1)))
    with torch.no_grad():
        nats = -component_probabilities(method, images, 0).log().mean()
    assert loss.item() == pytest.approx(nats.item())
    assert aux["bits_per_dim"].item() == pytest.approx(nats.item() / (9 * math.log(2)))


@pytest.mark.parametrize("kind", KINDS)
def test_pixel_nats_add_up_to_the_likelihood(kind: str) -> None:
    method, images = make(kind), every_image()[:200]
    batch = Batch(images, torch.arange(200), torch.full((200,), -1))
    with torch.no_grad():
        panel = next(panel for panel in method.panels(batch) if panel.name == "pixel-nats")
        each = [component_probabilities(method, images, m).log().mean() for m in range(method.components)]
    assert panel.array.shape == (3, 3)
    assert panel.array.sum() == pytest.approx(-float(torch.stack(each).mean()), rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_colour_images_are_refused(kind: str) -> None:
    inputs = Inputs(channels=3, height=4, width=4, train_images=10)
    method = make(kind)
    with pytest.raises(UsageError, match="3 channels") as error:
        type(method)(method.config, inputs)  # type: ignore[attr-defined, call-arg]
    assert "pixelcnn" in error.value.hint
