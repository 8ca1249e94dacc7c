"""A function over the whole training set, or over a part of it."""

from __future__ import annotations

import torch
from torch import Tensor

from sslterm.data.source import Split
from sslterm.data.store import Store
from sslterm.engine.sweep import sweep_over


def store(n: int) -> Store:
    images = torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1).expand(-1, 3, 2, 2).contiguous()
    return Store(Split(images, torch.zeros(n, dtype=torch.int64)), torch.device("cpu"))


def number(images: Tensor) -> Tensor:
    assert len(images) <= 4
    return (images[:, 0, 0, 0] * 255).round().long()


def test_all_images_come_in_order_and_in_portions() -> None:
    assert sweep_over(store(11), number, size=4).tolist() == list(range(11))


def test_an_index_chooses_which_and_in_what_order() -> None:
    index = torch.tensor([7, 2, 2, 10, 0])
    assert sweep_over(store(11), number, index, size=4).tolist() == index.tolist()


def test_it_keeps_no_graph() -> None:
    weight = torch.ones(1, requires_grad=True)
    assert not sweep_over(store(3), lambda images: images.mean((1, 2, 3)) * weight, size=4).requires_grad
