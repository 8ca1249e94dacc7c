"""What densities of pixels in raster order have in common: a network whose output at a pixel sees only those before.

p(x) = product over pixels of p(x_i | x_<i); of a colour pixel p(R | x_<i) p(G | R, x_<i) p(B | R, G, x_<i) (van den
Oord et al. 2016, arXiv:1601.06759, Eq. 1-2). Subclasses give the network.

Shapes: B batch; images and x [B, C, H, W] in [0, 1]; output of the network [B, numbers, H, W].
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor

from sslterm.config.schema import Count, Natural
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.autoregressive.completion import complete_by_candidates
from sslterm.methods.autoregressive.density_panels import pixel_nats_panel, receptive_field_panel
from sslterm.methods.base import Inputs, Method
from sslterm.nn.painting import Painting, paint
from sslterm.nn.pixel_networks import PixelNetwork, Size
from sslterm.nn.pixel_values import Output, values_of_pixels
from sslterm.run.panels import Panel

REACHING = 64
"""Images that the receptive field is measured on."""


def check_window(name: str, side: int, *, least: int, usual: int) -> None:
    """Refuse a window without a middle, or smaller than `least`.

    Raises:
        UsageError: it is one.
    """
    if side % 2 == 0 or side < least:
        raise UsageError(
            f"method.{name} = {side}: a window needs a pixel in its middle, and others",
            f"set method.{name}={side + 1 if side and side % 2 == 0 else usual}",
        )


@dataclass(frozen=True, kw_only=True)
class PixelConfig:
    """The fields of `[method]` that all have."""

    width: Count
    """Channels of the stream of maps: 2h in the first paper, p of each stack of the gated network."""
    blocks: Count
    """Residual blocks, gated layers or recurrent layers after the first convolution."""
    first_kernel: Count
    """Side of the first window; 7 in the papers."""
    head: Count
    """Channels between the last block and the output."""
    output: Output
    mixtures: Natural
    """Logistics in a mixture; 0 for the other outputs."""
    binarization: Literal["dynamic", "fixed", "threshold", "none"]
    """How greys become bits; "none" for the other outputs."""

    def __post_init__(self) -> None:
        if (self.output == "binary") == (self.binarization == "none"):
            raise UsageError(
                f"method.output = {self.output!r} does not go with method.binarization = {self.binarization!r}",
                "binary needs dynamic or threshold, the other outputs none",
            )
        if (self.output == "logistic-mixture") != (self.mixtures > 0):
            raise UsageError(
                f"method.output = {self.output!r} does not go with method.mixtures = {self.mixtures}",
                "a logistic-mixture needs 1 or more (10 in the paper), the other outputs 0",
            )
        check_window("first_kernel", self.first_kernel, least=3, usual=7)


class PixelModel(Method):
    """Subclasses set `network`, of `self.size(kernel)`.

    Args:
        classes: that are given to the network; 0 makes it unconditional.
    """

    likelihood_kind: ClassVar[Literal["exact"]] = "exact"
    network: PixelNetwork

    def __init__(self, config: PixelConfig, inputs: Inputs, *, classes: int = 0) -> None:
        super().__init__()
        self.shape, self.classes = inputs.shape, classes
        self.values = values_of_pixels(config.output, inputs.channels, config.binarization, config.mixtures)
        groups = self.values.groups
        for name, least in (("width", 2 * groups), ("head", groups)):
            if getattr(config, name) < least:
                raise UsageError(
                    f"method.{name} = {getattr(config, name)}: the {groups} values of a pixel cannot share it out",
                    f"set method.{name}={least} or more",
                )
        self.config: PixelConfig = config

    def size(self, kernel: int) -> Size:
        """What a network is to be made of."""
        config, values = self.config, self.values
        return Size(
            width=config.width, blocks=config.blocks, first_kernel=config.first_kernel, kernel=kernel,
            head=config.head, numbers=values.numbers, groups=values.groups, even=values.even,
        )  # fmt: skip

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        x = self.values.observe(batch.images)
        nats = -self.log_conditionals(x, batch.label if self.classes else None).flatten(1).sum(1).mean()
        return nats, {"bits_per_dim": nats / (math.prod(self.shape) * math.log(2))}

    def log_conditionals(self, x: Tensor, label: Tensor | None) -> Tensor:
        """log p of every pixel given those before it (and its class), in nats, [B, H, W]."""
        seen = self.values.to_network(x)
        return self.values.log_prob(self.network(seen, self.network.context(seen, label), label), x)

    # -- what can be asked of a trained density

    @property
    def likelihood_protocol(self) -> str:
        """What the nats are nats of."""
        return self.values.protocol

    def log_prob(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """log p(x), in nats, [B]; of a conditional model log of the mean over classes of p(x | class)."""
        x = self.values.observe(images, generator)
        return self._every_class(x).flatten(2).sum(2).logsumexp(0) - math.log(max(self.classes, 1))

    def _every_class(self, x: Tensor) -> Tensor:
        """log p of every pixel under every class, [classes, B, H, W]; [1, B, H, W] without classes."""
        if not self.classes:
            return self.log_conditionals(x, None)[None]
        labels = torch.arange(self.classes, device=x.device)[:, None].expand(-1, len(x))
        return torch.stack([self.log_conditionals(x, label) for label in labels])

    def sample(self, n: int, generator: torch.Generator, label: Tensor | None = None) -> Iterator[Tensor]:
        """Images, exactly distributed, painted row by row; of `label` [n], or of classes drawn evenly."""
        if label is not None and not self.classes:
            raise UsageError(
                "this model was trained without classes: it cannot sample one",
                "leave --label out, or train a pixelcnn with method.conditional=true",
            )
        blank = torch.zeros(n, *self.shape, device=generator.device)
        for painted, _ in self._paint(blank, torch.ones_like(blank[:, :1]), generator, label):
            yield painted

    def complete(self, images: Tensor, mask: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
        """Pixels where `mask` is 1. What is visible stays as it was; a model of bits sees it binarized.

        Exact where all visible pixels come before the hidden ones in raster order, and there are no classes; else an
        approximation that improves with the number of candidates (`completion`), whose classes are drawn evenly.
        """
        x = self.values.observe(images, generator)
        draw = partial(self._paint, generator=generator)
        yield from complete_by_candidates(draw, x, images, mask, generator)

    def _paint(
        self, x: Tensor, mask: Tensor, generator: torch.Generator, label: Tensor | None = None
    ) -> Painting:
        """Draw the pixels of x [n, C, H, W] where `mask` [n, 1, H, W] is 1, of classes drawn evenly if not given."""
        if self.classes and label is None:
            label = torch.randint(self.classes, (len(x),), generator=generator, device=x.device)
        yield from paint(self.network, self.values, x, mask, generator, label)

    def panels(self, batch: Batch) -> Iterator[Panel]:
        x = self.values.observe(batch.images)
        nats = -self._every_class(x).mean(0).mean(0)
        order = "raster order" + (", given a class, mean over classes" if self.classes else "")
        yield pixel_nats_panel(nats, len(x), order)
        yield self.receptive_field(x[:REACHING])

    def receptive_field(self, x: Tensor) -> Panel:
        """How much the conditional of one pixel changes with each pixel before it."""
        row, column = 2 * self.shape[1] // 3, self.shape[2] // 2
        with torch.enable_grad():
            seen = self.values.to_network(x).clone().requires_grad_()
            label = torch.zeros(len(x), dtype=torch.long, device=x.device) if self.classes else None
            output = self.network(seen, self.network.context(seen, label), label)
            (slope,) = torch.autograd.grad(self.values.log_prob(output, x)[:, row, column].sum(), seen)
        return receptive_field_panel(slope.abs().sum(1).mean(0), row, column, len(x))
