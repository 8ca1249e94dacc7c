"""The Neural Autoregressive Distribution Estimator.
Hugo Larochelle & Iain Murray, AISTATS 2011, PMLR 15:29-37.

Idea:
    A network with one hidden layer for every conditional, all sharing their weights: the hidden units that
    predict pixel d see the pixels before it, and going on to d + 1 adds one pixel's weights to what they were.
    All D conditionals together so cost O(H D), no more than one pass of an autoencoder. The form is that of one
    mean-field step in an RBM.

Objective:
    -log p(x) = - sum_d log p(x_d | x_<d)        (Alg. 1)
    p(x_d = 1 | x_<d) = sigmoid(b_d + V_d h_d),  h_d = sigmoid(a_d)
    a_1 = c,  a_{d+1} = a_d + W_d x_d

Departures:
    Adam with a decaying rate in place of plain SGD with a decreasing one. The gradient is that of Alg. 1, written by
    hand over chunks of pixels: what it needs of a chunk is computed again, so that it keeps [D / chunk, B, H]
    numbers and not [D, B, H].

Watch for:
    filters: strokes and their parts; units that stay noise have not been found yet (NADE learns them slowly).
    Nats fall for a long time: a tenth of the epochs brings all but the last few.

Shapes:
    B batch, D pixels, H hidden units; bits and logits [B, D]; W, V [D, H]; a, h [B, H].
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sslterm.config.schema import Count
from sslterm.data.batch import Batch
from sslterm.methods.autoregressive.ordered_bits import Order, OrderedBits, draw_order
from sslterm.methods.base import Inputs, eager
from sslterm.methods.filters import filters_panel, strongest
from sslterm.nn.bits import Binarization
from sslterm.nn.precision import in_float32
from sslterm.run.panels import Panel

CHUNK = 14
"""Pixels computed together: their [CHUNK, B, H] hidden units fit a processor's cache."""
SHOWN = 64
"""Hidden units whose weights are drawn."""


class NADE(OrderedBits):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        hidden: Count
        """H, the units that all conditionals share; 500 in §5."""
        order: Order
        """In which pixels condition on each other."""
        binarization: Binarization

    order: Tensor
    place: Tensor
    """[D]: where in the order each pixel comes."""

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(inputs, config.binarization)
        self.config = config
        self.register_buffer("order", draw_order(config.order, self.pixels))
        self.register_buffer("place", self.order.argsort())
        reach = self.pixels**-0.5
        self.W = nn.Parameter(torch.empty(self.pixels, config.hidden).uniform_(-reach, reach))  # in the order
        self.V = nn.Parameter(torch.empty(self.pixels, config.hidden).uniform_(-reach, reach))
        self.b = nn.Parameter(torch.zeros(self.pixels))
        self.c = nn.Parameter(torch.zeros(config.hidden))

    @eager  # its gradient is written by hand, chunk by chunk
    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        return super().loss(batch)

    def logits(self, x: Tensor, component: int | None = None) -> Tensor:
        return nade_logits(x[:, self.order], self.W, self.V, self.b, self.c)[:, self.place]

    def order_of(self, component: int) -> Tensor:
        return self.order

    def unroll(self, n: int, component: int) -> Generator[Tensor, Tensor, None]:
        a = self.c.repeat(n, 1)
        for w, v, b in zip(self.W, self.V, self.b, strict=True):  # Alg. 1
            x = yield a.sigmoid() @ v + b
            a.addr_(x, w)

    def panels(self, batch: Batch) -> Iterator[Panel]:
        yield from super().panels(batch)
        _, height, width = self.shape
        filters = self.W[self.place].T  # [H, D in the image]
        shown = strongest(filters, SHOWN)
        yield filters_panel(
            filters[shown].view(-1, 1, height, width),
            f"what {len(shown)} of {len(filters)} hidden units add up, those with the largest weights",
        )

    def order_words(self) -> str:
        return f"{self.config.order} order"


@in_float32
def nade_logits(x: Tensor, w: Tensor, v: Tensor, b: Tensor, c: Tensor, *, chunk: int = CHUNK) -> Tensor:
    """b_d + V_d sigmoid(c + sum_{j<d} W_j x_j) for every d, in O(B D H).

    Args:
        x: [B, D] bits, in the order.
        w, v: [D, H].
        b: [D].
        c: [H].
        chunk: pixels computed together.
    """
    logits: Tensor = _Logits.apply(x, w, v, b, c, chunk)
    return logits


class _Logits(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, w: Tensor, v: Tensor, b: Tensor, c: Tensor, chunk: int) -> Tensor:
        a = c.repeat(len(x), 1)  # [B, H]
        starts, logits = [], []
        for x_, w_, v_ in zip(*_chunks(chunk, x.T, w, v), strict=True):  # [K, B], [K, H], [K, H]
            starts.append(a)
            h, a = _hidden(a, x_, w_)  # [K, B, H]
            logits.append((h @ v_.unsqueeze(2)).squeeze(2))  # [K, B]
        ctx.save_for_backward(x, w, v, *starts)
        ctx.chunk = chunk
        return torch.cat(logits).T + b

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients  # [B, D]
        x, w, v, *starts = ctx.saved_tensors
        later = torch.zeros_like(starts[0])  # of the loss in a_d: the sum over all pixels after d, [B, H]
        grad_w, grad_v = torch.empty_like(w), torch.empty_like(v)
        cut = _chunks(ctx.chunk, x.T, w, v, gradient.T, grad_w, grad_v)
        for a, x_, w_, v_, g_, grad_w_, grad_v_ in reversed(list(zip(starts, *cut, strict=True))):
            h, _ = _hidden(a, x_, w_)
            torch.bmm(g_.unsqueeze(1), h, out=grad_v_.unsqueeze(1))
            grad_a = torch.ops.aten.sigmoid_backward(g_.unsqueeze(2) * v_.unsqueeze(1), h)  # [K, B, H]
            for k in reversed(range(len(x_))):
                torch.mv(later.T, x_[k], out=grad_w_[k])
                later += grad_a[k]
        return None, grad_w, grad_v, gradient.sum(0), later.sum(0), None


def _chunks(size: int, *tensors: Tensor) -> tuple[tuple[Tensor, ...], ...]:
    return tuple(torch.split(tensor, size) for tensor in tensors)


def _hidden(a: Tensor, x: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
    """h of K pixels from the a of the first, and the a of the pixel after them.

    Args:
        a: [B, H].
        x: [K, B].
        w: [K, H].

    Returns:
        [K, B, H] and [B, H].
    """
    sums = a.new_empty(len(x), *a.shape)
    for k in range(len(x)):
        sums[k] = a
        a = torch.addr(a, x[k], w[k])
    return sums.sigmoid_(), a
