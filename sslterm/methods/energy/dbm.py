"""Deep Boltzmann Machines.
Ruslan Salakhutdinov & Geoffrey Hinton, AISTATS 2009 (proceedings.mlr.press/v5/salakhutdinov09a).

Idea:
    A Boltzmann machine with two layers of hidden units, the second above the first. Unlike in a stack of directed
    layers the first listens to the image and to the second layer at once, when it infers and when it generates. What
    the hidden units are given an image has no closed form any more; a mean-field approximation stands for it, and
    persistent chains for what the model itself draws.

Objective:
    E(v, h1, h2) = -b v - c1 h1 - c2 h2 - v W1 h1 - h1 W2 h2                                               (Eq. 9)
    log p(v) >= -E(v, mu1, mu2) + H(mu1) + H(mu2) - log Z, raised to its maximum over mu by turns:
    mu1 = sigmoid(c1 + v W1 + W2 mu2),  mu2 = sigmoid(c2 + mu1 W2)                                           (§3)
    loss = mean E(images, mu1, mu2) - mean E(chains), both held fixed: its gradient is that of -bound
    Before it, layer by layer, two RBMs by CD-1: the first with its input from below doubled, the second with its
    input from above doubled, so that each has half of what it will get when they stand together            (§3.1)

Departures:
    Pre-training is a share of the training and not a run of its own; c1 is one parameter through all of it, where two
    RBMs have each their own. Log Z is annealed over h1 with v and h2 summed out, from the mean image (as in §3.2, with
    that start). One rate for all stages, with its schedule.

Watch for:
    Three stages: loss and energies jump between them. Chains that turn to noise when the joint stage begins: its rate
    is too high after pre-training. Second-layer units that are always on or off take no part: the second-filters
    panel shows what each would draw through the first layer. The estimate is of a bound, so that log p is higher than
    it says, as far as log Z is right.

Shapes:
    B batch, M chains, V = H * W pixels, J1 and J2 hidden units; v [B, V]; h1, mu1 [B, J1]; h2, mu2 [B, J2];
    W1 [V, J1]; W2 [J1, J2].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.config.schema import Count, Fraction, Positive
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


class DBM(Boltzmann):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        hidden: tuple[Count, Count]
        """J1 and J2."""
        pretraining: Fraction
        """Share of the training for the two RBMs, half of it for each."""
        mean_field_steps: Count
        gibbs_steps: Count
        """k, of the chains in an update of the joint stage."""
        persistent_chains: Count
        """M."""
        init_std: Positive
        """Of the first weights."""
        binarization: Binarization
        """How greys become bits: drawn anew every time, drawn once for all, or cut at 0.5."""

    chains: Tensor
    """[M, V] bits of v; h1 and h2 of the chains beside it."""
    first_chains: Tensor
    second_chains: Tensor

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__(inputs, config.binarization)
        self.config = config
        first, second = config.hidden
        self.first_weight = nn.Parameter(config.init_std * torch.randn(inputs.values, first))
        self.second_weight = nn.Parameter(config.init_std * torch.randn(first, second))
        self.first_bias = nn.Parameter(torch.zeros(first))
        self.second_bias = nn.Parameter(torch.zeros(second))
        self.register_buffer("chains", torch.zeros(config.persistent_chains, inputs.values))
        self.register_buffer("first_chains", torch.zeros(config.persistent_chains, first))
        self.register_buffer("second_chains", torch.zeros(config.persistent_chains, second))

    def begin_epoch(self, sweep: Sweep, update: Update) -> None:
        if update.step == 0:
            mean = self.start_at_mean_image(sweep)
            self.chains.copy_(torch.bernoulli(mean.expand_as(self.chains)))

    def step(self, data: Stream, update: Update) -> None:
        batch, pretraining = next(data), self.config.pretraining
        if update.progress < pretraining / 2:
            update("main", self.first_layer_loss, batch)
        elif update.progress < pretraining:
            update("main", self.second_layer_loss, batch)
        else:
            moved = self.gibbs(self.persistent(), self.config.gibbs_steps, torch.bernoulli)
            for buffer, value in zip(
                self.persistent(), moved, strict=True
            ):  # all of them on every rank, equal
                buffer.copy_(value)
            update("main", self.loss, batch)

    def first_layer_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """CD-1 of the RBM below: h1 listens to v twice, in the place of the layer that is not there yet."""
        v = self.observe(batch.images)
        with torch.no_grad():
            h = self.first(v, twice=True)
            far = bernoulli(self.visible(bernoulli(h)))
            far_h = self.first(far, twice=True)
        weights = (self.first_weight, self.visible_bias, self.first_bias)
        return contrast(pair_energy(v, h, *weights), pair_energy(far, far_h, *weights))

    def second_layer_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """CD-1 of the RBM above, on what the first layer makes of the images: h1 listens to h2 twice."""
        with torch.no_grad():
            h1 = bernoulli(self.first(self.observe(batch.images), twice=True))
            h2 = self.second(h1)
            far = bernoulli((self.first_bias + 2 * bernoulli(h2) @ self.second_weight.T).sigmoid())
            far_h2 = self.second(far)
        weights = (self.second_weight, self.first_bias, self.second_bias)
        return contrast(pair_energy(h1, h2, *weights), pair_energy(far, far_h2, *weights))

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        v = self.observe(batch.images)
        with torch.no_grad():
            mu1, mu2 = self.mean_field(v, self.config.mean_field_steps)
        return contrast(self.energy((v, mu1, mu2)), self.energy(self.persistent()))

    def energy(self, state: State) -> Tensor:
        """E, [B]; of probabilities, its mean under them."""
        v, h1, h2 = state
        below = pair_energy(v, h1, self.first_weight, self.visible_bias, self.first_bias)
        return below + pair_energy(
            h1, h2, self.second_weight, torch.zeros_like(self.first_bias), self.second_bias
        )

    # -- every layer given its neighbours

    def first(self, v: Tensor, h2: Tensor | None = None, *, twice: bool = False, beta: float = 1.0) -> Tensor:
        """p(h1 = 1 | v, h2); without h2 from v alone, twice or once."""
        from_below = v @ self.first_weight * (2 if twice else 1)
        from_above = 0 if h2 is None else h2 @ self.second_weight.T
        return (beta * (self.first_bias + from_below + from_above)).sigmoid()

    def second(self, h1: Tensor, *, beta: float = 1.0) -> Tensor:
        """p(h2 = 1 | h1)."""
        return (beta * (self.second_bias + h1 @ self.second_weight)).sigmoid()

    def visible(self, h1: Tensor, *, beta: float = 1.0) -> Tensor:
        """p(v = 1 | h1); below beta = 1 of a distribution on the way from the mean image (AIS)."""
        logits = beta * (self.visible_bias + h1 @ self.first_weight.T)
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
        """(v, h1, h2): h1 given its neighbours, then both of these given h1."""
        v, h1, h2 = state
        for _ in range(steps):
            h1 = draw(self.first(v, h2, beta=beta))
            v, h2 = hold(draw(self.visible(h1, beta=beta))), draw(self.second(h1, beta=beta))
        return v, h1, h2

    def persistent(self) -> State:
        return self.chains, self.first_chains, self.second_chains

    def start(self, draw: Draw, n: int) -> State:
        coins = [torch.full_like(bias, 0.5).expand(n, -1) for bias in (self.first_bias, self.second_bias)]
        return draw(self.base_bias.sigmoid().expand(n, -1)), draw(coins[0]), draw(coins[1])

    def pixels(self, state: State, beta: float = 1.0) -> Tensor:
        return self.visible(state[1], beta=beta)

    def mean_field(self, v: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """mu1 and mu2 of images v, begun from below with doubled weights (§3.1)."""
        mu1 = self.first(v, twice=True)
        mu2 = self.second(mu1)
        for _ in range(steps):
            mu1 = self.first(v, mu2)
            mu2 = self.second(mu1)
        return mu1, mu2

    # -- what can be asked of a trained machine

    def encode(self, images: Tensor) -> Tensor:
        """mu1 and mu2 of greys taken as probabilities, [B, J1 + J2]."""
        return self.layers(images)["hidden"]

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        mu1, mu2 = self.mean_field(images.flatten(1), self.config.mean_field_steps)
        return {"hidden1": mu1, "hidden2": mu2, "hidden": torch.cat((mu1, mu2), dim=1)}

    def reconstruct(self, images: Tensor) -> Tensor:
        """Up by mean field and down once, by probabilities."""
        return self.picture(self.visible(self.layers(images)["hidden1"]))

    @property
    def likelihood_protocol(self) -> str:
        return f"{super().likelihood_protocol}; variational bound"

    def log_unnormalized(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """The mean-field bound on log sum_h exp(-E(v, h)), in nats, [B]."""
        return self.bound(self.observe(images, generator))

    def bound(self, v: Tensor) -> Tensor:
        """-E(v, mu1, mu2) + H(mu1) + H(mu2), [B, V] -> [B]."""
        mu1, mu2 = self.mean_field(v, 2 * self.config.mean_field_steps)
        return entropy(mu1) + entropy(mu2) - self.energy((v, mu1, mu2))

    def estimate_log_z(
        self,
        generator: torch.Generator,
        *,
        betas: int,
        chains: int,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> LogZ:
        """By annealing h1 from fair coins, v and h2 summed out.

        p_beta(h1) ~ exp(beta c1 h1) prod_i (1 + exp((1 - beta) b_0 + beta (b + W1 h1)_i))
                     prod_k (1 + exp(beta (c2 + h1 W2)_k))
        """
        draw = drawing_with(generator)

        def log_unnormalized(h1: Tensor, into_visible: Tensor, into_second: Tensor, beta: float) -> Tensor:
            of_visible = F.softplus((1 - beta) * self.base_bias + beta * into_visible).sum(1)
            return beta * (h1 @ self.first_bias) + of_visible + F.softplus(beta * into_second).sum(1)

        def advance(h1: Tensor, beta: float, following: float) -> tuple[Tensor, Tensor]:
            fields = (
                self.visible_bias + h1 @ self.first_weight.T,
                self.second_bias + h1 @ self.second_weight,
            )
            gained = log_unnormalized(h1, *fields, following) - log_unnormalized(h1, *fields, beta)
            v = draw(((1 - following) * self.base_bias + following * fields[0]).sigmoid())
            h2 = draw((following * fields[1]).sigmoid())
            return draw(self.first(v, h2, beta=following)), gained

        with torch.no_grad():
            units = len(self.first_bias) + len(self.second_bias)
            log_z_start = float(F.softplus(self.base_bias).sum()) + units * math.log(2)
            start = self.start(draw, chains)[1]
            return annealed_importance_sampling(start, log_z_start, advance, betas=betas, progress=progress)

    def panels(self, batch: Batch) -> Iterator[Panel]:
        yield self.strongest_filters(self.first_weight.T, "first-layer units")
        through = self.second_weight.T @ self.first_weight.T  # [J2, V]
        yield self.strongest_filters(through, "second-layer units, W1 W2", name="second-filters")
        h1 = self.first(self.chains[:SHOWN], self.second_chains[:SHOWN])
        yield self.chains_panel(self.visible(h1), f"{len(h1)} of {len(self.chains)} persistent chains")


@in_float32
def pair_energy(
    below: Tensor, above: Tensor, weight: Tensor, below_bias: Tensor, above_bias: Tensor
) -> Tensor:
    """-b x - c y - x W y of two layers x [B, I] and y [B, J], in nats, [B]."""
    return -(below @ below_bias) - above @ above_bias - ((below @ weight) * above).sum(1)


def contrast(of_data: Tensor, of_chains: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """What lowers the energy of the one and raises that of the other; means over [B] and [M]."""
    data, chains = of_data.mean(), of_chains.mean()
    return data - chains, {"energy_data": data, "energy_chains": chains}


@in_float32
def entropy(probability: Tensor) -> Tensor:
    """Of independent bits, in nats, [B, J] -> [B]."""
    p, q = probability, 1 - probability
    per_bit: Tensor = torch.special.xlogy(p, p) + torch.special.xlogy(q, q)
    return -per_bit.sum(1)
