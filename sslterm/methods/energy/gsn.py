"""Deep Generative Stochastic Networks Trainable by Backprop.
Yoshua Bengio, Éric Thibodeau-Laufer, Guillaume Alain & Jason Yosinski, ICML 2014, arXiv:1306.1091.

Idea:
    A network that undoes corruption defines a Markov chain: corrupt, restore, draw, again. If it restores as well as
    can be, the chain's stationary distribution is that of the data, and no probability of a state is ever needed.
    Noise in hidden layers, which remember from step to step, lets the chain jump further than noise in pixels would.

Objective:
    h_l = n + tanh(n' + h_l-1 W_l + h_l+1 W_l+1^T + b_l),  odd layers first, then even ones            (§4, Fig. 3)
    P(x) = sigmoid(h_1 W_1^T + b_0);  h_0 = C(x_k-1), C salt-and-pepper noise; n, n' normal, of noise_std
    loss = mean over k of - log P_k(x),  x_k drawn from P_k                     (walkback training, §3.1; Alg. 1)

Departures:
    Weights start uniform as those of tanh layers do, the pixels' biases at the mean image, and chains at its pixels;
    from uniform noise, tanh layers may lead to negatives of digits. The optimizer is the preset's; the loss is a sum
    over pixels and a mean over steps. Whether the first hidden layer is noisy, as §4 has all of them, or quiet, as in
    the authors' code, is quiet_first. Likelihoods by
    Parzen windows, which the paper reports, are left out: they do not rank models (Theis et al. 2016,
    arXiv:1511.01844, §3.3).

Watch for:
    chain: each picture a step from the one before. It should stay with a digit for some steps and then turn into
    another. Always the same: more noise, or a longer walkback. Never a digit: less noise, or longer training. The
    loss is that of all steps of the walkback, whose later ones start far from the image: it is no likelihood.

Shapes:
    B batch, V = H * W pixels, J_l hidden units; images [B, 1, H, W]; x [B, V]; h_l [B, J_l]; W_l [J_l-1, J_l].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.config.schema import Count, Fraction, NonNegative
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs, Method, Sweep, Update
from sslterm.nn.bits import Binarization, binarize
from sslterm.rows import rand, randn
from sslterm.run.panels import Panel

BURN_IN = 100
"""Steps from the mean image to a sample."""
COMPLETE_STEPS = 100
MEAN_OF = 10_000
"""Images that the mean image is taken over."""
CHAIN_ROWS, CHAIN_COLUMNS = 10, 20


class Draws:
    """Where a chain's noise comes from: the training's own, an image at a time, or a generator."""

    def __init__(self, generator: torch.Generator | None = None) -> None:
        self.generator = generator

    def normal(self, like: Tensor) -> Tensor:
        if self.generator is None:
            return randn(len(like), *like.shape[1:], like=like)
        return torch.randn(like.shape, generator=self.generator, device=like.device)

    def uniform(self, like: Tensor) -> Tensor:
        if self.generator is None:
            return rand(len(like), *like.shape[1:], like=like)
        return torch.rand(like.shape, generator=self.generator, device=like.device)

    def bits(self, probability: Tensor) -> Tensor:
        return (self.uniform(probability) < probability).float()


class GSN(Method):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        hidden: tuple[Count, ...]
        """J_1, J_2, ..."""
        walkback: Count
        """Steps of the chain that a training image is followed for; layers or more, so that the top one is heard."""
        corruption: Fraction
        """Share of the pixels that are set to 0 or 1 at random, at every step."""
        noise_std: NonNegative
        """Of the noise before and after the activation of hidden units."""
        quiet_first: bool
        """Whether h_1, which the pixels are read from, is spared the noise."""
        binarization: Binarization

    mean: Tensor
    """[V], the mean image: where chains start, pixel by pixel. From noise they could end in negatives of digits."""

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__()
        if inputs.channels != 1:
            raise UsageError(
                f"its pixels are binary, and images of {inputs.channels} channels have no bits to be drawn",
                "train it on grey images: --data digits, mnist, fashion-mnist or kmnist",
            )
        layers = len(config.hidden)
        if not layers:
            raise UsageError(
                "method.hidden is empty: a chain needs a hidden layer", "set method.hidden=[500]"
            )
        if config.walkback < layers:
            raise UsageError(
                f"method.walkback = {config.walkback}: in as many steps nothing comes back from layer {layers}",
                f"set method.walkback={2 * layers}, or at least {layers}",
            )
        self.config = config
        self.shape = inputs.shape
        sizes = (inputs.values, *config.hidden)
        self.weights = nn.ParameterList(
            nn.init.xavier_uniform_(torch.empty(below, above)) for below, above in pairwise(sizes)
        )
        self.biases = nn.ParameterList(torch.zeros(size) for size in sizes)
        self.train_images = inputs.train_images
        self.register_buffer("mean", torch.full((inputs.values,), 0.5))

    def begin_epoch(self, sweep: Sweep, update: Update) -> None:
        """At the beginning, P(x) is the mean image."""
        if update.step == 0:
            index = torch.arange(min(MEAN_OF, self.train_images))
            bits = sweep(lambda images: binarize(images, self.config.binarization).flatten(1), index)
            self.mean.copy_((bits.sum(0) + 1) / (len(bits) + 2))  # never 0 or 1
            with torch.no_grad():
                self.biases[0].copy_(self.mean.logit())

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        x = binarize(batch.images, self.config.binarization).flatten(1)
        draws, errors = Draws(), []
        state, hidden = x, self.at_rest(len(x))
        for _ in range(self.config.walkback):  # Alg. 1
            logits, hidden = self.transition(state, hidden, draws)
            errors.append(F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1).mean())
            state = draws.bits(logits.detach().sigmoid())
        return torch.stack(errors).mean(), {"first_step_nats": errors[0], "last_step_nats": errors[-1]}

    def at_rest(self, n: int) -> list[Tensor]:
        """Hidden layers that have not heard anything, [n, J_l] each."""
        return [bias.new_zeros(n, len(bias)) for bias in self.biases[1:]]

    def transition(
        self, x: Tensor, hidden: Sequence[Tensor], draws: Draws | None
    ) -> tuple[Tensor, list[Tensor]]:
        """One step: (logits of P(x) [B, V], hidden layers).

        Args:
            draws: of all noise; without it there is none.
        """
        seen = x if draws is None else salt_and_pepper(x, self.config.corruption, draws)
        layers = [seen, *hidden]
        for first in (1, 2):  # odd layers, then even ones
            for number in range(first, len(layers), 2):
                layers[number] = self.activation(layers, number, draws)
        return layers[1] @ self.weights[0].T + self.biases[0], layers[1:]

    def activation(self, layers: Sequence[Tensor], number: int, draws: Draws | None) -> Tensor:
        """h_l given its neighbours, [B, J_l]."""
        into = layers[number - 1] @ self.weights[number - 1] + self.biases[number]
        if number + 1 < len(layers):
            into = into + layers[number + 1] @ self.weights[number].T
        if draws is None or (number == 1 and self.config.quiet_first):
            quiet: Tensor = into.tanh()
            return quiet
        std = self.config.noise_std
        noisy: Tensor = (into + std * draws.normal(into)).tanh() + std * draws.normal(into)
        return noisy

    # -- what can be asked of a trained chain

    def walk(
        self,
        x: Tensor,
        hidden: Sequence[Tensor],
        steps: int,
        draws: Draws,
        *,
        known: tuple[Tensor, Tensor] | None = None,
    ) -> Iterator[Tensor]:
        """P(x) of every step of the chain, [B, V].

        Args:
            known: x [B, V], and where it is hidden [B, V]; the rest is put back before every step.
        """
        for _ in range(steps):
            if known is not None:
                x = torch.where(known[1], x, known[0])
            logits, hidden = self.transition(x, hidden, draws)
            probability = logits.sigmoid()
            x = draws.bits(probability)
            yield probability

    def sample(self, n: int, generator: torch.Generator, label: Tensor | None = None) -> Iterator[Tensor]:
        """n chains from pixels of the mean image; each picture is P(x) of a step."""
        draws = Draws(generator)
        x = draws.bits(self.mean.expand(n, -1))
        for probability in self.walk(x, self.at_rest(n), BURN_IN, draws):
            yield self.picture(probability)

    def complete(self, images: Tensor, mask: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
        """Chains with what is known put back at every step (§5, inpainting)."""
        draws = Draws(generator)
        x = binarize(images, self.config.binarization, generator).flatten(1)
        gone = mask.flatten(1) > 0.5
        start = torch.where(gone, draws.bits(self.mean.expand_as(x)), x)
        for probability in self.walk(start, self.at_rest(len(x)), COMPLETE_STEPS, draws, known=(x, gone)):
            yield torch.where(mask > 0.5, self.picture(probability), images)

    def encode(self, images: Tensor) -> Tensor:
        """The top layer without noise, [B, J]."""
        return self.quiet(images)[1][-1]

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        return {f"hidden{number}": h for number, h in enumerate(self.quiet(images)[1], start=1)}

    def reconstruct(self, images: Tensor) -> Tensor:
        """P(x) without noise."""
        return self.picture(self.quiet(images)[0].sigmoid())

    def quiet(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What becomes of greys, taken as probabilities, in as many steps as the walkback has, without noise."""
        x, hidden = images.flatten(1), self.at_rest(images.shape[0])
        for _ in range(self.config.walkback):
            logits, hidden = self.transition(x, hidden, None)
        return logits, hidden

    def picture(self, x: Tensor) -> Tensor:
        """[B, V] -> [B, 1, H, W]."""
        return x.view(-1, *self.shape)

    def panels(self, batch: Batch) -> Iterator[Panel]:
        steps = CHAIN_ROWS * CHAIN_COLUMNS
        x = binarize(batch.images[:1], self.config.binarization).flatten(1)
        chain = torch.cat([self.picture(p) for p in self.walk(x, self.at_rest(1), steps, Draws())])
        yield Panel(
            name="chain",
            kind="images",
            array=chain.cpu().numpy(),
            caption=f"{steps} successive steps of one chain from a held-out image, row by row: probabilities of pixels",
            columns=CHAIN_COLUMNS,
            low=0.0,
            high=1.0,
        )


def salt_and_pepper(x: Tensor, share: float, draws: Draws) -> Tensor:
    """Bits [B, V] of which a share is drawn anew, 0 and 1 equally likely."""
    uniform = draws.uniform(x)
    return torch.where(uniform < share, (uniform < share / 2).float(), x)
