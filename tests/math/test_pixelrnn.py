"""PixelRNN by enumeration, by perturbation, and beside recurrences that go pixel by pixel."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.autoregressive import completion
from sslterm.methods.autoregressive.pixelrnn import PixelRNN
from sslterm.methods.base import Inputs
from sslterm.nn.causal_conv import Memory
from sslterm.nn.recurrent_pixels import DiagonalBiLSTM, RowLSTM, skew, unskew

RECURRENCES = ("row", "diagonal")


def make(
    recurrence: str, output: str = "binary", *, channels: int = 1, height: int = 4, width: int = 3, maps: int = 12,
    **changes: Any,
) -> PixelRNN:  # fmt: skip
    """A small one with weights that are far from 0."""
    fields: dict[str, Any] = {
        "recurrence": recurrence, "kernel": 3 if recurrence == "row" else 0, "width": maps, "blocks": 2,
        "first_kernel": 3, "head": 24, "output": output, "mixtures": 0,
        "binarization": "threshold" if output == "binary" else "none",
    }  # fmt: skip
    torch.manual_seed(0)
    inputs = Inputs(channels=channels, height=height, width=width, train_images=10)
    method = PixelRNN(PixelRNN.Config(**(fields | changes)), inputs)
    with torch.no_grad():
        for name, parameter in method.named_parameters():
            parameter.normal_(0.0, 0.5 if "head" in name else 0.3)
    return method.eval()


def last(partials: Iterator[Tensor]) -> Tensor:
    *_, final = partials
    return final


def every_image(height: int, width: int) -> Tensor:
    states = list(itertools.product([0.0, 1.0], repeat=height * width))
    return torch.tensor(states, dtype=torch.float32).view(-1, 1, height, width)


def output_of(method: PixelRNN, x: Tensor) -> Tensor:
    return method.network(x, method.network.context(x))


# -- the recurrences


def step(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Eq. 3 at one pixel: gates [4h] and cell [h]."""
    o, f, i, g = gates.chunk(4)
    cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


@torch.no_grad()
def test_a_row_lstm_is_equation_3_pixel_by_pixel() -> None:
    torch.manual_seed(0)
    layer = RowLSTM(4, 3, 3, 1).double()
    x = torch.randn(1, 4, 5, 6, dtype=torch.float64)
    weight = layer.lstm.weight.view(12, 3, 3)  # [4h, place, h]
    i_to_s, bias = (
        layer.inputs.masked_weight()[:, :, 0],
        layer.inputs.bias,
    )  # [4h, C, 2]: the left pixel and its own
    h, cell = (torch.zeros(6, 8, 3, dtype=torch.float64) for _ in range(2))  # a border of zeros
    for row, column in itertools.product(range(5), range(6)):
        gates = bias + i_to_s[:, :, 1] @ x[0, :, row, column]
        if column:
            gates = gates + i_to_s[:, :, 0] @ x[0, :, row, column - 1]
        for place in range(3):
            gates = gates + weight[:, place] @ h[row, column + place]
        h[row + 1, column + 1], cell[row + 1, column + 1] = step(gates, cell[row, column + 1])
    torch.testing.assert_close(layer(x)[0], h[1:, 1:-1].permute(2, 0, 1), rtol=1e-6, atol=1e-7)


@torch.no_grad()
def test_a_diagonal_lstm_comes_from_both_corners_pixel_by_pixel() -> None:
    torch.manual_seed(0)
    layer = DiagonalBiLSTM(4, 3, 1).double()
    x = torch.randn(1, 4, 5, 6, dtype=torch.float64)
    own = torch.einsum("oc,chw->hwo", layer.inputs.masked_weight()[:, :, 0, 0], x[0]) + layer.inputs.bias
    maps = []
    for lstm, gates_of, towards in (
        (layer.rightwards, own[..., :12], 1), (layer.leftwards, own[..., 12:], -1)
    ):  # fmt: skip
        weight = lstm.weight.view(12, 2, 3)
        h, cell = (torch.zeros(6, 8, 3, dtype=torch.float64) for _ in range(2))
        for row in range(1, 6):
            for column in range(1, 7)[::towards]:
                gates = gates_of[row - 1, column - 1]
                gates = gates + weight[:, 0] @ h[row - 1, column] + weight[:, 1] @ h[row, column - towards]
                h[row, column], cell[row, column] = step(gates, cell[row, column - towards])
        maps.append(h[:, 1:-1])
    expected = maps[0][1:] + maps[1][:-1]  # the second one shifted down by a row
    torch.testing.assert_close(layer(x)[0], expected.permute(2, 0, 1), rtol=1e-6, atol=1e-7)


def test_skewing_moves_every_row_a_place_further() -> None:
    x = torch.arange(1.0, 13).view(1, 1, 3, 4)
    assert skew(x)[0, 0].tolist() == [[1, 2, 3, 4, 0, 0], [0, 5, 6, 7, 8, 0], [0, 0, 9, 10, 11, 12]]
    assert torch.equal(unskew(skew(x)), x)
    assert torch.equal(unskew(skew(x[..., :1])), x[..., :1])
    assert torch.equal(unskew(skew(x[:, :, :1])), x[:, :, :1])


@pytest.mark.parametrize("recurrence", RECURRENCES)
def test_forget_gates_start_open(recurrence: str) -> None:
    """Of gates that hear nothing, the forget gate is at sigmoid(1)."""
    torch.manual_seed(0)
    layer = RowLSTM(2, 50, 3, 1) if recurrence == "row" else DiagonalBiLSTM(2, 50, 1)
    _, forget, _, _ = layer.inputs.bias[:200].chunk(4)
    others = layer.inputs.bias[:50]
    assert forget.mean().item() == pytest.approx(1.0 + others.mean().item(), abs=0.5)
    assert forget.min() > others.max() - 1


# -- probabilities


@pytest.mark.parametrize("recurrence", RECURRENCES)
@torch.no_grad()
def test_probabilities_of_all_binary_images_sum_to_one(recurrence: str) -> None:
    p = make(recurrence).log_prob(every_image(4, 3), torch.Generator()).exp()
    assert p.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert p.max() > 4 / len(p)


@pytest.mark.parametrize("recurrence", RECURRENCES)
@torch.no_grad()
def test_probabilities_of_all_images_of_two_levels_pixels_sum_to_one(recurrence: str) -> None:
    method = make(recurrence, "categorical", height=2, width=1)
    levels = torch.arange(256) / 255
    pairs = torch.cartesian_prod(levels, levels).view(-1, 1, 2, 1)
    parts = [method.log_prob(part, torch.Generator()).double() for part in pairs.split(16384)]
    assert torch.cat(parts).exp().sum().item() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("recurrence", RECURRENCES)
@torch.no_grad()
def test_levels_start_at_eight_bits_a_value(recurrence: str) -> None:
    torch.manual_seed(0)
    inputs = Inputs(channels=3, height=5, width=5, train_images=10)
    method = PixelRNN(make(recurrence, "categorical", channels=3).config, inputs)
    noise = torch.randint(256, (10, 3, 5, 5)) / 255
    _, aux = method.loss(Batch(noise, torch.arange(10), torch.full((10,), -1)))
    assert aux["bits_per_dim"].item() == pytest.approx(8.0, abs=1e-5)


# -- what sees what


@pytest.mark.parametrize("output", ["binary", "categorical"])
@pytest.mark.parametrize("recurrence", RECURRENCES)
@torch.no_grad()
def test_an_output_sees_earlier_values_alone(recurrence: str, output: str) -> None:
    channels = 1 if output == "binary" else 3
    method = make(recurrence, output, channels=channels, height=5, width=6)
    x = torch.rand(10, channels, 5, 6)
    before = output_of(method, x)
    groups = method.values.groups
    for row, column, channel in itertools.product(range(5), range(6), range(channels)):
        turned = x.clone()
        turned[:, channel, row, column] = 1 - turned[:, channel, row, column]
        changed = (output_of(method, turned) != before).view(10, groups, -1, 5, 6).any(2).any(0)
        assert not changed[:, :row].any()
        assert not changed[:, row, :column].any()
        assert not changed[: channel + 1 if groups > 1 else groups, row, column].any()
        if groups > 1:  # green and blue see red, blue sees green
            assert changed[channel + 1 :, row, column].all()
        if column < 5:
            assert changed[:, row, column + 1].all()
        if row < 4:
            assert changed[:, row + 1, column].all()


@pytest.mark.parametrize("column", [0, 3, 5])
@pytest.mark.parametrize("recurrence", RECURRENCES)
def test_one_diagonal_layer_sees_nearly_all_before_and_one_row_layer_a_triangle(
    recurrence: str, column: int
) -> None:
    method, row = make(recurrence, height=6, width=6, blocks=1).double(), 5
    x = torch.rand(1, 1, 6, 6, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(output_of(method, x)[0, :, row, column].sum(), x)
    raster = torch.arange(36).view(6, 6) < 6 * row + column
    if recurrence == "diagonal":
        raster[row - 1, 5] = (
            column >= 4
        )  # mask A hides it from the map of its own row: only the first window sees it
        assert torch.equal(gradient[0, 0] != 0, raster)
        return
    # K_ss reaches one to either side a row; the first window and K_is reach two to the left and one to the right.
    rows, columns = torch.meshgrid(torch.arange(6), torch.arange(6), indexing="ij")
    up = row - rows
    triangle = (columns >= column - up - 2) & (columns <= column + up + 1) & raster
    assert (~(gradient[0, 0] != 0) | triangle).all()
    assert (gradient[0, 0] != 0)[:row, column].all()


# -- painting


@torch.no_grad()
def paint_slowly(method: PixelRNN, x: Tensor, hidden: Tensor, generator: torch.Generator) -> Tensor:
    """What `_paint` draws, by a pass over the whole image for every value."""
    x = x.clone()
    for row, column in itertools.product(*map(range, method.shape[1:])):
        uniform = torch.rand(len(x), x.shape[1] + 1, generator=generator)
        for group in range(method.values.groups):
            output = output_of(method, method.values.to_network(x))[:, :, row, column]
            drawn = method.values.draw(output, x[:, :, row, column], group, uniform)
            x[:, :, row, column] = torch.where(hidden[:, row, column, None], drawn, x[:, :, row, column])
    return x


@pytest.mark.parametrize(("output", "channels"), [("binary", 1), ("categorical", 1), ("categorical", 3)])
@pytest.mark.parametrize("recurrence", RECURRENCES)
@torch.no_grad()
def test_painting_by_memory_is_painting_by_whole_passes(recurrence: str, output: str, channels: int) -> None:
    method = make(recurrence, output, channels=channels, height=5, width=6)
    fast = last(method.sample(6, torch.Generator().manual_seed(5)))
    blank, hidden = torch.zeros(6, channels, 5, 6), torch.ones(6, 5, 6, dtype=torch.bool)
    slow = paint_slowly(method, blank, hidden, torch.Generator().manual_seed(5))
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-6)
    assert len(fast.unique(dim=0)) == 6


@pytest.mark.parametrize(("output", "channels"), [("binary", 1), ("categorical", 3)])
@pytest.mark.parametrize("recurrence", RECURRENCES)
@torch.no_grad()
def test_painting_around_what_is_visible_sums_up_its_likelihood(
    recurrence: str, output: str, channels: int
) -> None:
    method = make(recurrence, output, channels=channels, height=3, width=4)
    x = method.values.observe(torch.randint(256, (5, channels, 3, 4)) / 255)
    mask = (torch.rand(5, 1, 3, 4) > 0.5).float()
    *_, (painted, log_p) = method._paint(x * (1 - mask), mask, torch.Generator().manual_seed(0))
    assert torch.equal(painted * (1 - mask), x * (1 - mask))
    expected = (method.log_conditionals(painted, None) * (1 - mask[:, 0])).sum((1, 2))
    torch.testing.assert_close(log_p, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("recurrence", RECURRENCES)
@torch.no_grad()
def test_all_pixels_cost_one_pass(recurrence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every convolution is evaluated once a pixel, however large the image is."""
    calls = 0

    class Counting(Memory):
        def __call__(self, conv: Any, x: Tensor) -> Tensor:
            nonlocal calls
            calls += x.shape[3]
            return super().__call__(conv, x)

    monkeypatch.setattr("sslterm.nn.painting.Memory", Counting)
    method = make(recurrence, height=5, width=6)
    last(method.sample(2, torch.Generator()))
    assert calls == 30 * (1 + 2 * 2 + 2)  # the first, two in every block, two in the head


@pytest.mark.parametrize("recurrence", RECURRENCES)
@torch.no_grad()
def test_completions_draw_the_hidden_and_keep_the_visible(
    recurrence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion, "AT_ONCE", 1 << 20)
    monkeypatch.setattr(completion, "CANDIDATES", 1)
    method = make(recurrence)
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


# -- what cannot work


@pytest.mark.parametrize(
    ("recurrence", "changes", "word"),
    [
        ("row", {"kernel": 4}, "kernel = 4"),
        ("row", {"kernel": 0}, "kernel = 0"),
        ("diagonal", {"kernel": 3}, "diagonal"),
        ("row", {"first_kernel": 1}, "first_kernel"),
        ("row", {"binarization": "none"}, "binarization"),
        ("row", {"mixtures": 5}, "mixtures"),
        ("row", {"maps": 1}, "width"),
        ("row", {"channels": 3}, "3 channels"),
    ],
)
def test_what_cannot_work_is_refused(recurrence: str, changes: dict[str, Any], word: str) -> None:
    with pytest.raises(UsageError, match=word) as error:
        make(recurrence, **changes)
    assert error.value.hint


def test_there_are_no_classes_to_sample() -> None:
    with pytest.raises(UsageError, match="without classes"):
        last(make("row").sample(2, torch.Generator(), torch.zeros(2, dtype=torch.long)))
