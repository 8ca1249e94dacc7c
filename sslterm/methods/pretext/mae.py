"""Masked Autoencoders Are Scalable Vision Learners (MAE).
Kaiming He, Xinlei Chen, Saining Xie, Yanghao Li, Piotr Dollar & Ross Girshick, CVPR 2022, arXiv:2111.06377.

Idea:
    Three quarters of an image's patches are hidden, and a vision transformer has to say what they show. The
    encoder sees the patches that are left and nothing else, which makes it fast; a light decoder, which is not
    kept, fills mask tokens in at the empty places and restores the pixels. Images are redundant: only where
    so much is missing can the rest not simply be continued, and must be understood.

Objective:
    t = (patch - mean) / sqrt(variance + 1e-6), over the values of each patch        (§3, "Reconstruction target")
    loss = mean over masked patches and their values of (decoder(encoder(kept patches)) - t)^2
    With norm_pix off, t are the pixels in [0, 1] themselves.

Departures:
    A picture needs the mean and deviation of every patch back, and where a patch is missing nobody knows them.
    Where norm_pix is on, a layer of hidden units reads them off the decoder's last features; its squared error is
    added to the loss, but its gradient stops at the features, so that the rest is trained as in the paper. What
    is shown, completed and measured in pixels is made with what it reads, never with the truth. Weights of query,
    key and value are drawn as layers of their own; there is no weight for channels in the target beside the
    patch's own deviation.

Watch for:
    The prediction panel is in pixels: shapes should be continued, blurred at first. An error of normalised
    patches of 1 is what the patch's own mean gives; below it, the network knows something. Linear probes of MAE are
    modest beside fine-tuning (`probe --protocol finetune`), and middle blocks may be better than the last.

Shapes:
    B batch, L patches of an image, K kept, D width, P = patch^2 C values of a patch; images [B, C, H, W];
    kept [B, K] and masked [B, L - K] numbers of patches in the order of reading.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sslterm.augment import View
from sslterm.config.schema import Count, Fraction, Positive
from sslterm.data.batch import Batch
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs, Method
from sslterm.methods.encoder import build_backbone, check_patch
from sslterm.nn.patches import PatchDecoder, cut, join
from sslterm.nn.precision import in_float32
from sslterm.nn.tiles import pick
from sslterm.nn.vit import Size, ViT
from sslterm.rows import rand
from sslterm.run.panels import Panel

SHOWN = 16
"""Images in the panel of predictions."""
EPSILON = 1e-6


def statistics(patches: Tensor) -> Tensor:
    """Mean and standard deviation of the values of each patch, [B, L, P] -> [B, L, 2]."""
    variance, mean = torch.var_mean(patches, dim=2)
    return torch.stack((mean, (variance + EPSILON).sqrt()), dim=2)


@in_float32
def patch_error(prediction: Tensor, patches: Tensor, *, norm_pix: bool) -> Tensor:
    """The mean squared error of masked patches, 0-d.

    Args:
        prediction: [B, M, P].
        patches: [B, M, P] in [0, 1], the truth.
        norm_pix: whether each patch's own mean and deviation are taken off the truth.
    """
    if norm_pix:
        mean, deviation = statistics(patches).split(1, dim=2)
        patches = (patches - mean) / deviation
    return F.mse_loss(prediction, patches)


class MAE(Method):
    @dataclass(frozen=True, kw_only=True)
    class Config:
        backbone: Size
        patch: Count
        """Side of a patch in pixels."""
        pixel_mean: tuple[Fraction, ...]
        """One number, or one a channel; images are in [0, 1]."""
        pixel_std: tuple[Positive, ...]
        mask_ratio: Fraction
        """Share of the patches that are hidden."""
        norm_pix: bool
        """Whether each patch is predicted with its own mean and deviation taken off."""
        decoder_width: Count
        decoder_depth: Count
        """Blocks."""
        decoder_heads: Count
        encoding: Literal["mean", "class-token"]
        """What an image is encoded as: the mean over its patches' tokens, or the class token."""

    solved: ClassVar[Mapping[str, str]] = {
        "mse_masked": "per value in [0, 1], on masked patches",
        "mse_visible_mean": "per value in [0, 1], filled with the mean colour of the visible patches",
    }

    def __init__(self, config: Config, inputs: Inputs) -> None:
        super().__init__()
        if set(inputs.views) != {"a"}:
            raise UsageError("mae takes its one view from [augment.a], and the preset has others or none")
        self.view = View(inputs.views["a"])
        self.config = config
        side = inputs.views["a"].size
        check_patch(config.patch, {inputs.height, inputs.width, side or inputs.height})
        height, width = (side, side) if side else (inputs.height, inputs.width)
        count = (height // config.patch) * (width // config.patch)
        if not 0 < self.kept_of(count) < count:
            raise UsageError(
                f"method.mask_ratio = {config.mask_ratio:g} of {count} patches leaves "
                f"{self.kept_of(count)}: there must be some to see and some to predict",
                "set method.mask_ratio=0.75, or a smaller method.patch",
            )
        if config.norm_pix and config.patch**2 * inputs.channels < 2:
            raise UsageError(
                "method.norm_pix: patches of a single value have no deviation", "set method.patch=4, say"
            )
        _check_heads(config)
        self.encoder = build_backbone(
            config.backbone,
            inputs,
            patch=config.patch,
            pixel_mean=config.pixel_mean,
            pixel_std=config.pixel_std,
        )
        self.decoder = PatchDecoder(
            self.encoder.features,
            width=config.decoder_width,
            depth=config.decoder_depth,
            heads=config.decoder_heads,
            values=config.patch**2 * inputs.channels,
        )

    @property
    def vit(self) -> ViT:
        net = self.encoder.net
        assert isinstance(net, ViT)
        return net

    def kept_of(self, count: int) -> int:
        """K of L patches."""
        return int(count * (1 - self.config.mask_ratio) + 1e-9)

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        images = self.view(batch.images)
        kept, masked = self.random_masking(images)
        prediction, read = self.restore(images, kept)
        truth = pick(cut(images, self.config.patch), masked)
        error = patch_error(pick(prediction, masked), truth, norm_pix=self.config.norm_pix)
        if not self.config.norm_pix:
            return error, {}
        reading = F.mse_loss(pick(read, masked), statistics(truth))
        return error + reading, {"patch_error": error, "statistics_error": reading}

    def random_masking(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Which patches of each image are kept [B, K], and which are masked [B, L - K]."""
        count = (images.shape[2] // self.config.patch) * (images.shape[3] // self.config.patch)
        order = rand(len(images), count, like=images).argsort(1)
        kept = self.kept_of(count)
        return order[:, :kept], order[:, kept:]

    def restore(self, images: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
        """What the decoder says of all places: the targets t [B, L, P], and means and deviations [B, L, 2]."""
        tokens = self.vit.encode_tokens(self.vit.tokens(self.encoder.standardised(images), kept))
        grid = (images.shape[2] // self.config.patch, images.shape[3] // self.config.patch)
        prediction, read = self.decoder(tokens, kept, grid)
        return prediction, read

    def predict(self, images: Tensor, kept: Tensor) -> Tensor:
        """Images as they are predicted from some patches, [B, C, H, W] in [0, 1], all places included."""
        patches, read = self.restore(images, kept)
        if self.config.norm_pix:
            mean, deviation = read.split(1, dim=2)
            patches = patches * deviation.clamp_min(0) + mean
        return join(patches, self.config.patch, images.shape[2], images.shape[3]).clamp(0, 1)

    # -- what can be asked of a trained network

    def encode(self, images: Tensor) -> Tensor:
        """[B, D], of all patches."""
        tokens = self.vit.encode_tokens(self.vit.tokens(self.encoder.standardised(images)))
        return self.pooled(tokens)

    def pooled(self, tokens: Tensor) -> Tensor:
        return tokens[:, 1:].mean(1) if self.config.encoding == "mean" else tokens[:, 0]

    def layers(self, images: Tensor) -> dict[str, Tensor]:
        """The patches' tokens after every block, [B, L, D], and what `encode` gives."""
        outputs, x = {}, self.vit.tokens(self.encoder.standardised(images))
        for number, block in enumerate(self.vit.blocks, start=1):
            x = block(x)
            outputs[f"block{number}"] = x[:, 1:].float()
        outputs["encoding"] = self.pooled(self.vit.norm(x).float())
        return outputs

    def complete(self, images: Tensor, mask: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
        """Patches that the mask touches are hidden, and of what is predicted for them its pixels are taken."""
        touched = F.max_pool2d(mask, self.config.patch).flatten(1) > 0  # [B, L]
        counts = (~touched).sum(1)
        filled = images.clone()
        for count in counts.unique().tolist():  # images of as many kept patches go together
            rows = (counts == count).nonzero().squeeze(1)
            kept = touched[rows].to(torch.uint8).argsort(dim=1, stable=True)[:, :count]
            filled[rows] = self.predict(images[rows], kept)
        yield torch.where(mask > 0, filled, images)

    def solve(self, images: Tensor) -> dict[str, Tensor]:
        kept, masked = self.random_masking(images)
        truth = cut(images, self.config.patch)
        visible = pick(truth, kept).unflatten(2, (images.shape[1], -1))  # [B, K, C, patch^2]
        colour = visible.mean((1, 3)).repeat_interleave(self.config.patch**2, dim=1)  # [B, P]
        answers = {
            "mse_masked": pick(cut(self.predict(images, kept), self.config.patch), masked),
            "mse_visible_mean": colour[:, None].expand(-1, masked.shape[1], -1),
        }
        hidden = pick(truth, masked)
        return {name: (answer - hidden).square().mean((1, 2)) for name, answer in answers.items()}

    def panels(self, batch: Batch) -> Iterator[Panel]:
        images = batch.images[:SHOWN]
        kept, masked = self.random_masking(images)
        hidden = torch.zeros(len(images), kept.shape[1] + masked.shape[1], 1, device=images.device)
        hidden = hidden.scatter(1, masked[:, :, None], 1.0).expand(-1, -1, self.config.patch**2)
        mask = join(hidden, self.config.patch, images.shape[2], images.shape[3])  # [B, 1, H, W]
        shown = torch.where(mask > 0, 0.5, images)
        filled = torch.where(mask > 0, self.predict(images, kept), images)
        error = float((filled - images).square().sum() / mask.sum() / images.shape[1])
        yield Panel(
            name="predictions",
            kind="images",
            array=torch.stack((shown, filled, images), dim=1).flatten(0, 1).float().cpu().numpy(),
            caption=(
                f"{len(images)} held-out images: {kept.shape[1]} of {hidden.shape[1]} patches kept, the others "
                f"predicted, the truth; mean squared error {error:.4f} on masked pixels, made without the truth"
            ),
            columns=12,
            low=0.0,
            high=1.0,
        )


def _check_heads(config: MAE.Config) -> None:
    """The decoder's width must divide into heads, and into sines and cosines of both places."""
    step = math.lcm(config.decoder_heads, 4)
    if config.decoder_width % step:
        raise UsageError(
            f"method.decoder_width = {config.decoder_width} does not divide into {config.decoder_heads} heads "
            "and by 4",
            f"set method.decoder_width={step * max(1, config.decoder_width // step)}",
        )
