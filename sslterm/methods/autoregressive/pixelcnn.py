"""Pixel Recurrent Neural Networks (PixelCNN), and Conditional Image Generation with PixelCNN Decoders (gated).
Aäron van den Oord, Nal Kalchbrenner & Koray Kavukcuoglu, ICML 2016, arXiv:1601.06759; with Oriol Vinyals, Lasse
Espeholt & Alex Graves, NeurIPS 2016, arXiv:1606.05328.

Idea:
    Image by image a density of pixels in raster order, each given all before it. Convolutions whose windows are cut
    off at the pixel they are for give all conditionals in one pass, and share their weights over the image. A
    sample has to be painted pixel by pixel.

Objective:
    -log p(x) = - sum_i log p(x_i | x_<i); of a colour pixel p(R | x_<i) p(G | R, x_<i) p(B | R, G, x_<i)  (Eq. 1-2)
    x_i is a bit, one of 256 levels under a softmax (§2.2), or one of 256 under a mixture of logistics (PixelCNN++,
    Salimans et al. 2017, arXiv:1701.05517).
    network = original: square windows, residual blocks; gated: two stacks without a blind spot, tanh-sigmoid gates
    conditional: V^T h of the class is added before every gate, h one-hot                      (1606.05328, Eq. 4)

Departures:
    Adam in place of RMSProp. The weights that masks would hide below the pixel do not exist. The last layer of the
    original and the gated network starts at 0 for bits and levels, so that training starts at uniform pixels. The
    vertical stack looks strictly above from its first layer on, which is the paper's shift of its output, done
    once. The logistic mixture stands on these networks and not on PixelCNN++'s U-net, with no dropout; its masses are
    exact in the tails, and a green value drawn leans on the red level, not on what was rounded to it. The likelihood
    of a conditional model is that of its mixture over classes, each as likely.

Watch for:
    pixel-nats: what is known of a pixel from those before it; the first pixel of a stroke is dear, its inside
    free. receptive-field: what a pixel listens to; it grows as the network learns, and the original network has a
    blind spot above and to the right.
    Samples that wander off after the first rows: more blocks, larger windows, longer training.

Shapes:
    B batch; images [B, C, H, W] in [0, 1]; output of the network [B, numbers, H, W].
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
from sslterm.methods.autoregressive.completion import Painting, complete_by_candidates
from sslterm.methods.autoregressive.density_panels import pixel_nats_panel, receptive_field_panel
from sslterm.methods.base import Inputs, Method
from sslterm.nn.causal_conv import Memory
from sslterm.nn.pixel_networks import GatedPixelNetwork, OriginalPixelNetwork, PixelNetwork, Size
from sslterm.nn.pixel_values import Output, values_of_pixels
from sslterm.run.panels import Panel

REACHING = 64
"""Images that the receptive field is measured on."""


class PixelCNN(Method):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        network: Literal["original", "gated"]
        width: Count
        """Channels of the stream of maps: 2h of the original network, p of each stack of the gated one."""
        blocks: Count
        """Residual blocks or gated layers after the first convolution."""
        first_kernel: Count
        """Side of the first window; 7 in both papers."""
        kernel: Count
        """Side of the windows in blocks; 3 in the first paper."""
        head: Count
        """Channels between the last block and the output."""
        output: Output
        mixtures: Natural
        """Logistics in a mixture; 0 for the other outputs."""
        binarization: Literal["dynamic", "threshold", "none"]
        """How greys become bits; "none" for the other outputs."""
        conditional: bool
        """Whether the classes of images are given to it; gated networks only."""

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
            for name in ("first_kernel", "kernel"):
                side = getattr(self, name)
                if side % 2 == 0 or (side == 1 and name == "first_kernel"):
                    raise UsageError(
                        f"method.{name} = {side}: a window needs a pixel in its middle, and others",
                        f"set method.{name}={side + 1}" if side % 2 == 0 else "set method.first_kernel=7",
                    )
            if self.conditional and self.network == "original":
                raise UsageError(
                    "method.conditional = true: the original network takes no classes",
                    'set method.network="gated"',
                )

    likelihood_kind: ClassVar[Literal["exact"]] = "exact"

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__()
        self.config = config
        self.shape = inputs.shape
        self.classes = inputs.classes if config.conditional else 0
        if config.conditional and not inputs.classes:
            raise UsageError(
                "method.conditional = true, and these images have no classes",
                "take a labelled data set, or set method.conditional=false",
            )
        self.values = values_of_pixels(config.output, inputs.channels, config.binarization, config.mixtures)
        groups = self.values.groups
        for name, least in (("width", 2 * groups), ("head", groups)):
            if getattr(config, name) < least:
                raise UsageError(
                    f"method.{name} = {getattr(config, name)}: the {groups} values of a pixel cannot share it out",
                    f"set method.{name}={least} or more",
                )
        size = Size(
            width=config.width, blocks=config.blocks, first_kernel=config.first_kernel, kernel=config.kernel,
            head=config.head, numbers=self.values.numbers, groups=groups, even=self.values.even,
        )  # fmt: skip
        self.network: PixelNetwork = (
            OriginalPixelNetwork(inputs.channels, size)
            if config.network == "original"
            else GatedPixelNetwork(inputs.channels, size, classes=self.classes)
        )

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
                "this pixelcnn was trained without classes: it cannot sample one",
                "leave --label out, or train with method.conditional=true",
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
        paint = partial(self._paint, generator=generator)
        yield from complete_by_candidates(paint, x, images, mask, generator)

    def _paint(
        self, x: Tensor, mask: Tensor, generator: torch.Generator, label: Tensor | None = None
    ) -> Painting:
        """Draw the pixels of x [n, C, H, W] where `mask` [n, 1, H, W] is 1, in raster order, row by row.

        Every map of the network is computed once (`Memory`), a pixel or a row at a time.
        """
        n, channels, height, width = x.shape
        if self.classes and label is None:
            label = torch.randint(self.classes, (n,), generator=generator, device=x.device)
        x, hidden, log_p = x.clone(), mask[:, 0].bool(), x.new_zeros(n)
        memory = Memory(n, height, width)
        for memory.row in range(height):
            memory.column = 0
            row = x.new_zeros(n, channels, 1, width)  # nothing of it is seen from the rows above
            context = self.network.context(row, label, memory)
            for memory.column in range(width):
                at = memory.row, memory.column
                here = [part[..., memory.column, None] for part in context]
                uniform = torch.rand(n, channels + 1, generator=generator, device=x.device)
                pixel, unknown = x[:, :, *at], hidden[:, *at]
                for group in range(self.values.groups):
                    seen = self.values.to_network(pixel)[:, :, None, None]
                    output = self.network(seen, here, label, memory)
                    drawn = self.values.draw(output[:, :, 0, 0], pixel, group, uniform)
                    pixel = torch.where(unknown[:, None], drawn, pixel)
                x[:, :, *at] = pixel
                for entrance in self.network.entrances:
                    memory.write(entrance, self.values.to_network(pixel)[:, :, None, None])
                log_pixel = self.values.log_prob(output, pixel[:, :, None, None])[:, 0, 0]
                log_p = log_p + log_pixel.masked_fill(unknown, 0.0)
            yield x.clone(), log_p

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
