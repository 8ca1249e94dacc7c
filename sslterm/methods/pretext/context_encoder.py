"""Context Encoders: Feature Learning by Inpainting.
Deepak Pathak, Philipp Krähenbühl, Jeff Donahue, Trevor Darrell & Alexei A. Efros, CVPR 2016, arXiv:1604.07379.

Idea:
    A part of a picture is hidden, and a network has to say what is there from what surrounds it. To do so it
    must know what it sees. Squared error alone answers with the mean of all that could be there, a blur; a
    discriminator that learns to tell answers from the truth makes it choose one.

Objective:
    rec = mean over the hidden pixels and a band around them of w (x - F((1 - M) x))^2                  (Eq. 1)
    w = 1 where x is hidden, overlap_weight in the band, which F sees and has to continue into          (§5.1)
    adv = -E[log D(M' x)] - E[log(1 - D(M' F((1 - M) x)))] for D, M' = M and the band                   (Eq. 3)
    loss of F = (1 - adversarial_weight) rec - adversarial_weight E[log D(M' F((1 - M) x))]             (Eq. 4)

Departures:
    Hidden are the centre, a region of any form, or the lower half, as a preset says; regions are level sets
    of smooth noise, where the paper takes outlines of objects of PASCAL VOC. F is told the mask in a channel
    of its own, so that a hole is not taken for a grey wall, and answers with the whole picture, of which what
    was hidden counts, so that one network fills any mask. D sees the answer without what surrounds it, as in
    the paper, on a blank ground of the picture's size. F maximises log D, as in the authors' code.

Watch for:
    mse_masked beside mse_masked_border, which is what the mean colour of the border gets. Filled squares with
    a visible seam: raise overlap_weight. A discriminator loss near 0: it has won, and its gradient says
    nothing more; lower its rate. Sharp answers cost squared error: a higher adversarial_weight is not seen in
    mse_masked, but in the pictures.

Shapes:
    B batch, D features; images [B, C, H, W] in [0, 1] outside, in [-1, 1] inside; masks [B, 1, H, W].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from sslterm.config.schema import Count, Fraction, Natural, NonNegative, Positive
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs, Method, Stream, Update
from sslterm.nn.gan_losses import cross_entropy, non_saturating, standing
from sslterm.nn.inpainting import ContextNet
from sslterm.nn.masks import (
    NOISE_SIDE,
    MaskKind,
    dilate,
    fill_with_border,
    hidden_error,
    make_masks,
)
from sslterm.nn.precision import in_float32
from sslterm.nn.strided import StridedDiscriminator, check_side, init_normal
from sslterm.rows import randint, randn
from sslterm.run.panels import Panel

SHOWN = 16
"""Pictures in the panel of a kind of mask."""


@in_float32
def context_error(answers: Tensor, images: Tensor, masks: Tensor, *, band: Tensor, weight: float) -> Tensor:
    """Squared error where something is hidden, and `weight` times as much in the band (Eq. 1; §5.1).

    Args:
        answers, images: [B, C, H, W].
        masks, band: [B, 1, H, W] of 0 and 1, nowhere both 1.

    Returns:
        0-d: the mean over images of the mean over the values of hidden and band pixels.
    """
    squared = (answers - images).square().mean(1, keepdim=True)  # [B, 1, H, W]
    places = (masks + band).sum((1, 2, 3))
    return (((masks + weight * band) * squared).sum((1, 2, 3)) / places).mean()


class ContextEncoder(Method):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        masks: tuple[MaskKind, ...]
        """What is hidden; of several kinds, each picture draws one."""
        widths: tuple[Count, ...]
        """Channels of the encoder's feature maps, from the image inwards; the decoder mirrors them."""
        discriminator_widths: tuple[Count, ...]
        """3 for images of 32 pixels, 4 for 64, 5 for 128."""
        leak: NonNegative
        """Slope of the leaky ReLU below 0, in the encoder and in the discriminator."""
        init_std: Positive
        """Of the first weights of convolutions."""
        overlap_pixels: Natural
        """Width of the band around what is hidden that is predicted too."""
        overlap_weight: Positive
        adversarial_weight: Fraction
        """lambda_adv; the reconstruction has the rest."""

        def __post_init__(self) -> None:
            if not self.masks or len(set(self.masks)) < len(self.masks):
                raise UsageError(
                    f"method.masks = {list(self.masks)}: name one kind or several, each once",
                    "of center, random and bottom",
                )

    couples_batch: ClassVar[bool] = True  # through BatchNorm
    solved: ClassVar[Mapping[str, str]] = {
        "mse_masked": "per hidden value in [0, 1]",
        "mse_masked_border": "the same, filled with the mean colour of the border",
    }

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__()
        halvings = 2 ** len(config.widths)
        if not config.widths or inputs.height % halvings or inputs.width % halvings:
            raise UsageError(
                f"method.widths: a side of {inputs.width}x{inputs.height} pixels cannot be halved "
                f"{len(config.widths)} times",
                "set data.size to 32, 64 or 128 and give 2 to 5 widths",
            )
        try:
            check_side(inputs.height, inputs.width, config.discriminator_widths)
        except ValueError as error:
            raise UsageError(
                f"method.discriminator_widths: {error}",
                "set data.size to 32, 64 or 128 and give 3, 4 or 5 widths",
            ) from error
        if 2 * config.overlap_pixels >= inputs.height // 2:
            raise UsageError(
                f"method.overlap_pixels = {config.overlap_pixels}: that is more than what is left around a hole of "
                f"{inputs.height // 2} pixels",
                f"set method.overlap_pixels={max(1, inputs.height // 16)}",
            )
        self.config = config
        self.network = ContextNet(
            inputs.channels, inputs.height, inputs.width, widths=config.widths, leak=config.leak
        )
        self.discriminator = StridedDiscriminator(
            inputs.channels, config.discriminator_widths, leak=config.leak
        )
        init_normal(self, config.init_std)

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        return {
            "discriminator": list(self.discriminator.parameters()),
            "main": list(self.network.parameters()),
        }

    def step(self, data: Stream, update: Update) -> None:
        batch = next(data)  # each update hides something else of it
        update("discriminator", self.discriminator_loss, batch)
        update("main", self.loss, batch)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        x, masks = 2 * batch.images - 1, self.draw_masks(batch.images)
        answers = self.answer(x, masks)
        whole = dilate(masks, self.config.overlap_pixels)  # M'
        reconstruction = context_error(
            answers, x, masks, band=whole - masks, weight=self.config.overlap_weight
        )
        taken_for = self.discriminator(whole * answers, remember=False)  # logits, [B]
        adversarial = non_saturating(taken_for)
        share = self.config.adversarial_weight
        loss = (1 - share) * reconstruction + share * adversarial
        return loss, {"reconstruction": reconstruction, "adversarial": adversarial}

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        x, masks = 2 * batch.images - 1, self.draw_masks(batch.images)
        whole = dilate(masks, self.config.overlap_pixels)
        with torch.no_grad():
            answers = self.answer(x, masks)
        real = self.discriminator(whole * x)  # logits, [B]
        fake = self.discriminator(whole * answers, remember=False)
        loss = cross_entropy(real, 1.0) + cross_entropy(fake, 0.0)
        return loss, {
            "real": real.sigmoid().mean(),
            "fake": fake.sigmoid().mean(),
            **standing(real, fake),
        }

    def answer(self, x: Tensor, masks: Tensor) -> Tensor:
        """F((1 - M) x): whole pictures in [-1, 1], from pictures in [-1, 1]."""
        answers: Tensor = self.network((1 - masks) * x, masks)
        return answers

    def draw_masks(self, images: Tensor) -> Tensor:
        """Of a kind drawn for each image, [B, 1, H, W]."""
        n, (height, width), kinds = len(images), images.shape[2:], self.config.masks
        noise = randn(n, 1, NOISE_SIDE, NOISE_SIDE, like=images)
        chosen = randint(len(kinds), n, like=images)
        masks = torch.stack([make_masks(kind, noise, height, width) for kind in kinds])  # [K, B, 1, H, W]
        return masks[chosen, torch.arange(n, device=images.device)]

    # -- what can be asked of a trained context encoder

    def complete(self, images: Tensor, mask: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
        hidden = (mask > 0.5).to(images.dtype)
        yield torch.where(hidden > 0.5, (self.answer(2 * images - 1, hidden) + 1) / 2, images)

    def encode(self, images: Tensor) -> Tensor:
        """The encoder's last maps of a picture of which nothing is hidden, averaged over places, [B, D]."""
        return self.layers(images)["pooled"]

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        outputs = self.network.layers(2 * images - 1, torch.zeros_like(images[:, :1]))
        last = outputs[f"conv{len(self.config.widths)}"]
        exchange = outputs.pop("exchange")
        return {**outputs, "pooled": last.mean((2, 3)), "exchange": exchange}

    def solve(self, images: Tensor) -> dict[str, Tensor]:
        """Restore what is hidden of each image, as in training; and fill it with the colour of its border."""
        masks = self.draw_masks(images)
        answers = (self.answer(2 * images - 1, masks) + 1) / 2
        naive = fill_with_border(images, masks)
        return {
            "mse_masked": hidden_error(answers, images, masks),
            "mse_masked_border": hidden_error(naive, images, masks),
        }

    def panels(self, batch: Batch) -> Iterator[Panel]:
        images = batch.images
        noise = torch.randn(len(images), 1, NOISE_SIDE, NOISE_SIDE, device=images.device)
        for kind in self.config.masks:
            masks = make_masks(kind, noise, *images.shape[2:])
            (filled,) = self.complete(images, masks, torch.Generator(device=images.device))
            error = float(hidden_error(filled, images, masks).mean())
            naive = float(hidden_error(fill_with_border(images, masks), images, masks).mean())
            triples = torch.stack((images * (1 - masks) + 0.5 * masks, filled, images), 1)[:SHOWN]
            yield Panel(
                name=f"filled-{kind}",
                kind="images",
                array=triples.flatten(0, 1).float().cpu().numpy(),
                caption=(
                    f"held-out pictures: what is seen, filled, the truth; squared error of hidden values in "
                    f"{len(images)} of them {error:.4g}, with the mean colour of the border {naive:.4g}"
                ),
                columns=12,
                low=0.0,
                high=1.0,
            )
