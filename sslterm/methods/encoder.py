"""The encoder that a preset describes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sslterm.config.schema import Count, Fraction, Natural, Positive
from sslterm.errors import UsageError
from sslterm.methods.base import Inputs
from sslterm.nn.backbone import Backbone, BackboneName


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """The fields of `[method]` that say what the encoder is."""

    backbone: BackboneName
    widths: tuple[Count, ...]
    """Channels of the stages of "conv"; [] for other networks."""
    patch: Natural
    """Side of a patch of a ViT in pixels; 0 for other networks."""
    pixel_mean: tuple[Fraction, ...]
    """One number, or one a channel; images are in [0, 1]."""
    pixel_std: tuple[Positive, ...]


def build_encoder(config: EncoderConfig, inputs: Inputs) -> Backbone:
    """The network that `[method]` describes.

    Raises:
        UsageError: its fields do not go together, or a ViT's patches do not divide what it is to see.
    """
    sides = {inputs.height, inputs.width, *(view.size or inputs.height for view in inputs.views.values())}
    if config.patch:
        check_patch(config.patch, sides)
    return build_backbone(
        config.backbone,
        inputs,
        widths=config.widths,
        patch=config.patch,
        pixel_mean=config.pixel_mean,
        pixel_std=config.pixel_std,
    )


def check_patch(patch: int, sides: set[int]) -> None:
    """`method.patch` divides the `sides`, in pixels, of all that a ViT is to see.

    Raises:
        UsageError: it does not.
    """
    for side in sorted(sides):
        if side % patch:
            raise UsageError(
                f"method.patch = {patch} does not divide images or views of {side} pixels",
                f"set the size of each view to a multiple of {patch}, or another method.patch",
            )


def build_backbone(
    name: BackboneName,
    inputs: Inputs,
    *,
    pixel_mean: Sequence[float],
    pixel_std: Sequence[float],
    widths: Sequence[int] = (),
    patch: int = 0,
) -> Backbone:
    """A network of the fields of `[method]` that a method has.

    Raises:
        UsageError: they do not go together.
    """
    try:
        return Backbone(
            name,
            widths=widths,
            patch=patch,
            channels=inputs.channels,
            pixel_mean=pixel_mean,
            pixel_std=pixel_std,
        )
    except ValueError as error:
        raise UsageError(f"method.{error}") from error
