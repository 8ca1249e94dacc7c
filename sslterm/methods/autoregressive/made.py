"""MADE: Masked Autoencoder for Distribution Estimation.
Mathieu Germain, Karol Gregor, Iain Murray & Hugo Larochelle, ICML 2015, arXiv:1502.03509.

Idea:
    Give every hidden unit of an autoencoder a degree, the number of pixels in the order that it may see, and mask
    the weights so that no path leads from a pixel to its own output or to an earlier one's. What comes out at each
    pixel is then the conditional given those before it, and one pass gives all of them. Other degrees and other
    orders are other masks on the same weights: trained in turn, they share statistical strength, and the mean of
    their densities is better than they are on average.

Objective:
    -log p(x) = - sum_d log p(x_d | x_<d)                                                       (§3)
    W is masked by 1[m(k) >= m(k')], V by 1[m(d) > m(k)], direct connections by 1[m(d) > m(d')] (§4.1-4.2)
    m(d) is a pixel's place in the order, m(k) of a hidden unit a degree in {1, ..., D - 1}
    At test: p(x) = 1/M sum_m p_m(x) over the M masks of training                               (§4.3)

Departures:
    Adam in place of Adagrad or Adadelta. The masks are a fixed list, drawn with the weights (the paper's "number of
    masks"); none is drawn anew in training. The degrees of every layer are spread evenly over 1 to D - 1, in random
    order, where the paper draws each of them, from the smallest degree of the layer below on.

Watch for:
    More masks need more units, and longer training, before their ensemble pays: one network is fitted to all of
    them. A training loss far below the test's: take fewer units or more masks, which regularize.
    filters: each sees only the pixels before its degree; the rest is grey.

Shapes:
    B batch, D pixels, M masks; images [B, 1, H, W]; bits and logits [B, D]; degrees of a layer of K units [M, K].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.config.schema import Count
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.autoregressive.ordered_bits import Order, OrderedBits, bernoulli_log_prob, draw_order
from sslterm.methods.base import Inputs, Stream, Update
from sslterm.methods.filters import filters_panel, strongest
from sslterm.nn.bits import Binarization, binarize
from sslterm.run.panels import Panel

SHOWN = 64
"""Hidden units whose weights are drawn."""


class MADE(OrderedBits):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        widths: tuple[Count, ...]
        """Units of the hidden layers, from the input on."""
        direct: bool
        """Connections from the pixels straight to the outputs (§4.1)."""
        order: Order
        """raster: one order for all masks, whose degrees differ; random: every mask has an order of its own."""
        masks: Count
        """M: trained in turn, one a batch, and averaged at test."""
        binarization: Binarization

        def __post_init__(self) -> None:
            if not self.widths:
                raise UsageError(
                    "method.widths = []: there is no hidden layer", "give one width or more, [500]"
                )

    turn: Tensor
    """Number of the mask in training."""

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(inputs, config.binarization)
        self.config = config
        self.components = config.masks
        sizes = [self.pixels, *config.widths]
        self.layers = nn.ModuleList(
            nn.Linear(size, width) for size, width in zip(sizes, config.widths, strict=False)
        )
        self.output = nn.Linear(sizes[-1], self.pixels)
        self.direct = nn.Parameter(torch.zeros(self.pixels, self.pixels)) if config.direct else None
        places = torch.stack(
            [draw_order(config.order, self.pixels).argsort() + 1 for _ in range(config.masks)]
        )
        self.register_buffer("degrees0", places.float())  # of the pixels: 1 to D, [M, D]
        for number, width in enumerate(config.widths, start=1):
            drawn = torch.stack([spread_degrees(width, self.pixels) for _ in range(config.masks)])
            self.register_buffer(f"degrees{number}", drawn)
        self.register_buffer("turn", torch.zeros((), dtype=torch.long))

    def step(self, data: Stream, update: Update) -> None:
        self.turn.fill_(update.step % self.components)  # §4.3-4.4: the next mask for every batch
        super().step(data, update)

    def linears(self) -> list[nn.Linear]:
        """The hidden layers."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def degrees(self, component: int | None) -> list[Tensor]:
        """m of the pixels, then of every hidden layer, [K] each."""
        which = self.turn if component is None else torch.tensor(component, device=self.turn.device)
        tables = [self.get_buffer(f"degrees{number}") for number in range(len(self.layers) + 1)]
        return [table.index_select(0, which.view(1)).squeeze(0) for table in tables]

    def masked_weights(self, component: int | None) -> tuple[list[Tensor], Tensor, Tensor | None]:
        """The weights of the hidden layers, of the output, and of the direct connections, under a mask."""
        pixels, *hidden = degrees = self.degrees(component)
        weights = [
            layer.weight * compare(torch.ge, above, below)  # §4.1-4.2
            for layer, above, below in zip(self.linears(), hidden, degrees, strict=False)
        ]
        output = self.output.weight * compare(torch.gt, pixels, hidden[-1])
        direct = None if self.direct is None else self.direct * compare(torch.gt, pixels, pixels)
        return weights, output, direct

    def logits(self, x: Tensor, component: int | None = None) -> Tensor:
        weights, output, direct = self.masked_weights(component)
        h = x
        for layer, weight in zip(self.linears(), weights, strict=True):
            h = F.linear(h, weight, layer.bias).relu()
        logits = F.linear(h, output, self.output.bias)
        return (logits if direct is None else logits + F.linear(x, direct)).float()

    def order_of(self, component: int) -> Tensor:
        return self.degrees(component)[0].argsort()

    def unroll(self, n: int, component: int) -> Generator[Tensor, Tensor, None]:
        """One pass, spread over the pixels: units of degree d are computed as soon as d pixels are known, once."""
        weights, output, direct = self.masked_weights(component)
        pixels, *hidden = self.degrees(component)
        ready = [_by_degree(degrees, self.pixels) for degrees in hidden]
        x = self.output.weight.new_zeros(n, self.pixels)
        values = [x, *(x.new_zeros(n, len(degrees)) for degrees in hidden)]
        for known, pixel in enumerate(pixels.argsort().tolist()):
            for number, (layer, weight) in enumerate(zip(self.linears(), weights, strict=True)):
                units = ready[number][known]
                if len(units):
                    below = F.linear(values[number], weight[units], layer.bias[units])
                    values[number + 1][:, units] = below.relu()
            logits = values[-1] @ output[pixel] + self.output.bias[pixel]
            x[:, pixel] = yield logits if direct is None else logits + x @ direct[pixel]

    def panels(self, batch: Batch) -> Iterator[Panel]:
        yield from super().panels(batch)
        _, height, width = self.shape
        x = binarize(batch.images, self.binarization).flatten(1)
        filters = self.masked_weights(0)[0][0] * x.std(0)  # [K, D]; pixels that never vary say nothing
        shown = strongest(filters, SHOWN)
        in_order = shown[self.degrees(0)[1][shown].argsort()]
        yield filters_panel(
            filters[in_order].view(-1, 1, height, width),
            f"weights times the pixel's standard deviation, of {len(in_order)} of {len(filters)} units of the first "
            "layer, the largest, by their degree",
        )
        if self.components > 1:
            each = torch.stack(
                [bernoulli_log_prob(self.logits(x, m), x).sum(1) for m in range(self.components)]
            )
            ensemble = each.logsumexp(0) - math.log(self.components)
            yield Panel(
                name="masks",
                kind="bars",
                array=-torch.cat((each.mean(1), ensemble.mean()[None])).float().cpu().numpy(),
                caption=f"nats of {len(x)} held-out images under every mask, and under the mean of their densities",
                labels=(*(f"mask {number}" for number in range(1, self.components + 1)), "mean"),
                y_label="nats",
            )

    def order_words(self) -> str:
        if self.components == 1:
            return f"{self.config.order} order"
        return f"mean over {self.components} masks" + (
            " and orders" if self.config.order == "random" else ", raster order"
        )


def compare(relation: Callable[..., Tensor], above: Tensor, below: Tensor) -> Tensor:
    """The mask between two layers of degrees [K] and [K']: [K, K'], 1 where a connection is allowed.

    Written as numbers at once and multiplied with: to choose by a mask of booleans, in no order, takes a processor
    twenty times as long.
    """
    return relation(above[:, None], below, out=torch.empty(len(above), len(below), device=above.device))


def spread_degrees(units: int, pixels: int) -> Tensor:
    """Degrees from 1 to D - 1, as evenly as can be, in random order, [units]."""
    even = torch.arange(units) * max(pixels - 1, 1) // units + 1
    return even[torch.randperm(units)].float()


def _by_degree(degrees: Tensor, pixels: int) -> list[Tensor]:
    """The units of degree 0, 1, ..., D - 1."""
    return [(degrees == degree).nonzero().squeeze(1) for degree in range(pixels)]
