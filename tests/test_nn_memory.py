"""What methods remember of images between steps: a queue of the newest, and a bank of all."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.nn.bank import Bank, noise_contrast
from sslterm.nn.queue import Queue


def rows(*values: float) -> Tensor:
    return torch.tensor(values)[:, None].expand(-1, 2).clone()


def test_a_queue_keeps_the_newest_in_order() -> None:
    queue = Queue(5, 2)
    assert torch.equal(queue.push(rows(1, 2, 3), images=10), torch.tensor([0, 1, 2]))
    assert torch.equal(queue.push(rows(4, 5, 6), images=20), torch.tensor([3, 4, 0]))
    assert queue.values[:, 0].tolist() == [6, 2, 3, 4, 5]
    assert queue.pushed_at.tolist() == [20, 10, 10, 20, 20]
    queue.push(rows(7, 8, 9, 10, 11), images=30)
    assert sorted(queue.values[:, 0].tolist()) == [7, 8, 9, 10, 11]
    assert queue.values[0, 0] == 11  # the oldest was 2, at 1: from there on


def test_a_queue_begins_with_random_unit_vectors_that_have_no_age() -> None:
    queue = Queue(64, 8)
    torch.testing.assert_close(queue.values.norm(dim=1), torch.ones(64))
    assert (queue.values @ queue.values.T).fill_diagonal_(0).abs().max() < 0.999
    assert queue.ages().isnan().all()


def test_ages_go_from_the_newest_on() -> None:
    queue = Queue(5, 2)
    queue.push(rows(1, 2), images=0)
    queue.push(rows(3, 4), images=16)
    assert queue.ages()[:4].tolist() == [0, 0, 16, 16]
    assert queue.ages()[4].isnan()
    assert queue.ages(images=32)[:4].tolist() == [16, 16, 32, 32]


def test_what_does_not_fit_into_a_queue_is_refused() -> None:
    with pytest.raises(ValueError, match="6 embeddings do not go into a queue of 5"):
        Queue(5, 2).push(rows(*range(6)), images=0)


def test_memories_survive_in_the_state_dict() -> None:
    for memory in (Queue(4, 3), Bank(4, 3)):
        assert set(memory.state_dict()) == {name for name, _ in memory.named_buffers()}
        assert not list(memory.parameters())
        assert len(memory) == 4


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_a_bank_moves_the_rows_it_is_told_to(momentum: float) -> None:
    bank = Bank(6, 4)
    before, new = bank.values.clone(), F.normalize(torch.randn(2, 4), dim=1)
    bank.update(torch.tensor([4, 1]), new, momentum=momentum, images=48)
    for row, value in zip((4, 1), new, strict=True):
        moved = momentum * before[row] + (1 - momentum) * value
        torch.testing.assert_close(bank.values[row], moved / moved.norm())
    untouched = [0, 2, 3, 5]
    assert torch.equal(bank.values[untouched], before[untouched])
    assert bank.updated_at.tolist() == [-1, 48, -1, -1, 48, -1]


def test_an_image_that_is_there_twice_counts_with_its_last_place() -> None:
    bank, new = Bank(6, 4), F.normalize(torch.randn(4, 4), dim=1)
    bank.update(torch.tensor([3, 0, 3, 5]), new, momentum=0.0, images=0)
    torch.testing.assert_close(bank.values[[0, 3, 5]], new[[1, 2, 3]])


def test_ages_of_a_bank() -> None:
    bank = Bank(3, 2)
    assert bank.ages().isnan().all()
    bank.update(torch.tensor([2]), rows(1), momentum=0.5, images=100)
    bank.update(torch.tensor([0]), rows(1), momentum=0.5, images=160)
    assert bank.ages()[[0, 2]].tolist() == [0, 60]
    assert bank.ages()[1].isnan()


def test_draws_are_uniform_over_the_bank() -> None:
    torch.manual_seed(0)
    counts = torch.bincount(Bank(10, 2).draw(20_000), minlength=10)
    assert len(counts) == 10
    assert (counts - 2000).abs().max() < 5 * math.sqrt(2000)


def by_definition(positive: Tensor, noise: Tensor, offset: Tensor) -> Tensor:
    """-log h(positive) - sum of log(1 - h(noise)), h = e^s / (e^s + e^offset), entry by entry."""
    total = torch.zeros((), dtype=positive.dtype)
    for i in range(len(positive)):
        threshold = offset.expand(len(positive))[i].exp()
        total = total - (positive[i].exp() / (positive[i].exp() + threshold)).log()
        for logit in noise[i]:
            total = total - (1 - logit.exp() / (logit.exp() + threshold)).log()
    return total / len(positive)


@pytest.mark.parametrize("shape", [(), (5,)])
def test_contrast_with_noise_is_the_logistic_loss(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    inputs = [
        torch.randn(size, dtype=torch.float64).mul(3).requires_grad_() for size in ((5,), (5, 7), shape)
    ]
    loss, expected = noise_contrast(*inputs), by_definition(*inputs)
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=0)
    for one, other in zip(
        torch.autograd.grad(loss, inputs), torch.autograd.grad(expected, inputs), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_noise_at_minus_infinity_is_left_out() -> None:
    torch.manual_seed(0)
    positive, noise = torch.randn(5), torch.randn(5, 7)
    less = noise.clone()
    less[:, 3] = float("-inf")
    less.requires_grad_()
    loss = noise_contrast(positive, less, torch.zeros(()))
    torch.testing.assert_close(loss, noise_contrast(positive, noise[:, [0, 1, 2, 4, 5, 6]], torch.zeros(())))
    (gradient,) = torch.autograd.grad(loss, less)
    assert torch.isfinite(gradient).all()
    assert (gradient[:, 3] == 0).all()


def test_contrast_with_noise_stays_finite_far_from_the_offset() -> None:
    loss = noise_contrast(torch.tensor([-500.0]), torch.tensor([[500.0]]), torch.zeros(()))
    torch.testing.assert_close(loss, torch.tensor(1000.0))
