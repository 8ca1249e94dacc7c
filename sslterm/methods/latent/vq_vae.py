"""Neural Discrete Representation Learning (VQ-VAE).
Aäron van den Oord, Oriol Vinyals & Koray Kavukcuoglu, NeurIPS 2017, arXiv:1711.00937.

Idea:
    An encoder turns an image into a small map of vectors, each of which is replaced by the nearest one of a
    codebook; a decoder restores the image from that. The image has become a map of numbers, of which an
    autoregressive prior then learns how probable each is. As codes are discrete, they cannot be ignored the way a
    strong decoder ignores those of a VAE.

Objective:
    first stage: -log p(x|z_q) + ||sg[z_e] - e||^2 + beta ||z_e - sg[e]||^2, e the code nearest to z_e     (Eq. 1-3)
    the gradient of z_q is copied to z_e                                                                   (§3.2)
    codebook = loss: e learns by the second term
    codebook = ema: N <- gamma N + (1 - gamma) n,  m <- gamma m + (1 - gamma) sum z_e,  e = m / N          (A.1)
    second stage, the last `prior_share` of the training: -log p(z) of the codes, which no longer move     (§3.3)

Departures:
    The prior is the gated PixelCNN without classes, and sees codes one-hot. Squares are summed over the codes of
    an image, as nats are over its pixels; the paper takes their mean. With revive_below, codes that hardly anything is
    nearest to are moved onto vectors of the batch: at first most of a random codebook is far from all data. The
    likelihood is the bound log p(x|z_q) + log p(z_q) of §3.2, all of whose terms are exact: of bits, or of 8-bit pixels
    under a normal distribution with one learned deviation. Schedules run over both stages.

Watch for:
    code-usage and main/perplexity: far below the number of codes, the codebook has collapsed; revive codes, lower beta,
    or take fewer. Reconstructions show what the codes keep, samples what the prior has learned of them. Nothing in
    the first stage makes codes cheap: given room they keep noise as well, drawn bits above all, and no prior can learn
    it. Good reconstructions and bad samples call for fewer codes, or a longer second stage. prior/loss is the nats
    of the codes; with those of the decoder they are the bound. In the first stage samples are of a uniform prior.

Shapes:
    B batch, K codes of D numbers; images and x [B, C, H, W]; z_e, z_q [B, D, h, w]; codes [B, h, w].
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sslterm.config.schema import Count, Fraction, Momentum, Natural, NonNegative
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs, Method, Stream, Update
from sslterm.nn.codebook import Codebook, perplexity, pull, straight_through
from sslterm.nn.observation import Binarized, DecoderKind, Observation, check_observation
from sslterm.nn.painting import paint
from sslterm.nn.pixel_networks import GatedPixelNetwork, Size
from sslterm.nn.pixel_values import Codes
from sslterm.nn.residual_coders import MapDecoder, MapEncoder
from sslterm.rows import gather
from sslterm.run.panels import Panel

SHOWN = 64
"""Codes that are drawn."""


class VQVAE(Method):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        width: Count
        """Channels of the maps inside encoder and decoder."""
        residual_width: Count
        """Channels inside a residual block."""
        residual_blocks: Natural
        halvings: Count
        """How often the encoder halves the side; 2 in the paper: 32x32 pixels become 8x8 codes."""
        codes: Count
        """K."""
        code_dim: Count
        """D."""
        commitment: NonNegative
        """beta."""
        codebook: Literal["ema", "loss"]
        decay: Momentum
        """gamma of the moving averages: of the codebook ("ema"), and of how often its codes are used."""
        revive_below: Fraction
        """Codes used less than this share of an even use are moved; 0 leaves them. Of an "ema" codebook only."""
        decoder: DecoderKind
        binarization: Binarized
        """How greys become the bits of a Bernoulli decoder; "none" for the Gaussian one."""
        prior_share: Fraction
        """Of the training, its end, in which the prior learns; 0 leaves it uniform."""
        prior_width: Count
        """Channels of each stack of the prior."""
        prior_blocks: Count
        prior_first_kernel: Count
        prior_kernel: Count
        prior_head: Count

        def __post_init__(self) -> None:
            check_observation(self.decoder, self.binarization)
            if self.prior_share == 1:
                raise UsageError(
                    "method.prior_share = 1: nothing is left to train the codes", "set method.prior_share=0.5"
                )
            if self.codebook == "loss" and self.revive_below:
                raise UsageError(
                    f"method.revive_below = {self.revive_below}: a learned codebook has no averages to reset",
                    'set method.revive_below=0, or method.codebook="ema"',
                )
            for name, least in (("prior_first_kernel", 3), ("prior_kernel", 1)):
                if getattr(self, name) % 2 == 0 or getattr(self, name) < least:
                    raise UsageError(
                        f"method.{name} = {getattr(self, name)}: a window needs a code in its middle, and others",
                        f"set method.{name}=3",
                    )

    likelihood_kind: ClassVar[Literal["bound"]] = "bound"

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__()
        factor = 2**config.halvings
        if inputs.height % factor or inputs.width % factor:
            raise UsageError(
                f"method.halvings = {config.halvings}: {inputs.height}x{inputs.width} pixels cannot be halved as often",
                f"set data.size={factor * max(1, round(inputs.height / factor))}, or fewer halvings",
            )
        self.config = config
        self.grid = (inputs.height // factor, inputs.width // factor)
        self.observation = Observation(config.decoder, config.binarization, inputs.channels)
        sizes = {
            "width": config.width, "inner": config.residual_width, "blocks": config.residual_blocks,
            "halvings": config.halvings, "features": config.code_dim,
        }  # fmt: skip
        self.encoder = MapEncoder(inputs.channels, **sizes)
        self.decoder = MapDecoder(inputs.channels, **sizes)
        self.codebook = Codebook(config.codes, config.code_dim, learned=config.codebook == "loss")
        self.values = Codes(config.codes)
        size = Size(
            width=config.prior_width, blocks=config.prior_blocks, first_kernel=config.prior_first_kernel,
            kernel=config.prior_kernel, head=config.prior_head, numbers=config.codes, groups=1, even=True,
        )  # fmt: skip
        self.prior = GatedPixelNetwork(config.codes, size)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        first = (self.encoder, self.decoder, self.observation, self.codebook)
        return {
            "main": [parameter for module in first for parameter in module.parameters()],
            "prior": list(self.prior.parameters()),
        }

    def step(self, data: Stream, update: Update) -> None:
        batch = next(data)
        if update.progress >= 1 - self.config.prior_share:
            update("prior", self.prior_loss, batch)
            return
        found = update("main", self.loss, batch)
        z_e, codes = gather(found["z_e"]), gather(found["codes"])
        self.codebook.follow(z_e, codes, self.config.decay)
        if self.config.revive_below:
            self.codebook.revive(z_e, self.config.revive_below)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        x = self.observation.observe(batch.images)
        z_e = self.encoder(x)
        codes = self.codebook.nearest(z_e)
        e = self.codebook(codes)
        reconstruction = -self.observation.log_prob(x, self.decoder(straight_through(z_e, e))).mean()
        commitment = pull(z_e, e)
        loss = reconstruction + self.config.commitment * commitment  # Eq. 3
        if self.config.codebook == "loss":
            loss = loss + pull(e, z_e)
        return loss, {
            "reconstruction_nats": reconstruction,
            "commitment": commitment,
            "perplexity": self.codebook.perplexity(),
            "z_e": z_e,
            "codes": codes,
        }

    def prior_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.no_grad():
            codes = self.codebook.nearest(self.encoder(self.observation.observe(batch.images)))
        nats = -self.log_prior(codes).mean()
        return nats, {"bits_per_code": nats / (math.prod(self.grid) * math.log(2))}

    def log_prior(self, codes: Tensor) -> Tensor:
        """log p of maps of codes [B, h, w], in nats, [B]."""
        numbers = codes[:, None].float()
        seen = self.values.to_network(numbers)
        output = self.prior(seen, self.prior.context(seen))
        return self.values.log_prob(output, numbers).flatten(1).sum(1)

    # -- what can be asked of a trained model

    def encode(self, images: Tensor) -> Tensor:
        """z_q as one vector, [B, D h w]."""
        return self.layers(images)["z_q"].flatten(1)

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        outputs = self.encoder.layers(self.observation.still(images))
        outputs["z_e"] = outputs.pop("head")
        outputs["z_q"] = self.codebook(self.codebook.nearest(outputs["z_e"]))
        return outputs

    def restore(self, z_q: Tensor) -> Tensor:
        """The mean of p(x|z_q)."""
        output: Tensor = self.decoder(z_q)
        return output.sigmoid()

    def reconstruct(self, images: Tensor) -> Tensor:
        return self.restore(self.layers(images)["z_q"])

    def sample(self, n: int, generator: torch.Generator, label: Tensor | None = None) -> Iterator[Tensor]:
        """The means of p(x|z) of codes from the prior, painted row by row; rows to come are vectors of zeros."""
        blank = torch.zeros(n, 1, *self.grid, device=generator.device)
        painting = paint(self.prior, self.values, blank, torch.ones_like(blank), generator)
        for row, (codes, _) in enumerate(painting, start=1):
            z_q = self.codebook(codes[:, 0].long())
            yield self.restore(torch.cat((z_q[:, :, :row], torch.zeros_like(z_q[:, :, row:])), dim=2))

    @property
    def likelihood_protocol(self) -> str:
        """What the nats are nats of."""
        return self.observation.protocol

    def log_prob(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """log p(x|z_q) + log p(z_q) <= log p(x), in nats, [B] (§3.2): one of the terms that p(x) is a sum of."""
        x = self.observation.observe(images, generator)
        codes = self.codebook.nearest(self.encoder(x))
        return self.observation.log_prob(x, self.decoder(self.codebook(codes))) + self.log_prior(codes)

    def panels(self, batch: Batch) -> Iterator[Panel]:
        x = self.observation.observe(batch.images)
        codes = self.codebook.nearest(self.encoder(x))
        counts = torch.bincount(codes.flatten(), minlength=len(self.codebook)).float()
        yield usage_panel(counts, len(codes))
        yield meaning_panel(x, codes, counts)


def usage_panel(counts: Tensor, n: int) -> Panel:
    """How often each code is used, falling, by counts [K] over `n` held-out images."""
    share = (counts / counts.sum()).sort(descending=True).values
    return Panel(
        name="code-usage",
        kind="curve",
        array=(100 * share)[None].float().cpu().numpy(),
        caption=(
            f"share of the places of {n} held-out images that each of {len(counts)} codes is nearest to, falling; "
            f"perplexity {float(perplexity(counts)):.1f}, {int((counts == 0).sum())} not used; "
            f"even use is {100 / len(counts):.2f} % each"
        ),
        labels=("share",),
        low=0.0,
        x_label="code, by rank",
        y_label="%",
    )


def meaning_panel(x: Tensor, codes: Tensor, counts: Tensor) -> Panel:
    """What the most used codes stand for: the mean of what lies around their places in images."""
    side = x.shape[2] // codes.shape[1]
    around = F.unfold(x, 3 * side, padding=side, stride=side)  # [B, C 3s 3s, h w]
    sums = around.new_zeros(len(counts), around.shape[1])
    sums.index_add_(0, codes.flatten(), around.transpose(1, 2).flatten(0, 1))
    shown = counts.argsort(descending=True, stable=True)[: min(SHOWN, int((counts > 0).sum()))]
    means = (sums / counts[:, None].clamp_min(1))[shown].view(len(shown), x.shape[1], 3 * side, 3 * side)
    return Panel(
        name="codes",
        kind="images",
        array=means.clamp(0, 1).float().cpu().numpy(),
        caption=(
            f"what codes stand for: the mean of the {side}x{side} pixels of a place and as many to each side, over "
            f"{len(x)} held-out images; the {len(shown)} most used codes, falling"
        ),
        low=0.0,
        high=1.0,
    )
