"""Completion by a density that can only paint forwards: many candidates, of which what is visible chooses one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from sslterm.nn.painting import Painting
from sslterm.nn.tiles import pick

CANDIDATES = 16
"""Paintings of an image to choose from."""
AT_ONCE = 128
"""Candidates painted together."""


def complete_by_candidates(
    paint: Callable[[Tensor, Tensor], Painting],
    x: Tensor,
    images: Tensor,
    mask: Tensor,
    generator: torch.Generator,
) -> Iterator[Tensor]:
    """Draws of p(hidden | visible) by sampling, importance and resampling (Rubin 1988).

    A candidate's hidden pixels are each drawn given the pixels before them, visible or drawn. That is exact where all
    visible pixels come first. For those that come later, one candidate is kept, with a probability in proportion to
    that of all visible pixels given it: exact for infinitely many candidates, and for few a draw that explains
    what is visible as well as one of them can.

    Args:
        paint: fills the hidden pixels of images, where the mask is 1.
        x: [B, C, H, W] what the density is over.
        images: the same as a person sees them; what is visible stays as it is there.
        mask: [B, 1, H, W].
    """
    hole = mask.bool()
    done = torch.where(hole, 0.0, images)
    for rows in torch.arange(len(x)).split(max(AT_ONCE // CANDIDATES, 1)):
        many, holes = (part[rows].repeat_interleave(CANDIDATES, 0) for part in (x * (1 - mask), mask))
        for painted, log_p in paint(many, holes):
            of_each = painted.unflatten(0, (len(rows), CANDIDATES))
            weight = log_p.view(len(rows), CANDIDATES).softmax(1)
            done[rows] = torch.where(hole[rows], pick(of_each, weight.argmax(1)), images[rows])
            yield done.clone()
        chosen = torch.multinomial(weight, 1, generator=generator).squeeze(1)
        done[rows] = torch.where(hole[rows], pick(of_each, chosen), images[rows])
    yield done
