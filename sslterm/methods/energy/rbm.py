"""Restricted Boltzmann machine.
Paul Smolensky 1986 ("Information Processing in Dynamical Systems", Parallel Distributed Processing 1, ch. 6), trained
by contrastive divergence: Geoffrey E. Hinton, Neural Computation 14(8), 2002, doi:10.1162/089976602760128018; with
persistent chains: Tijmen Tieleman, ICML 2008, doi:10.1145/1390156.1390290.

Idea:
    Binary pixels v and binary hidden units h share an energy; given the one layer, the units of the other are
    independent, so that all of a layer is drawn at once. Learning lowers the free energy of images and raises that
    of what the model itself draws. Its draws come from a Markov chain: begun at the images and cut after k steps
    (contrastive divergence, CD-k), or never begun anew (persistent, PCD-k).

Objective:
    E(v, h) = -b v - c h - v W h,   p(v) = exp(-F(v)) / Z,   F(v) = -b v - sum_j log(1 + exp(c_j + (v W)_j))
    loss = mean F(images) - mean F(chains), chains held fixed
    The gradient of this difference is <v h>_data - <v h>_chains, that is CD or PCD; at equilibrium of the chains it
    is the gradient of -log p. The value of the loss means nothing: it is near 0 where both are equally likely.

Departures:
    Hidden units enter the statistics by their probabilities, in both phases, as F has it. The visible biases start
    at the logits of the mean image (Hinton 2010, "A Practical Guide", §8). Log Z is estimated by annealed importance
    sampling from the model that has these biases alone (Salakhutdinov & Murray 2008, doi:10.1145/1390156.1390266).

Watch for:
    Filters that stay grey: dead units, or too low a rate. Chains that all look alike, or like no image: the rate is
    too high for the chains to keep up, more Gibbs steps or a falling rate help. The estimate while training is of
    few betas and optimistic; `evaluate` takes more, and says how many chains carry the weight: of few, even its
    standard error is too small.

Shapes:
    B batch, M persistent chains, V = H * W pixels, J hidden units; images [B, 1, H, W]; v [B, V]; h [B, J]; W [V, J].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.config.schema import Count, Natural, Positive
from sslterm.data.batch import Batch
from sslterm.methods.base import Inputs, Stream, Sweep, Update
from sslterm.methods.energy.boltzmann import (
    SHOWN,
    Boltzmann,
    Draw,
    State,
    drawing_with,
    held_by_none,
)
from sslterm.nn.ais import LogZ, annealed_importance_sampling
from sslterm.nn.bits import Binarization
from sslterm.nn.precision import in_float32
from sslterm.rows import bernoulli
from sslterm.run.panels import Panel


class RBM(Boltzmann):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        hidden: Count
        """J."""
        gibbs_steps: Count
        """k: from one layer to the other and back, in an update."""
        persistent_chains: Natural
        """M; 0 starts a chain at every image of the batch (CD-k)."""
        init_std: Positive
        """Of the first weights."""
        binarization: Binarization
        """How greys become bits: drawn anew every time, drawn once for all, or cut at 0.5."""

    chains: Tensor
    """[M, V] bits."""

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(inputs, config.binarization)
        self.config = config
        self.weight = nn.Parameter(config.init_std * torch.randn(inputs.values, config.hidden))
        self.hidden_bias = nn.Parameter(torch.zeros(config.hidden))
        self.register_buffer("chains", torch.zeros(config.persistent_chains, inputs.values))

    def begin_epoch(self, sweep: Sweep, update: Update) -> None:
        if update.step == 0:
            mean = self.start_at_mean_image(sweep)
            self.chains.copy_(torch.bernoulli(mean.expand_as(self.chains)))

    def step(self, data: Stream, update: Update) -> None:
        if len(self.chains):  # all of them on every rank, with the same draws
            self.chains.copy_(self.gibbs(self.persistent(), self.config.gibbs_steps, torch.bernoulli)[0])
        update("main", self.loss, next(data))

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        v = self.observe(batch.images)
        chains = self.chains if len(self.chains) else self.gibbs((v,), self.config.gibbs_steps, bernoulli)[0]
        of_data = free_energy(v, self.weight, self.visible_bias, self.hidden_bias).mean()
        of_chains = free_energy(chains, self.weight, self.visible_bias, self.hidden_bias).mean()
        return of_data - of_chains, {"free_energy_data": of_data, "free_energy_chains": of_chains}

    def hidden(self, v: Tensor, beta: float = 1.0) -> Tensor:
        """p(h_j = 1 | v), [B, J]."""
        return (beta * (self.hidden_bias + v @ self.weight)).sigmoid()

    def visible(self, h: Tensor, beta: float = 1.0) -> Tensor:
        """p(v_i = 1 | h), [B, V]; below beta = 1 of a distribution on the way from the mean image (AIS)."""
        logits = beta * (self.visible_bias + h @ self.weight.T)
        return (logits + (1 - beta) * self.base_bias if beta < 1 else logits).sigmoid()

    @torch.no_grad()
    def gibbs(
        self,
        state: State,
        steps: int,
        draw: Draw,
        *,
        beta: float = 1.0,
        hold: Callable[[Tensor], Tensor] = held_by_none,
    ) -> State:
        """(v, h): h given v, then v given h."""
        v, *above = state
        for _ in range(steps):
            h = draw(self.hidden(v, beta))
            v, above = hold(draw(self.visible(h, beta))), [h]
        return (v, *above)

    def persistent(self) -> State:
        return (self.chains,)

    def start(self, draw: Draw, n: int) -> State:
        return (draw(self.base_bias.sigmoid().expand(n, -1)),)

    def pixels(self, state: State, beta: float = 1.0) -> Tensor:
        return self.visible(state[1], beta)

    # -- what can be asked of a trained machine

    def encode(self, images: Tensor) -> Tensor:
        """p(h_j = 1 | greys taken as probabilities), [B, J]."""
        return self.hidden(images.flatten(1))

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        return {"hidden": self.encode(images)}

    def reconstruct(self, images: Tensor) -> Tensor:
        """There and back once, by probabilities."""
        return self.picture(self.visible(self.encode(images)))

    def log_unnormalized(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """-F(v), in nats, [B]."""
        v = self.observe(images, generator)
        return -free_energy(v, self.weight, self.visible_bias, self.hidden_bias)

    def estimate_log_z(
        self,
        generator: torch.Generator,
        *,
        betas: int,
        chains: int,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> LogZ:
        """By annealed importance sampling from independent pixels with the mean image's probabilities.

        p_beta(v) ~ exp(((1 - beta) b_0 + beta b) v) prod_j (1 + exp(beta (c_j + (v W)_j)))
        (Salakhutdinov & Murray 2008, §4.1, with the first model's weights 0)
        """
        draw = drawing_with(generator)
        biases = self.visible_bias - self.base_bias

        def advance(v: Tensor, beta: float, following: float) -> tuple[Tensor, Tensor]:
            into_hidden = self.hidden_bias + v @ self.weight
            rise = F.softplus(following * into_hidden) - F.softplus(beta * into_hidden)
            gained = (following - beta) * (v @ biases) + rise.sum(1)
            h = draw((following * into_hidden).sigmoid())
            return draw(self.visible(h, following)), gained

        with torch.no_grad():
            (start,) = self.start(draw, chains)
            log_z_start = float(F.softplus(self.base_bias).sum()) + len(self.hidden_bias) * math.log(2)
            return annealed_importance_sampling(start, log_z_start, advance, betas=betas, progress=progress)

    def panels(self, batch: Batch) -> Iterator[Panel]:
        yield self.strongest_filters(self.weight.T, "hidden units")
        if len(self.chains):
            v = self.chains[:SHOWN]
            of = f"{len(v)} of {len(self.chains)} persistent chains"
        else:
            v, _ = self.gibbs((self.observe(batch.images[:SHOWN]),), self.config.gibbs_steps, torch.bernoulli)
            of = f"chains from {len(v)} held-out images after {self.config.gibbs_steps} Gibbs steps"
        yield self.chains_panel(self.visible(self.hidden(v)), of)


@in_float32
def free_energy(v: Tensor, weight: Tensor, visible_bias: Tensor, hidden_bias: Tensor) -> Tensor:
    """F(v) = -log sum_h exp(-E(v, h)), in nats, [B, V] -> [B]."""
    return -(v @ visible_bias) - F.softplus(hidden_bias + v @ weight).sum(1)
