"""What FVSBN, NADE and MADE share: densities of binary pixels, one pixel after another.

    p(x) = prod_d p(x_d | the pixels before it in the order)

or, with several components (MADE's masks, each with an order of its own), the mean of such products. All of it is
exact: the nats, the samples, and the completion of images whose visible pixels all come before the hidden ones.

Shapes: B batch, D pixels; bits and logits [B, D], a pixel stands where it stands in the image, whatever the order.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from functools import partial
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.autoregressive.completion import complete_by_candidates
from sslterm.methods.autoregressive.density_panels import pixel_nats_panel
from sslterm.methods.base import Inputs, Method
from sslterm.nn.bits import PROTOCOLS, Binarization, binarize
from sslterm.nn.painting import Painting
from sslterm.run.panels import Panel

Order = Literal["raster", "random"]
"""raster: row by row from the top left; random: drawn with the weights, from the run's seed."""


def bernoulli_log_prob(logits: Tensor, bits: Tensor) -> Tensor:
    """log p of each bit, in nats; any shape."""
    return -F.binary_cross_entropy_with_logits(logits, bits, reduction="none")


def draw_order(order: Order, pixels: int) -> Tensor:
    """[D] int64: which pixel comes at each place."""
    return torch.arange(pixels) if order == "raster" else torch.randperm(pixels)


class OrderedBits(Method):
    """The loss, the likelihood, samples and completions, from `logits` and `unroll`.

    Args:
        inputs: grey images.
        binarization: how greys become bits.
    """

    likelihood_kind: ClassVar[Literal["exact"]] = "exact"
    components = 1
    """Densities whose mean the model is."""

    def __init__(self, inputs: Inputs, binarization: Binarization) -> None:
        super().__init__()
        if inputs.channels != 1:
            raise UsageError(
                f"{type(self).__name__} models binary pixels, and these images have {inputs.channels} channels",
                'take grey images (--data digits, mnist), or pixelcnn with method.output="categorical"',
            )
        self.shape = inputs.shape
        self.pixels = inputs.values
        self.binarization = binarization

    def logits(self, x: Tensor, component: int | None = None) -> Tensor:
        """Of p(x_d = 1 | the pixels before d), [B, D] -> [B, D] float32.

        Args:
            component: which density; None is the one in training.
        """
        raise NotImplementedError

    def order_of(self, component: int) -> Tensor:
        """[D] int64: which pixel comes at each place."""
        raise NotImplementedError

    def unroll(self, n: int, component: int) -> Generator[Tensor, Tensor, None]:
        """The logits [n] of one pixel after another, in the order; is sent the bits [n] of each.

        Over all pixels this costs what one pass of `logits` costs, or less.
        """
        raise NotImplementedError

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        x = binarize(batch.images, self.binarization).flatten(1)
        nats = -bernoulli_log_prob(self.logits(x), x).sum(1).mean()
        return nats, {"bits_per_dim": nats / (self.pixels * math.log(2))}

    # -- what can be asked of a trained density

    @property
    def likelihood_protocol(self) -> str:
        """What the nats are nats of."""
        return PROTOCOLS[self.binarization]

    def log_prob(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """log of the mean over components of p(x), in nats, [B]."""
        x = binarize(images, self.binarization, generator).flatten(1)
        each = [bernoulli_log_prob(self.logits(x, m), x).sum(1) for m in range(self.components)]
        return torch.stack(each).logsumexp(0) - math.log(self.components)

    def sample(self, n: int, generator: torch.Generator, label: Tensor | None = None) -> Iterator[Tensor]:
        """Bits, exactly distributed, with a picture for every row's worth of pixels."""
        blank = torch.zeros(n, *self.shape, device=generator.device)
        for painted, _ in self._paint(blank, torch.ones_like(blank), generator):
            yield painted

    def complete(self, images: Tensor, mask: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
        """Bits where `mask` is 1. What is visible stays as grey as it was; the model sees it binarized.

        Exact where all visible pixels come before the hidden ones in the order, and there is one component; else an
        approximation that improves with the number of candidates (`completion`).
        """
        bits = binarize(images, self.binarization, generator)
        paint = partial(self._paint, generator=generator)
        yield from complete_by_candidates(paint, bits, images, mask, generator)

    def _paint(self, images: Tensor, mask: Tensor, generator: torch.Generator) -> Painting:
        """Draw the bits of images [n, 1, H, W] where `mask` is 1, component after component."""
        x, hidden = images.flatten(1).clone(), mask.flatten(1).bool()
        log_p = x.new_zeros(len(x))  # of the visible bits
        which = torch.randint(self.components, (len(x),), generator=generator, device=x.device)
        uniform = torch.rand(self.pixels, len(x), generator=generator, device=x.device)
        for component in range(self.components):
            rows = (which == component).nonzero().squeeze(1)
            if len(rows) == 0:
                continue
            steps = self.unroll(len(rows), component)
            bits = None
            for place, pixel in enumerate(self.order_of(component).tolist()):
                logits = next(steps) if bits is None else steps.send(bits)
                unknown = hidden[rows, pixel]
                bits = torch.where(unknown, (uniform[place, rows] < logits.sigmoid()).float(), x[rows, pixel])
                x[rows, pixel] = bits
                log_p[rows] += bernoulli_log_prob(logits, bits).masked_fill(unknown, 0.0)
                if (place + 1) % self.shape[2] == 0:
                    yield x.view_as(images).clone(), log_p.clone()
            steps.close()
        yield x.view_as(images), log_p

    def panels(self, batch: Batch) -> Iterator[Panel]:
        x = binarize(batch.images, self.binarization).flatten(1)
        nats = torch.stack(
            [-bernoulli_log_prob(self.logits(x, m), x).mean(0) for m in range(self.components)]
        )
        yield pixel_nats_panel(nats.mean(0).view(self.shape[1:]), len(x), self.order_words())

    def order_words(self) -> str:
        """The order for a caption, with how many components there are."""
        raise NotImplementedError
