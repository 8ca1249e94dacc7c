"""Painting by a pixel network: values drawn in raster order, every map of the network computed once."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from sslterm.nn.causal_conv import Memory
from sslterm.nn.pixel_networks import PixelNetwork
from sslterm.nn.pixel_values import PixelValues

Painting = Iterator[tuple[Tensor, Tensor]]
"""Partial images [n, C, H, W], and log p of what is visible of them, as far as they are painted, in nats [n]."""


def paint(
    network: PixelNetwork,
    values: PixelValues,
    x: Tensor,
    mask: Tensor,
    generator: torch.Generator,
    label: Tensor | None = None,
) -> Painting:
    """Draw the pixels of x [n, C, H, W] where `mask` [n, 1, H, W] is 1, row by row; an image after every row.

    Args:
        values: what a pixel can be; what is visible of x is as `observe` gives it.
        label: [n] of a network that is given classes.
    """
    n, channels, height, width = x.shape
    x, hidden, log_p = x.clone(), mask[:, 0].bool(), x.new_zeros(n)
    memory = Memory(n, height, width)
    for memory.row in range(height):
        memory.column = 0
        unseen = values.to_network(x.new_zeros(n, channels, 1, width))  # nothing of it is seen from above
        context = network.context(unseen, label, memory)
        for memory.column in range(width):
            at = memory.row, memory.column
            here = [part[..., memory.column, None] for part in context]
            uniform = torch.rand(n, channels + 1, generator=generator, device=x.device)
            pixel, unknown = x[:, :, *at], hidden[:, *at]
            for group in range(values.groups):
                output = network(values.to_network(pixel[:, :, None, None]), here, label, memory)
                drawn = values.draw(output[:, :, 0, 0], pixel, group, uniform)
                pixel = torch.where(unknown[:, None], drawn, pixel)
            x[:, :, *at] = pixel
            for entrance in network.entrances:
                memory.write(entrance, values.to_network(pixel[:, :, None, None]))
            log_pixel = values.log_prob(output, pixel[:, :, None, None])[:, 0, 0]
            log_p = log_p + log_pixel.masked_fill(unknown, 0.0)
        yield x.clone(), log_p
