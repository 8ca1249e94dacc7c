"""MADE's masks against the paper's definition and its paths, its turns, and its ensemble by enumeration."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.autoregressive.made import MADE, compare, spread_degrees
from sslterm.methods.autoregressive.ordered_bits import bernoulli_log_prob
from sslterm.methods.base import Inputs, LossFn


def make(
    *, widths: tuple[int, ...] = (12, 10), direct: bool = True, order: str = "random", masks: int = 3
) -> MADE:
    config = MADE.Config(
        widths=widths, direct=direct, order=order, masks=masks, binarization="threshold"  # type: ignore[arg-type]
    )  # fmt: skip
    torch.manual_seed(0)
    return MADE(config, Inputs(channels=1, height=2, width=4, train_images=10)).eval()


@pytest.mark.parametrize("direct", [True, False])
def test_masks_are_the_paper_s_and_their_product_joins_earlier_pixels_alone(direct: bool) -> None:
    method = make(direct=direct)
    for component in range(3):
        weights, output, straight = method.masked_weights(component)
        degrees = [part.tolist() for part in method.degrees(component)]
        for below, above, weight in zip(degrees, degrees[1:], weights, strict=False):  # §4.2
            for k, j in itertools.product(range(len(above)), range(len(below))):
                assert (weight[k, j] != 0) == (above[k] >= below[j])
        for d, k in itertools.product(range(8), range(10)):
            assert (output[d, k] != 0) == (degrees[0][d] > degrees[-1][k])
        paths = (output != 0).float() @ (weights[1] != 0).float() @ (weights[0] != 0).float()
        place = method.degrees(component)[0]
        assert torch.equal(paths > 0, place[:, None] > place[None, :])  # all earlier pixels, no other
        assert (straight is None) == (not direct)


def test_orders_and_connectivities_differ_or_are_shared_as_asked() -> None:
    random, raster = make(order="random"), make(order="raster")
    assert len({tuple(random.order_of(m).tolist()) for m in range(3)}) == 3
    assert all(raster.order_of(m).tolist() == list(range(8)) for m in range(3))
    for method in (random, raster):
        assert len({tuple(method.degrees(m)[1].tolist()) for m in range(3)}) == 3


def test_degrees_are_spread_evenly_over_their_range() -> None:
    degrees = spread_degrees(70, 8)
    assert torch.equal(degrees.long().bincount(), torch.tensor([0, *[10] * 7]))
    assert not torch.equal(degrees, degrees.sort().values)


def test_a_mask_is_of_numbers() -> None:
    found = compare(torch.ge, torch.tensor([1.0, 3.0]), torch.tensor([1.0, 2.0, 3.0]))
    assert found.tolist() == [[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
    assert found.dtype == torch.float32


class _Turns:
    """An `Update` that notes the mask in training."""

    def __init__(self, method: MADE) -> None:
        self.method, self.step, self.images, self.progress = method, 0, 0, 0.0
        self.seen: list[int] = []

    def __call__(self, name: str | tuple[str, ...], loss_fn: LossFn, batch: Batch) -> dict[str, Tensor]:
        self.seen.append(int(self.method.turn))
        loss, _ = loss_fn(batch)
        x = (batch.images > 0.5).float().flatten(1)
        nats = -bernoulli_log_prob(self.method.logits(x, self.seen[-1]), x).sum(1).mean()
        assert loss.item() == pytest.approx(nats.item())
        self.step += 1
        return {}


def test_masks_take_turns_batch_by_batch() -> None:
    method = make()
    update = _Turns(method)
    batch = Batch(torch.rand(4, 1, 2, 4), torch.arange(4), torch.full((4,), -1))
    for _ in range(7):
        method.step(iter([batch]), update)  # type: ignore[arg-type]
    assert update.seen == [0, 1, 2, 0, 1, 2, 0]


@torch.no_grad()
def test_the_ensemble_is_the_mean_of_the_densities_and_no_worse_than_their_mean_nats() -> None:
    method = make()
    states = torch.tensor(list(itertools.product([0.0, 1.0], repeat=8))).view(-1, 1, 2, 4)
    x = states.flatten(1)
    each = torch.stack([bernoulli_log_prob(method.logits(x, m), x).sum(1) for m in range(3)])
    whole = method.log_prob(states, torch.Generator())
    torch.testing.assert_close(whole.exp(), each.exp().mean(0))
    assert whole.exp().sum().item() == pytest.approx(1.0, abs=1e-5)
    assert (whole >= each.mean(0) - 1e-6).all()  # Jensen


@torch.no_grad()
def test_the_panel_of_masks_shows_each_and_their_mean() -> None:
    method, images = make(), (torch.rand(30, 1, 2, 4) > 0.5).float()
    batch = Batch(images, torch.arange(30), torch.full((30,), -1))
    (panel,) = (panel for panel in method.panels(batch) if panel.name == "masks")
    x = images.flatten(1)
    for m in range(3):
        nats = -bernoulli_log_prob(method.logits(x, m), x).sum(1).mean()
        assert panel.array[m] == pytest.approx(nats.item(), rel=1e-5)
    mean = -method.log_prob(images, torch.Generator()).mean()
    assert panel.array[3] == pytest.approx(mean.item(), rel=1e-5)
    assert panel.labels == ("mask 1", "mask 2", "mask 3", "mean")


def test_what_an_image_of_one_pixel_leaves() -> None:
    config = MADE.Config(widths=(3,), direct=True, order="raster", masks=1, binarization="threshold")
    method = MADE(config, Inputs(channels=1, height=1, width=1, train_images=1))
    both = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)
    assert method.log_prob(both, torch.Generator()).exp().sum().item() == pytest.approx(1.0)
    *_, drawn = method.sample(5, torch.Generator())
    assert drawn.shape == (5, 1, 1, 1)


def test_a_network_without_hidden_layers_is_refused() -> None:
    with pytest.raises(UsageError, match="no hidden layer"):
        make(widths=())
