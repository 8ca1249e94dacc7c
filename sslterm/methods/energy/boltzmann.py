"""What Boltzmann machines have in common: binary pixels, a mean image to start from, and log Z by annealing.

Shapes: B batch, V = H * W pixels; images [B, 1, H, W]; v [B, V].
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from sslterm.errors import UsageError
from sslterm.methods.base import Inputs, Method, Sweep
from sslterm.methods.filters import filters_panel, strongest
from sslterm.nn.ais import CHAINS, QUICK_BETAS, LogZ
from sslterm.nn.bits import PROTOCOLS, Binarization, binarize
from sslterm.run.panels import Panel

Draw = Callable[[Tensor], Tensor]
"""Probabilities -> bits."""

State = tuple[Tensor, ...]
"""The layers of chains, v first."""

MEAN_OF = 10_000
"""Images that the mean image is taken over."""
SAMPLE_STEPS = 1000
"""Of Gibbs sampling for a sample."""
COMPLETE_STEPS = 500
PARTIALS = 50
"""Pictures on the way to a sample."""
SHOWN = 64
"""Filters, and chains, in a panel."""


def held_by_none(v: Tensor) -> Tensor:
    return v


class Boltzmann(Method):
    """Subclasses define the energy, the chains, `log_unnormalized` and `estimate_log_z`."""

    likelihood_kind: ClassVar[Literal["estimate"]] = "estimate"

    base_bias: Tensor
    """[V], logits of the mean image: where annealing starts."""

    def __init__(self, inputs: Inputs, binarization: Binarization) -> None:
        super().__init__()
        if inputs.channels != 1:
            raise UsageError(
                f"its pixels are binary, and images of {inputs.channels} channels have no bits to be drawn",
                "train it on grey images: --data digits, mnist, fashion-mnist or kmnist",
            )
        self.shape = inputs.shape
        self.binarization = binarization
        self.train_images = inputs.train_images
        self.visible_bias = nn.Parameter(torch.zeros(inputs.values))
        self.register_buffer("base_bias", torch.zeros(inputs.values))

    @torch.no_grad()
    def start_at_mean_image(self, sweep: Sweep) -> Tensor:
        """Set the visible biases to its logits (Hinton 2010, "A Practical Guide", §8.1); returns it, [V]."""
        index = torch.arange(min(MEAN_OF, self.train_images))
        pixels = sweep(self.mean_bits, index)
        mean = (pixels.sum(0) + 1) / (len(pixels) + 2)  # never 0 or 1
        self.base_bias.copy_(mean.logit())
        self.visible_bias.copy_(mean.logit())
        return mean

    def mean_bits(self, images: Tensor) -> Tensor:
        """Of greys [B, 1, H, W], what `observe` gives on average, [B, V]."""
        return images.flatten(1) if self.binarization == "dynamic" else self.observe(images)

    def observe(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Bits [B, V] of greys [B, 1, H, W]; without a generator, the training's draw."""
        return binarize(images, self.binarization, generator).flatten(1)

    def start(self, draw: Draw, n: int) -> State:
        """n chains drawn at beta = 0, where pixels are those of the mean image and nothing is coupled."""
        raise NotImplementedError

    def persistent(self) -> State:
        """The chains of the training, [M, ...] each; M = 0 where there are none."""
        raise NotImplementedError

    def gibbs(
        self,
        state: State,
        steps: int,
        draw: Draw,
        *,
        beta: float = 1.0,
        hold: Callable[[Tensor], Tensor] = held_by_none,
    ) -> State:
        """Bits after `steps` of block Gibbs sampling at `beta`, v drawn last; `hold` puts what is known back into v."""
        raise NotImplementedError

    def pixels(self, state: State, beta: float = 1.0) -> Tensor:
        """The probabilities that v of `state` was drawn by, [B, V]."""
        raise NotImplementedError

    def sample(self, n: int, generator: torch.Generator, label: Tensor | None = None) -> Iterator[Tensor]:
        """Chains as they mix: on from the persistent ones; without any, annealed from the mean image at first."""
        draw = drawing_with(generator)
        persistent = self.persistent()
        count = len(persistent[0])
        if count:
            rows = torch.randperm(count, generator=generator, device=generator.device)[
                torch.arange(n) % count
            ]
            state: State = tuple(layer[rows] for layer in persistent)
        else:
            state = self.start(draw, n)
        for step in range(1, SAMPLE_STEPS + 1):
            beta = 1.0 if count else min(2 * step / SAMPLE_STEPS, 1.0)
            state = self.gibbs(state, 1, draw, beta=beta)
            if step % (SAMPLE_STEPS // PARTIALS) == 0:
                yield self.picture(self.pixels(state, beta))

    def complete(self, images: Tensor, mask: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
        """Chains with what is known held fast."""
        known, gone = self.observe(images, generator), mask.flatten(1) > 0.5

        def hold(v: Tensor) -> Tensor:
            return torch.where(gone, v, known)

        draw = drawing_with(generator)
        v, *hidden = self.start(draw, len(images))
        state: State = (hold(v), *hidden)
        for step in range(1, COMPLETE_STEPS + 1):
            state = self.gibbs(state, 1, draw, hold=hold)
            if step % (COMPLETE_STEPS // PARTIALS) == 0:
                yield torch.where(mask > 0.5, self.picture(self.pixels(state)), images)

    def picture(self, v: Tensor) -> Tensor:
        """[B, V] -> [B, 1, H, W]."""
        return v.view(-1, *self.shape)

    @property
    def likelihood_protocol(self) -> str:
        return PROTOCOLS[self.binarization]

    def log_prob(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """With a quick estimate of log Z; `evaluate` estimates it once for all images."""
        nats = self.log_unnormalized(images, generator)
        return nats - self.estimate_log_z(generator, betas=QUICK_BETAS, chains=CHAINS).value

    def log_unnormalized(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """log p(v) + log Z, in nats, [B]."""
        raise NotImplementedError

    def estimate_log_z(
        self,
        generator: torch.Generator,
        *,
        betas: int,
        chains: int,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> LogZ:
        """By annealed importance sampling from independent pixels with the mean image's probabilities."""
        raise NotImplementedError

    def chains_panel(self, probabilities: Tensor, of: str) -> Panel:
        return Panel(
            name="chains",
            kind="images",
            array=self.picture(probabilities).detach().cpu().numpy(),
            caption=f"{of}: probabilities of their pixels",
            low=0.0,
            high=1.0,
        )

    def strongest_filters(self, filters: Tensor, of: str, *, name: str = "filters") -> Panel:
        """Weights of hidden units [J, V], those with the largest norm first."""
        shown = filters[strongest(filters, SHOWN)]
        whose = f"weights of {len(shown)} of {len(filters)} {of}, those with the largest norm"
        return filters_panel(self.picture(shown), whose, name=name, common_scale=True)


def drawing_with(generator: torch.Generator) -> Draw:
    """Bits drawn with a generator."""
    return lambda probability: torch.bernoulli(probability, generator=generator)
