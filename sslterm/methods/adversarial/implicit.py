"""What all methods share that turn random codes into images by one pass of a generator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs, Method
from sslterm.nn.strided import check_side
from sslterm.rows import randn
from sslterm.run.panels import Panel

WALKS, WALK_STEPS = 6, 10
"""Rows and columns of the interpolations panel."""


class Implicit(Method):
    """A generator from standard normal codes to images, of which no density is known.

    Subclasses set:
        latent_dim: numbers in a code.
        generator: [B, latent_dim] -> [B, C, H, W] in [-1, 1].
    """

    latent_prior: ClassVar[Literal["normal"]] = "normal"
    latent_dim: int
    generator: nn.Module

    def generate(self, batch: Batch, times: int = 1) -> Tensor:
        """`times` as many images as there are in `batch`, of new noise, in [-1, 1]."""
        generated: Tensor = self.generator(self.codes(batch, times))
        return generated

    def codes(self, batch: Batch, times: int = 1) -> Tensor:
        """New noise, `times` as much as there are images in `batch`, [times * B, latent_dim]."""
        return torch.cat([randn(len(batch), self.latent_dim, like=batch.images) for _ in range(times)])

    def decode(self, z: Tensor) -> Tensor:
        generated: Tensor = self.generator(z)
        return (generated + 1) / 2

    def sample(self, n: int, generator: torch.Generator, label: Tensor | None = None) -> Iterator[Tensor]:
        yield self.decode(torch.randn(n, self.latent_dim, generator=generator, device=generator.device))

    def panels(self, batch: Batch) -> Iterator[Panel]:
        ends = torch.randn(2, WALKS, 1, self.latent_dim, device=batch.images.device)
        share = torch.linspace(0, 1, WALK_STEPS, device=ends.device).view(-1, 1)
        walks = slerp(ends[0], ends[1], share).flatten(0, 1)  # [walks * steps, Z]
        yield Panel(
            name="interpolations",
            kind="images",
            array=self.decode(walks).cpu().numpy(),
            caption=f"{WALKS} walks between two random codes each",
            columns=WALK_STEPS,
            x_label="from code to code",
            low=0.0,
            high=1.0,
        )


def check_widths(inputs: Inputs, **widths: Sequence[int]) -> None:
    """Widths of strided networks, by the names that they have in `[method]`, go with the images.

    Raises:
        UsageError: there are too many or too few.
    """
    for name, given in widths.items():
        try:
            check_side(inputs.height, inputs.width, given)
        except ValueError as error:
            raise UsageError(
                f"method.{name}: {error}", "set data.size to 16, 32 or 64 and give 2, 3 or 4 widths"
            ) from error


def slerp(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """Along the great circle between two codes [..., Z]: on it, codes are as long as those of training."""
    angle = F.cosine_similarity(start, end, dim=-1).unsqueeze(-1).clamp(-1 + 1e-6, 1 - 1e-6).acos()
    return (((1 - share) * angle).sin() * start + (share * angle).sin() * end) / angle.sin()
