"""Graphical Models for Machine Learning and Digital Communication (fully visible sigmoid belief network).
Brendan J. Frey, MIT Press, 1998, ISBN 978-0-262-06202-0; after Radford M. Neal, Connectionist learning of belief
networks, Artificial Intelligence 56, 1992, doi:10.1016/0004-3702(92)90065-6.

Idea:
    Put the pixels in an order. The probability of an image is then a product of conditionals, each of a pixel
    given those before it, and each conditional is a logistic regression. The product is normalized by
    construction: no partition function, no bound, exact likelihoods and exact samples.

Objective:
    -log p(x) = - sum_d log p(x_d | x_<d),    p(x_d = 1 | x_<d) = sigmoid(b_d + sum_{j<d} W_dj x_j)

Departures:
    Adam on mini-batches in place of the gradient ascent of 1992. No weight decay or early stopping: with 60,000
    images, the D(D-1)/2 weights are not many.

Watch for:
    pixel-nats: what is known of a pixel from those before it; strokes' edges are dear, the border is free. The
    figure to beat is that of independent pixels (beside it in `evaluate`): about twice as many nats on MNIST.
    Samples have local strokes but no global shape: a linear logit cannot say "if this, or that, but not both".

Shapes:
    B batch, D pixels; images [B, 1, H, W]; bits and logits [B, D]; W [D, D], strictly lower triangular in the order.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.data.batch import Batch
from sslterm.methods.autoregressive.ordered_bits import Order, OrderedBits, draw_order
from sslterm.methods.base import Inputs
from sslterm.methods.filters import filters_panel
from sslterm.nn.bits import Binarization
from sslterm.run.panels import Panel

SHOWN = 36
"""Conditionals whose weights are drawn."""


class FVSBN(OrderedBits):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        order: Order
        """In which pixels condition on each other."""
        binarization: Binarization

    order: Tensor

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(inputs, config.binarization)
        self.config = config
        self.register_buffer("order", draw_order(config.order, self.pixels))
        self.register_buffer("place", self.order.argsort())
        self.weight = nn.Parameter(
            torch.zeros(self.pixels, self.pixels)
        )  # in the order; only below the diagonal
        self.bias = nn.Parameter(torch.zeros(self.pixels))

    place: Tensor
    """[D]: where in the order each pixel comes."""

    def logits(self, x: Tensor, component: int | None = None) -> Tensor:
        in_order = F.linear(x[:, self.order], self.weight.tril(-1), self.bias)
        return in_order[:, self.place].float()

    def order_of(self, component: int) -> Tensor:
        return self.order

    def unroll(self, n: int, component: int) -> Generator[Tensor, Tensor, None]:
        logits = self.bias.repeat(n, 1)  # [n, D]
        for d, weight in enumerate(self.weight.tril(-1).T):  # what pixel d says to all after it
            logits.addr_((yield logits[:, d]), weight)

    def panels(self, batch: Batch) -> Iterator[Panel]:
        yield from super().panels(batch)
        _, height, width = self.shape
        weights = self.weight.tril(-1)[:, self.place]  # [D in the order, D in the image]
        shown = torch.linspace(0, self.pixels - 1, min(SHOWN, self.pixels - 1) + 1).round().long()[1:]
        yield filters_panel(
            weights[shown].view(-1, 1, height, width),
            f"weights of {len(shown)} pixels' logits on the pixels before them, from early in the order to late",
            name="conditionals",
        )

    def order_words(self) -> str:
        return f"{self.config.order} order"
